/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	LIBRARY_UNKNOWN,
	LIBRARY_OTHER,
	LIBRARY_FIRST
};

static char other_name[] = "(other)";
static const struct caller other_caller = { .name = other_name, .id = UINT32_MAX };

void sums_init(struct sums *sums)
{
	*sums = (struct sums) { 0 };
	map_init(&sums->callers);
	map_init(&sums->cells);
}

void sums_fini(struct sums *sums)
{
	map_fini(&sums->callers);
	map_fini(&sums->cells);
	free(sums->library_of);
	free(sums->libraries);
	*sums = (struct sums) { 0 };
}

static int add_library(struct sums *sums, const char *name, uint16_t *ret_library)
{
	const char **grown;

	/* The names cost little: all of them, at the first. */
	if (!sums->libraries) {
		grown = calloc(SUMS_LIBRARIES_MAX, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		grown[LIBRARY_UNKNOWN] = "?";
		grown[LIBRARY_OTHER] = other_name;
		sums->libraries = grown;
		sums->library_count = LIBRARY_FIRST;
	}
	for (size_t i = 0; i < sums->library_count; i++) {
		if (i != LIBRARY_OTHER && !strcmp(sums->libraries[i], name)) {
			*ret_library = (uint16_t)i;
			return 0;
		}
	}
	*ret_library = LIBRARY_OTHER;
	if (sums->library_count < SUMS_LIBRARIES_MAX) {
		*ret_library = (uint16_t)sums->library_count;
		sums->libraries[sums->library_count++] = name;
	}
	return 0;
}

static int find_library(struct sums *sums, const struct caller *caller, uint16_t *ret_library)
{
	const char *slash = caller && caller->module ? strrchr(caller->module, '/') : NULL;

	if (caller == &other_caller) {
		*ret_library = LIBRARY_OTHER;
		return 0;
	}
	if (!caller || !caller->module)
		return add_library(sums, "?", ret_library);
	return add_library(sums, slash ? slash + 1 : caller->module, ret_library);
}

static int grow_callers(struct process *process, struct sums *sums)
{
	size_t capacity = sums->caller_capacity ? sums->caller_capacity * 2 : 8;
	struct caller_slice *slices = reallocarray(process->by_caller, capacity, sizeof(*slices));
	uint16_t *library_of;

	if (!slices)
		return -ENOMEM;
	process->by_caller = slices;
	library_of = reallocarray(sums->library_of, capacity, sizeof(*library_of));
	if (!library_of)
		return -ENOMEM;
	sums->library_of = library_of;
	sums->caller_capacity = capacity;
	return 0;
}

static int find_caller(struct process *process, struct sums *sums, const struct caller *caller, uint32_t *ret_caller)
{
	uint64_t key, index;
	uint16_t library;

	index = (uintptr_t)map_get(&sums->callers, (uint64_t)caller->id + 1);
	if (!index && process->caller_count >= SUMS_CALLERS_MAX) {
		caller = &other_caller;
		index = (uintptr_t)map_get(&sums->callers, (uint64_t)caller->id + 1);
	}
	if (!index) {
		key = (uint64_t)caller->id + 1;
		index = process->caller_count + 1;
		if (process->caller_count == sums->caller_capacity && grow_callers(process, sums) < 0)
			return -ENOMEM;
		if (find_library(sums, caller, &library) < 0 ||
		    map_put(&sums->callers, key, (void *)(uintptr_t)index, NULL) < 0)
			return -ENOMEM;
		sums->library_of[process->caller_count] = library;
		process->by_caller[process->caller_count++] = (struct caller_slice) { .caller = caller };
	}
	*ret_caller = (uint32_t)index;
	return 0;
}

int sums_caller(struct process *process, struct sums *sums, const struct caller *caller, uint32_t *ret_caller)
{
	struct sums_recent *recent;

	*ret_caller = 0;
	if (!caller)
		return 0;
	recent = &sums->recent[caller->id % SUMS_RECENT];
	if (!recent->caller || recent->caller_id != caller->id) {
		if (find_caller(process, sums, caller, ret_caller) < 0)
			return -ENOMEM;
		recent->caller = *ret_caller;
		recent->caller_id = caller->id;
	}
	*ret_caller = recent->caller;
	return 0;
}

/* 16 bits of place, 8 of kind, 7 of placement, 1 borrowed, 16 of library. */
static uint64_t key_of_cell(const struct block *block, uint16_t library)
{
	return (uint64_t)block->place | (uint64_t)block->kind << 16 | (uint64_t)(block->placement & 0x7f) << 24 |
	       (uint64_t)(block->flags & BLOCK_BORROWED ? 1 : 0) << 31 | (uint64_t)library << 32;
}

static int grow_cells(struct process *process, struct sums *sums)
{
	size_t capacity = sums->cell_capacity ? sums->cell_capacity * 2 : 8;
	struct cell *cells = reallocarray(process->cells, capacity, sizeof(*cells));

	if (!cells)
		return -ENOMEM;
	process->cells = cells;
	sums->cell_capacity = capacity;
	return 0;
}

/* *ret_cell: 1 + index into cells. */
static int find_cell(struct process *process, struct sums *sums, const struct block *block, uint16_t library,
		     uint32_t *ret_cell)
{
	uint64_t key = key_of_cell(block, library), index;

	index = (uintptr_t)map_get(&sums->cells, key);
	if (!index && process->cell_count >= SUMS_CELLS_MAX) {
		library = LIBRARY_OTHER;
		key = key_of_cell(block, library);
		index = (uintptr_t)map_get(&sums->cells, key);
	}
	if (!index) {
		index = process->cell_count + 1;
		if (process->cell_count == sums->cell_capacity && grow_cells(process, sums) < 0)
			return -ENOMEM;
		if (map_put(&sums->cells, key, (void *)(uintptr_t)index, NULL) < 0)
			return -ENOMEM;
		process->cells[process->cell_count++] = (struct cell) {
			.library = sums->libraries[library],
			.place = block->place,
			.kind = (uint8_t)block->kind,
			.placement = (uint8_t)block->placement,
			.borrowed = block->flags & BLOCK_BORROWED,
		};
	}
	*ret_cell = (uint32_t)index;
	return 0;
}

int sums_cell(struct process *process, struct sums *sums, const struct block *block, uint32_t caller,
	      uint32_t *ret_cell)
{
	struct sums_recent *recent = &sums->recent[caller % SUMS_RECENT];
	uint16_t library = LIBRARY_UNKNOWN;
	uint64_t key;

	if (caller)
		library = sums->library_of[caller - 1];
	else if (find_library(sums, NULL, &library) < 0)
		return -ENOMEM;
	key = key_of_cell(block, library);
	if (!recent->cell || recent->cell_key != key) {
		if (find_cell(process, sums, block, library, &recent->cell) < 0)
			return -ENOMEM;
		recent->cell_key = key;
	}
	*ret_cell = recent->cell - 1;
	return 0;
}

/* The slices that a block counts in; NULL: in none of that sort. */
enum {
	SUM_TOTAL,
	SUM_KIND,
	SUM_CALLER,
	SUM_CELL,
	SUM_PLACE,
	SUM_COUNT
};
struct counted {
	struct slice *slices[SUM_COUNT];
};

static inline __attribute__((always_inline)) struct counted
counted_in(struct process *process, const struct block *block, uint32_t caller, uint32_t cell)
{
	struct counted counted = { 0 };

	counted.slices[SUM_CELL] = &process->cells[cell].slice;
	if (block->flags & BLOCK_BORROWED)
		return counted;
	counted.slices[SUM_TOTAL] = &process->total;
	counted.slices[SUM_KIND] = &process->by_kind[block->kind];
	if (caller)
		counted.slices[SUM_CALLER] = &process->by_caller[caller - 1].slice;
	if (block->placement == PLACEMENT_VRAM)
		counted.slices[SUM_PLACE] = &process->places[block->place].vram;
	return counted;
}

/* What a program asks for is any number: the sum stays at the top instead of starting anew. */
static void add_allocated(struct slice *slice, uint64_t bytes)
{
	if (__builtin_add_overflow(slice->allocated.bytes, bytes, &slice->allocated.bytes))
		slice->allocated.bytes = UINT64_MAX;
}

static void see_peak(struct slice *slice)
{
	if (slice->live.bytes > slice->peak_bytes)
		slice->peak_bytes = slice->live.bytes;
}

void slice_request(struct slice *slice, uint64_t bytes)
{
	add_allocated(slice, bytes);
	slice->allocated.count++;
}

static void slice_add(struct slice *slice, uint64_t bytes)
{
	slice->live.bytes += bytes;
	slice->live.count++;
	slice_request(slice, bytes);
	see_peak(slice);
}

static void slice_sub(struct slice *slice, uint64_t bytes)
{
	slice->live.bytes -= bytes;
	slice->live.count--;
}

static void slice_resize(struct slice *slice, uint64_t old_bytes, uint64_t bytes)
{
	slice->live.bytes += bytes - old_bytes;
	if (bytes > old_bytes)
		add_allocated(slice, bytes - old_bytes);
	see_peak(slice);
}

static void slice_hold(struct slice *slice, uint64_t bytes)
{
	slice->at_exit.bytes += bytes;
	slice->at_exit.count++;
}

void sums_enter(struct process *process, const struct block *block, uint32_t caller, uint32_t cell)
{
	struct counted counted = counted_in(process, block, caller, cell);
	uint64_t bytes = block_bytes(block);

#pragma GCC unroll 5
	for (int i = 0; i < SUM_COUNT; i++) {
		if (counted.slices[i])
			slice_add(counted.slices[i], bytes);
	}
}

void sums_leave(struct process *process, const struct block *block, uint32_t caller, uint32_t cell, bool held)
{
	struct counted counted = counted_in(process, block, caller, cell);
	uint64_t bytes = block_bytes(block);

#pragma GCC unroll 5
	for (int i = 0; i < SUM_COUNT; i++) {
		if (!counted.slices[i])
			continue;
		if (held)
			slice_hold(counted.slices[i], bytes);
		slice_sub(counted.slices[i], bytes);
	}
}

void sums_change(struct process *process, const struct block *old, uint32_t old_cell, const struct block *block,
		 uint32_t cell, uint32_t caller)
{
	struct counted old_sums = counted_in(process, old, caller, old_cell);
	struct counted sums = counted_in(process, block, caller, cell);

	for (int i = 0; i < SUM_COUNT; i++) {
		if (sums.slices[i] && sums.slices[i] == old_sums.slices[i]) {
			slice_resize(sums.slices[i], block_bytes(old), block_bytes(block));
			continue;
		}
		if (old_sums.slices[i])
			slice_sub(old_sums.slices[i], block_bytes(old));
		if (sums.slices[i])
			slice_add(sums.slices[i], block_bytes(block));
	}
}
