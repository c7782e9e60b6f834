/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "ledger/books.h"
#include "probe/table.h"

/* One call event while it is being booked. */
struct call {
	struct ledger *ledger;
	struct process *process;
	const struct event *event;
	const struct caller *caller;
	const struct probe_row *row;
};

static enum notice_layer layer_of(const struct call *call)
{
	if (call->event->row != call->event->outer_row)
		return NOTICE_LAYER_BOTH;
	return call->row->layer == VT_LAYER_DRIVER ? NOTICE_LAYER_DRIVER : NOTICE_LAYER_RUNTIME;
}

static struct notice notice_of(const struct call *call, enum notice_kind kind)
{
	const struct event *event = call->event;

	return (struct notice) {
		.kind = kind,
		.time_ns = event->time_ns,
		.tid = event->tid,
		.process = call->process,
		.api = probe_row(event->outer_row)->symbol,
		.layer = layer_of(call),
		.duration_ns = event->time_ns > event->enter_ns ? event->time_ns - event->enter_ns : 0,
		.caller = call->caller,
		.addr = event->addr,
		.size = event->size,
		.memory_kind = call->row->kind,
		.placement = placement_of_kind(call->row->kind),
		.purpose = PURPOSE_UNKNOWN,
		.live_bytes = call->process->total.live.bytes,
	};
}

static void tell_failed(const struct call *call, enum notice_kind kind)
{
	struct notice notice = notice_of(call, kind);

	notice.error = call->event->result;
	notice.error_layer = call->row->layer;
	ledger_tell(call->ledger, &notice);
}

static void tell_freed(const struct call *call, const struct block *block)
{
	struct notice notice = notice_of(call, NOTICE_FREE);

	notice.id = block->id;
	notice.addr = block->addr;
	notice.size = block->size;
	notice.memory_kind = block->kind;
	notice.placement = placement_of_kind(block->kind);
	notice.age_ns = call->event->time_ns > block->alloc_ns ? call->event->time_ns - block->alloc_ns : 0;
	notice.reason = FREE_CALL;
	ledger_tell(call->ledger, &notice);
}

/* A block left without any call that we know: at exit, at exec, or pushed out of the settling list. */
static void tell_gone(struct ledger *ledger, const struct process *process, const struct event *event,
		      const struct block *block, enum free_reason reason)
{
	struct notice notice = {
		.kind = NOTICE_FREE,
		.time_ns = event->time_ns,
		.tid = event->tid,
		.process = process,
		.id = block->id,
		.addr = block->addr,
		.size = block->size,
		.memory_kind = block->kind,
		.placement = placement_of_kind(block->kind),
		.purpose = PURPOSE_UNKNOWN,
		.age_ns = event->time_ns > block->alloc_ns ? event->time_ns - block->alloc_ns : 0,
		.reason = reason,
		.live_bytes = process->total.live.bytes,
	};

	ledger_tell(ledger, &notice);
}

/* A runtime call that reached no driver call which we probe: the driver's books may hold more than ours. */
static void check_covered(const struct call *call)
{
	struct notice notice;

	if (!call->ledger->settings.driver_probed || call->row->layer != VT_LAYER_RUNTIME ||
	    call->event->row != call->event->outer_row || !call->event->addr)
		return;
	if (call->row->op == VT_OP_ALLOC && !call->event->size)
		return;
	call->process->uncovered++;
	notice = notice_of(call, NOTICE_UNCOVERED);
	ledger_tell(call->ledger, &notice);
}

/* The address of a live block was handed out again: the block is gone, only its free has not been told yet. */
static void supersede(const struct call *call, struct entry *old)
{
	struct settling settling = { .block = old->block, .until_ns = call->event->time_ns };
	struct books *books = books_of(call->process);
	/* The free that is missing is one of the events that were counted as lost: not to be counted again. */
	bool is_lossy = call->process->lost || call->ledger->lost_global;
	struct block oldest;

	books_sub(call->process, old);
	arena_put(&call->ledger->arena, old);
	if (books->settling_count >= (is_lossy ? SETTLING_LOSSY_MAX : SETTLING_MAX)) {
		books_settle_oldest(call->process, &oldest);
		tell_gone(call->ledger, call->process, call->event, &oldest, FREE_CALL);
		if (!is_lossy)
			ledger_lose(call->ledger, call->process, call->event, LOST_RETURN, 1);
	}
	if (books_settle(call->process, &settling) < 0) {
		tell_gone(call->ledger, call->process, call->event, &settling.block, FREE_CALL);
		ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
	}
}

/* 0 or negative: the block could not be kept, and nothing has changed. */
static int keep_block(const struct call *call, uint64_t id)
{
	struct entry *entry = arena_get(&call->ledger->arena);
	void *old = NULL;

	if (!entry)
		return -1;
	entry->block = (struct block) {
		.addr = call->event->addr,
		.size = call->event->size,
		.id = id,
		.alloc_ns = call->event->time_ns,
		.caller = call->caller,
		.kind = call->row->kind,
	};
	if (books_slice(call->process, call->caller, &entry->slice) < 0 ||
	    map_put(&books_of(call->process)->blocks, call->event->addr, entry, &old) < 0) {
		arena_put(&call->ledger->arena, entry);
		return -1;
	}
	if (old)
		supersede(call, old);
	books_add(call->process, entry);
	return 0;
}

static void apply_alloc(const struct call *call)
{
	struct ledger *ledger = call->ledger;
	uint64_t id = ++ledger->last_id;
	struct notice notice;

	/* cuMemAllocAsync of 0 bytes succeeds and leaves the address unwritten: what was read there is not an answer. */
	if (!call->event->addr || !call->event->size) {
		call->process->zero_sized++;
	} else if (keep_block(call, id) < 0) {
		ledger_lose(ledger, call->process, call->event, LOST_MEMORY, 1);
		return;
	}
	notice = notice_of(call, NOTICE_ALLOC);
	notice.id = id;
	ledger_tell(ledger, &notice);
	check_covered(call);
}

static void apply_free(const struct call *call)
{
	struct map *blocks = &books_of(call->process)->blocks;
	const struct event *event = call->event;
	struct entry *entry;
	struct block block;
	struct notice notice;

	if (!event->addr)
		return;
	entry = map_get(blocks, event->addr);
	if (entry && entry->block.alloc_ns <= event->enter_ns) {
		map_del(blocks, event->addr);
		books_sub(call->process, entry);
		tell_freed(call, &entry->block);
		arena_put(&call->ledger->arena, entry);
	} else if (books_settled(call->process, event->addr, event->enter_ns, &block)) {
		tell_freed(call, &block);
	} else {
		call->process->unmatched_frees++;
		notice = notice_of(call, NOTICE_FREE_UNMATCHED);
		ledger_tell(call->ledger, &notice);
	}
	check_covered(call);
}

/* Nothing is known of a call but that it was made: no block, no address to keep. */
static void apply_entered(const struct call *call)
{
	struct notice notice = notice_of(call, NOTICE_ENTERED);
	uint64_t slice;

	call->process->entered++;
	notice.op = call->row->op;
	notice.duration_ns = 0;
	if (call->row->op == VT_OP_ALLOC) {
		if (books_slice(call->process, call->caller, &slice) < 0) {
			ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
			return;
		}
		books_request(call->process, call->row->kind, slice, call->event->size);
	} else if (call->event->addr) {
		call->process->frees_entered++;
	} else {
		return;
	}
	ledger_tell(call->ledger, &notice);
}

void call_apply(struct ledger *ledger, const struct event *event, const struct caller *caller)
{
	struct call call = { .ledger = ledger, .event = event, .caller = caller, .row = probe_row(event->row) };

	if (!call.row || !probe_row(event->outer_row))
		return;
	call.process = life_process(ledger, event);
	if (!call.process)
		return;
	call.process->has_cuda = true;
	call.process->calls++;
	switch (event->kind) {
	case EVENT_ALLOC:
		apply_alloc(&call);
		break;
	case EVENT_ALLOC_FAILED:
		call.process->failed++;
		tell_failed(&call, NOTICE_ALLOC_FAILED);
		break;
	case EVENT_FREE:
		apply_free(&call);
		break;
	case EVENT_ENTERED:
		apply_entered(&call);
		break;
	default:
		call.process->failed_frees++;
		tell_failed(&call, NOTICE_FREE_FAILED);
		break;
	}
}

static int by_id(const void *left, const void *right)
{
	const struct entry *const *a = left, *const *b = right;

	return ((*a)->block.id > (*b)->block.id) - ((*a)->block.id < (*b)->block.id);
}

static void free_one(struct ledger *ledger, struct process *process, const struct event *event, struct entry *entry,
		     enum free_reason reason)
{
	books_held(process, entry);
	books_sub(process, entry);
	tell_gone(ledger, process, event, &entry->block, reason);
	arena_put(&ledger->arena, entry);
}

/* In the order of allocation, so that the same events always give the same output; without memory, in any order. */
void ledger_free_all(struct ledger *ledger, struct process *process, const struct event *event, enum free_reason reason)
{
	struct books *books = books_of(process);
	struct entry **entries = NULL;
	struct map_slot *slot;
	struct block block;
	size_t count = 0;

	while (books->settling_count > 0) {
		books_settle_oldest(process, &block);
		tell_gone(ledger, process, event, &block, FREE_CALL);
	}
	if (books->blocks.count)
		entries = calloc(books->blocks.count, sizeof(struct entry *));
	for (size_t i = 0; (slot = map_next(&books->blocks, &i));) {
		if (entries)
			entries[count++] = slot->value;
		else
			free_one(ledger, process, event, slot->value, reason);
	}
	if (count)
		qsort(entries, count, sizeof(struct entry *), by_id);
	for (size_t i = 0; i < count; i++)
		free_one(ledger, process, event, entries[i], reason);
	free(entries);
	map_clear(&books->blocks);
}
