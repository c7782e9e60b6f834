/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/holders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sink/backend.h"

int holder_group_of(const struct ledger *ledger, const struct process *process, uint16_t place,
		    enum placement placement)
{
	int gpu;

	if (placement == PLACEMENT_HOST)
		return HOLDER_HOST;
	gpu = ledger_gpu_of(ledger, process, place);
	return gpu < 0 ? HOLDER_UNKNOWN : gpu;
}

int holder_order(int a, int b)
{
	if (a >= 0 && b >= 0)
		return (a > b) - (a < b);
	return (b > a) - (b < a); /* negative ones last, and downwards */
}

static struct holder holder_of(const struct ledger *ledger, const struct process *process, const struct cell *cell)
{
	return (struct holder) {
		.cell = cell,
		.group = holder_group_of(ledger, process, cell->place, (enum placement)cell->placement),
		.computed = cell->computed,
		.peak_known = true,
		.live = cell->slice.live,
		.at_exit = cell->slice.at_exit,
		.allocated = cell->slice.allocated,
		.peak_bytes = cell->slice.peak_bytes,
		.since_ns = cell->since_ns,
	};
}

/* Which row a cell belongs to: no order that anyone sees. */
static int compare_rows(const struct holder *a, const struct holder *b)
{
	if (a->group != b->group)
		return holder_order(a->group, b->group);
	if (a->cell->kind != b->cell->kind)
		return a->cell->kind < b->cell->kind ? -1 : 1;
	if (a->cell->placement != b->cell->placement)
		return a->cell->placement < b->cell->placement ? -1 : 1;
	if (a->cell->borrowed != b->cell->borrowed)
		return a->cell->borrowed < b->cell->borrowed ? -1 : 1;
	return strcmp(a->cell->library, b->cell->library);
}

static int compare_cells(const void *a, const void *b)
{
	return compare_rows(a, b);
}

static uint64_t held_of(const struct holder *holder)
{
	return holder->live.count ? holder->live.bytes : holder->at_exit.bytes;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a < b) - (a > b); /* the largest first */
}

/* As shown. */
static int compare_holders(const void *pa, const void *pb)
{
	const struct holder *a = pa;
	const struct holder *b = pb;
	int order = holder_order(a->group, b->group);

	if (!order)
		order = compare_u64(held_of(a), held_of(b));
	if (!order)
		order = compare_u64(a->peak_bytes, b->peak_bytes);
	if (!order)
		order = compare_u64(a->allocated.bytes, b->allocated.bytes);
	return order ? order : compare_rows(a, b);
}

static void merge(struct holder *into, const struct holder *from)
{
	/* With one of them never used the peak is still known. */
	if (into->peak_bytes && from->peak_bytes)
		into->peak_known = false;
	into->peak_bytes = into->peak_bytes > from->peak_bytes ? into->peak_bytes : from->peak_bytes;
	into->computed = into->computed || from->computed;
	if (from->since_ns && (!into->since_ns || from->since_ns < into->since_ns))
		into->since_ns = from->since_ns;
	tally_add(&into->live, &from->live);
	tally_add(&into->at_exit, &from->at_exit);
	tally_add(&into->allocated, &from->allocated);
}

const struct cell *holders_cells(const struct process *process, struct cell made[VT_KIND_COUNT], size_t *ret_count)
{
	size_t count = 0;

	*ret_count = process->cell_count;
	if (process->cell_count)
		return process->cells;
	for (unsigned int kind = 0; kind < VT_KIND_COUNT; kind++) {
		if (!process->by_kind[kind].allocated.count)
			continue;
		made[count++] = (struct cell) { .library = "?",
						.kind = (uint8_t)kind,
						.placement = (uint8_t)placement_of_kind((enum vt_kind)kind),
						.slice = process->by_kind[kind] };
	}
	*ret_count = count;
	return made;
}

/* Rows that look the same become one; then as shown. */
static size_t merge_all(struct holder *items, size_t cell_count)
{
	size_t count = 0;

	qsort(items, cell_count, sizeof(*items), compare_cells);
	for (size_t i = 0; i < cell_count; i++) {
		if (count && compare_rows(&items[count - 1], &items[i]) == 0)
			merge(&items[count - 1], &items[i]);
		else
			items[count++] = items[i];
	}
	qsort(items, count, sizeof(*items), compare_holders);
	return count;
}

int holders_find(const struct ledger *ledger, const struct process *process, struct holders *ret_holders)
{
	struct cell *made = calloc(VT_KIND_COUNT, sizeof(*made));
	struct holder *items = NULL;
	const struct cell *cells;
	size_t count;

	*ret_holders = (struct holders) { 0 };
	if (!made)
		return -ENOMEM;
	cells = holders_cells(process, made, &count);
	items = calloc(count + 1, sizeof(*items));
	if (!items) {
		free(made);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		items[i] = holder_of(ledger, process, &cells[i]);
	*ret_holders = (struct holders) { .items = items, .count = merge_all(items, count), .made = made };
	return 0;
}

void holders_fini(struct holders *holders)
{
	free(holders->items);
	free(holders->made);
	*holders = (struct holders) { 0 };
}

/* The peak of a GPU's VRAM is known where one place alone has had any. */
static void add_peak(const struct ledger *ledger, const struct process *process, int group, struct holder_sum *sum)
{
	size_t used = 0;

	for (size_t i = 0; i < process->place_count; i++) {
		const struct slice *vram = &process->places[i].vram;

		if (!vram->peak_bytes || holder_group_of(ledger, process, (uint16_t)i, PLACEMENT_VRAM) != group)
			continue;
		sum->peak_bytes = vram->peak_bytes;
		used++;
	}
	sum->peak_known = used <= 1;
}

struct holder_sum holders_sum(const struct ledger *ledger, const struct process *process, const struct holders *holders,
			      int group, enum placement placement)
{
	struct holder_sum sum = { 0 };

	for (size_t i = 0; i < holders->count; i++) {
		const struct holder *holder = &holders->items[i];

		if (holder->group != group || holder->cell->placement != placement || holder->cell->borrowed)
			continue;
		tally_add(&sum.live, &holder->live);
		tally_add(&sum.at_exit, &holder->at_exit);
		tally_add(&sum.allocated, &holder->allocated);
	}
	if (placement == PLACEMENT_VRAM)
		add_peak(ledger, process, group, &sum);
	return sum;
}
