/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "ledger/books.h"
#include "ledger/settling.h"
#include "probe/table.h"

static enum notice_layer layer_of(const struct call *call)
{
	if (call->event->row != call->event->outer_row)
		return NOTICE_LAYER_BOTH;
	return call->row->layer == VT_LAYER_DRIVER ? NOTICE_LAYER_DRIVER : NOTICE_LAYER_RUNTIME;
}

static const struct ledger_gpu *gpu_of(const struct ledger *ledger, const struct process *process, uint16_t place)
{
	int gpu = ledger_gpu_of(ledger, process, place);

	return gpu < 0 ? NULL : ledger_gpu(ledger, (size_t)gpu);
}

static const struct ledger_gpu *gpu_of_block(const struct ledger *ledger, const struct process *process,
					     const struct block *block)
{
	return block->placement == PLACEMENT_HOST ? NULL : gpu_of(ledger, process, block->place);
}

struct notice call_notice(const struct call *call, enum notice_kind kind)
{
	const struct event *event = call->event;

	return (struct notice) {
		.kind = kind,
		.time_ns = event->time_ns,
		.tid = event->tid,
		.process = call->process,
		.api = probe_row(event->outer_row)->symbol,
		.layer = layer_of(call),
		.op = call->row->op,
		.duration_ns = event->time_ns > event->enter_ns ? event->time_ns - event->enter_ns : 0,
		.caller = call->caller,
		.addr = event->addr,
		.size = event->size,
		.requested = event->size,
		.memory_kind = call->row->kind,
		.placement = placement_of_kind(call->row->kind),
		.purpose = PURPOSE_UNKNOWN,
		.live_bytes = call->process->total.live.bytes,
		.peer_tgid = call->peer_tgid,
		.peer_id = call->peer_id,
	};
}

static void add_block(const struct ledger *ledger, const struct process *process, struct notice *notice,
		      const struct block *block)
{
	notice->id = block->id;
	notice->addr = block->addr;
	notice->size = block_bytes(block);
	notice->requested = block->size;
	notice->block_flags = block->flags;
	notice->gpu = gpu_of_block(ledger, process, block);
	notice->memory_kind = block->kind;
	notice->placement = block->placement;
	notice->age_ns = notice->time_ns > block->alloc_ns ? notice->time_ns - block->alloc_ns : 0;
}

void notice_add_block(const struct call *call, struct notice *notice, const struct block *block)
{
	add_block(call->ledger, call->process, notice, block);
}

static void tell_failed(const struct call *call, enum notice_kind kind, enum vt_kind memory_kind)
{
	struct notice notice = call_notice(call, kind);
	struct block block = { .placement = placement_of_kind(memory_kind) };

	block.place = place_of_context(call, call->event->context);
	if (call->row->op == VT_OP_ALLOC && memory_kind == VT_KIND_VMM)
		place_of_location(call, call->event->a, &block);
	notice.memory_kind = memory_kind;
	notice.placement = block.placement;
	notice.gpu = gpu_of_block(call->ledger, call->process, &block);
	if (memory_kind == VT_KIND_ANY)
		notice.size = notice.requested = 0;
	notice.error = call->event->result;
	notice.error_layer = call->row->layer;
	if (kind == NOTICE_ALLOC_FAILED)
		call->process->failed++;
	else
		call->process->failed_frees++;
	ledger_tell(call->ledger, &notice);
}

void call_freed(const struct call *call, const struct block *block, enum free_reason reason)
{
	struct notice notice = call_notice(call, NOTICE_FREE);

	add_block(call->ledger, call->process, &notice, block);
	notice.reason = reason;
	ledger_tell(call->ledger, &notice);
}

/* At exit, at exec, with its context, or pushed out of the settling list. */
void ledger_tell_gone(struct ledger *ledger, const struct process *process, const struct event *event,
		      const struct block *block, enum free_reason reason)
{
	struct notice notice = {
		.kind = NOTICE_FREE,
		.time_ns = event->time_ns,
		.tid = event->tid,
		.process = process,
		.purpose = PURPOSE_UNKNOWN,
		.reason = reason,
		.live_bytes = process->total.live.bytes,
	};

	add_block(ledger, process, &notice, block);
	ledger_tell(ledger, &notice);
}

static void tell_uncovered(const struct call *call)
{
	struct notice notice = call_notice(call, NOTICE_UNCOVERED);

	ledger_tell(call->ledger, &notice);
}

/* A runtime call that reached no driver call which we probe: the driver's books may hold more than ours. */
static void check_covered(const struct call *call)
{
	if (!call->ledger->settings.driver_probed || call->row->layer != VT_LAYER_RUNTIME ||
	    call->event->row != call->event->outer_row || !call->event->addr)
		return;
	if (call->row->op == VT_OP_ALLOC && !call->event->size)
		return;
	call->process->uncovered++;
	tell_uncovered(call);
}

/* The block is in no sum any more and its memory is given back, or held on by others. */
static void left(const struct call *call, const struct block *block)
{
	stream_left(call->process, block);
	share_freed(call->ledger, call->process, call->event, block);
}

/* A block is gone, only its free has not been told yet. */
static void settle(const struct call *call, enum key key, const struct block *gone)
{
	struct settling settling = { .block = *gone, .until_ns = call->event->time_ns, .key = key };
	struct settlings *settlings = books_settlings(call->process);
	/* The free that is missing is one of the events that were counted as lost: not to be counted again. */
	bool is_lossy = call->process->lost || call->ledger->lost_global;
	struct block oldest;

	left(call, gone);
	if (settlings && settlings->count >= (is_lossy ? SETTLING_LOSSY_MAX : SETTLING_MAX) &&
	    settlings_take_oldest(settlings, &oldest)) {
		ledger_tell_gone(call->ledger, call->process, call->event, &oldest, FREE_CALL);
		if (!is_lossy)
			ledger_lose(call->ledger, call->process, call->event, LOST_RETURN, 1);
	}
	if (!settlings || settlings_add(settlings, &settling) < 0) {
		ledger_tell_gone(call->ledger, call->process, call->event, &settling.block, FREE_CALL);
		ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
	}
}

/* The address of a live block was handed out again. */
static void supersede(const struct call *call, enum key key, uint64_t addr)
{
	struct block gone;

	if (books_take(call->process, key, addr, &gone))
		settle(call, key, &gone);
}

static void tell_alloc(const struct call *call, const struct block *block)
{
	struct notice notice = call_notice(call, NOTICE_ALLOC);

	add_block(call->ledger, call->process, &notice, block);
	ledger_tell(call->ledger, &notice);
}

bool call_alloc(const struct call *call, enum key key, struct block *block)
{
	struct ledger *ledger = call->ledger;
	bool is_block = block->addr && (block->size || block->kind == VT_KIND_ARRAY || block->kind == VT_KIND_IMPORTED);

	block->id = ++ledger->last_id;
	/* cuMemAllocAsync of 0 bytes succeeds and leaves the address unwritten: what was read there is not an answer. */
	if (!is_block) {
		call->process->zero_sized++;
	} else {
		supersede(call, key, block->addr);
		if (books_put(call->process, key, block) < 0) {
			ledger_lose(ledger, call->process, call->event, LOST_MEMORY, 1);
			return false;
		}
	}
	tell_alloc(call, block);
	check_covered(call);
	return is_block;
}

/* What the call itself says; its location, pool or stream may know better. */
static struct block block_of(const struct call *call)
{
	const struct event *event = call->event;
	struct block block = {
		.addr = event->addr,
		.size = event->size,
		.alloc_ns = event->time_ns,
		.caller = call->caller,
		.kind = call->row->kind,
		.placement = placement_of_kind(call->row->kind),
		.context = context_number(call, event->context),
	};

	if (block.placement != PLACEMENT_HOST)
		block.place = place_of_context(call, event->context);
	return block;
}

static void apply_alloc(const struct call *call)
{
	struct block block = block_of(call);

	switch (block.kind) {
	case VT_KIND_VMM:
		block.context = 0;
		if (call->row->shape == VT_SHAPE_OUT_MULTICAST)
			block.flags = BLOCK_VIRTUAL; /* what is bound to it is memory */
		vmm_alloc(call, &block);
		return;
	case VT_KIND_IMPORTED: /* a buffer of external memory: what it shows was imported as a whole */
		block.flags = BLOCK_VIRTUAL;
		block.placement = PLACEMENT_VRAM;
		break;
	case VT_KIND_ARRAY:
		block.flags = BLOCK_COMPUTED;
		if (call->event->a & (VT_ARRAY_SPARSE | VT_ARRAY_DEFERRED))
			block.flags |= BLOCK_VIRTUAL;
		else if (!block.size)
			block.flags = BLOCK_UNSIZED;
		break;
	case VT_KIND_POOL:
		stream_place(call, &block);
		if (block.kind == VT_KIND_POOL)
			block.context = 0; /* the pool is the device's, and outlives contexts */
		if (call_alloc(call, KEY_ADDRESS, &block))
			stream_entered(call->process, &block);
		return;
	case VT_KIND_GRAPH:
		block.flags = BLOCK_VIRTUAL;
		break;
	default:
		break;
	}
	call_alloc(call, key_of_kind(block.kind), &block);
}

/* The kinds that a free by this row takes, as bits. (H100: others are refused, so what stands in the books there is another's.) */
static unsigned int kinds_taken(const struct probe_row *row)
{
	return row->kind == VT_KIND_ANY ? ~(1u << VT_KIND_REGISTERED) : 1u << row->kind;
}

void call_unmatched(const struct call *call)
{
	struct notice notice = call_notice(call, NOTICE_FREE_UNMATCHED);

	call->process->unmatched_frees++;
	ledger_tell(call->ledger, &notice);
}

static bool find_freed(const struct call *call, enum key key, struct block *ret_block)
{
	return books_get(call->process, key, call->event->addr, ret_block) &&
	       (kinds_taken(call->row) & 1u << ret_block->kind) && ret_block->alloc_ns <= call->event->enter_ns;
}

/* A block whose address was handed out again before this free was told. */
static bool take_settling(const struct call *call, enum key key, struct block *ret_block)
{
	struct settlings *settlings = books_settlings(call->process);

	return settlings && settlings_take(settlings, key, kinds_taken(call->row), call->event, ret_block);
}

static void free_block(const struct call *call, enum key key, const struct block *found)
{
	struct block block;

	if (share_closed(found, call) || !books_take(call->process, key, call->event->addr, &block))
		return;
	call_freed(call, &block, FREE_CALL);
	left(call, &block);
}

static void apply_free(const struct call *call)
{
	enum key keys[] = { key_of_kind(call->row->kind), KEY_EXTERNAL };
	int key_count = call->row->kind == VT_KIND_IMPORTED ? 2 : 1;
	struct block block;
	int i;

	if (!call->event->addr || stream_free(call))
		return;
	for (i = 0; i < key_count; i++) {
		if (find_freed(call, keys[i], &block)) {
			free_block(call, keys[i], &block);
			break;
		}
		if (take_settling(call, keys[i], &block)) {
			call_freed(call, &block, FREE_CALL);
			break;
		}
	}
	if (i == key_count)
		call_unmatched(call);
	check_covered(call);
}

/* Nothing is known of a call but that it was made: no block, no address to keep. */
static void apply_entered(const struct call *call)
{
	struct notice notice = call_notice(call, NOTICE_ENTERED);

	call->process->entered++;
	notice.duration_ns = 0;
	if (call->row->op == VT_OP_ALLOC) {
		if (notice.placement != PLACEMENT_HOST)
			notice.gpu = gpu_of(call->ledger, call->process, 0);
		if (books_request(call->process, call->row->kind, call->caller, call->event->size) < 0) {
			ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
			return;
		}
	} else if (call->row->op == VT_OP_FREE && call->event->addr) {
		call->process->frees_entered++;
	} else {
		return;
	}
	ledger_tell(call->ledger, &notice);
}

static bool is_pool_import(const struct call *call)
{
	return call->row->shape == VT_SHAPE_SHARE_IN && call->row->kind != VT_KIND_VMM;
}

static void apply_import(const struct call *call)
{
	struct block block = block_of(call);

	share_import(call, &block);
}

static void apply_done(const struct call *call)
{
	switch (call->row->op) {
	case VT_OP_RELEASE:
		vmm_release(call);
		break;
	case VT_OP_RETAIN:
		vmm_retain(call);
		break;
	case VT_OP_MAP:
		vmm_map(call);
		break;
	case VT_OP_UNMAP:
		vmm_unmap(call);
		break;
	case VT_OP_EXPORT:
		share_export(call);
		break;
	case VT_OP_IMPORT:
		apply_import(call);
		break;
	case VT_OP_ADVISE:
	case VT_OP_PREFETCH:
		managed_apply(call);
		break;
	case VT_OP_CHECKPOINT:
	case VT_OP_RESTORE:
		checkpoint_apply(call);
		break;
	case VT_OP_CTX_NEW:
	case VT_OP_CTX_END:
	case VT_OP_PRIMARY_RETAIN:
	case VT_OP_PRIMARY_RELEASE:
	case VT_OP_PRIMARY_RESET:
	case VT_OP_DEVICE_UUID:
		context_apply(call);
		break;
	default:
		stream_apply(call);
		break;
	}
}

static void apply_failed(const struct call *call)
{
	switch (call->row->op) {
	case VT_OP_RELEASE:
	case VT_OP_UNMAP:
	case VT_OP_POOL_END:
		tell_failed(call, NOTICE_FREE_FAILED, call->row->kind);
		return;
	case VT_OP_IMPORT:
		tell_failed(call, NOTICE_ALLOC_FAILED, is_pool_import(call) ? VT_KIND_ANY : VT_KIND_IMPORTED);
		return;
	case VT_OP_MAP:
		tell_failed(call, NOTICE_ALLOC_FAILED, VT_KIND_VMM);
		return;
	case VT_OP_POOL_NEW:
		tell_failed(call, NOTICE_ALLOC_FAILED, VT_KIND_ANY);
		return;
	case VT_OP_NODE:
		if (call->event->b == VT_NODE_MEM_ALLOC) {
			tell_failed(call, NOTICE_ALLOC_FAILED, VT_KIND_GRAPH);
			return;
		}
		break;
	case VT_OP_CAPTURE_END:
		stream_apply(call); /* it ends, but for one error */
		break;
	default:
		break;
	}
	/* What makes no memory of its own is of interest only where it fails for want of memory. */
	if (call->event->result == CUDA_OUT_OF_MEMORY)
		tell_failed(call, NOTICE_ALLOC_FAILED, VT_KIND_ANY);
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
		tell_failed(&call, NOTICE_ALLOC_FAILED, call.row->kind);
		break;
	case EVENT_FREE:
		apply_free(&call);
		break;
	case EVENT_FREE_FAILED:
		tell_failed(&call, NOTICE_FREE_FAILED, call.row->kind);
		break;
	case EVENT_ENTERED:
		apply_entered(&call);
		break;
	case EVENT_DONE:
		apply_done(&call);
		break;
	default:
		apply_failed(&call);
		break;
	}
}
