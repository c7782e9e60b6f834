/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_REFERENCE_H
#define LEDGER_REFERENCE_H

/*
 * What test_ledger_model.c holds the ledger against: the same rules on lists that are searched and summed up from end to end, after
 * every event. For one test program; it brings its own state.
 */
#include "ledger/ledger.h"
#include "ledger_dice.h"
#include "probe/table.h"

struct ref_block {
	uint64_t addr, size, alloc_ns, until_ns, id;
	int kind, caller;
	enum {
		REF_LIVE,
		REF_SETTLING,
		REF_GONE
	} state;
};

struct ref {
	uint32_t tgid;
	uint64_t start_ns;
	bool known, ended, has_cuda, lossy;
	struct ref_block blocks[HISTORY];
	int count;
	struct slice total, kinds[VT_KIND_COUNT], callers[CALLERS];
	uint64_t failed, failed_frees, unmatched, zero_sized, uncovered, calls;
};

static struct ref refs[PROCESSES];
static bool all_lossy;
static uint64_t settled_frees, live_frees, unmatched_frees, lives; /* that the run did meet */

static void ref_sum(const struct ref *ref, int kind, int caller, struct tally *ret)
{
	*ret = (struct tally) { 0, 0 };
	for (int i = 0; i < ref->count; i++) {
		const struct ref_block *block = &ref->blocks[i];

		if (block->state != REF_LIVE || (kind >= 0 && block->kind != kind) ||
		    (caller >= 0 && block->caller != caller))
			continue;
		ret->bytes += block->size;
		ret->count++;
	}
}

static void ref_refresh_one(const struct ref *ref, struct slice *slice, int kind, int caller)
{
	ref_sum(ref, kind, caller, &slice->live);
	if (slice->live.bytes > slice->peak_bytes)
		slice->peak_bytes = slice->live.bytes;
}

static void ref_refresh(struct ref *ref)
{
	ref_refresh_one(ref, &ref->total, -1, -1);
	for (int i = 0; i < VT_KIND_COUNT; i++)
		ref_refresh_one(ref, &ref->kinds[i], i, -1);
	for (int i = 0; i < CALLERS; i++)
		ref_refresh_one(ref, &ref->callers[i], -1, i);
}

/* Only blocks that can still matter are kept, in their order. */
static void ref_compact(struct ref *ref)
{
	int kept = 0;

	for (int i = 0; i < ref->count; i++) {
		if (ref->blocks[i].state != REF_GONE)
			ref->blocks[kept++] = ref->blocks[i];
	}
	ref->count = kept;
}

static void count_into(struct slice *slice, uint64_t size)
{
	slice->allocated.bytes += size;
	slice->allocated.count++;
}

static void ref_alloc(struct ref *ref, const struct event *event, int caller, uint64_t id)
{
	int kind = probe_row(event->row)->kind;

	if (!event->addr) {
		ref->zero_sized++;
		return;
	}
	for (int i = 0; i < ref->count; i++) {
		if (ref->blocks[i].state != REF_LIVE || ref->blocks[i].addr != event->addr)
			continue;
		ref->blocks[i].state = REF_SETTLING;
		ref->blocks[i].until_ns = event->time_ns;
	}
	CHECK(ref->count < HISTORY);
	ref->blocks[ref->count++] =
		(struct ref_block) { event->addr, event->size, event->time_ns, 0, id, kind, caller, REF_LIVE };
	count_into(&ref->total, event->size);
	count_into(&ref->kinds[kind], event->size);
	count_into(&ref->callers[caller], event->size);
}

/* The id of the block that the free was about, 0 if there is none. */
static uint64_t ref_free(struct ref *ref, const struct event *event)
{
	for (int i = 0; i < ref->count; i++) {
		struct ref_block *block = &ref->blocks[i];

		if (block->addr != event->addr || block->alloc_ns > event->enter_ns || block->state == REF_GONE)
			continue;
		if (block->state == REF_SETTLING && event->enter_ns >= block->until_ns)
			continue;
		*(block->state == REF_LIVE ? &live_frees : &settled_frees) += 1;
		block->state = REF_GONE;
		return block->id;
	}
	ref->unmatched++;
	unmatched_frees++;
	return 0;
}

static void hold(struct slice *slice, const struct tally *live)
{
	slice->at_exit.bytes += live->bytes;
	slice->at_exit.count += live->count;
}

static void ref_clear(struct ref *ref)
{
	hold(&ref->total, &ref->total.live);
	for (int i = 0; i < VT_KIND_COUNT; i++)
		hold(&ref->kinds[i], &ref->kinds[i].live);
	for (int i = 0; i < CALLERS; i++)
		hold(&ref->callers[i], &ref->callers[i].live);
	ref->count = 0;
}

#endif
