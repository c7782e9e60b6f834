/* SPDX-License-Identifier: Apache-2.0 */
#include "symbol/space.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/range.h"

void spaces_init(struct spaces *spaces)
{
	*spaces = (struct spaces) { .ended_count = 0 };
	map_init(&spaces->images);
	strings_init(&spaces->paths, SPACE_PATH_BYTES_MAX, 0);
}

void image_forget_stacks(struct image *image)
{
	struct map_slot *slot;

	for (size_t i = 0; (slot = map_next(&image->stacks, &i));)
		free(slot->value);
	map_fini(&image->stacks);
}

static void image_free(struct spaces *spaces, struct image *image)
{
	image_forget_stacks(image);
	space_release(spaces, image->space);
	free(image);
}

void spaces_fini(struct spaces *spaces)
{
	struct map_slot *slot;
	struct image *image, *older;

	for (size_t i = 0; (slot = map_next(&spaces->images, &i));) {
		for (image = slot->value; image; image = older) {
			older = image->older;
			image_free(spaces, image);
		}
	}
	map_fini(&spaces->images);
	strings_fini(&spaces->paths);
}

/* Images end in the order of the list, so whoever is first in it is the oldest of its tgid. */
static void drop_first_ended(struct spaces *spaces)
{
	struct image *image = spaces->ended_first;

	spaces->ended_first = image->next_ended;
	if (!spaces->ended_first)
		spaces->ended_last = NULL;
	spaces->ended_count--;
	if (image->newer)
		image->newer->older = NULL;
	else
		map_del(&spaces->images, image->tgid);
	image_free(spaces, image);
}

static void prune(struct spaces *spaces, uint64_t now_ns)
{
	struct image *first;

	while ((first = spaces->ended_first)) {
		bool expired = now_ns > first->ended_ns && now_ns - first->ended_ns > SPACE_ENDED_NS;

		if (spaces->ended_count <= SPACE_ENDED_MAX && !expired)
			return;
		drop_first_ended(spaces);
	}
}

static void image_end(struct spaces *spaces, struct image *image, uint64_t now_ns)
{
	if (image->ended)
		return;
	image->ended = true;
	image->ended_ns = now_ns;
	if (spaces->ended_last)
		spaces->ended_last->next_ended = image;
	else
		spaces->ended_first = image;
	spaces->ended_last = image;
	spaces->ended_count++;
}

/* News come from several CPUs and can be a little out of order: what was mapped later than the begin is the new image's. */
static void carry_over(struct spaces *spaces, const struct image *older, struct image *image)
{
	const struct space *space = older->space;

	for (uint32_t i = 0; space && i < space->count; i++) {
		struct range range = space->ranges[i];

		if (range.since_ns <= image->since_ns)
			continue;
		range.path->refs++;
		if (space_put(spaces, &image->space, &range) < 0)
			image->partial = true;
	}
}

/*
 * A new image of tgid; the one it had has ended. `from`: ranges to begin with. NULL: out of memory, or the news are older than
 * the image that tgid has.
 */
static struct image *image_begin(struct spaces *spaces, uint32_t tgid, uint64_t now_ns, struct space *from)
{
	struct image *older = map_get(&spaces->images, tgid);
	struct image *image;

	if (older && older->since_ns > now_ns)
		return NULL;
	image = calloc(1, sizeof(*image));
	if (!image)
		return NULL;
	if (map_put(&spaces->images, tgid, image, NULL) < 0) {
		free(image);
		return NULL;
	}
	image->tgid = tgid;
	image->since_ns = now_ns;
	image->older = older;
	image->space = space_share(from);
	if (!older)
		return image;
	older->newer = image;
	carry_over(spaces, older, image);
	image_end(spaces, older, now_ns);
	return image;
}

struct image *spaces_living(struct spaces *spaces, uint32_t tgid)
{
	struct image *image = map_get(&spaces->images, tgid);

	if (image && !image->ended)
		return image;
	image = image_begin(spaces, tgid, image ? image->ended_ns : 0, NULL);
	if (image)
		image->partial = true;
	return image;
}

/* An image that has ended can still map: its main thread can end before the others. */
static void apply_map(struct spaces *spaces, const struct mapping *mapping)
{
	struct image *image = spaces_image(spaces, mapping->tgid, mapping->time_ns);
	struct range range = { .start = mapping->start, .file_offset = mapping->file_offset };
	bool is_file = mapping->path && space_path_is_file(mapping->path);

	if (!image && !spaces_knows(spaces, mapping->tgid))
		image = spaces_living(spaces, mapping->tgid);
	if (!image || !mapping->length || mapping->start + mapping->length < mapping->start)
		return;
	range.end = mapping->start + mapping->length;
	range.since_ns = mapping->time_ns;
	if (!is_file && !image->space)
		return;
	if (is_file) {
		range.path = strings_get(&spaces->paths, mapping->path, strlen(mapping->path));
		image->partial |= !range.path;
	}
	if (space_put(spaces, &image->space, &range) < 0)
		image->partial = true;
	image_forget_stacks(image);
}

static void apply_fork(struct spaces *spaces, const struct mapping *mapping)
{
	struct image *parent = map_get(&spaces->images, mapping->parent);
	bool known = parent && mapping->parent != mapping->tgid;
	struct image *child;

	child = image_begin(spaces, mapping->tgid, mapping->time_ns, known ? parent->space : NULL);
	if (child)
		child->partial |= !known || parent->partial;
}

void spaces_apply(struct spaces *spaces, const struct mapping *mapping)
{
	struct image *image;

	prune(spaces, mapping->time_ns);
	switch (mapping->kind) {
	case MAPPING_MAP:
		apply_map(spaces, mapping);
		break;
	case MAPPING_FORK:
		apply_fork(spaces, mapping);
		break;
	case MAPPING_EXEC:
		image_begin(spaces, mapping->tgid, mapping->time_ns, NULL);
		break;
	case MAPPING_EXIT:
		image = map_get(&spaces->images, mapping->tgid);
		if (image && image->since_ns <= mapping->time_ns)
			image_end(spaces, image, mapping->time_ns);
		break;
	}
}

bool space_path_is_file(const char *path)
{
	return path[0] == '/' && path[1] != '/';
}

struct image *spaces_image(const struct spaces *spaces, uint32_t tgid, uint64_t time_ns)
{
	struct image *image = map_get(&spaces->images, tgid);

	while (image && image->since_ns > time_ns)
		image = image->older;
	return image;
}

bool spaces_knows(const struct spaces *spaces, uint32_t tgid)
{
	return map_get(&spaces->images, tgid) != NULL;
}

struct range *image_find(const struct image *image, uint64_t address, uint64_t time_ns)
{
	struct range *range;
	uint32_t index;

	if (!image->space)
		return NULL;
	index = space_search(image->space, address);
	if (index == image->space->count)
		return NULL;
	range = &image->space->ranges[index];
	return range->start <= address && range->since_ns <= time_ns ? range : NULL;
}
