/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "rules.h"

/* Processes begin and end; losses. */

#define TICK_NS 10000000u /* what /proc knows a start time to */

struct ref *ref_live(uint32_t tgid)
{
	for (size_t i = 0; i < refs.count; i++) {
		if (refs.items[i]->tgid == tgid && !refs.items[i]->ended)
			return refs.items[i];
	}
	return NULL;
}

struct ref *rule_process(uint32_t tgid, uint64_t now_ns)
{
	struct ref *ref = calloc(1, sizeof(*ref));

	CHECK(ref && refs.count < REF_PROCESSES);
	ref->tgid = tgid;
	ref->first_ns = now_ns;
	ref->touched = true;
	refs.items[refs.count++] = ref;
	return ref;
}

/* What it has borrowed goes first, then what others hold on, then the rest. */
static void end_image(struct ref *ref, enum free_reason reason)
{
	struct ref_block *block;

	for (int i = 0; i < ref->block_count; i++) {
		if (ref->blocks[i].state == REF_LIVE && !rule_is_first(&ref->blocks[i]))
			rule_left(ref, &ref->blocks[i]);
	}
	for (int i = 0; i < ref->block_count; i++) {
		block = &ref->blocks[i];
		if (block->state == REF_GONE)
			continue;
		block->held = block->state == REF_LIVE;
		rule_gone(ref, block, !block->held ? FREE_CALL : rule_has_others(block) ? FREE_EXPORTER_GONE : reason);
	}
	for (int i = 0; i < ref->pool_count; i++)
		ref->pools[i].shown.ended = true;
	ref->context_count = ref->device_count = ref->stream_count = ref->capture_count = 0;
	ref->alias_count = ref->descriptor_count = 0;
	ref->image++;
	ref->touched = true;
}

static void end_process(struct ref *ref)
{
	end_image(ref, FREE_EXIT);
	ref->ended = true;
	ref_expect(NOTICE_PROCESS, 0, 0);
}

/* One that never made a CUDA call, and none can have been missed, is not shown. */
static void forget_ended(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < refs.count; i++) {
		struct ref *ref = refs.items[i];

		if (ref->ended && !ref->has_cuda && !ref->late && !ref->lost)
			free(ref);
		else
			refs.items[kept++] = ref;
	}
	refs.count = kept;
}

static bool same_start(uint64_t a, uint64_t b)
{
	return !a || !b || a == b || (a / TICK_NS == b / TICK_NS && (a % TICK_NS == 0 || b % TICK_NS == 0));
}

static bool is_another(const struct ref *ref, const struct event *event)
{
	bool was_before = event->kind == EVENT_FORK && !ref->start_ns && ref->first_ns < event->time_ns;

	return was_before || !same_start(ref->start_ns, event->start_ns);
}

static void describe(struct ref *ref, uint64_t start_ns)
{
	if (start_ns && (!ref->start_ns || ref->start_ns % TICK_NS == 0))
		ref->start_ns = start_ns;
}

static void apply_life(const struct event *event)
{
	struct ref *ref = ref_live(event->tgid);
	bool is_told = event->kind != EVENT_PROCESS;

	if (event->kind == EVENT_EXIT) {
		if (ref && !is_another(ref, event))
			describe(ref, event->start_ns);
		if (ref)
			end_process(ref);
		forget_ended();
		return;
	}
	if (ref && is_another(ref, event)) {
		end_process(ref);
		forget_ended();
		ref = NULL;
	}
	if (ref && event->kind == EVENT_EXEC)
		end_image(ref, FREE_EXEC);
	if (!ref || !ref->start_ns)
		is_told = true;
	if (!ref)
		ref = rule_process(event->tgid, event->time_ns);
	describe(ref, event->start_ns);
	ref->touched = true;
	if (is_told)
		ref_expect(NOTICE_PROCESS, 0, 0);
}

void ref_attach_late(uint32_t tgid, uint64_t start_ns)
{
	struct ref *ref = ref_live(tgid);

	if (!ref)
		ref = rule_process(tgid, model.now_ns);
	describe(ref, start_ns);
	ref->late = ref->touched = true;
}

static void apply_lost(const struct event *event)
{
	struct ref *ref = ref_live(event->tgid);

	for (size_t i = refs.count; !ref && i-- > 0;) {
		if (refs.items[i]->tgid == event->tgid)
			ref = refs.items[i];
	}
	*(ref ? &ref->lost : &refs.lost_global) += event->lost_count;
	refs.lost[event->lost_cause] += event->lost_count;
	if (ref)
		ref->touched = true;
	ref_expect(NOTICE_LOST, 0, 0);
}

void rule_life(const struct event *event)
{
	if (event->kind == EVENT_LOST)
		apply_lost(event);
	else
		apply_life(event);
}
