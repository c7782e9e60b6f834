/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/table.h"
#include "vramtrace/probe.h"
#include "world.h"

#define BY_ADDRESS_SORTS (~(1u << SORT_ARRAY | 1u << SORT_VMM | 1u << SORT_EXTERNAL))
#define UNKNOWN_ADDRESS 0x123400000000ull

static const struct row {
	enum sort sort;
	int driver, runtime;
} alloc_rows[] = {
	{ SORT_DEVICE, VT_PROBE_cuMemAlloc_v2, VT_PROBE_cudaMalloc },
	{ SORT_DEVICE, VT_PROBE_cuMemAllocPitch_v2, VT_PROBE_cudaMallocPitch },
	{ SORT_MANAGED, VT_PROBE_cuMemAllocManaged, VT_PROBE_cudaMallocManaged },
	{ SORT_PINNED, VT_PROBE_cuMemHostAlloc, VT_PROBE_cudaHostAlloc },
	{ SORT_REGISTERED, VT_PROBE_cuMemHostRegister_v2, VT_PROBE_cudaHostRegister },
	{ SORT_ARRAY, VT_PROBE_cuArray3DCreate_v2, VT_PROBE_cudaMalloc3DArray },
	{ SORT_ARRAY, VT_PROBE_cuMipmappedArrayCreate, VT_PROBE_cudaMallocMipmappedArray },
	{ SORT_NODE, VT_PROBE_cuGraphAddMemAllocNode, VT_PROBE_cudaGraphAddMemAllocNode },
	{ SORT_NODE, VT_PROBE_cuGraphAddNode_v2, NONE },
};
#define ALLOC_ROWS (sizeof(alloc_rows) / sizeof(alloc_rows[0]))

static const struct row free_rows[SORT_COUNT] = {
	[SORT_DEVICE] = { SORT_DEVICE, VT_PROBE_cuMemFree_v2, VT_PROBE_cudaFree },
	[SORT_MANAGED] = { SORT_MANAGED, VT_PROBE_cuMemFree_v2, VT_PROBE_cudaFree },
	[SORT_PINNED] = { SORT_PINNED, VT_PROBE_cuMemFreeHost, VT_PROBE_cudaFreeHost },
	[SORT_REGISTERED] = { SORT_REGISTERED, VT_PROBE_cuMemHostUnregister, VT_PROBE_cudaHostUnregister },
	[SORT_ARRAY] = { SORT_ARRAY, VT_PROBE_cuArrayDestroy, VT_PROBE_cudaFreeArray },
	[SORT_NODE] = { SORT_NODE, VT_PROBE_cuMemFree_v2, VT_PROBE_cudaFree },
	[SORT_POOL] = { SORT_POOL, VT_PROBE_cuMemFree_v2, VT_PROBE_cudaFree },
	[SORT_IPC] = { SORT_IPC, VT_PROBE_cuIpcCloseMemHandle, VT_PROBE_cudaIpcCloseMemHandle },
	[SORT_POOL_POINTER] = { SORT_POOL_POINTER, VT_PROBE_cuMemFree_v2, VT_PROBE_cudaFree },
	[SORT_BUFFER] = { SORT_BUFFER, VT_PROBE_cuMemFree_v2, VT_PROBE_cudaFree },
	[SORT_EXTERNAL] = { SORT_EXTERNAL, VT_PROBE_cuDestroyExternalMemory, VT_PROBE_cudaDestroyExternalMemory },
};

/* --- allocations ----------------------------------------------------------------------------------------------------------- */

bool world_alloc(struct program *program)
{
	const struct row *row = &alloc_rows[roll(ALLOC_ROWS)];
	struct event event = { .kind = EVENT_ALLOC, .size = 1 + roll(1 << 20) };
	int context = world_context(program);
	struct item *item;

	if (context == NONE || !world_rows(&event, row->driver, row->runtime))
		return false;
	event.addr = world_unused(program, row->sort == SORT_ARRAY ? 1u << SORT_ARRAY : BY_ADDRESS_SORTS);
	item = world_item(program, &event);
	if (!item)
		return false;
	if (row->sort == SORT_ARRAY && chance(10)) /* of a format that we do not know */
		event.size = item->size = 0;
	if (row->sort == SORT_ARRAY && chance(30))
		event.a = chance(50) ? VT_ARRAY_SPARSE : VT_ARRAY_DEFERRED;
	if (row->driver == VT_PROBE_cuGraphAddNode_v2) {
		event.kind = EVENT_DONE;
		event.b = VT_NODE_MEM_ALLOC;
	}
	item->sort = row->sort;
	item->context = context;
	item->ordinal = program->contexts[context].ordinal;
	item->is_virtual = row->sort == SORT_NODE || event.a;
	item->is_host = row->sort == SORT_PINNED || row->sort == SORT_REGISTERED;
	item->is_migratable = row->sort == SORT_MANAGED;
	event.context = program->contexts[context].handle;
	world_tell(program, &event);
	return true;
}

/* A stream of the program, the thread's own if it is one of these; NULL: none now. */
static struct world_stream *pick_stream(struct program *program)
{
	struct world_stream *stream = &program->streams[roll(STREAMS)];

	if (!stream->alive || (stream->context != NONE && program->contexts[stream->context].busy))
		return NULL;
	if (stream->thread == NONE)
		return stream;
	if (program->threads[stream->thread].active)
		return NULL;
	program->thread = stream->thread;
	return stream;
}

/* The default stream of a thread is named in two ways. */
static bool stream_rows(struct event *event, const struct world_stream *stream, const int rows[4])
{
	bool is_twin = stream && stream->thread != NONE && chance(50);

	event->a = !stream || is_twin ? 0 : stream->handle;
	return world_rows(event, rows[is_twin ? 2 : 0], rows[is_twin ? 3 : 1]);
}

static const int async_rows[] = { VT_PROBE_cuMemAllocAsync, VT_PROBE_cudaMallocAsync, VT_PROBE_cuMemAllocAsync_ptsz,
				  VT_PROBE_cudaMallocAsync_ptsz };
static const int from_pool_rows[] = { VT_PROBE_cuMemAllocFromPoolAsync, VT_PROBE_cudaMallocFromPoolAsync,
				      VT_PROBE_cuMemAllocFromPoolAsync_ptsz, VT_PROBE_cudaMallocFromPoolAsync_ptsz };

/* Which device it is on says the pool, else the stream, else the thread's context. */
static void place_async(struct program *program, struct item *item, const struct world_stream *stream, int current)
{
	const struct world_pool *pool = item->pool == NONE ? NULL : &program->pools[item->pool];
	int context = stream && stream->context != NONE && stream->thread == NONE ? stream->context : current;

	item->ordinal = pool ? pool->ordinal : program->contexts[context].ordinal;
	item->is_host = pool && pool->is_host;
	item->is_migratable = pool && pool->is_migratable;
	item->context = NONE;
	if (stream && stream->captures) {
		item->is_virtual = true;
		item->context = current;
	} else if (world_captures(program)) {
		item->maybe_captured = true;
		item->is_captured = chance(50);
	}
}

static int pick_pool(const struct program *program)
{
	int pool = (int)roll(POOLS);
	const struct world_pool *picked = &program->pools[pool];

	return picked->alive && !picked->busy && !picked->is_import ? pool : NONE;
}

bool world_alloc_async(struct program *program)
{
	struct event event = { .kind = EVENT_ALLOC, .size = 1 + roll(1 << 20) };
	struct world_stream *stream = chance(75) ? pick_stream(program) : NULL;
	int context = world_context(program), pool = chance(50) ? pick_pool(program) : NONE;
	struct item *item;

	/* Without the driver's calls nobody knows of which context a stream is. */
	if (stream && !model.driver_probed && stream->context != NONE)
		context = stream->context;
	if (context == NONE || !stream_rows(&event, stream, pool == NONE ? async_rows : from_pool_rows))
		return false;
	event.addr = world_unused(program, BY_ADDRESS_SORTS);
	item = world_item(program, &event);
	if (!item)
		return false;
	item->sort = SORT_POOL;
	item->pool = pool;
	place_async(program, item, stream, context);
	if (model.losses != LOSES_NOTHING && chance(3)) /* one that nobody has told of, or that is gone */
		event.a = MADE_STREAMS + 16 * roll(STREAM_HANDLES);
	event.b = pool == NONE ? 0 : program->pools[pool].handle;
	event.context = program->contexts[context].handle;
	world_tell(program, &event);
	return true;
}

/* --- frees ----------------------------------------------------------------------------------------------------------------- */

static void take_item(struct program *program, struct thread *thread)
{
	struct item *item = &program->items[thread->index];

	item->busy = false;
	program->overtaken += item->opens > 1; /* where the address is in use again before both closings are told */
	if (item->opens > 1)
		item->opens--;
	else
		item->used = false;
}

static void keep_item(struct program *program, struct thread *thread)
{
	program->items[thread->index].busy = false;
}

static const int free_async_rows[] = { VT_PROBE_cuMemFreeAsync, VT_PROBE_cudaFreeAsync, VT_PROBE_cuMemFreeAsync_ptsz,
				       VT_PROBE_cudaFreeAsync_ptsz };

bool world_free(struct program *program)
{
	struct event event = { .kind = EVENT_FREE };
	struct item *item = world_pick(program, ~(1u << SORT_VMM));
	struct world_stream *stream = NULL;
	struct thread *thread;
	int context = world_context(program);

	if (!item)
		return false;
	if ((1u << item->sort & (1u << SORT_POOL | 1u << SORT_NODE | 1u << SORT_POOL_POINTER)) && chance(60)) {
		stream = pick_stream(program);
		if (!stream || stream->captures || !stream_rows(&event, stream, free_async_rows))
			return false;
	} else if (!world_rows(&event, free_rows[item->sort].driver, free_rows[item->sort].runtime)) {
		return false;
	}
	event.addr = item->addr;
	event.context = context == NONE ? 0 : program->contexts[context].handle;
	thread = world_enter(program, &event, EVENT_FREE_FAILED);
	thread->take = take_item;
	thread->undo = keep_item;
	thread->index = (int)(item - program->items);
	thread->context = item->context;
	item->busy = true;
	if (stream) {
		thread->stream = (int)(stream - program->streams);
		stream->frees++;
	}
	return true;
}

/* In a capture only an address of the graph can be freed; that it is one may be news. */
bool world_free_captured(struct program *program)
{
	struct event event = { .kind = EVENT_FREE };
	struct world_stream *stream = pick_stream(program);
	struct item *item = world_pick(program, 1u << SORT_POOL | 1u << SORT_NODE);
	int context = world_context(program);

	if (!stream || !stream->captures || !item || context == NONE || (!item->is_virtual && !item->is_captured))
		return false;
	if (!stream_rows(&event, stream, free_async_rows))
		return false;
	/* An end that is still to be told would take it for older than it is in that context. */
	if (!item->is_virtual && world_ends_context(program))
		return false;
	if (!item->is_virtual) {
		item->is_virtual = true;
		item->context = context;
		item->maybe_captured = item->is_captured = false;
	}
	event.addr = item->addr;
	event.context = program->contexts[context].handle;
	world_tell(program, &event);
	return true;
}

/* --- managed --------------------------------------------------------------------------------------------------------------- */

static bool tell_range(struct program *program, struct event *event)
{
	static const uint64_t locations[] = { VT_LOCATION_DEVICE, VT_LOCATION_DEVICE, VT_LOCATION_HOST,
					      VT_LOCATION_HOST_NUMA, 0 };
	struct item *item = world_pick(program, chance(95) ? 1u << SORT_MANAGED : 1u << SORT_DEVICE);

	if (!item)
		return false;
	event->kind = EVENT_DONE;
	event->addr = item->addr;
	event->size = item->size;
	if (chance(30)) { /* a part of it */
		event->addr += chance(50) ? roll(item->size) : 0;
		event->size = chance(50) ? 1 : item->size;
	}
	event->a = locations[roll(5)];
	if (event->a == VT_LOCATION_DEVICE)
		event->a |= roll((uint64_t)model.gpu_count) << 32;
	world_tell(program, event);
	return true;
}

bool world_advise(struct program *program)
{
	struct event event = { .b = 1 + roll(6) };

	if (chance(50))
		event.b = 3;
	return world_rows(&event, VT_PROBE_cuMemAdvise_v2, NONE) && tell_range(program, &event);
}

bool world_prefetch(struct program *program)
{
	struct event event = { .kind = EVENT_DONE };

	return world_rows(&event, VT_PROBE_cuMemPrefetchAsync_v2, NONE) && tell_range(program, &event);
}

/* --- calls that change nothing --------------------------------------------------------------------------------------------- */

bool world_zero(struct program *program)
{
	const struct row *row = &alloc_rows[roll(ALLOC_ROWS - 1)];
	struct event event = { .kind = EVENT_ALLOC };

	if (row->sort == SORT_ARRAY || !world_rows(&event, row->driver, row->runtime))
		return false;
	if (chance(30)) { /* cuMemAllocAsync leaves the address as it was */
		world_rows(&event, VT_PROBE_cuMemAllocAsync, VT_PROBE_cudaMallocAsync);
		event.addr = world_address((int)roll(ADDRESSES));
	}
	if (chance(5))
		event.row = event.outer_row = VT_PROBE_cudaMallocAsync;
	world_tell(program, &event);
	return true;
}

bool world_unmatched(struct program *program)
{
	const struct row *row = &free_rows[roll(SORT_COUNT)];
	struct event event = { .kind = EVENT_FREE, .addr = UNKNOWN_ADDRESS + roll(100) };

	if (!row->driver) { /* of physical memory */
		if (!world_rows(&event, VT_PROBE_cuMemRelease, NONE))
			return false;
		event.kind = EVENT_DONE;
	} else if (!world_rows(&event, row->driver, row->runtime)) {
		return false;
	}
	program->unmatched++;
	world_tell(program, &event);
	return true;
}

/* Of something else than what stands there, as far as anybody has told. */
bool world_wrong_free(struct program *program)
{
	const struct row *row = &free_rows[roll(SORT_COUNT)];
	const struct item *item = world_pick(program, ~0u);
	struct event event = { .kind = EVENT_FREE };

	if (model.losses == LOSES_NOTHING || !item || !row->driver || !world_rows(&event, row->driver, row->runtime))
		return false;
	event.addr = item->addr;
	world_tell(program, &event);
	return true;
}

/* Something that was told before, as if in between things had been lost. */
bool world_again(struct program *program)
{
	struct event event = program->past;

	if (model.losses == LOSES_NOTHING || !event.tgid)
		return false;
	event.enter_ns = chance(50) ? 0 : event.enter_ns;
	world_tell(program, &event);
	return true;
}

bool world_null(struct program *program)
{
	const struct row *row = &free_rows[roll(SORT_POOL)];
	struct event event = { .kind = EVENT_FREE };

	if (!world_rows(&event, row->driver, row->runtime))
		return false;
	world_tell(program, &event);
	return true;
}

bool world_fail(struct program *program)
{
	static const struct {
		int driver, runtime;
		enum event_kind kind;
	} rows[] = {
		{ VT_PROBE_cuMemAlloc_v2, VT_PROBE_cudaMalloc, EVENT_ALLOC_FAILED },
		{ VT_PROBE_cuMemAllocManaged, VT_PROBE_cudaMallocManaged, EVENT_ALLOC_FAILED },
		{ VT_PROBE_cuMemHostAlloc, VT_PROBE_cudaHostAlloc, EVENT_ALLOC_FAILED },
		{ VT_PROBE_cuMemHostRegister_v2, VT_PROBE_cudaHostRegister, EVENT_ALLOC_FAILED },
		{ VT_PROBE_cuMemAllocAsync, VT_PROBE_cudaMallocAsync, EVENT_ALLOC_FAILED },
		{ VT_PROBE_cuArray3DCreate_v2, VT_PROBE_cudaMalloc3DArray, EVENT_ALLOC_FAILED },
		{ VT_PROBE_cuGraphAddMemAllocNode, VT_PROBE_cudaGraphAddMemAllocNode, EVENT_ALLOC_FAILED },
		{ VT_PROBE_cuMemCreate, NONE, EVENT_ALLOC_FAILED },
		{ VT_PROBE_cuMemMap, NONE, EVENT_FAILED },
		{ VT_PROBE_cuMemImportFromShareableHandle, NONE, EVENT_FAILED },
		{ VT_PROBE_cuIpcOpenMemHandle_v2, VT_PROBE_cudaIpcOpenMemHandle, EVENT_FAILED },
		{ VT_PROBE_cuMemPoolImportFromShareableHandle, NONE, EVENT_FAILED },
		{ VT_PROBE_cuMemPoolCreate, VT_PROBE_cudaMemPoolCreate, EVENT_FAILED },
		{ VT_PROBE_cuGraphAddNode_v2, NONE, EVENT_FAILED },
		{ VT_PROBE_cuCtxCreate_v4, NONE, EVENT_FAILED },
		{ VT_PROBE_cuModuleLoadData, NONE, EVENT_FAILED },
		{ VT_PROBE_cuMemExportToShareableHandle, NONE, EVENT_FAILED },
	};
	size_t row = roll(sizeof(rows) / sizeof(rows[0]));
	struct event event = { .kind = rows[row].kind, .size = 1 + roll(1ull << 40) };
	int context = world_context(program);

	if (!world_rows(&event, rows[row].driver, rows[row].runtime))
		return false;
	event.result = chance(70) ? CUDA_OUT_OF_MEMORY : 1;
	event.context = context == NONE ? 0 : program->contexts[context].handle;
	event.b = roll(2) * VT_NODE_MEM_ALLOC;
	world_tell(program, &event);
	return true;
}
