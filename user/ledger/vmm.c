/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/vmm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ledger/shares.h"

/* No handle is as high: it is an address of the program. */
#define ADDRESSES_END (1ULL << 63)

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
		map_init(&own->vmm->descriptors);
	}
	return own->vmm;
}

struct object *vmm_object(const struct process *process, uint64_t handle, uint64_t enter_ns)
{
	const struct vmm *vmm = vmm_get(process);
	struct object *object = vmm ? index_get(&vmm->handles, handle) : NULL;

	while (object && object->made_ns > enter_ns)
		object = object->older;
	return object;
}

struct block vmm_block(const struct process *process, const struct object *object)
{
	const struct vmm *vmm = vmm_get(process);
	struct block block = { .id = object->id };

	if (object->booked)
		books_get(process, KEY_VMM, object->addr, &block);
	for (size_t i = 0; !object->booked && i < vmm->settling_count; i++) {
		if (vmm->settling[i].object == object)
			block = vmm->settling[i].block;
	}
	block.addr = object->handle;
	return block;
}

static void unsettle(struct vmm *vmm, const struct object *object)
{
	size_t i = 0;

	while (i < vmm->settling_count && vmm->settling[i].object != object)
		i++;
	if (i == vmm->settling_count)
		return;
	vmm->settling_count--;
	memmove(&vmm->settling[i], &vmm->settling[i + 1], (vmm->settling_count - i) * sizeof(vmm->settling[0]));
}

/* The handle names what it named before, or nothing. */
static void unname(struct vmm *vmm, const struct object *object, uint64_t handle)
{
	struct object *named = index_get(&vmm->handles, handle);

	if (named == object) {
		/* Never larger than before: it cannot fail. */
		if (!object->older || index_put(&vmm->handles, handle, object->older) < 0)
			index_del(&vmm->handles, handle);
		return;
	}
	while (named && named->older != object)
		named = named->older;
	if (named)
		named->older = object->older;
}

static void object_drop(struct vmm *vmm, struct object *object)
{
	struct alias *alias;

	unname(vmm, object, object->handle);
	while ((alias = object->aliases)) {
		object->aliases = alias->next;
		if (index_get(&vmm->handles, alias->handle) == object)
			index_del(&vmm->handles, alias->handle);
		free(alias);
	}
	if (object->next)
		object->next->prev = object->prev;
	*(object->prev ? &object->prev->next : &vmm->objects) = object->next;
	unsettle(vmm, object);
	slabs_give(&vmm->object_slabs, object);
}

/* Out of the books, if it is in them. Its block as the program knows it. */
static struct block unbook(struct process *process, struct object *object)
{
	struct block block = vmm_block(process, object);

	if (object->booked && books_take(process, KEY_VMM, object->addr, &block))
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

/* The oldest object that waits for calls which should have been told long ago: they were lost. */
static void settle_oldest(const struct cause *cause)
{
	struct vmm *vmm = vmm_get(cause->process);
	struct cause lost = *cause;
	struct object *oldest = vmm->settling[0].object;
	struct range range;

	for (uint64_t at = 0; oldest->mapped_bytes && ranges_next(&vmm->mappings, at, &range);) {
		at = ranges_last(range.addr, range.size) + 1;
		if (range.value != oldest)
			continue;
		oldest->mapped_bytes -= range.size;
		ranges_remove(&vmm->mappings, range.addr, range.size);
	}
	lost.call = NULL;
	lost.reason = FREE_CALL;
	tell_gone(&lost, &vmm->settling[0].block);
	object_drop(vmm, oldest);
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
	struct vmm *vmm = vmm_get(call->process);
	struct cause cause = cause_of(call, FREE_CALL);
	uint64_t addr = ADDRESSES_END | (vmm->last_displaced + 1);

	if (old->handle != call->event->addr)
		return;
	if (old->descriptors && old->booked && !old->displaced) {
		books_move(call->process, KEY_VMM, old->addr, addr);
		vmm->last_displaced++;
		old->addr = addr;
		old->displaced = true;
		share_moved(call->ledger, old->id, addr);
	} else if (!old->displaced) {
		old->displaced = true;
		settle(&cause, old);
	}
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
	object->addr = block->addr;
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

/* The handle that was told is the object's from now on, too. */
static void name(const struct call *call, struct vmm *vmm, struct object *object, uint64_t handle)
{
	struct alias *alias;

	if (index_get(&vmm->handles, handle))
		return;
	alias = malloc(sizeof(*alias));
	if (!alias || index_put(&vmm->handles, handle, object) < 0) {
		free(alias);
		ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
		return;
	}
	*alias = (struct alias) { .next = object->aliases, .handle = handle };
	object->aliases = alias;
}

void vmm_retain(const struct call *call)
{
	struct vmm *vmm = vmm_get(call->process);
	struct object *object = vmm_object(call->process, call->event->addr, call->event->time_ns);
	struct range range;

	if (!object && vmm && call->event->addr && ranges_find(&vmm->mappings, call->event->a, &range)) {
		object = range.value;
		name(call, vmm, object, call->event->addr);
	}
	if (object)
		object->references++;
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

/*
 * Takes away what stands there and stood there before `before_ns`. How much that was: 0 also where we are out of memory, which then is
 * told. UNMAP is told only of what an unmap took: what a new mapping finds in its way is one that has not been told, or was lost.
 */
static uint64_t clear_range(const struct call *call, uint64_t before_ns, bool tell)
{
	struct vmm *vmm = vmm_get(call->process);
	struct cause cause = cause_of(call, FREE_CALL);
	uint64_t at = call->event->addr, last, cleared = 0;
	struct range range, part;

	if (!vmm || !call->event->size)
		return 0;
	last = ranges_last(at, call->event->size);
	if (!tell)
		cause.call = NULL;
	while (ranges_next(&vmm->mappings, at, &range) && range.addr <= last) {
		uint64_t range_last = ranges_last(range.addr, range.size);

		part = range;
		part.addr = range.addr > at ? range.addr : at;
		part.size = (range_last < last ? range_last : last) - part.addr + 1;
		if (range.since_ns <= before_ns) {
			if (ranges_remove(&vmm->mappings, part.addr, part.size) < 0) {
				ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
				return cleared;
			}
			cleared += part.size;
			((struct object *)range.value)->mapped_bytes -= part.size;
			if (tell)
				tell_range(call, NOTICE_UNMAP, range.value, &part);
			object_check(&cause, range.value);
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

	if (!object->booked || !object->learns || !books_get(call->process, KEY_VMM, object->addr, &block) ||
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
		is_told = object->booked;
		if (object->booked && object->displaced) {
			is_told = !books_take_held(process, KEY_VMM, object->addr, &block);
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
	map_fini(&vmm->descriptors);
	free(vmm);
	own_of(process)->vmm = NULL;
}
