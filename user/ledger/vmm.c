/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/vmm.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "ledger/shares.h"

/* What happened, where an object may have to go. call: NULL if it was none of the process' own. */
struct cause {
	struct ledger *ledger;
	struct process *process;
	const struct event *event;
	const struct call *call;
	enum free_reason reason;
};

static struct cause cause_of(const struct call *call, enum free_reason reason)
{
	return (struct cause) { call->ledger, call->process, call->event, call, reason };
}

struct vmm *vmm_get(const struct process *process)
{
	return own_of(process)->vmm;
}

struct vmm *vmm_make(struct process *process)
{
	struct own *own = own_of(process);

	if (own->vmm)
		return own->vmm;
	own->vmm = calloc(1, sizeof(*own->vmm));
	if (own->vmm) {
		index_init(&own->vmm->handles);
		index_init(&own->vmm->aliases);
		map_init(&own->vmm->descriptors);
	}
	return own->vmm;
}

/* Out of the books, if it is in them. Its block as the program knows it. */
static struct block unbook(struct process *process, struct object *object)
{
	struct block block = { .id = object->id };

	if (!object->booked)
		return vmm_block(process, object);
	books_take(process, KEY_VMM, vmm_addr(object), &block);
	block.addr = object->handle;
	object->booked = false;
	return block;
}

static void tell_gone(const struct cause *cause, const struct block *block)
{
	if (cause->call && cause->reason == FREE_CALL)
		call_freed(cause->call, block, FREE_CALL);
	else
		ledger_tell_gone(cause->ledger, cause->process, cause->event, block, cause->reason);
	share_freed(cause->ledger, cause->process, cause->event, block);
}

static void object_check(const struct cause *cause, struct object *object);

/*
 * The oldest object that waits for calls which should have been told long ago: they were lost. What it has mapped is not looked for: that
 * goes when something else comes there, or at the end, as much as a program could map that is well.
 */
static void settle_oldest(const struct cause *cause)
{
	struct vmm *vmm = vmm_get(cause->process);
	struct cause lost = *cause;
	struct object *oldest = vmm->settling[0].object;

	lost.call = NULL;
	lost.reason = FREE_CALL;
	tell_gone(&lost, &vmm->settling[0].block);
	object_forget(vmm, oldest);
	oldest->orphaned = true;
	object_check(&lost, oldest);
	/* In a run that has lost events, these are among them. */
	if (!cause->process->lost && !cause->ledger->lost_global)
		ledger_lose(cause->ledger, cause->process, cause->event, LOST_RETURN, 1);
}

/* Out of the books, and with whoever else has it; its FREE comes with the call that is still to be told. */
static void settle(const struct cause *cause, struct object *object)
{
	struct vmm *vmm = vmm_get(cause->process);
	struct settled *settled;

	if (vmm->settling_count == ARRAY_SIZE(vmm->settling))
		settle_oldest(cause);
	settled = &vmm->settling[vmm->settling_count++];
	settled->block = unbook(cause->process, object);
	settled->object = object;
	share_freed(cause->ledger, cause->process, cause->event, &settled->block);
}

/* Something of the object was given back: it may go. */
static void object_check(const struct cause *cause, struct object *object)
{
	bool used = object->references || object->mapped_bytes;
	struct block block;

	if (object->orphaned) { /* and told; what was still mapped to it or named it names nothing else */
		if (!object->mapped_bytes && !object->descriptors)
			object_drop(vmm_get(cause->process), object);
		return;
	}
	if (object->descriptors || (used && !object->displaced))
		return;
	if (used) {
		if (object->booked)
			settle(cause, object);
		return;
	}
	block = unbook(cause->process, object);
	tell_gone(cause, &block);
	object_drop(vmm_get(cause->process), object);
}

/* The handle was given out again. */
static void displace(const struct call *call, struct object *old)
{
	struct cause cause = cause_of(call, FREE_CALL);
	uint64_t addr = vmm_addr(old);

	if (old->handle != call->event->addr || old->displaced)
		return;
	if (!old->descriptors || !old->booked) {
		settle(&cause, old);
		old->displaced = true;
		return;
	}
	old->displaced = true;
	books_move(call->process, KEY_VMM, addr, vmm_addr(old));
	share_moved(call->ledger, old->id, vmm_addr(old));
}

bool vmm_hold(const struct call *call, struct block *block)
{
	struct vmm *vmm = vmm_make(call->process);
	struct object *object = vmm ? slabs_take(&vmm->object_slabs, sizeof(*object)) : NULL;
	struct object *old = vmm ? index_get(&vmm->handles, block->addr) : NULL;
	/* As no program is given it: it would stand where displaced ones do. */
	bool is_handle = block->addr < ADDRESSES_END;

	if (object && is_handle && old)
		displace(call, old);
	if (!object || !is_handle || index_put(&vmm->handles, block->addr, object) < 0) {
		if (vmm)
			slabs_give(&vmm->object_slabs, object);
		ledger_lose(call->ledger, call->process, call->event, is_handle ? LOST_MEMORY : LOST_BAD_RECORD, 1);
		return false;
	}
	*object = (struct object) {
		.next = vmm->objects, .handle = block->addr, .made_ns = call->event->time_ns, .references = 1
	};
	/* By an alias it was not displaced: the name is not its own any more. */
	object->older = old && old->handle == block->addr ? old : NULL;
	if (object->next)
		object->next->prev = object;
	vmm->objects = object;
	if (!call_alloc(call, KEY_VMM, block)) {
		object_drop(vmm, object);
		return false;
	}
	object->id = block->id;
	object->booked = true;
	object->learns = !block->size;
	return true;
}

void vmm_alloc(const struct call *call, struct block *block)
{
	place_of_location(call, call->event->a, block);
	if (!block->addr || !block->size)
		call_alloc(call, KEY_VMM, block);
	else
		vmm_hold(call, block);
}

void vmm_release(const struct call *call)
{
	struct object *object;
	struct cause cause = cause_of(call, FREE_CALL);

	if (!call->event->addr)
		return;
	object = vmm_object(call->process, call->event->addr, call->event->enter_ns);
	if (!object || !object->references) {
		call_unmatched(call);
		return;
	}
	object->references--;
	object_check(&cause, object);
}

void vmm_retain(const struct call *call)
{
	struct vmm *vmm = vmm_get(call->process);
	struct object *object = vmm_object(call->process, call->event->addr, call->event->time_ns);
	struct range range;

	if (!object && vmm && call->event->addr && ranges_find(&vmm->mappings, call->event->a, &range)) {
		object = range.value;
		if (object->orphaned)
			return;
		if (object_name(vmm, object, call->event->addr) < 0)
			ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
	}
	if (object)
		vmm_refer(object);
}

static void tell_range(const struct call *call, enum notice_kind kind, const struct object *object,
		       const struct range *range)
{
	struct notice notice = call_notice(call, kind);
	struct block block;

	notice.addr = kind == NOTICE_MAP ? call->event->a : 0;
	notice.size = notice.requested = 0;
	if (object) {
		block = vmm_block(call->process, object);
		notice_add_block(call, &notice, &block);
	}
	notice.range_addr = range->addr;
	notice.range_size = range->size;
	notice.range_offset = kind == NOTICE_MAP ? call->event->b : 0;
	ledger_tell(call->ledger, &notice);
}

/* A mapping, or a part of one, has gone. How much of it was known to be there. */
static uint64_t unmap_part(const struct call *call, const struct range *part, bool tell)
{
	struct cause cause = cause_of(call, FREE_CALL);
	struct object *object = part->value;
	bool was_known = !object->orphaned;

	object->mapped_bytes -= part->size;
	if (!tell)
		cause.call = NULL;
	else if (was_known)
		tell_range(call, NOTICE_UNMAP, object, part);
	object_check(&cause, object);
	return was_known ? part->size : 0;
}

/*
 * Takes away what stands there and stood there before `before_ns`. How much that was: 0 also where we are out of memory, which then is
 * told. UNMAP is told only of what an unmap took: what a new mapping finds in its way is one that has not been told, or was lost.
 */
static uint64_t clear_range(const struct call *call, uint64_t before_ns, bool tell)
{
	struct vmm *vmm = vmm_get(call->process);
	uint64_t at = call->event->addr, last, cleared = 0;
	struct range range;

	if (!vmm || !call->event->size)
		return 0;
	last = ranges_last(at, call->event->size);
	while (ranges_next(&vmm->mappings, at, &range) && range.addr <= last) {
		uint64_t range_last = ranges_last(range.addr, range.size);

		range.addr = range.addr > at ? range.addr : at;
		range.size = (range_last < last ? range_last : last) - range.addr + 1;
		if (range.since_ns <= before_ns) {
			if (ranges_remove(&vmm->mappings, range.addr, range.size) < 0) {
				ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
				return cleared;
			}
			cleared += unmap_part(call, &range, tell);
		}
		if (range_last >= last)
			break;
		at = range_last + 1;
	}
	return cleared;
}

/* An import of which nobody told the size: its mappings show it. */
static void learn_size(const struct call *call, const struct object *object)
{
	struct block block;
	uint64_t size;

	if (!object->booked || !object->learns || !books_get(call->process, KEY_VMM, vmm_addr(object), &block) ||
	    __builtin_add_overflow(call->event->size, call->event->b, &size) || size <= block.size)
		return;
	block.size = size;
	block.flags &= (uint8_t)~BLOCK_UNSIZED;
	if (books_change(call->process, KEY_VMM, &block) < 0)
		ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
}

void vmm_map(const struct call *call)
{
	const struct event *event = call->event;
	struct object *object = vmm_object(call->process, event->a, event->enter_ns);
	struct cause cause = cause_of(call, FREE_CALL);
	struct range range = { .addr = event->addr, .size = event->size, .since_ns = event->time_ns, .value = object };

	/* What is no address of a program would let mapped_bytes overflow. */
	if (!event->size || ranges_last(event->addr, event->size) >= ADDRESSES_END)
		object = NULL;
	if (object)
		object->references++; /* it must not go with what stands in its way */
	clear_range(call, UINT64_MAX, false);
	if (object) {
		if (ranges_add(&vmm_get(call->process)->mappings, &range) == 0)
			object->mapped_bytes += event->size;
		else
			ledger_lose(call->ledger, call->process, event, LOST_MEMORY, 1);
		learn_size(call, object);
	}
	tell_range(call, NOTICE_MAP, object, &range);
	if (object) {
		object->references--;
		object_check(&cause, object);
	}
}

/* The driver takes an unmap of nothing for a success. */
void vmm_unmap(const struct call *call)
{
	struct range range = { .addr = call->event->addr, .size = call->event->size };

	if (!clear_range(call, call->event->enter_ns, true) && range.size)
		tell_range(call, NOTICE_UNMAP, NULL, &range);
}

static void drop_descriptor(const struct cause *cause, uint32_t descriptor)
{
	struct vmm *vmm = vmm_get(cause->process);
	struct object *object = vmm ? map_del(&vmm->descriptors, (uint64_t)descriptor + 1) : NULL;

	if (!object)
		return;
	object->descriptors--;
	object_check(cause, object);
}

void vmm_add_descriptor(const struct call *call, struct object *object, uint32_t descriptor)
{
	struct cause cause = cause_of(call, FREE_DESCRIPTOR);

	if (object)
		object->descriptors++; /* before the one that had the number: it may be the object itself */
	drop_descriptor(&cause, descriptor);
	if (!object || map_put(&vmm_get(call->process)->descriptors, (uint64_t)descriptor + 1, object, NULL) == 0)
		return;
	object->descriptors--;
	ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
}

void ledger_descriptor_closed(struct ledger *ledger, uint32_t tgid, uint32_t descriptor, uint64_t time_ns)
{
	struct event event = { .tgid = tgid, .tid = tgid, .time_ns = time_ns };
	struct cause cause = { .ledger = ledger, .event = &event, .reason = FREE_DESCRIPTOR };

	cause.process = processes_find(&ledger->processes, tgid);
	if (cause.process)
		drop_descriptor(&cause, descriptor);
}

/* Calls that were still to be told will not be. */
void vmm_clear(struct ledger *ledger, struct process *process, const struct event *event, enum free_reason reason)
{
	struct vmm *vmm = vmm_get(process);
	struct cause cause = { ledger, process, event, NULL, FREE_CALL };
	struct object *object;
	struct block block;
	bool is_told;

	if (!vmm)
		return;
	while ((object = vmm->objects)) {
		cause.reason = object->booked ? reason : FREE_CALL;
		block = vmm_block(process, object);
		/* What is in the books is told by whoever takes it out; what is not there any more was left to others, and told. */
		is_told = object->booked || object->orphaned;
		if (object->booked && object->displaced) {
			is_told = !books_take_held(process, KEY_VMM, vmm_addr(object), &block);
			block.addr = object->handle;
		}
		if (!is_told)
			tell_gone(&cause, &block);
		object_drop(vmm, object);
	}
	ranges_fini(&vmm->mappings);
	ranges_fini(&vmm->seen);
	map_clear(&vmm->descriptors);
}

void vmm_fini(struct process *process)
{
	struct vmm *vmm = vmm_get(process);

	if (!vmm)
		return;
	while (vmm->objects)
		object_drop(vmm, vmm->objects);
	ranges_fini(&vmm->mappings);
	ranges_fini(&vmm->seen);
	slabs_fini(&vmm->object_slabs);
	index_fini(&vmm->handles);
	index_fini(&vmm->aliases);
	map_fini(&vmm->descriptors);
	free(vmm);
	own_of(process)->vmm = NULL;
}
