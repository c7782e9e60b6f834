// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "arena.h"

/*
 * Extents, live and free, are chained in address order; the free ones also in the order in which
 * to look at them.
 */
struct extent {
	uint64_t addr;
	uint64_t bytes;
	bool free;
	struct extent *prev, *next;
	struct extent *free_prev, *free_next;
};

static uint64_t round_up(uint64_t value, uint64_t step)
{
	return (value + step - 1) / step * step;
}

static void free_push(struct arena *arena, struct extent *extent)
{
	extent->free = true;
	extent->free_prev = NULL;
	extent->free_next = arena->free_first;
	if (extent->free_next)
		extent->free_next->free_prev = extent;
	arena->free_first = extent;
}

static void free_remove(struct arena *arena, struct extent *extent)
{
	extent->free = false;
	if (extent->free_prev)
		extent->free_prev->free_next = extent->free_next;
	else
		arena->free_first = extent->free_next;
	if (extent->free_next)
		extent->free_next->free_prev = extent->free_prev;
}

static void *reserve(uint64_t hint, uint64_t bytes)
{
	void *range =
		mmap((void *)(uintptr_t)hint, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return range == MAP_FAILED ? NULL : range;
}

int arena_init(struct arena *arena, uint64_t hint, uint64_t bytes, uint64_t unit_bytes, uint64_t align_bytes)
{
	uint64_t size = round_up(bytes, unit_bytes);
	struct extent *whole = calloc(1, sizeof(*whole));
	uint32_t *blocks = calloc(size / unit_bytes, sizeof(*blocks));
	/* One unit more than needed, so that the base can be aligned to a unit. */
	void *range = reserve(hint, size + unit_bytes);

	if (!whole || !blocks || !range) {
		if (range)
			munmap(range, size + unit_bytes);
		free(blocks);
		free(whole);
		return -ENOMEM;
	}
	*arena = (struct arena) {
		.range = range,
		.range_bytes = size + unit_bytes,
		.base = round_up((uintptr_t)range, unit_bytes),
		.unit_bytes = unit_bytes,
		.align_bytes = align_bytes,
		.unit_blocks = blocks,
	};
	whole->addr = arena->base;
	whole->bytes = size;
	free_push(arena, whole);
	return 0;
}

void arena_fini(struct arena *arena)
{
	if (!arena->base)
		return;
	munmap(arena->range, arena->range_bytes);
	free(arena->unit_blocks);
	free(arena->free_first);
	arena->base = 0;
}

/*
 * Adds @step blocks to each unit under @extent; returns the bytes of the units that had none, or
 * have none now.
 */
static uint64_t count_units(struct arena *arena, const struct extent *extent, int step)
{
	uint64_t first = (extent->addr - arena->base) / arena->unit_bytes;
	uint64_t last = (extent->addr + extent->bytes - 1 - arena->base) / arena->unit_bytes;
	uint64_t changed = 0;

	for (uint64_t unit = first; unit <= last; unit++) {
		uint32_t before = arena->unit_blocks[unit];

		arena->unit_blocks[unit] = before + step;
		if (!before || !arena->unit_blocks[unit])
			changed += arena->unit_bytes;
	}
	return changed;
}

static int split(struct arena *arena, struct extent *extent, uint64_t bytes)
{
	struct extent *rest = calloc(1, sizeof(*rest));

	if (!rest)
		return -ENOMEM;
	rest->addr = extent->addr + bytes;
	rest->bytes = extent->bytes - bytes;
	rest->prev = extent;
	rest->next = extent->next;
	if (rest->next)
		rest->next->prev = rest;
	extent->next = rest;
	extent->bytes = bytes;
	free_remove(arena, extent);
	free_push(arena, rest);
	return 0;
}

struct extent *arena_alloc(struct arena *arena, uint64_t bytes, uint64_t *ret_addr, uint64_t *ret_charge)
{
	uint64_t need = round_up(bytes, arena->align_bytes);
	struct extent *extent = arena->free_first;

	if (need < bytes)
		return NULL;
	while (extent && extent->bytes < need)
		extent = extent->free_next;
	if (!extent)
		return NULL;
	if (extent->bytes == need)
		free_remove(arena, extent);
	else if (split(arena, extent, need))
		return NULL;
	*ret_addr = extent->addr;
	*ret_charge = count_units(arena, extent, 1);
	return extent;
}

/* Takes @extent's right neighbour into it. */
static void absorb_next(struct extent *extent)
{
	struct extent *next = extent->next;

	extent->bytes += next->bytes;
	extent->next = next->next;
	if (extent->next)
		extent->next->prev = extent;
	free(next);
}

uint64_t arena_free(struct arena *arena, struct extent *extent)
{
	uint64_t refund = count_units(arena, extent, -1);

	if (extent->next && extent->next->free) {
		free_remove(arena, extent->next);
		absorb_next(extent);
	}
	if (extent->prev && extent->prev->free) {
		extent = extent->prev;
		free_remove(arena, extent);
		absorb_next(extent);
	}
	free_push(arena, extent);
	return refund;
}
