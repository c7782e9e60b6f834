/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

#include <stdlib.h>
#include <string.h>

#include "ledger/settling.h"
#include "ledger/vmm.h"

struct refs refs;

static struct ref_told expected[2048];
static size_t expected_count;

void ref_expect(enum notice_kind kind, uint64_t id, enum free_reason reason)
{
	CHECK(expected_count < sizeof(expected) / sizeof(expected[0]));
	expected[expected_count++] = (struct ref_told) { kind, id, reason };
}

size_t ref_expected(const struct ref_told **ret_told)
{
	*ret_told = expected;
	return expected_count;
}

static void drop_gone(struct ref *ref)
{
	int kept = 0;

	for (int i = 0; i < ref->block_count; i++) {
		if (ref->blocks[i].state == REF_GONE)
			continue;
		if (kept != i)
			ref->blocks[kept] = ref->blocks[i];
		kept++;
	}
	ref->block_count = kept;
}

void ref_step_ends(void)
{
	expected_count = 0;
	for (size_t i = 0; i < refs.count; i++) {
		if (refs.items[i]->touched)
			drop_gone(refs.items[i]);
		refs.items[i]->touched = false;
	}
}

void refs_clear(void)
{
	for (size_t i = 0; i < refs.count; i++)
		free(refs.items[i]);
	memset(&refs, 0, sizeof(refs));
	rule_shares_clear();
}

uint64_t ref_bytes(const struct ref_block *block)
{
	return block->flags & BLOCK_VIRTUAL ? 0 : block->size;
}

bool rule_is_lossy(const struct ref *ref)
{
	return ref->lost || refs.lost_global;
}

/* --- blocks ---------------------------------------------------------------------------------------------------------------- */

struct ref_block *rule_by_id(struct ref *ref, uint64_t id)
{
	for (int i = 0; i < ref->block_count; i++) {
		if (ref->blocks[i].id == id)
			return &ref->blocks[i];
	}
	return NULL;
}

struct ref_block *rule_find(struct ref *ref, enum ref_space space, uint64_t addr)
{
	for (int i = 0; i < ref->block_count; i++) {
		struct ref_block *block = &ref->blocks[i];

		if (block->state == REF_LIVE && block->space == space && block->addr == addr && !block->displaced)
			return block;
	}
	return NULL;
}

void rule_gone(struct ref *ref, struct ref_block *block, enum free_reason reason)
{
	ref_expect(NOTICE_FREE, block->id, reason);
	block->state = REF_GONE;
	block->descriptors = 0;
	ref->touched = true;
	for (int i = 0; i < SLOTS; i++) {
		if (ref->slots[i].id == block->id)
			ref->slots[i].id = 0;
	}
	rule_left(ref, block);
}

/* More than so many are frees that were lost, or none that we probe: the oldest one is told. */
static void bound_waiting(struct ref *ref, bool by_handle)
{
	int most = by_handle ? SETTLED_MAX : rule_is_lossy(ref) ? SETTLING_LOSSY_MAX : SETTLING_MAX, count = 0;
	struct ref_block *oldest = NULL;

	for (int i = 0; i < ref->block_count; i++) {
		struct ref_block *block = &ref->blocks[i];

		if (block->state != REF_WAITS || (block->space == BY_HANDLE) != by_handle)
			continue;
		count++;
		if (!oldest || block->waits < oldest->waits)
			oldest = block;
	}
	if (count < most)
		return;
	rule_gone(ref, oldest, FREE_CALL);
	CHECK(rule_is_lossy(ref)); /* the world has not as many threads */
}

void rule_wait(struct ref *ref, struct ref_block *block, uint64_t until_ns)
{
	bound_waiting(ref, block->space == BY_HANDLE);
	block->state = REF_WAITS;
	block->until_ns = until_ns;
	block->waits = ++refs.last_wait;
	rule_left(ref, block);
}

struct ref_block *rule_alloc(const struct rule *rule, const struct ref_block *block)
{
	bool is_memory =
		block->addr && (block->size || block->kind == VT_KIND_IMPORTED || block->kind == VT_KIND_ARRAY);
	struct ref_block *old, *put = NULL;
	struct ref *ref = rule->ref;

	refs.last_id++;
	ref_expect(NOTICE_ALLOC, refs.last_id, 0);
	if (is_memory) {
		old = rule_find(ref, block->space, block->addr);
		if (old)
			rule_wait(ref, old, rule->event->time_ns);
		CHECK(ref->block_count < REF_BLOCKS);
		put = &ref->blocks[ref->block_count++];
		*put = *block;
		put->id = refs.last_id;
	} else {
		ref->zero_sized++;
	}
	rule_covered(rule);
	return put;
}

/* A runtime's call that no call of the driver stood under. */
void rule_covered(const struct rule *rule)
{
	if (!model.driver_probed || rule->row->layer != VT_LAYER_RUNTIME ||
	    rule->event->row != rule->event->outer_row || !rule->event->addr ||
	    (rule->row->op == VT_OP_ALLOC && !rule->event->size))
		return;
	rule->ref->uncovered++;
	ref_expect(NOTICE_UNCOVERED, 0, 0);
}

struct ref_block rule_block(const struct rule *rule, enum vt_kind kind)
{
	const struct event *event = rule->event;
	struct ref_block block = { .addr = event->addr, .size = event->size, .alloc_ns = event->time_ns };

	block.kind = kind;
	block.space = kind == VT_KIND_ARRAY ? BY_ARRAY : kind == VT_KIND_VMM ? BY_HANDLE : BY_ADDRESS;
	block.placement = placement_of_kind(kind);
	block.context = rule_context(rule->ref, event->context);
	block.where = block.placement == PLACEMENT_HOST ? -1 : rule_where_of_context(rule->ref, event->context);
	block.caller = rule->caller;
	block.pool = -1;
	block.opens = 1;
	return block;
}

static void apply_alloc(const struct rule *rule)
{
	struct ref_block block = rule_block(rule, rule->row->kind), *put;

	switch (block.kind) {
	case VT_KIND_VMM:
		block.context = 0;
		block.flags = rule->row->shape == VT_SHAPE_OUT_MULTICAST ? BLOCK_VIRTUAL : 0;
		rule_locate(rule->ref, rule->event->a, &block);
		if (block.addr && block.size)
			rule_handle_new(rule, &block);
		else
			rule_alloc(rule, &block);
		return;
	case VT_KIND_ARRAY:
		block.flags = BLOCK_COMPUTED;
		if (rule->event->a & (VT_ARRAY_SPARSE | VT_ARRAY_DEFERRED))
			block.flags |= BLOCK_VIRTUAL;
		else if (!block.size)
			block.flags = BLOCK_UNSIZED;
		break;
	case VT_KIND_IMPORTED: /* shows what was imported as a whole */
		block.flags = BLOCK_VIRTUAL;
		block.placement = PLACEMENT_VRAM;
		break;
	case VT_KIND_POOL:
		rule_stream_alloc(rule, &block);
		break;
	case VT_KIND_GRAPH:
		block.flags = BLOCK_VIRTUAL;
		break;
	default:
		break;
	}
	put = rule_alloc(rule, &block);
	if (put && put->kind == VT_KIND_POOL)
		put->pool = rule_pool(rule->ref, rule->event->b);
}

/* --- frees ----------------------------------------------------------------------------------------------------------------- */

static bool is_meant(const struct rule *rule, const struct ref_block *block, enum ref_space space)
{
	bool kind_fits =
		rule->row->kind == VT_KIND_ANY ? block->kind != VT_KIND_REGISTERED : block->kind == rule->row->kind;

	return block->space == space && block->addr == rule->event->addr && kind_fits &&
	       block->alloc_ns <= rule->event->enter_ns;
}

/* The live one, else the oldest of those that wait for a free which was entered while it stood there. */
static struct ref_block *find_freed(const struct rule *rule, enum ref_space space)
{
	struct ref_block *found = NULL;

	for (int i = 0; i < rule->ref->block_count; i++) {
		struct ref_block *block = &rule->ref->blocks[i];

		if (!is_meant(rule, block, space))
			continue;
		if (block->state == REF_LIVE)
			return block;
		if (block->state == REF_WAITS && rule->event->enter_ns < block->until_ns &&
		    (!found || block->waits < found->waits))
			found = block;
	}
	return found;
}

static void apply_free(const struct rule *rule)
{
	enum ref_space space = rule->row->kind == VT_KIND_ARRAY ? BY_ARRAY : BY_ADDRESS;
	struct ref_block *block;

	if (!rule->event->addr || rule_stream_free(rule))
		return;
	block = find_freed(rule, space);
	if (!block && rule->row->kind == VT_KIND_IMPORTED)
		block = find_freed(rule, BY_EXTERNAL);
	if (!block) {
		rule->ref->unmatched++;
		ref_expect(NOTICE_FREE_UNMATCHED, 0, 0);
	} else if (block->state == REF_LIVE && block->opens > 1) {
		block->opens--;
	} else {
		rule_gone(rule->ref, block, FREE_CALL);
	}
	rule_covered(rule);
}

/* --- calls ----------------------------------------------------------------------------------------------------------------- */

static void count_failed(struct ref *ref, enum notice_kind kind)
{
	*(kind == NOTICE_ALLOC_FAILED ? &ref->failed : &ref->failed_frees) += 1;
	ref_expect(kind, 0, 0);
}

static void apply_failed(const struct rule *rule)
{
	switch (rule->row->op) {
	case VT_OP_RELEASE:
	case VT_OP_UNMAP:
	case VT_OP_POOL_END:
		count_failed(rule->ref, NOTICE_FREE_FAILED);
		return;
	case VT_OP_CAPTURE_END:
		rule_stream(rule);
		break;
	case VT_OP_IMPORT:
	case VT_OP_MAP:
	case VT_OP_POOL_NEW:
		count_failed(rule->ref, NOTICE_ALLOC_FAILED);
		return;
	case VT_OP_NODE:
		if (rule->event->b != VT_NODE_MEM_ALLOC)
			break;
		count_failed(rule->ref, NOTICE_ALLOC_FAILED);
		return;
	default:
		break;
	}
	if (rule->event->result == CUDA_OUT_OF_MEMORY)
		count_failed(rule->ref, NOTICE_ALLOC_FAILED);
}

/* By another process: what that one has in VRAM is on the host until it is restored. */
static void apply_checkpoint(const struct rule *rule)
{
	bool back = rule->row->op == VT_OP_RESTORE;
	struct ref *ref = ref_live((uint32_t)rule->event->addr);

	if (!ref || !ref->has_cuda)
		return;
	ref->touched = true;
	ref_expect(back ? NOTICE_RESTORE : NOTICE_CHECKPOINT, 0, 0);
	for (int i = 0; i < ref->block_count; i++) {
		struct ref_block *block = &ref->blocks[i];

		if (block->state != REF_LIVE ||
		    (back ? !(block->flags & BLOCK_CHECKPOINTED) : block->placement != PLACEMENT_VRAM))
			continue;
		block->placement = back ? PLACEMENT_VRAM : PLACEMENT_HOST;
		block->flags ^= BLOCK_CHECKPOINTED;
	}
}

static void apply_done(const struct rule *rule)
{
	switch (rule->row->op) {
	case VT_OP_RELEASE:
	case VT_OP_RETAIN:
	case VT_OP_MAP:
	case VT_OP_UNMAP:
		rule_vmm(rule);
		break;
	case VT_OP_EXPORT:
		rule_export(rule);
		break;
	case VT_OP_IMPORT:
		rule_import(rule);
		break;
	case VT_OP_CHECKPOINT:
	case VT_OP_RESTORE:
		apply_checkpoint(rule);
		break;
	case VT_OP_ADVISE:
	case VT_OP_PREFETCH:
	case VT_OP_CTX_NEW:
	case VT_OP_CTX_END:
	case VT_OP_PRIMARY_RETAIN:
	case VT_OP_PRIMARY_RELEASE:
	case VT_OP_PRIMARY_RESET:
	case VT_OP_DEVICE_UUID:
		rule_device(rule);
		break;
	default:
		rule_stream(rule);
		break;
	}
}

static void apply_call(const struct event *event, int caller)
{
	struct rule rule = { .event = event, .row = probe_row(event->row), .caller = caller };

	rule.ref = ref_live(event->tgid);
	if (!rule.ref) {
		rule.ref = rule_process(event->tgid, event->time_ns);
		ref_expect(NOTICE_PROCESS, 0, 0);
	}
	rule.ref->touched = rule.ref->has_cuda = true;
	rule.ref->calls++;
	if (event->kind == EVENT_ALLOC)
		apply_alloc(&rule);
	else if (event->kind == EVENT_FREE)
		apply_free(&rule);
	else if (event->kind == EVENT_ALLOC_FAILED || event->kind == EVENT_FREE_FAILED)
		count_failed(rule.ref, event->kind == EVENT_ALLOC_FAILED ? NOTICE_ALLOC_FAILED : NOTICE_FREE_FAILED);
	else if (event->kind == EVENT_DONE)
		apply_done(&rule);
	else
		apply_failed(&rule);
}

void ref_apply(const struct event *event, int caller)
{
	if (event->kind < EVENT_PROCESS)
		apply_call(event, caller);
	else
		rule_life(event);
}
