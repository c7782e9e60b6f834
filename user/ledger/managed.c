/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/managed.h"

#include <stdlib.h>

#include "ledger/vmm.h"
#include "probe/table.h"

/* enum CUmem_advise of cuda.h */
#define ADVICE_SET_PREFERRED 3
#define ADVICE_UNSET_PREFERRED 4

static bool contains(const struct block *block, uint64_t addr)
{
	return addr >= block->addr && addr - block->addr < block->size;
}

struct wanted {
	uint64_t addr;
	enum vt_kind kind;
};

static bool is_wanted(void *ctx, enum key key, const struct block *block)
{
	const struct wanted *wanted = ctx;

	return key == KEY_ADDRESS && block->kind == wanted->kind && contains(block, wanted->addr);
}

static void remember(struct vmm *vmm, const struct block *block)
{
	struct range range = { .addr = block->addr, .size = block->size };

	if (vmm && ranges_remove(&vmm->seen, block->addr, block->size) == 0)
		ranges_add(&vmm->seen, &range);
}

bool block_at(const struct call *call, uint64_t addr, enum vt_kind kind, struct block *ret_block)
{
	struct process *process = call->process;
	struct vmm *vmm = vmm_get(process);
	struct wanted wanted = { addr, kind };
	struct picked *picked = NULL;
	struct range range;
	size_t count = 0;
	bool found;

	if (books_get(process, KEY_ADDRESS, addr, ret_block) && ret_block->kind == kind)
		return true;
	if (!process->by_kind[kind].live.count)
		return false;
	if (vmm && ranges_find(&vmm->seen, addr, &range) && books_get(process, KEY_ADDRESS, range.addr, ret_block) &&
	    ret_block->kind == kind && contains(ret_block, addr))
		return true;
	if (books_pick(process, is_wanted, &wanted, &picked, &count) < 0) {
		ledger_lose(call->ledger, process, call->event, LOST_MEMORY, 1);
		return false;
	}
	found = count > 0;
	if (found) {
		*ret_block = picked[0].block;
		remember(vmm_make(process), ret_block);
	}
	free(picked);
	return found;
}

static enum notice_location location_of(const struct call *call, uint64_t location, uint16_t *ret_place)
{
	struct block at = { .place = 0 };

	*ret_place = 0;
	switch ((uint32_t)location) {
	case VT_LOCATION_DEVICE:
		place_of_location(call, location, &at);
		*ret_place = at.place;
		return NOTICE_AT_GPU;
	case VT_LOCATION_HOST:
	case VT_LOCATION_HOST_NUMA:
	case VT_LOCATION_HOST_NUMA_CURRENT:
		return NOTICE_AT_HOST;
	default:
		return NOTICE_AT_NONE;
	}
}

static void tell(const struct call *call, const struct block *block, enum notice_location location, uint16_t place)
{
	struct notice notice = call_notice(call, call->row->op == VT_OP_ADVISE ? NOTICE_ADVISE : NOTICE_PREFETCH);
	int gpu = location == NOTICE_AT_GPU ? ledger_gpu_of(call->ledger, call->process, place) : -1;

	notice.size = notice.requested = 0;
	if (block)
		notice_add_block(call, &notice, block);
	notice.range_addr = call->event->addr;
	notice.range_size = call->event->size;
	notice.location = location;
	notice.gpu = gpu < 0 ? NULL : ledger_gpu(call->ledger, (size_t)gpu);
	ledger_tell(call->ledger, &notice);
}

/* The block of the process is where most of it should be; what it takes on the device and on the host only residency can tell. */
static void prefer(const struct call *call, struct block *block, uint16_t place)
{
	if (block->place == place || call->event->addr != block->addr || call->event->size < block->size)
		return;
	block->place = place;
	if (books_change(call->process, KEY_ADDRESS, block) < 0)
		ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
}

void managed_apply(const struct call *call)
{
	const struct event *event = call->event;
	enum notice_location location;
	struct block block;
	uint16_t place;
	bool found, advice = call->row->op == VT_OP_ADVISE;

	if (advice && event->b != ADVICE_SET_PREFERRED && event->b != ADVICE_UNSET_PREFERRED)
		return;
	location = location_of(call, event->a, &place);
	if (advice && event->b == ADVICE_UNSET_PREFERRED)
		location = NOTICE_AT_NONE;
	found = block_at(call, event->addr, VT_KIND_MANAGED, &block);
	if (found && advice && location == NOTICE_AT_GPU && place)
		prefer(call, &block, place);
	tell(call, found ? &block : NULL, location, place);
}
