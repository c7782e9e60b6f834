/* SPDX-License-Identifier: Apache-2.0 */
#include "vramtrace/probe.h"
#include "world.h"

/* Contexts, devices, streams, captures, pools. */

#define MADE_CONTEXTS 0xc000ull
#define CONTEXT_HANDLES 9 /* more than contexts */
#define MADE_POOLS 0xe000ull

static bool tell(struct program *program, struct event event)
{
	event.kind = event.result ? EVENT_FAILED : EVENT_DONE;
	world_tell(program, &event);
	return true;
}

/* --- contexts -------------------------------------------------------------------------------------------------------------- */

/* Also that of a primary context that was reset, and has not been released. */
static bool has_context(const struct program *program, uint64_t handle)
{
	bool found = false;

	for (int i = 0; i < CONTEXTS; i++)
		found |= (program->contexts[i].alive || i < GPUS) && program->contexts[i].handle == handle;
	return found;
}

static uint64_t new_handle(const struct program *program)
{
	uint64_t number = roll(CONTEXT_HANDLES);

	while (has_context(program, MADE_CONTEXTS + 16 * number))
		number = (number + 1) % CONTEXT_HANDLES;
	return MADE_CONTEXTS + 16 * number;
}

bool world_context_new(struct program *program)
{
	struct world_context *context = &program->contexts[GPUS + roll(CONTEXTS - GPUS)];
	uint64_t handle = new_handle(program);
	struct event event = { .addr = handle, .a = roll((uint64_t)model.gpu_count) };

	if (context->alive || !world_rows(&event, VT_PROBE_cuCtxCreate_v4, NONE))
		return false;
	*context = (struct world_context) { .alive = true, .handle = handle, .ordinal = (int)event.a };
	event.context = handle;
	return tell(program, event);
}

static void take_context(struct program *program, struct thread *thread)
{
	program->contexts[thread->index].alive = program->contexts[thread->index].busy = false;
	world_context_gone(program, thread->index);
}

static void keep_context(struct program *program, struct thread *thread)
{
	program->contexts[thread->index].busy = false;
}

bool world_context_end(struct program *program)
{
	int index = (int)(GPUS + roll(CONTEXTS - GPUS));
	struct world_context *context = &program->contexts[index];
	struct event event = { .kind = EVENT_DONE, .addr = context->handle };
	struct thread *thread;

	if (!context->alive || context->busy || !world_context_quiet(program, index) ||
	    !world_rows(&event, VT_PROBE_cuCtxDestroy_v2, NONE))
		return false;
	thread = world_enter(program, &event, EVENT_FAILED);
	thread->take = take_context;
	thread->undo = keep_context;
	thread->index = index;
	context->busy = true;
	return true;
}

bool world_ends_context(const struct program *program)
{
	bool any = false;

	for (int i = 0; i < THREADS; i++)
		any |= program->threads[i].active && program->threads[i].event.row == VT_PROBE_cuCtxDestroy_v2;
	return any;
}

static int pick_primary(void)
{
	return (int)roll((uint64_t)model.gpu_count);
}

bool world_retain(struct program *program)
{
	int ordinal = pick_primary();
	struct world_context *context = &program->contexts[ordinal];
	struct event event = { .a = (uint64_t)ordinal };

	if (!world_rows(&event, VT_PROBE_cuDevicePrimaryCtxRetain, NONE))
		return false;
	if (!context->handle)
		context->handle = new_handle(program);
	event.addr = context->handle;
	context->alive = true;
	context->retains++;
	return tell(program, event);
}

bool world_release(struct program *program)
{
	int ordinal = pick_primary();
	struct world_context *context = &program->contexts[ordinal];
	struct event event = { .addr = (uint64_t)ordinal };

	if (!context->retains || !world_context_quiet(program, ordinal) ||
	    !world_rows(&event, VT_PROBE_cuDevicePrimaryCtxRelease_v2, NONE))
		return false;
	context->retains--;
	/* Those that the ledger has not seen still hold a late one. */
	if (!context->retains && !program->is_late) {
		context->alive = false;
		context->handle = 0;
		world_context_gone(program, ordinal);
	}
	return tell(program, event);
}

bool world_reset(struct program *program)
{
	int ordinal = pick_primary();
	struct world_context *context = &program->contexts[ordinal];
	struct event event = { .addr = (uint64_t)ordinal };

	if ((!context->alive && program->is_late) || !world_context_quiet(program, ordinal) ||
	    !world_rows(&event, VT_PROBE_cuDevicePrimaryCtxReset_v2, VT_PROBE_cudaDeviceReset))
		return false;
	if (!context->alive && event.row == VT_PROBE_cudaDeviceReset)
		return false;
	if (event.row == VT_PROBE_cudaDeviceReset)
		event.addr = 0;
	event.context = context->handle;
	program->is_blurred |= program->is_late; /* which context it is may not be known */
	context->retains = 0;
	context->alive = !model.driver_probed;
	world_context_gone(program, ordinal);
	return tell(program, event);
}

bool world_uuid(struct program *program)
{
	int ordinal = pick_primary();
	uint64_t uuid = uuid_of(world_gpu(program, ordinal));
	struct event event = { .addr = (uint64_t)ordinal, .a = uuid, .b = uuid };

	if (!world_rows(&event, VT_PROBE_cuDeviceGetUuid_v2, NONE))
		return false;
	program->told[ordinal] = true;
	return tell(program, event);
}

/* --- streams --------------------------------------------------------------------------------------------------------------- */

static bool has_stream(const struct program *program, uint64_t handle)
{
	bool found = false;

	for (int i = 0; i < STREAMS; i++)
		found |= program->streams[i].alive && program->streams[i].handle == handle;
	return found;
}

bool world_stream_new(struct program *program)
{
	struct world_stream *stream = &program->streams[2 + roll(STREAMS - 2)];
	uint64_t handle = MADE_STREAMS + 16 * roll(STREAM_HANDLES);
	int context = world_context(program);
	struct event event = { .addr = handle };

	if (stream->alive || context == NONE || has_stream(program, handle))
		return false;
	*stream = (struct world_stream) { .alive = true, .handle = handle, .context = context, .thread = NONE };
	event.context = program->contexts[context].handle;
	/* The runtime's call is not probed. */
	return !world_rows(&event, VT_PROBE_cuStreamCreate, NONE) || tell(program, event);
}

bool world_stream_end(struct program *program)
{
	struct world_stream *stream = &program->streams[2 + roll(STREAMS - 2)];
	struct event event = { .addr = stream->handle };

	/* The runtime's call is not probed: a capture that ends so would not be told. */
	if (!stream->alive || stream->frees || (stream->captures && (!model.driver_probed || chance(70))))
		return false;
	stream->alive = stream->captures = false;
	return !world_rows(&event, VT_PROBE_cuStreamDestroy_v2, NONE) || tell(program, event);
}

/* Of a thread's own stream it is the thread itself that does it. */
static bool capture_rows(struct program *program, const struct world_stream *stream, struct event *event,
			 const int rows[4])
{
	bool is_twin = stream->thread != NONE && chance(50);

	if (stream->thread != NONE && program->threads[stream->thread].active)
		return false;
	if (stream->thread != NONE)
		program->thread = stream->thread;
	event->addr = is_twin ? 0 : stream->handle;
	return world_rows(event, rows[is_twin ? 2 : 0], rows[is_twin ? 3 : 1]);
}

bool world_capture_begin(struct program *program)
{
	static const int rows[] = { VT_PROBE_cuStreamBeginCapture_v2, VT_PROBE_cudaStreamBeginCapture,
				    VT_PROBE_cuStreamBeginCapture_v2_ptsz, VT_PROBE_cudaStreamBeginCapture_ptsz };
	struct world_stream *stream = &program->streams[roll(STREAMS)];
	int context = stream->thread == NONE ? stream->context : world_context(program);
	struct event event = { .addr = 0 };

	if (!stream->alive || stream->captures || stream->frees || context == NONE || program->contexts[context].busy ||
	    !capture_rows(program, stream, &event, rows))
		return false;
	stream->captures = true;
	stream->context = context;
	event.context = program->contexts[context].handle;
	return tell(program, event);
}

bool world_capture_end(struct program *program)
{
	static const int rows[] = { VT_PROBE_cuStreamEndCapture, VT_PROBE_cudaStreamEndCapture,
				    VT_PROBE_cuStreamEndCapture_ptsz, VT_PROBE_cudaStreamEndCapture_ptsz };
	static const int results[] = { 0, 0, 0, 901, 904, 908, 2 };
	struct world_stream *stream = &program->streams[roll(STREAMS)];
	struct event event = { .result = results[roll(7)] };

	if (!stream->alive || !stream->captures || !capture_rows(program, stream, &event, rows))
		return false;
	stream->captures = event.result == 908;
	if (stream->thread != NONE && !stream->captures)
		stream->context = NONE;
	return tell(program, event);
}

/* --- pools ----------------------------------------------------------------------------------------------------------------- */

static bool has_pool(const struct program *program, uint64_t handle)
{
	bool found = false;

	for (int i = 0; i < POOLS; i++)
		found |= program->pools[i].alive && program->pools[i].handle == handle;
	return found;
}

/* Made, or another process' opened. */
bool world_pool_new(struct program *program)
{
	struct world_pool *pool = &program->pools[roll(POOLS - GPUS)];
	int context = world_context(program);
	struct event event = { .addr = MADE_POOLS + 16 * roll(6) };
	bool is_import = chance(20);

	if (pool->alive || context == NONE || has_pool(program, event.addr))
		return false;
	if (is_import ? !world_rows(&event, VT_PROBE_cuMemPoolImportFromShareableHandle,
				    VT_PROBE_cudaMemPoolImportFromShareableHandle)
		      : !world_rows(&event, VT_PROBE_cuMemPoolCreate, VT_PROBE_cudaMemPoolCreate))
		return false;
	*pool = (struct world_pool) { .alive = true, .handle = event.addr, .ordinal = pick_primary() };
	pool->is_import = is_import;
	pool->is_host = chance(25);
	pool->is_migratable = chance(15);
	event.context = program->contexts[context].handle;
	if (!is_import) {
		event.a = pool->is_host ? VT_LOCATION_HOST_NUMA : VT_LOCATION_DEVICE | (uint64_t)pool->ordinal << 32;
		event.b = VT_HANDLE_TYPE_FD | (pool->is_migratable ? (uint64_t)VT_MEMORY_MANAGED << 32 : 0);
	}
	return tell(program, event);
}

bool world_pool_of(struct program *program)
{
	int ordinal = pick_primary();
	struct world_pool *pool = &program->pools[POOLS - GPUS + ordinal];
	struct event event = { .addr = pool->handle, .a = (uint64_t)ordinal };
	bool by_location = chance(30);

	if (!world_rows(&event, by_location ? VT_PROBE_cuMemGetDefaultMemPool : VT_PROBE_cuDeviceGetDefaultMemPool,
			NONE))
		return false;
	if (by_location) {
		event.a = VT_LOCATION_DEVICE | event.a << 32;
		event.b = 1; /* CU_MEM_ALLOCATION_TYPE_PINNED */
	}
	pool->alive = true;
	return tell(program, event);
}

static void take_pool(struct program *program, struct thread *thread)
{
	program->pools[thread->index].alive = program->pools[thread->index].busy = false;
}

static void keep_pool(struct program *program, struct thread *thread)
{
	program->pools[thread->index].busy = false;
}

/* What was taken from it stays. */
bool world_pool_end(struct program *program)
{
	int index = (int)roll(POOLS - GPUS);
	struct world_pool *pool = &program->pools[index];
	struct event event = { .kind = EVENT_DONE, .addr = pool->handle };
	struct thread *thread;

	if (!pool->alive || pool->busy || !world_rows(&event, VT_PROBE_cuMemPoolDestroy, VT_PROBE_cudaMemPoolDestroy))
		return false;
	thread = world_enter(program, &event, EVENT_FAILED);
	thread->take = take_pool;
	thread->undo = keep_pool;
	thread->index = index;
	pool->busy = true;
	return true;
}

static bool pool_call(struct program *program, struct event event, int driver_row, int runtime_row)
{
	const struct world_pool *pool = &program->pools[roll(POOLS)];

	event.addr = pool->handle;
	return pool->alive && world_rows(&event, driver_row, runtime_row) && tell(program, event);
}

bool world_pool_value(struct program *program)
{
	struct event event = { .a = 4 + roll(5), .size = roll(1 << 30) };

	return pool_call(program, event, VT_PROBE_cuMemPoolGetAttribute, NONE);
}

bool world_pool_trim(struct program *program)
{
	return pool_call(program, (struct event) { .size = 0 }, VT_PROBE_cuMemPoolTrimTo, VT_PROBE_cudaMemPoolTrimTo);
}

bool world_pool_share(struct program *program)
{
	struct event event = { .a = 1 + roll(UINT32_MAX), .b = VT_HANDLE_TYPE_FD };

	return pool_call(program, event, VT_PROBE_cuMemPoolExportToShareableHandle,
			 VT_PROBE_cudaMemPoolExportToShareableHandle);
}
