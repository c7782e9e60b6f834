/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/books.h"
#include "ledger/managed.h"
#include "ledger/shares.h"
#include "ledger/vmm.h"
#include "probe/table.h"

/* What an export is about: false: we do not have it. A pool is no block. */
static bool find_exported(const struct call *call, enum key *ret_key, struct block *ret_block)
{
	const struct event *event = call->event;
	struct object *object;

	if (call->row->shape != VT_SHAPE_SHARE_OUT) {
		*ret_key = KEY_ADDRESS;
		return block_at(call, event->addr, call->row->kind, ret_block);
	}
	if (call->row->kind != VT_KIND_VMM)
		return false;
	object = vmm_object(call->process, event->addr, event->time_ns);
	if ((uint32_t)event->b == VT_HANDLE_TYPE_FD)
		vmm_add_descriptor(call, object, (uint32_t)(event->b >> 32));
	*ret_key = KEY_VMM;
	return object && object->booked && books_get(call->process, KEY_VMM, vmm_addr(object), ret_block);
}

static struct holder holder_as(const struct call *call, enum key key, const struct block *block, uint64_t told_addr)
{
	return (struct holder) {
		.process = call->process,
		.id = block->id,
		.addr = block->addr,
		.told_addr = told_addr,
		.opens = 1,
		.key = key,
	};
}

void share_export(const struct call *call)
{
	struct holder *holder, as;
	struct memory *memory;
	struct notice notice;
	struct block block;
	enum key key;

	if (!find_exported(call, &key, &block))
		return;
	holder = shares_holder(call->ledger, block.id);
	as = holder_as(call, key, &block, key == KEY_VMM ? call->event->addr : block.addr);
	memory = holder ? holder->memory : shares_join(call->ledger, &as, NULL);
	if (!memory || shares_name(call->ledger, call->event->a, memory) < 0)
		ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
	if (!(block.flags & BLOCK_EXPORTED)) {
		block.flags |= BLOCK_EXPORTED;
		if (books_change(call->process, key, &block) < 0)
			ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
	}
	if (memory)
		memory_see(call->ledger, memory);
	notice = call_notice(call, NOTICE_EXPORT);
	notice_add_block(call, &notice, &block);
	ledger_tell(call->ledger, &notice);
}

void ledger_each_descriptor(const struct ledger *ledger, descriptor_fn *fn, void *ctx)
{
	for (size_t i = 0; i < ledger->processes.count; i++) {
		const struct process *process = ledger->processes.items[i];
		const struct vmm *vmm = process->ended ? NULL : vmm_get(process);
		const struct map_slot *slot;

		for (size_t j = 0; vmm && (slot = map_next(&vmm->descriptors, &j));) {
			const struct object *object = slot->value;

			if (object->displaced || (!object->references && !object->mapped_bytes))
				fn(ctx, process->tgid, (uint32_t)(slot->key - 1));
		}
	}
}

/*
 * The same memory once more by the same address or handle (H100: an IPC handle that is opened twice has to be closed twice): no block of its
 * own. True: it was that.
 */
static bool import_again(const struct call *call, enum key key, const struct memory *memory)
{
	const struct event *event = call->event;
	struct object *object;
	struct holder *holder;
	struct block block;

	if (key == KEY_VMM) {
		object = vmm_object(call->process, event->addr, event->time_ns);
		if (!object || object->displaced || (!object->references && !object->mapped_bytes))
			return false; /* the handle is free for a new one */
		holder = shares_holder(call->ledger, object->id);
		if (!holder || holder->memory != memory)
			return false;
		vmm_refer(object);
		return true;
	}
	if (call->row->shape != VT_SHAPE_TOKEN_VALUE || !books_get(call->process, key, event->addr, &block))
		return false;
	holder = shares_holder(call->ledger, block.id);
	if (!holder || block.kind != VT_KIND_IMPORTED || holder->memory != memory)
		return false;
	holder->opens++;
	return true;
}

/* The place of the importing process for the GPU that the memory is on: what it has by its context may be another. */
static uint16_t place_of_gpu(const struct call *call, int gpu, uint16_t place)
{
	const struct process *process = call->process;

	if (gpu < 0 || ledger_gpu_of(call->ledger, process, place) == gpu)
		return place;
	for (size_t i = 0; i < process->place_count; i++) {
		if (ledger_gpu_of(call->ledger, process, (uint16_t)i) == gpu)
			return (uint16_t)i;
	}
	return 0;
}

static void describe(const struct call *call, enum key key, const struct memory *memory, struct block *block)
{
	block->kind = VT_KIND_IMPORTED;
	if (key == KEY_VMM || call->row->kind == VT_KIND_POOL)
		block->context = 0; /* neither goes with a context */
	/* By address it can only be memory of a device. */
	block->placement = key == KEY_ADDRESS ? PLACEMENT_VRAM : PLACEMENT_UNKNOWN;
	if (memory && memory->block.size)
		block->size = memory->block.size;
	if (!block->size)
		block->flags |= BLOCK_UNSIZED;
	if (!memory)
		return;
	block->placement = memory->block.placement;
	block->place = block->placement == PLACEMENT_HOST ? 0 : place_of_gpu(call, memory->gpu, block->place);
	block->flags |= BLOCK_BORROWED | (memory->block.flags & BLOCK_VIRTUAL);
}

static enum key key_of_import(const struct call *call)
{
	switch (call->row->shape) {
	case VT_SHAPE_SHARE_IN:
		return KEY_VMM;
	case VT_SHAPE_EXTERNAL:
		return KEY_EXTERNAL;
	default:
		return KEY_ADDRESS;
	}
}

/* There was an exporter as it was imported, and is no more: what stood in the way of the new block was the last to have the memory. */
static void count_after_all(const struct call *call, enum key key, uint64_t addr)
{
	struct block block;

	if (!books_get(call->process, key, addr, &block) || !(block.flags & BLOCK_BORROWED))
		return;
	block.flags &= (uint8_t)~BLOCK_BORROWED;
	if (books_change(call->process, key, &block) < 0)
		ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
}

/* The block is in the books and told: it joins those who have the memory, or is the first that we know of. */
static void join(const struct call *call, enum key key, const struct block *block)
{
	struct memory *memory = shares_find(call->ledger, call->event->a);
	struct holder as = holder_as(call, key, block, block->addr);

	if (!memory)
		count_after_all(call, key, block->addr);
	memory = shares_join(call->ledger, &as, memory);
	if (!memory || shares_name(call->ledger, call->event->a, memory) < 0)
		ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
	else
		memory_see(call->ledger, memory);
}

void share_import(const struct call *call, struct block *block)
{
	struct memory *memory = shares_find(call->ledger, call->event->a);
	enum key key = key_of_import(call);
	struct call peer = *call;

	if (call->row->shape == VT_SHAPE_SHARE_IN && call->row->kind != VT_KIND_VMM) {
		stream_apply(call); /* a pool */
		return;
	}
	if (!block->addr) {
		call_alloc(call, key, block);
		return;
	}
	if (memory && import_again(call, key, memory))
		return;
	if (memory) {
		memory_see(call->ledger, memory);
		peer.peer_tgid = memory->first->process->tgid;
		peer.peer_id = memory->first->id;
	}
	describe(call, key, memory, block);
	if (key == KEY_VMM ? vmm_hold(&peer, block) : call_alloc(&peer, key, block))
		join(call, key, block);
}
