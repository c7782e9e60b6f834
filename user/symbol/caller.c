/* SPDX-License-Identifier: Apache-2.0 */
#include "symbol/caller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "probe/library.h"
#include "symbol/module.h"
#include "symbol/news.h"

#define STACKS_MAX 16384	 /* remembered of one image; then it starts again */
#define UNKNOWN_KEPT_NS 1000000u /* a stack without a known frame is looked at again after so long */

struct callers {
	struct mappings *mappings;
	bool live; /* the events are of this machine, now: /proc may be asked */
	struct spaces spaces;
	struct modules modules;
	struct news news;
	struct caller unknown;
	char unknown_name[2];
};

/* A stack that was resolved before. */
struct stack {
	const struct caller *caller;
	uint64_t since_ns; /* not for events before that */
	uint64_t until_ns; /* nor from then on */
	uint64_t frames[VT_FRAMES_MAX];
	uint32_t count;
};

int callers_new(struct reader *reader, struct mappings *mappings, struct callers **ret_callers, struct diag *diag)
{
	struct callers *callers = calloc(1, sizeof(*callers));

	if (!callers)
		return diag_err(diag, -ENOMEM, "out of memory");
	callers->mappings = mappings;
	callers->live = reader || mappings;
	spaces_init(&callers->spaces);
	modules_init(&callers->modules, reader, &callers->spaces.paths);
	callers->unknown_name[0] = '?';
	callers->unknown.name = callers->unknown_name;
	*ret_callers = callers;
	return 0;
}

void callers_free(struct callers *callers)
{
	if (!callers)
		return;
	news_fini(&callers->news);
	modules_fini(&callers->modules);
	spaces_fini(&callers->spaces);
	free(callers);
}

int callers_load_process(struct callers *callers, uint32_t tgid)
{
	CLEANUP_FCLOSE FILE *file = NULL;
	struct image *image;
	char path[32];
	int err;

	snprintf(path, sizeof(path), "/proc/%u/maps", tgid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	err = spaces_read_maps(&callers->spaces, tgid, file);
	if (err < 0)
		return err;
	image = spaces_image(&callers->spaces, tgid, UINT64_MAX);
	if (image && callers->mappings)
		image->lost_seen = mappings_lost(callers->mappings);
	return 0;
}

static void take_mapping(void *ctx, const struct mapping *mapping)
{
	struct callers *callers = ctx;
	enum vt_layer layer;

	spaces_apply(&callers->spaces, mapping);
	if (mapping->kind == MAPPING_MAP && mapping->path && library_name_matches(mapping->path, &layer))
		news_add(&callers->news, mapping);
}

void callers_drain(struct callers *callers)
{
	if (callers->mappings)
		mappings_drain(callers->mappings, take_mapping, callers);
}

bool callers_next_library(struct callers *callers, struct library_news *ret_news)
{
	return news_take(&callers->news, ret_news);
}

uint64_t callers_libraries_lost(const struct callers *callers)
{
	return callers->news.lost;
}

static uint64_t stack_key(const struct event *event)
{
	uint64_t key = event->frame_count;

	for (unsigned int i = 0; i < event->frame_count; i++) {
		key = (key ^ event->frames[i]) * 0x9e3779b97f4a7c15ULL;
		key ^= key >> 32;
	}
	return key;
}

static const struct caller *stack_find(const struct image *image, const struct event *event)
{
	const struct stack *stack = map_get(&image->stacks, stack_key(event));

	if (!stack || stack->count != event->frame_count || event->time_ns < stack->since_ns ||
	    event->time_ns >= stack->until_ns ||
	    memcmp(stack->frames, event->frames, stack->count * sizeof(stack->frames[0])) != 0)
		return NULL;
	return stack->caller;
}

/* Without memory it is just not remembered. */
static void stack_keep(struct image *image, const struct event *event, const struct stack *found)
{
	struct stack *stack;
	void *old = NULL;

	if (image->stacks.count >= STACKS_MAX)
		image_forget_stacks(image);
	stack = malloc(sizeof(*stack));
	if (!stack)
		return;
	*stack = *found;
	stack->count = event->frame_count;
	memcpy(stack->frames, event->frames, stack->count * sizeof(stack->frames[0]));
	if (!image->stacks.hash.secrets[0])
		map_init(&image->stacks);
	if (map_put(&image->stacks, stack_key(event), stack, &old) < 0)
		free(stack);
	free(old);
}

/* One look along the frames of an event. */
struct walk {
	struct callers *callers;
	const struct image *image;
	const struct event *event;
	bool missed; /* a frame lies in nothing that is known */
};

static struct range *range_at(const struct walk *walk, unsigned int frame)
{
	uint64_t address = walk->event->frames[frame];

	/* The call is in front of its return address, which may be another function's first byte. */
	return address ? image_find(walk->image, address - 1, walk->event->time_ns) : NULL;
}

static bool is_last_of_file(const struct walk *walk, unsigned int frame, const struct string *path)
{
	for (unsigned int i = frame + 1; i < walk->event->frame_count; i++) {
		const struct range *range = range_at(walk, i);

		if (range && range->path == path)
			return false;
	}
	return true;
}

static const struct place *place_at(const struct walk *walk, unsigned int frame, struct range *range)
{
	return modules_place(&walk->callers->modules, walk->event->tgid, range, walk->event->frames[frame]);
}

static bool is_runtime_frame(const struct walk *walk, unsigned int frame, struct range *range)
{
	const struct place *place;

	if (module_class(range->path) == MODULE_RUNTIME)
		return true;
	place = place_at(walk, frame, range);
	return place && place->runtime_like && !is_last_of_file(walk, frame, range->path);
}

/* The frame that counts as the caller: outside CUDA's libraries; if all are inside, the first one outside the driver. */
static struct range *walk_frames(struct walk *walk, unsigned int *ret_frame)
{
	struct range *second = NULL;

	for (unsigned int i = 0; i < walk->event->frame_count; i++) {
		struct range *range = range_at(walk, i);

		if (!range) {
			walk->missed = true;
			continue;
		}
		if (module_class(range->path) == MODULE_DRIVER)
			continue;
		if (!is_runtime_frame(walk, i, range)) {
			*ret_frame = i;
			return range;
		}
		if (!second) {
			second = range;
			*ret_frame = i;
		}
	}
	return second;
}

/* Learns what can be learnt about a process that a frame was unknown of. */
static void learn(struct callers *callers, const struct event *event)
{
	struct image *image;
	bool lost;

	callers_drain(callers);
	image = spaces_image(&callers->spaces, event->tgid, event->time_ns);
	if (!callers->live || (!image && spaces_knows(&callers->spaces, event->tgid)) || (image && image->ended))
		return;
	lost = image && callers->mappings && mappings_lost(callers->mappings) != image->lost_seen;
	if (image && !image->partial && !lost)
		return;
	if (callers_load_process(callers, event->tgid) == 0)
		return;
	/* Gone: an empty image says that there is nothing to ask any more. */
	if (!image)
		spaces_apply(&callers->spaces, &(struct mapping) { .kind = MAPPING_EXEC, .tgid = event->tgid });
	else
		image->partial = false;
}

static const struct caller *look(struct callers *callers, struct image *image, const struct event *event,
				 bool *ret_missed)
{
	struct walk walk = { .callers = callers, .image = image, .event = event };
	struct stack found = { .caller = &callers->unknown, .until_ns = event->time_ns + UNKNOWN_KEPT_NS };
	const struct place *place = NULL;
	unsigned int frame = 0;
	struct range *range;

	range = walk_frames(&walk, &frame);
	if (range)
		place = place_at(&walk, frame, range);
	if (place) {
		found.caller = &place->caller;
		found.since_ns = range->since_ns;
		found.until_ns = UINT64_MAX;
	}
	*ret_missed = walk.missed;
	stack_keep(image, event, &found);
	return found.caller;
}

const struct caller *callers_resolve(struct callers *callers, const struct event *event)
{
	struct image *image = spaces_image(&callers->spaces, event->tgid, event->time_ns);
	const struct caller *caller;
	bool missed = true;

	if (!event->frame_count || event->frame_count > VT_FRAMES_MAX)
		return &callers->unknown;
	if (image) {
		caller = stack_find(image, event);
		if (caller)
			return caller;
		caller = look(callers, image, event, &missed);
		if (!missed)
			return caller;
	}
	learn(callers, event);
	image = spaces_image(&callers->spaces, event->tgid, event->time_ns);
	return image ? look(callers, image, event, &missed) : &callers->unknown;
}
