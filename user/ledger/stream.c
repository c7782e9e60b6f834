/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "ledger/books.h"
#include "probe/table.h"

/* Pools, streams and what is captured into graphs. */

#define POOLS_MAX 4096
#define STREAMS_MAX 65536   /* more are taken for streams of the current context */
#define PER_THREAD_STREAM 2 /* CU_STREAM_PER_THREAD */
#define NO_CONTEXT 1
#define WRONG_THREAD 908 /* CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD: the capture goes on */

struct streams {
	struct map contexts; /* stream -> its context, as a pointer */
	struct map captures; /* capture_key() -> the context that was current, as a pointer; none: NO_CONTEXT */
	struct map pools;    /* handle -> 1 + index into process->pools */
};

static struct streams *streams_find(const struct process *process)
{
	return own_of(process)->streams;
}

static struct streams *streams_make(struct process *process)
{
	struct own *own = own_of(process);

	if (own->streams)
		return own->streams;
	own->streams = calloc(1, sizeof(*own->streams));
	if (!own->streams)
		return NULL;
	map_init(&own->streams->contexts);
	map_init(&own->streams->captures);
	map_init(&own->streams->pools);
	return own->streams;
}

void streams_fini(struct process *process)
{
	struct streams *streams = streams_find(process);

	for (size_t i = 0; i < process->pool_count; i++)
		process->pools[i].ended = true;
	if (!streams)
		return;
	map_fini(&streams->contexts);
	map_fini(&streams->captures);
	map_fini(&streams->pools);
	free(streams);
	own_of(process)->streams = NULL;
}

static void out_of_memory(const struct call *call)
{
	ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
}

static bool is_per_thread(const struct call *call, uint64_t stream)
{
	const char *symbol = call->row->symbol;
	size_t length = strlen(symbol);

	if (stream == PER_THREAD_STREAM)
		return true;
	return !stream && length > 5 && !strcmp(symbol + length - 5, "_ptsz");
}

/* A thread's default stream is another one in each thread. */
static uint64_t capture_key(const struct call *call, uint64_t stream)
{
	if (stream <= PER_THREAD_STREAM && is_per_thread(call, stream))
		return (uint64_t)call->event->tid << 2 | PER_THREAD_STREAM;
	return stream;
}

static bool is_capturing(const struct call *call, uint64_t stream)
{
	const struct streams *streams = streams_find(call->process);

	return streams && streams->captures.count && map_get(&streams->captures, capture_key(call, stream));
}

static struct pool *pool_find(const struct process *process, uint64_t handle)
{
	const struct streams *streams = streams_find(process);
	size_t found = streams ? (uintptr_t)map_get(&streams->pools, handle) : 0;

	return found ? &process->pools[found - 1] : NULL;
}

static void too_many(const struct call *call)
{
	ledger_lose(call->ledger, call->process, call->event, LOST_LIMIT, 1);
}

/* Where a new pool is kept: where there are as many as we keep, that of one that has ended. NULL: none, or out of memory; told. */
static struct pool *pool_room(const struct call *call)
{
	struct process *process = call->process;
	struct pool *grown;

	for (size_t i = 0; process->pool_count >= POOLS_MAX && i < process->pool_count; i++) {
		if (process->pools[i].ended && !process->pools[i].live.count)
			return &process->pools[i];
	}
	if (process->pool_count >= POOLS_MAX) {
		too_many(call); /* memory from it is taken for its context's device's */
		return NULL;
	}
	grown = reallocarray(process->pools, process->pool_count + 1, sizeof(*grown));
	if (!grown) {
		out_of_memory(call);
		return NULL;
	}
	process->pools = grown;
	grown[process->pool_count] = (struct pool) { .ended = true };
	return &grown[process->pool_count++];
}

/* No pool of that handle is known. NULL: too many, or out of memory; told. */
static struct pool *pool_add(const struct call *call, uint64_t handle)
{
	struct streams *streams = streams_make(call->process);
	struct pool *pool = pool_room(call);
	uintptr_t index;

	if (!pool)
		return NULL;
	index = (uintptr_t)(pool - call->process->pools) + 1;
	if (!streams || map_put(&streams->pools, handle, (void *)index, NULL)) {
		out_of_memory(call);
		return NULL;
	}
	*pool = (struct pool) { .handle = handle, .made_ns = call->event->time_ns, .placement = PLACEMENT_VRAM };
	return pool;
}

/* What had that handle before before_ns: blocks of it stay (H100). */
static void pool_end(const struct call *call, uint64_t handle, uint64_t before_ns)
{
	struct pool *pool = pool_find(call->process, handle);

	if (!pool || pool->made_ns > before_ns)
		return;
	pool->ended = true;
	pool->reserved_known = pool->used_known = false;
	map_del(&streams_find(call->process)->pools, handle);
}

static void pool_place(const struct call *call, struct pool *pool, uint64_t location, uint64_t type)
{
	struct block at = { .place = 0 };

	place_of_location(call, location, &at);
	pool->placement = (uint8_t)(type == VT_MEMORY_MANAGED ? PLACEMENT_MIGRATABLE : at.placement);
	pool->place = at.place;
}

static void pool_made(const struct call *call)
{
	struct pool *pool;

	if (!call->event->addr)
		return;
	pool_end(call, call->event->addr, UINT64_MAX); /* its end is still to be told, or was lost */
	pool = pool_add(call, call->event->addr);
	if (!pool)
		return;
	if (call->row->op == VT_OP_POOL_NEW)
		pool_place(call, pool, call->event->a, call->event->b >> 32);
	else /* imported: only memory of a device is exported */
		pool->place = place_of_context(call, call->event->context);
}

/* The program was told which pool is a device's. */
static void pool_told(const struct call *call)
{
	struct pool *pool = pool_find(call->process, call->event->addr);
	uint64_t location = call->event->a, type = call->event->b;

	if (!call->event->addr || pool)
		return;
	if (call->row->shape != VT_SHAPE_OUT_LOCATION)
		location = VT_LOCATION_DEVICE | location << 32;
	pool = pool_add(call, call->event->addr);
	if (pool)
		pool_place(call, pool, location, type);
}

static void pool_value(const struct call *call)
{
	struct pool *pool = pool_find(call->process, call->event->addr);

	if (!pool)
		return;
	if (call->event->a == VT_POOL_RESERVED) {
		pool->reserved = call->event->size;
		pool->reserved_known = true;
	} else if (call->event->a == VT_POOL_USED) {
		pool->used = call->event->size;
		pool->used_known = true;
	}
}

static void pool_trimmed(const struct call *call)
{
	struct pool *pool = pool_find(call->process, call->event->addr);

	if (pool)
		pool->reserved_known = false;
}

static void stream_made(const struct call *call)
{
	struct streams *streams = streams_make(call->process);
	uint64_t context = call->event->context;

	if (!streams) {
		out_of_memory(call);
		return;
	}
	map_del(&streams->contexts, call->event->addr);
	map_del(&streams->captures, call->event->addr); /* of one that had the handle before: its end was lost */
	if (!call->event->addr || !context)
		return;
	if (streams->contexts.count >= STREAMS_MAX)
		too_many(call);
	else if (map_put(&streams->contexts, call->event->addr, (void *)(uintptr_t)context, NULL))
		out_of_memory(call);
}

static void capture_begun(const struct call *call)
{
	struct streams *streams = streams_make(call->process);
	uintptr_t context = call->event->context ? call->event->context : NO_CONTEXT;

	if (streams && streams->captures.count >= STREAMS_MAX)
		too_many(call);
	else if (!streams || map_put(&streams->captures, capture_key(call, call->event->addr), (void *)context, NULL))
		out_of_memory(call);
}

static void capture_ended(const struct call *call)
{
	struct streams *streams = streams_find(call->process);
	bool goes_on = call->event->kind == EVENT_FAILED && call->event->result == WRONG_THREAD;

	if (streams && !goes_on)
		map_del(&streams->captures, capture_key(call, call->event->addr));
}

static void stream_ended(const struct call *call)
{
	struct streams *streams = streams_find(call->process);

	if (!streams)
		return;
	map_del(&streams->contexts, call->event->addr);
	map_del(&streams->captures, call->event->addr);
}

/* Whatever stands for that context goes. Without memory for that it stays. */
static void forget_context(struct map *map, uint64_t context)
{
	struct map kept;
	const struct map_slot *slot;
	size_t left = 0;

	for (size_t i = 0; (slot = map_next(map, &i));)
		left += (uintptr_t)slot->value != context;
	if (left == map->count)
		return;
	map_init(&kept);
	for (size_t i = 0; (slot = map_next(map, &i));) {
		if ((uintptr_t)slot->value == context || map_put(&kept, slot->key, slot->value, NULL) == 0)
			continue;
		map_fini(&kept);
		return;
	}
	map_fini(map);
	*map = kept;
}

void stream_context_ended(struct process *process, uint64_t context)
{
	struct streams *streams = streams_find(process);

	if (!streams)
		return;
	forget_context(&streams->contexts, context);
	forget_context(&streams->captures, context);
}

static void node_made(const struct call *call)
{
	struct block block = {
		.addr = call->event->addr,
		.size = call->event->size,
		.alloc_ns = call->event->time_ns,
		.caller = call->caller,
		.kind = VT_KIND_GRAPH,
		.placement = PLACEMENT_VRAM,
		.place = place_of_context(call, call->event->context),
		.context = context_number(call, call->event->context),
		.flags = BLOCK_VIRTUAL,
	};

	if (call->event->b == VT_NODE_MEM_ALLOC)
		call_alloc(call, KEY_ADDRESS, &block);
}

static void graph_kept(const struct call *call)
{
	uint16_t place = place_of_ordinal(call, (int)call->event->addr);
	struct place *at = &call->process->places[place];

	if (!place)
		return;
	if (call->row->op == VT_OP_GRAPH_TRIM) {
		at->graph_known = false;
	} else if (call->event->a == VT_GRAPH_RESERVED) {
		at->graph_reserved = call->event->size;
		at->graph_known = true;
	}
}

void stream_apply(const struct call *call)
{
	switch (call->row->op) {
	case VT_OP_POOL_NEW:
	case VT_OP_IMPORT:
		pool_made(call);
		break;
	case VT_OP_POOL_OF:
		pool_told(call);
		break;
	case VT_OP_POOL_END:
		pool_end(call, call->event->addr, call->event->enter_ns);
		break;
	case VT_OP_POOL_TRIM:
		pool_trimmed(call);
		break;
	case VT_OP_POOL_VALUE:
		pool_value(call);
		break;
	case VT_OP_STREAM_NEW:
		stream_made(call);
		break;
	case VT_OP_STREAM_END:
		stream_ended(call);
		break;
	case VT_OP_CAPTURE_BEGIN:
		capture_begun(call);
		break;
	case VT_OP_CAPTURE_END:
		capture_ended(call);
		break;
	case VT_OP_NODE:
		node_made(call);
		break;
	case VT_OP_GRAPH_TRIM:
	case VT_OP_GRAPH_VALUE:
		graph_kept(call);
		break;
	default:
		break;
	}
}

void stream_entered(struct process *process, const struct block *block)
{
	if (!block->pool)
		return;
	process->pools[block->pool - 1].live.bytes += block->size;
	process->pools[block->pool - 1].live.count++;
}

void stream_left(struct process *process, const struct block *block)
{
	if (!block->pool)
		return;
	process->pools[block->pool - 1].live.bytes -= block->size;
	process->pools[block->pool - 1].live.count--;
}

/* The device that a stream-ordered allocation takes from: that of its pool, else of its stream's context. */
static void place_block(const struct call *call, const struct streams *streams, struct block *block)
{
	const struct pool *pool = call->event->b ? pool_find(call->process, call->event->b) : NULL;
	uint64_t context = 0;

	if (pool) {
		block->placement = (enum placement)pool->placement;
		block->place = pool->place;
		block->pool = (uint16_t)(pool - call->process->pools + 1);
		return;
	}
	if (call->event->a > PER_THREAD_STREAM)
		context = (uintptr_t)map_get(&streams->contexts, call->event->a);
	if (context)
		block->place = place_of_context(call, context);
}

void stream_place(const struct call *call, struct block *block)
{
	const struct streams *streams = streams_find(call->process);

	if (!streams)
		return;
	place_block(call, streams, block);
	if (is_capturing(call, call->event->a)) {
		block->kind = VT_KIND_GRAPH;
		block->flags |= BLOCK_VIRTUAL;
		block->pool = 0;
	} else if (streams->captures.count && block->addr && block->size) {
		block->flags |= BLOCK_MAYBE_CAPTURED;
		call->process->maybe_captured++;
	}
}

/* It stands in no total any more. */
static void turn_into_graph(const struct call *call, struct block *block)
{
	const struct block was = *block;

	block->kind = VT_KIND_GRAPH;
	block->pool = 0;
	block->context = context_number(call, call->event->context);
	block->flags = (uint8_t)((block->flags & ~BLOCK_MAYBE_CAPTURED) | BLOCK_VIRTUAL);
	if (books_change(call->process, KEY_ADDRESS, block) < 0) {
		out_of_memory(call);
		return;
	}
	stream_left(call->process, &was);
	call->process->maybe_captured--;
}

/*
 * In a capture only an address of the graph can be freed (H100: of other memory error 1). So one that may have been captured was; and where
 * it is memory after all, the capture has ended, and its end was lost.
 */
bool stream_free(const struct call *call)
{
	struct block block;

	if (call->row->kind == VT_KIND_GRAPH)
		return true;
	if (call->row->shape != VT_SHAPE_ADDR_STREAM || !is_capturing(call, call->event->a))
		return false;
	if (!books_get(call->process, KEY_ADDRESS, call->event->addr, &block) || block.kind == VT_KIND_GRAPH)
		return true;
	if (block.flags & BLOCK_MAYBE_CAPTURED) {
		turn_into_graph(call, &block);
		return true;
	}
	map_del(&streams_find(call->process)->captures, capture_key(call, call->event->a));
	return false;
}
