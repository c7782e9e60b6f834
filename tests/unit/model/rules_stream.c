/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rules.h"

#define PER_THREAD_STREAM 2 /* CU_STREAM_PER_THREAD */
#define WRONG_THREAD 908    /* CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD */

/* --- lists of pairs -------------------------------------------------------------------------------------------------------- */

static int find_pair(const struct ref_pair *pairs, int count, uint64_t key)
{
	for (int i = 0; i < count; i++) {
		if (pairs[i].key == key)
			return i;
	}
	return -1;
}

static void drop_pair(struct ref_pair *pairs, int *count, uint64_t key)
{
	int found = find_pair(pairs, *count, key);

	if (found >= 0)
		pairs[found] = pairs[--*count];
}

static void set_pair(struct ref_pair *pairs, int *count, uint64_t key, uint64_t value)
{
	drop_pair(pairs, count, key);
	CHECK(*count < REF_PAIRS);
	pairs[(*count)++] = (struct ref_pair) { key, value };
}

static void drop_values(struct ref_pair *pairs, int *count, uint64_t value)
{
	for (int i = *count; i-- > 0;) {
		if (pairs[i].value == value)
			pairs[i] = pairs[--*count];
	}
}

void rule_context_streams(struct ref *ref, uint64_t context)
{
	drop_values(ref->streams, &ref->stream_count, context);
	drop_values(ref->captures, &ref->capture_count, context);
}

/* --- captures -------------------------------------------------------------------------------------------------------------- */

/* Each thread has a default stream of its own: by its handle, or by none in the twins of the calls. */
static uint64_t capture_key(const struct rule *rule, uint64_t stream)
{
	bool is_twin = strstr(rule->row->symbol, "_ptsz");

	if (stream == PER_THREAD_STREAM || (!stream && is_twin))
		return (uint64_t)rule->event->tid << 2 | PER_THREAD_STREAM;
	return stream;
}

static bool is_capturing(const struct rule *rule, uint64_t stream)
{
	return find_pair(rule->ref->captures, rule->ref->capture_count, capture_key(rule, stream)) >= 0;
}

static void end_capture(const struct rule *rule, uint64_t stream)
{
	drop_pair(rule->ref->captures, &rule->ref->capture_count, capture_key(rule, stream));
}

void rule_stream_alloc(const struct rule *rule, struct ref_block *block)
{
	struct ref *ref = rule->ref;
	int pool = rule_pool(ref, rule->event->b);
	int stream = find_pair(ref->streams, ref->stream_count, rule->event->a);

	if (pool >= 0) {
		block->placement = ref->pools[pool].shown.placement;
		block->where = ref->pools[pool].where;
	} else if (stream >= 0) {
		block->where = rule_where_of_context(ref, ref->streams[stream].value);
	}
	if (is_capturing(rule, rule->event->a)) {
		block->kind = VT_KIND_GRAPH;
		block->flags |= BLOCK_VIRTUAL;
		return;
	}
	block->context = 0; /* the pool is the device's */
	if (ref->capture_count && block->addr && block->size) {
		block->flags |= BLOCK_MAYBE_CAPTURED;
		ref->maybe_captured++;
	}
}

/* In a capture only an address of the graph can be freed. */
bool rule_stream_free(const struct rule *rule)
{
	struct ref_block *block;

	if (rule->row->kind == VT_KIND_GRAPH)
		return true;
	if (rule->row->shape != VT_SHAPE_ADDR_STREAM || !is_capturing(rule, rule->event->a))
		return false;
	block = rule_find(rule->ref, BY_ADDRESS, rule->event->addr);
	if (!block || block->kind == VT_KIND_GRAPH)
		return true;
	if (!(block->flags & BLOCK_MAYBE_CAPTURED)) {
		end_capture(rule, rule->event->a); /* was lost */
		return false;
	}
	block->kind = VT_KIND_GRAPH;
	block->flags = (uint8_t)((block->flags & ~BLOCK_MAYBE_CAPTURED) | BLOCK_VIRTUAL);
	block->pool = -1;
	block->context = rule_context(rule->ref, rule->event->context);
	rule->ref->maybe_captured--;
	return true;
}

/* --- pools ----------------------------------------------------------------------------------------------------------------- */

int rule_pool(const struct ref *ref, uint64_t handle)
{
	for (int i = 0; handle && i < ref->pool_count; i++) {
		if (!ref->pools[i].shown.ended && ref->pools[i].shown.handle == handle)
			return i;
	}
	return -1;
}

static void end_pool(const struct rule *rule, uint64_t before_ns)
{
	int pool = rule_pool(rule->ref, rule->event->addr);
	struct pool *shown = pool < 0 ? NULL : &rule->ref->pools[pool].shown;

	if (!shown || shown->made_ns > before_ns)
		return;
	shown->ended = true;
	shown->reserved_known = shown->used_known = false;
}

static void new_pool(const struct rule *rule, uint64_t location, uint64_t type)
{
	struct ref_pool *pool = &rule->ref->pools[rule->ref->pool_count++];
	struct ref_block at = { .placement = PLACEMENT_VRAM, .where = -1 };

	CHECK(rule->ref->pool_count < REF_POOLS);
	if (location)
		rule_locate(rule->ref, location, &at);
	else /* imported */
		at.where = rule_where_of_context(rule->ref, rule->event->context);
	if (type == VT_MEMORY_MANAGED)
		at.placement = PLACEMENT_MIGRATABLE;
	*pool = (struct ref_pool) { .where = at.where };
	pool->shown.handle = rule->event->addr;
	pool->shown.made_ns = rule->event->time_ns;
	pool->shown.placement = (uint8_t)at.placement;
}

static void tell_pool(const struct rule *rule)
{
	const struct event *event = rule->event;

	if (rule_pool(rule->ref, event->addr) >= 0)
		return;
	if (rule->row->shape == VT_SHAPE_OUT_LOCATION)
		new_pool(rule, event->a, event->b);
	else
		new_pool(rule, VT_LOCATION_DEVICE | event->a << 32, 0);
}

static void change_pool(const struct rule *rule)
{
	int found = rule_pool(rule->ref, rule->event->addr);
	struct pool *pool = found < 0 ? NULL : &rule->ref->pools[found].shown;

	if (!pool)
		return;
	if (rule->row->op == VT_OP_POOL_TRIM) {
		pool->reserved_known = false;
	} else if (rule->event->a == VT_POOL_RESERVED) {
		pool->reserved_known = true;
		pool->reserved = rule->event->size;
	} else if (rule->event->a == VT_POOL_USED) {
		pool->used_known = true;
		pool->used = rule->event->size;
	}
}

static void new_node(const struct rule *rule)
{
	struct ref_block block = rule_block(rule, VT_KIND_GRAPH);

	block.flags = BLOCK_VIRTUAL;
	if (rule->event->b == VT_NODE_MEM_ALLOC)
		rule_alloc(rule, &block);
}

static void new_stream(const struct rule *rule)
{
	struct ref *ref = rule->ref;
	uint64_t stream = rule->event->addr;

	drop_pair(ref->streams, &ref->stream_count, stream);
	drop_pair(ref->captures, &ref->capture_count, stream); /* that one's end was lost */
	if (rule->event->context)
		set_pair(ref->streams, &ref->stream_count, stream, rule->event->context);
}

void rule_stream(const struct rule *rule)
{
	const struct event *event = rule->event;
	struct ref *ref = rule->ref;

	switch (rule->row->op) {
	case VT_OP_POOL_NEW:
	case VT_OP_IMPORT:
		end_pool(rule, UINT64_MAX);
		new_pool(rule, rule->row->op == VT_OP_POOL_NEW ? event->a : 0, event->b >> 32);
		break;
	case VT_OP_POOL_OF:
		tell_pool(rule);
		break;
	case VT_OP_POOL_END:
		end_pool(rule, event->enter_ns);
		break;
	case VT_OP_POOL_TRIM:
	case VT_OP_POOL_VALUE:
		change_pool(rule);
		break;
	case VT_OP_STREAM_NEW:
		new_stream(rule);
		break;
	case VT_OP_STREAM_END:
		drop_pair(ref->streams, &ref->stream_count, event->addr);
		drop_pair(ref->captures, &ref->capture_count, event->addr);
		break;
	case VT_OP_CAPTURE_BEGIN:
		set_pair(ref->captures, &ref->capture_count, capture_key(rule, event->addr), event->context);
		break;
	case VT_OP_CAPTURE_END:
		if (event->kind != EVENT_FAILED || event->result != WRONG_THREAD)
			end_capture(rule, event->addr);
		break;
	case VT_OP_NODE:
		new_node(rule);
		break;
	default:
		break;
	}
}
