/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reference.h"

/* The sums of a process, by walking its blocks. Only what has no trace in them is kept from step to step: allocated, peak, at exit. */

enum {
	SLICES = 5
};

static const char *library_of(int caller)
{
	const char *module = caller == NO_CALLER ? NULL : model.callers[caller].module;

	return !module ? "?" : strrchr(module, '/') ? strrchr(module, '/') + 1 : module;
}

static int cell_of(struct ref *ref, const struct ref_block *block, bool borrowed)
{
	const char *library = library_of(block->caller);
	struct ref_cell *cell;

	for (int i = 0; i < ref->cell_count; i++) {
		cell = &ref->cells[i];
		if (cell->place == block->place && cell->kind == block->kind && cell->placement == block->placement &&
		    cell->borrowed == borrowed && !strcmp(cell->library, library))
			return i;
	}
	CHECK(ref->cell_count < REF_CELLS);
	cell = &ref->cells[ref->cell_count];
	*cell = (struct ref_cell) { library, block->place, block->kind, block->placement, borrowed, .shown = SIZE_MAX };
	return ref->cell_count++;
}

static struct ref_counted counted_of(struct ref *ref, const struct ref_block *block)
{
	bool borrowed = block->flags & BLOCK_BORROWED;

	if (block->state != REF_LIVE)
		return (struct ref_counted) { .in = false };
	if (block->place >= ref->place_count)
		ref->place_count = block->place + 1;
	return (struct ref_counted) {
		.in = true,
		.borrowed = borrowed,
		.unsized = !borrowed && block->flags & BLOCK_UNSIZED,
		.vram = block->placement == PLACEMENT_VRAM,
		.cell = cell_of(ref, block, borrowed),
		.place = block->place,
		.caller = block->caller,
		.kind = block->kind,
		.bytes = ref_bytes(block),
	};
}

/* NULL: in none of that sort. */
static void slices_of(struct ref *ref, const struct ref_counted *counted, struct slice *ret_slices[SLICES])
{
	memset(ret_slices, 0, SLICES * sizeof(ret_slices[0]));
	if (!counted->in)
		return;
	ret_slices[0] = &ref->cells[counted->cell].slice;
	if (counted->borrowed)
		return;
	ret_slices[1] = &ref->total;
	ret_slices[2] = &ref->kinds[counted->kind];
	if (counted->caller != NO_CALLER)
		ret_slices[3] = &ref->callers[counted->caller];
	if (counted->vram)
		ret_slices[4] = &ref->places[counted->place];
}

/* What came into a slice, and how much what was there has grown. */
static void count_changes(struct ref *ref, struct ref_block *block, const struct ref_counted *now)
{
	struct slice *old_slices[SLICES], *slices[SLICES];

	slices_of(ref, &block->was, old_slices);
	slices_of(ref, now, slices);
	for (int i = 0; i < SLICES; i++) {
		if (old_slices[i] && block->held && block->state == REF_GONE) {
			old_slices[i]->at_exit.bytes += block->was.bytes;
			old_slices[i]->at_exit.count++;
		}
		if (!slices[i])
			continue;
		if (slices[i] != old_slices[i]) {
			slices[i]->allocated.bytes += now->bytes;
			slices[i]->allocated.count++;
		} else if (now->bytes > block->was.bytes) {
			slices[i]->allocated.bytes += now->bytes - block->was.bytes;
		}
	}
}

/* It was counted as borrowed first, and found to be nobody else's in the same step. */
static void count_borrowed(struct ref *ref, struct ref_block *block)
{
	struct slice *slice = &ref->cells[cell_of(ref, block, true)].slice;

	slice->allocated.bytes += ref_bytes(block);
	slice->allocated.count++;
	if (slice->live.bytes + ref_bytes(block) > slice->peak_bytes)
		slice->peak_bytes = slice->live.bytes + ref_bytes(block);
	block->was_borrowed = false;
}

static void see_cells(struct ref *ref)
{
	static bool stays[REF_CELLS];

	memset(stays, 0, sizeof(stays));
	for (int i = 0; i < ref->block_count; i++) {
		const struct ref_block *block = &ref->blocks[i];
		struct ref_counted now = counted_of(ref, block);

		if (now.in && block->was.in && now.cell == block->was.cell)
			stays[now.cell] = true;
	}
	for (int i = 0; i < ref->cell_count; i++) {
		ref->cells[i].began = !stays[i];
		if (!stays[i])
			ref->cells[i].since_ns = 0;
	}
	for (int i = 0; i < ref->block_count; i++) {
		const struct ref_block *block = &ref->blocks[i];
		struct ref_cell *cell;

		if (block->state != REF_LIVE)
			continue;
		cell = &ref->cells[counted_of(ref, block).cell];
		if (!cell->since_ns)
			cell->since_ns = block->alloc_ns;
		cell->computed |= (block->flags & BLOCK_COMPUTED) != 0;
	}
}

static void see_peak(struct slice *slice)
{
	if (slice->live.bytes > slice->peak_bytes)
		slice->peak_bytes = slice->live.bytes;
}

static void clear_live(struct ref *ref)
{
	const struct tally none = { 0, 0 };

	ref->total.live = none;
	for (int i = 0; i < VT_KIND_COUNT; i++)
		ref->kinds[i].live = none;
	for (int i = 0; i < CALLERS; i++)
		ref->callers[i].live = none;
	for (int i = 0; i < ref->cell_count; i++)
		ref->cells[i].slice.live = none;
	for (int i = 0; i < ref->place_count; i++)
		ref->places[i].live = none;
}

static void sum_live(struct ref *ref)
{
	struct slice *slices[SLICES];

	for (int i = 0; i < ref->block_count; i++) {
		slices_of(ref, &ref->blocks[i].was, slices);
		for (int j = 0; j < SLICES; j++) {
			if (!slices[j])
				continue;
			slices[j]->live.bytes += ref->blocks[i].was.bytes;
			slices[j]->live.count++;
		}
	}
}

static void see_peaks(struct ref *ref)
{
	see_peak(&ref->total);
	for (int i = 0; i < VT_KIND_COUNT; i++)
		see_peak(&ref->kinds[i]);
	for (int i = 0; i < CALLERS; i++)
		see_peak(&ref->callers[i]);
	for (int i = 0; i < ref->cell_count; i++)
		see_peak(&ref->cells[i].slice);
	for (int i = 0; i < ref->place_count; i++)
		see_peak(&ref->places[i]);
}

void ref_sum(struct ref *ref)
{
	see_cells(ref);
	for (int i = 0; i < ref->block_count; i++) {
		struct ref_block *block = &ref->blocks[i];
		struct ref_counted now = counted_of(ref, block);

		if (block->was_borrowed)
			count_borrowed(ref, block);
		count_changes(ref, block, &now);
		ref->unsized += block->was.unsized && !now.in;
		block->was = now;
	}
	clear_live(ref);
	sum_live(ref);
	see_peaks(ref);
}

struct ref_tallies ref_tallies(const struct ref *ref)
{
	struct ref_tallies tallies = { .unsized = ref->unsized };

	for (int i = 0; i < ref->block_count; i++) {
		const struct ref_block *block = &ref->blocks[i];

		if (block->state != REF_LIVE)
			continue;
		tallies.unsized += block->was.unsized;
		if (block->flags & BLOCK_BORROWED) {
			tallies.borrowed.bytes += ref_bytes(block);
			tallies.borrowed.count++;
			continue;
		}
		if (block->flags & BLOCK_COMPUTED) {
			tallies.computed.bytes += ref_bytes(block);
			tallies.computed.count++;
		}
		if (block->flags & BLOCK_VIRTUAL) {
			tallies.virtual.bytes += block->size;
			tallies.virtual.count++;
		}
	}
	return tallies;
}
