/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "probe/table.h"
#include "reference.h"

/* --- what the ledger tells -------------------------------------------------------------------------------------------------- */

static struct ref_told heard[2048];
static size_t heard_count;

void compare_listen(void *ctx, const struct notice *notice)
{
	struct ref_told told = { .kind = notice->kind };

	(void)ctx;
	switch (notice->kind) {
	case NOTICE_ALLOC:
	case NOTICE_FREE:
	case NOTICE_TAKEN:
		CHECK(notice->live_bytes == notice->process->total.live.bytes);
		/* fall through */
	case NOTICE_EXPORT:
	case NOTICE_MAP:
	case NOTICE_UNMAP:
	case NOTICE_ADVISE:
	case NOTICE_PREFETCH:
		told.id = notice->id;
		break;
	default:
		break;
	}
	if (notice->kind == NOTICE_FREE)
		told.reason = notice->reason;
	CHECK(heard_count < sizeof(heard) / sizeof(heard[0]));
	heard[heard_count++] = told;
}

static int by_value(const void *left, const void *right)
{
	const struct ref_told *a = left, *b = right;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return (a->reason > b->reason) - (a->reason < b->reason);
}

static void show_told(const struct ref_told *expected, size_t count)
{
	if (count == heard_count)
		return;
	for (size_t i = 0; i < count; i++)
		model_note("expected notice %d of %llu, reason %d", expected[i].kind,
			   (unsigned long long)expected[i].id, expected[i].reason);
	for (size_t i = 0; i < heard_count; i++)
		model_note("heard notice %d of %llu, reason %d", heard[i].kind, (unsigned long long)heard[i].id,
			   heard[i].reason);
}

/* Each block leaves once, with the right reason: what it left with is not there any more to leave again. */
static void compare_told(void)
{
	static struct ref_told sorted[2048];
	const struct ref_told *expected;
	size_t count = ref_expected(&expected);

	show_told(expected, count);
	CHECK(count == heard_count);
	if (count)
		memcpy(sorted, expected, count * sizeof(sorted[0]));
	if (count > 1) {
		qsort(sorted, count, sizeof(sorted[0]), by_value);
		qsort(heard, count, sizeof(heard[0]), by_value);
	}
	for (size_t i = 0; i < count; i++) {
		if (by_value(&sorted[i], &heard[i]))
			model_note("expected notice %d of %llu, reason %d; heard %d of %llu, reason %d", sorted[i].kind,
				   (unsigned long long)sorted[i].id, sorted[i].reason, heard[i].kind,
				   (unsigned long long)heard[i].id, heard[i].reason);
		CHECK(heard[i].kind == sorted[i].kind);
		CHECK(heard[i].id == sorted[i].id);
		CHECK(heard[i].reason == sorted[i].reason);
	}
	heard_count = 0;
}

/* --- what it shows ---------------------------------------------------------------------------------------------------------- */

struct set {
	struct ref *ref;
	const struct process *process;
	int count;
};

static struct ref_block *by_id(struct ref *ref, uint64_t id)
{
	int low = 0, high = ref->block_count - 1;

	while (low <= high) {
		int middle = (low + high) / 2;

		if (ref->blocks[middle].id == id)
			return &ref->blocks[middle];
		if (ref->blocks[middle].id < id)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return NULL;
}

/* The ledger numbers places in its own way: which device it is must be right, and how the process calls it. */
static void compare_place(const struct set *set, const struct ref_block *block, uint16_t place)
{
	const struct process *process = set->process;
	int where = block->where, expected = ref_gpu(set->ref, where);

	CHECK(place < process->place_count);
	CHECK(ledger_gpu_of(model.ledger, process, place) == expected);
	if (where < 0) {
		CHECK(place == 0);
		return;
	}
	where = set->ref->wheres[where].same;
	if (set->ref->wheres[where].image == set->ref->image)
		CHECK(process->places[process->places[place].same].ordinal == set->ref->wheres[where].ordinal);
}

static void compare_block(void *ctx, const struct block *shown)
{
	struct set *set = ctx;
	struct ref_block *block = by_id(set->ref, shown->id);

	CHECK(block && block->state == REF_LIVE);
	CHECK(block->displaced ? shown->addr >> 63 : shown->addr == block->addr);
	CHECK(shown->size == block->size);
	CHECK(shown->alloc_ns == block->alloc_ns);
	CHECK(shown->kind == block->kind);
	CHECK(shown->placement == block->placement);
	CHECK(shown->flags == block->flags);
	CHECK(!shown->context == !block->context);
	CHECK(shown->caller == (block->caller == NO_CALLER ? NULL : &model.callers[block->caller]));
	CHECK(block_bytes(shown) == ref_bytes(block));
	compare_place(set, block, shown->place);
	block->place = shown->place;
	set->count++;
}

static void compare_set(struct ref *ref, const struct process *process)
{
	struct set set = { ref, process, 0 };
	int live = 0;

	for (int i = 0; i < ref->block_count; i++)
		live += ref->blocks[i].state == REF_LIVE;
	ledger_each_block(model.ledger, process, compare_block, &set);
	CHECK(set.count == live);
}

static void same_tally(const struct tally *shown, const struct tally *expected)
{
	CHECK(shown->bytes == expected->bytes);
	CHECK(shown->count == expected->count);
}

static void same_slice(const struct slice *shown, const struct slice *expected)
{
	same_tally(&shown->live, &expected->live);
	same_tally(&shown->allocated, &expected->allocated);
	same_tally(&shown->at_exit, &expected->at_exit);
	CHECK(shown->peak_bytes == expected->peak_bytes);
}

static bool is_cell(const struct ref_cell *cell, const struct cell *shown)
{
	return shown->place == cell->place && shown->kind == cell->kind && shown->placement == cell->placement &&
	       shown->borrowed == cell->borrowed && !strcmp(shown->library, cell->library);
}

/* Where several come at once to a cell that was empty, any of them may have been the first. */
static void adopt_since(const struct ref *ref, struct ref_cell *cell, uint64_t since_ns)
{
	for (int i = 0; cell->began && i < ref->block_count; i++) {
		const struct ref_counted *was = &ref->blocks[i].was;

		if (was->in && &ref->cells[was->cell] == cell && ref->blocks[i].alloc_ns == since_ns)
			cell->since_ns = since_ns;
	}
}

static void compare_cells(struct ref *ref, const struct process *process)
{
	CHECK((size_t)ref->cell_count == process->cell_count);
	for (int i = 0; i < ref->cell_count; i++) {
		struct ref_cell *cell = &ref->cells[i];

		if (cell->shown == SIZE_MAX) {
			cell->shown = 0;
			while (cell->shown < process->cell_count && !is_cell(cell, &process->cells[cell->shown]))
				cell->shown++;
		}
		CHECK(cell->shown < process->cell_count && is_cell(cell, &process->cells[cell->shown]));
		same_slice(&process->cells[cell->shown].slice, &cell->slice);
		adopt_since(ref, cell, process->cells[cell->shown].since_ns);
		CHECK(process->cells[cell->shown].since_ns == cell->since_ns);
		CHECK(process->cells[cell->shown].computed == cell->computed);
	}
}

static void compare_callers(const struct ref *ref, const struct process *process)
{
	const struct slice nothing = { .peak_bytes = 0 }, *found[CALLERS];

	for (int i = 0; i < CALLERS; i++)
		found[i] = &nothing;
	for (size_t i = 0; i < process->caller_count; i++)
		found[process->by_caller[i].caller - model.callers] = &process->by_caller[i].slice;
	for (int i = 0; i < CALLERS; i++)
		same_slice(found[i], &ref->callers[i]);
}

static void compare_pool(const struct ref *ref, const struct process *process, int index)
{
	const struct pool *shown = &process->pools[index], *pool = &ref->pools[index].shown;
	struct tally live = { 0, 0 };

	for (int i = 0; i < ref->block_count; i++) {
		if (ref->blocks[i].state != REF_LIVE || ref->blocks[i].pool != index)
			continue;
		live.bytes += ref->blocks[i].size;
		live.count++;
	}
	same_tally(&shown->live, &live);
	CHECK(shown->handle == pool->handle && shown->made_ns == pool->made_ns);
	CHECK(shown->ended == pool->ended && shown->placement == pool->placement);
	CHECK(shown->reserved_known == pool->reserved_known && shown->used_known == pool->used_known);
	CHECK(!pool->reserved_known || shown->reserved == pool->reserved);
	CHECK(!pool->used_known || shown->used == pool->used);
	if (!pool->ended)
		CHECK(ledger_gpu_of(model.ledger, process, shown->place) == ref_gpu(ref, ref->pools[index].where));
}

static void compare_counts(const struct ref *ref, const struct process *process)
{
	const struct ref_tallies tallies = ref_tallies(ref);

	CHECK(process->tgid == ref->tgid && process->start_ns == ref->start_ns);
	CHECK(process->ended == ref->ended);
	CHECK(process->has_cuda == ref->has_cuda);
	CHECK(process->attached_late == ref->late);
	CHECK(process->failed == ref->failed);
	CHECK(process->failed_frees == ref->failed_frees);
	CHECK(process->unmatched_frees == ref->unmatched);
	CHECK(process->uncovered == ref->uncovered);
	CHECK(process->zero_sized == ref->zero_sized);
	CHECK(process->maybe_captured == ref->maybe_captured);
	CHECK(process->calls == ref->calls);
	CHECK(process->unsized == tallies.unsized);
	CHECK(process->lost == ref->lost);
	same_tally(&process->borrowed, &tallies.borrowed);
	same_tally(&process->virtual, &tallies.virtual);
	same_tally(&process->computed, &tallies.computed);
	CHECK(ledger_complete(model.ledger, process) == (!refs.lost_global && !ref->lost && !ref->uncovered &&
							 !ref->late && !ref->maybe_captured && !tallies.unsized));
}

/* total = sum of the live blocks, and of each way to divide it. */
static void compare_divisions(const struct process *process)
{
	struct tally kinds = { 0, 0 }, cells = { 0, 0 };

	for (int i = 0; i < VT_KIND_COUNT; i++) {
		kinds.bytes += process->by_kind[i].live.bytes;
		kinds.count += process->by_kind[i].live.count;
	}
	for (size_t i = 0; i < process->cell_count; i++) {
		if (process->cells[i].borrowed)
			continue;
		cells.bytes += process->cells[i].slice.live.bytes;
		cells.count += process->cells[i].slice.live.count;
	}
	same_tally(&process->total.live, &kinds);
	same_tally(&process->total.live, &cells);
}

static void compare_process(struct ref *ref, const struct process *process)
{
	CHECK(process);
	compare_set(ref, process);
	ref_sum(ref);
	compare_counts(ref, process);
	same_slice(&process->total, &ref->total);
	for (int i = 0; i < VT_KIND_COUNT; i++)
		same_slice(&process->by_kind[i], &ref->kinds[i]);
	for (size_t i = 0; i < process->place_count; i++)
		same_slice(&process->places[i].vram, &ref->places[i]);
	compare_callers(ref, process);
	compare_cells(ref, process);
	CHECK(process->pool_count == (size_t)ref->pool_count);
	for (int i = 0; i < ref->pool_count; i++)
		compare_pool(ref, process, i);
	compare_divisions(process);
}

static void compare_step(void)
{
	compare_told();
	CHECK(ledger_process_count(model.ledger) == refs.count);
	for (size_t i = 0; i < refs.count; i++) {
		if (refs.items[i]->touched)
			compare_process(refs.items[i], ledger_process(model.ledger, i));
	}
	ref_step_ends();
}

static struct event last_event;

void compare_show_event(void)
{
	const struct event *event = &last_event;
	const struct probe_row *row = event->kind <= EVENT_ENTERED ? probe_row(event->row) : NULL;

	model_note("event %d of %u.%u: %s addr %#llx size %#llx a %#llx b %#llx context %#llx result %d", event->kind,
		   event->tgid, event->tid, row ? row->symbol : "-", (unsigned long long)event->addr,
		   (unsigned long long)event->size, (unsigned long long)event->a, (unsigned long long)event->b,
		   (unsigned long long)event->context, event->result);
}

/* That it comes is said before, and something else that does not: it must not matter. */
static void expect(const struct event *event)
{
	struct upcoming upcoming = { event->tgid, event->row, event->addr, event->a };

	if (event->kind > EVENT_ENTERED)
		return;
	ledger_expect(model.ledger, &upcoming, LEDGER_FAR);
	ledger_expect(model.ledger, &upcoming, LEDGER_NEAR);
	upcoming.addr += 4096;
	upcoming.tgid++;
	ledger_expect(model.ledger, &upcoming, LEDGER_NEAR);
}

void model_tell(const struct event *event, int caller)
{
	last_event = *event;
	expect(event);
	ledger_apply(model.ledger, event, caller == NO_CALLER ? NULL : &model.callers[caller]);
	ref_apply(event, caller);
	compare_step();
}

void model_attach_late(uint32_t tgid, uint64_t start_ns)
{
	CHECK(ledger_attach_late(model.ledger, tgid, tgid, start_ns, "late", model.now_ns) == 0);
	ref_attach_late(tgid, start_ns);
	compare_step();
}

void model_close_descriptor(uint32_t tgid, uint32_t descriptor)
{
	ledger_descriptor_closed(model.ledger, tgid, descriptor, model.now_ns);
	ref_close_descriptor(tgid, descriptor);
	compare_step();
}

void model_compare_all(void)
{
	uint64_t lost = 0;

	CHECK(ledger_process_count(model.ledger) == refs.count);
	for (size_t i = 0; i < refs.count; i++)
		compare_process(refs.items[i], ledger_process(model.ledger, i));
	for (size_t i = 0; i < LOST_CAUSE_COUNT; i++) {
		CHECK(ledger_lost_of(model.ledger, i) == refs.lost[i]);
		lost += refs.lost[i];
	}
	CHECK(ledger_lost(model.ledger) == lost);
	CHECK(ledger_lost_unknown(model.ledger) == refs.lost_global);
	CHECK(ledger_complete(model.ledger, NULL) == !lost);
}
