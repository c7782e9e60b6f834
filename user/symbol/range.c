/* SPDX-License-Identifier: Apache-2.0 */
#include "symbol/range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct space *space_share(struct space *space)
{
	if (space)
		space->refs++;
	return space;
}

void space_release(struct spaces *spaces, struct space *space)
{
	if (!space || --space->refs > 0)
		return;
	for (uint32_t i = 0; i < space->count; i++)
		strings_put(&spaces->paths, space->ranges[i].path);
	spaces->range_count -= space->count;
	free(space->ranges);
	free(space);
}

uint32_t space_search(const struct space *space, uint64_t address)
{
	uint32_t low = 0, high = space->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (space->ranges[middle].end > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* A private copy with room for two more: what one put can add. */
static struct space *copy(struct spaces *spaces, const struct space *old)
{
	struct space *space = calloc(1, sizeof(*space));
	uint32_t count = old ? old->count : 0;

	if (!space)
		return NULL;
	space->refs = 1;
	space->capacity = count + 2;
	space->ranges = calloc(space->capacity, sizeof(*space->ranges));
	if (!space->ranges) {
		free(space);
		return NULL;
	}
	for (uint32_t i = 0; i < count; i++) {
		space->ranges[i] = old->ranges[i];
		space->ranges[i].path->refs++;
	}
	space->count = count;
	spaces->range_count += count;
	return space;
}

static int make_room(struct space *space)
{
	uint32_t capacity = space->count + space->count / 2 + 2;
	struct range *ranges;

	if (space->count + 2 <= space->capacity)
		return 0;
	ranges = reallocarray(space->ranges, capacity, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	space->ranges = ranges;
	space->capacity = capacity;
	return 0;
}

/* Makes *space private, with room for two ranges more. */
static int prepare(struct spaces *spaces, struct space **space)
{
	uint32_t count = *space ? (*space)->count : 0;
	bool shared = !*space || (*space)->refs > 1;
	struct space *own;

	if (count + 2 > SPACE_RANGES_MAX || spaces->range_count + 2 + (shared ? count : 0) > SPACE_RANGES_ALL_MAX)
		return -E2BIG;
	if (!shared)
		return make_room(*space);
	own = copy(spaces, *space);
	if (!own)
		return -ENOMEM;
	space_release(spaces, *space);
	*space = own;
	return 0;
}

/* Replaces `removed` ranges from index on by the `count` given ones. There is room. */
static void splice(struct space *space, uint32_t index, uint32_t removed, const struct range *given, uint32_t count)
{
	memmove(&space->ranges[index + count], &space->ranges[index + removed],
		(space->count - index - removed) * sizeof(*given));
	memcpy(&space->ranges[index], given, count * sizeof(*given));
	space->count = space->count - removed + count;
}

int space_put(struct spaces *spaces, struct space **space, const struct range *range)
{
	int err = prepare(spaces, space);
	struct range parts[3];
	uint32_t count = 0, first, last;
	const struct range *old;

	if (err < 0) {
		strings_put(&spaces->paths, range->path);
		return err;
	}
	first = last = space_search(*space, range->start);
	old = (*space)->ranges;
	while (last < (*space)->count && old[last].start < range->end)
		last++;
	if (last > first && old[first].start < range->start) { /* what sticks out on the left stays */
		parts[count] = old[first];
		parts[count].path->refs++;
		parts[count++].end = range->start;
	}
	if (range->path)
		parts[count++] = *range;
	if (last > first && old[last - 1].end > range->end) { /* and on the right */
		parts[count] = old[last - 1];
		parts[count].path->refs++;
		parts[count].file_offset += range->end - parts[count].start;
		parts[count++].start = range->end;
	}
	spaces->range_count += count;
	spaces->range_count -= last - first;
	for (uint32_t i = first; i < last; i++)
		strings_put(&spaces->paths, old[i].path);
	splice(*space, first, last - first, parts, count);
	return 0;
}
