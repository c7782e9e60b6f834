/* SPDX-License-Identifier: Apache-2.0 */
/* ledger: pools, streams, and what is captured into graphs. */
#include "ledger_calls.h"

#define C0 0x55d15c79f700
#define C1 0x55d15c8a0000
#define S 0x55d15d000000
#define S2 0x55d15d000100
#define POOL 0x55d15e000000
#define VA 0x7f0000000000
#define LEGACY 1
#define PER_THREAD 2

/* Two devices, GPU 1 and GPU 0 in the process' order, with a primary context each. */
static int setup_devices(void **state)
{
	if (setup(state))
		return -1;
	CALL(10, DONE, cuDeviceGetUuid, .addr = 0, .a = 0x1111111111111111, .b = 0x1111111111111111);
	CALL(10, DONE, cuDeviceGetUuid, .addr = 1, .a = 0x2222222222222222, .b = 0x2222222222222222);
	CALL(10, DONE, cuDevicePrimaryCtxRetain, .addr = C0, .a = 0);
	CALL(10, DONE, cuDevicePrimaryCtxRetain, .addr = C1, .a = 1);
	return 0;
}

static const struct notice *async(uint64_t addr, uint64_t size, uint64_t stream)
{
	CALL(10, ALLOC, cuMemAllocAsync, .addr = addr, .size = size, .a = stream, .context = C0);
	return heard_one(NOTICE_ALLOC);
}

static const struct notice *from_pool(uint64_t addr, uint64_t size, uint64_t pool)
{
	CALL(10, ALLOC, cuMemAllocFromPoolAsync, .addr = addr, .size = size, .b = pool, .context = C0);
	return heard_one(NOTICE_ALLOC);
}

static void free_async(uint64_t addr, uint64_t stream)
{
	CALL(10, FREE, cuMemFreeAsync, .addr = addr, .a = stream, .context = C0);
}

static void pool_new(uint64_t pool, uint64_t location)
{
	CALL(10, DONE, cuMemPoolCreate, .addr = pool, .a = location, .b = VT_HANDLE_TYPE_FD | 1ull << 32);
}

static void stream_new(uint64_t stream, uint64_t context)
{
	CALL(10, DONE, cuStreamCreate, .addr = stream, .context = context);
}

static void capture_begin(uint64_t stream)
{
	CALL(10, DONE, cuStreamBeginCapture_v2, .addr = stream, .context = C0);
}

static void capture_end(uint64_t stream)
{
	CALL(10, DONE, cuStreamEndCapture, .addr = stream, .a = 0x9000, .context = C0);
}

static const struct pool *last_pool(void)
{
	const struct process *process = process_of(10);

	return &process->pools[process->pool_count - 1];
}

static void test_pool_of_a_device(void **state)
{
	const struct notice *notice;

	(void)state;
	pool_new(POOL, ON_GPU(1));
	notice = from_pool(VA, 4 * MB, POOL);
	assert_int_equal(notice->memory_kind, VT_KIND_POOL);
	assert_int_equal(notice->placement, PLACEMENT_VRAM);
	assert_int_equal(notice->gpu->index, 0);
	assert_int_equal(from_pool(VA + 8 * MB, MB, POOL + 8)->gpu->index, 1); /* unknown: of the current context */
	from_pool(VA + 16 * MB, 2 * MB, POOL);
	assert_int_equal(last_pool()->live.bytes, 6 * MB);
	assert_int_equal(last_pool()->live.count, 2);
	mem_free(10, VA);
	assert_int_equal(last_pool()->live.bytes, 2 * MB);
	CALL(10, DONE, cuMemPoolDestroy, .addr = POOL);
	assert_quiet();
	assert_true(last_pool()->ended);
	assert_int_equal(live(10), 3 * MB);
	free_async(VA + 16 * MB, 0);
	assert_int_equal(heard_one(NOTICE_FREE)->gpu->index, 0);
	assert_int_equal(last_pool()->live.count, 0);
	assert_int_equal(process_of(10)->unmatched_frees, 0);
}

static void test_placement_of_pools(void **state)
{
	const struct notice *notice;

	(void)state;
	pool_new(POOL, VT_LOCATION_HOST_NUMA);
	notice = from_pool(VA, MB, POOL);
	assert_int_equal(notice->placement, PLACEMENT_HOST);
	assert_null(notice->gpu);
	CALL(10, DONE, cuMemPoolCreate, .addr = POOL + 8, .a = ON_GPU(1), .b = (uint64_t)VT_MEMORY_MANAGED << 32);
	notice = from_pool(VA + MB, MB, POOL + 8);
	assert_int_equal(notice->placement, PLACEMENT_MIGRATABLE);
	assert_int_equal(notice->gpu->index, 0);
	CALL(10, DONE, cuMemGetMemPool, .addr = POOL + 16, .a = VT_LOCATION_HOST, .b = 1);
	assert_int_equal(from_pool(VA + 2 * MB, MB, POOL + 16)->placement, PLACEMENT_HOST);
	CALL(10, DONE, cuMemGetDefaultMemPool, .addr = POOL + 24, .a = ON_GPU(1), .b = VT_MEMORY_MANAGED);
	assert_int_equal(from_pool(VA + 3 * MB, MB, POOL + 24)->placement, PLACEMENT_MIGRATABLE);
	assert_int_equal(process_of(10)->by_kind[VT_KIND_POOL].live.count, 4);
}

static void test_pool_that_was_told(void **state)
{
	(void)state;
	CALL(10, DONE, cuDeviceGetDefaultMemPool, .addr = POOL, .a = 1);
	CALL(10, DONE, cuDeviceGetMemPool, .addr = POOL, .a = 1);
	assert_int_equal(process_of(10)->pool_count, 1);
	assert_int_equal(from_pool(VA, MB, POOL)->gpu->index, 0);
	CALL(10, DONE, cuMemPoolImportFromShareableHandle, .addr = POOL + 8, .a = 99, .b = VT_HANDLE_TYPE_FD,
	     .context = C1);
	assert_quiet();
	assert_int_equal(process_of(10)->pool_count, 2);
	assert_int_equal(live(10), MB);
}

static void test_values(void **state)
{
	(void)state;
	pool_new(POOL, ON_GPU(0));
	assert_false(last_pool()->reserved_known);
	CALL(10, DONE, cuMemPoolGetAttribute, .addr = POOL, .a = VT_POOL_RESERVED, .size = 32 * MB);
	CALL(10, DONE, cuMemPoolGetAttribute, .addr = POOL, .a = VT_POOL_USED, .size = 5 * MB);
	CALL(10, DONE, cuMemPoolGetAttribute, .addr = POOL, .a = 1, .size = 7);
	CALL(10, DONE, cuMemPoolGetAttribute, .addr = POOL + 8, .a = VT_POOL_USED, .size = 7);
	assert_true(last_pool()->reserved_known && last_pool()->used_known);
	assert_int_equal(last_pool()->reserved, 32 * MB);
	assert_int_equal(last_pool()->used, 5 * MB);
	CALL(10, DONE, cuMemPoolTrimTo, .addr = POOL, .size = 0);
	assert_false(last_pool()->reserved_known);
	assert_true(last_pool()->used_known);
	CALL(10, DONE, cuDeviceGetGraphMemAttribute, .addr = 0, .a = VT_GRAPH_USED, .size = 9);
	CALL(10, DONE, cuDeviceGetGraphMemAttribute, .addr = 1, .a = VT_GRAPH_RESERVED, .size = 64 * MB);
	for (size_t i = 0; i < process_of(10)->place_count; i++) {
		const struct place *place = &process_of(10)->places[i];

		assert_int_equal(place->graph_known, place->ordinal == 1);
		assert_int_equal(place->graph_reserved, place->ordinal == 1 ? 64 * MB : 0);
	}
	CALL(10, DONE, cuDeviceGraphMemTrim, .addr = 1);
	for (size_t i = 0; i < process_of(10)->place_count; i++)
		assert_false(process_of(10)->places[i].graph_known);
}

static void test_pool_handle_again(void **state)
{
	(void)state;
	pool_new(POOL, ON_GPU(0));
	from_pool(VA, MB, POOL);
	now += 1000; /* its end is told after the next pool of that handle */
	CALL(10, DONE, cuMemPoolCreate, .addr = POOL, .a = ON_GPU(1), .enter_ns = now - 5, .time_ns = now);
	CALL(10, DONE, cuMemPoolDestroy, .addr = POOL, .enter_ns = now - 10, .time_ns = now + 5);
	assert_true(process_of(10)->pools[0].ended);
	assert_false(process_of(10)->pools[1].ended);
	now += 1000;
	assert_int_equal(from_pool(VA + MB, 2 * MB, POOL)->gpu->index, 0);
	assert_int_equal(process_of(10)->pools[0].live.bytes, MB);
	assert_int_equal(process_of(10)->pools[1].live.bytes, 2 * MB);
	from_pool(VA, 4 * MB, POOL); /* the address as well: its free is to be told */
	assert_int_equal(process_of(10)->pools[0].live.bytes, 0);
	assert_int_equal(process_of(10)->pools[1].live.bytes, 6 * MB);
	life(EVENT_EXIT, 10);
	assert_int_equal(process_of(10)->pools[1].live.bytes, 0);
	assert_true(process_of(10)->pools[1].ended);
}

static void test_many_pools(void **state)
{
	(void)state;
	pool_new(POOL, ON_GPU(0));
	from_pool(VA, MB, POOL);
	CALL(10, DONE, cuMemPoolDestroy, .addr = POOL);
	for (uint64_t i = 1; i <= 10000; i++) {
		pool_new(POOL + i * 8, VT_LOCATION_HOST);
		assert_int_equal(from_pool(VA + i * MB, MB, POOL + i * 8)->placement, PLACEMENT_HOST);
		free_async(VA + i * MB, 0);
		CALL(10, DONE, cuMemPoolDestroy, .addr = POOL + i * 8);
	}
	assert_true(process_of(10)->pool_count <= 4096);
	assert_int_equal(process_of(10)->lost, 0);
	for (uint64_t i = 1; i <= 5000; i++)
		pool_new(POOL + i * 8, ON_GPU(1));
	assert_int_equal(process_of(10)->pool_count, 4096);
	assert_int_equal(process_of(10)->pools[0].live.bytes, MB);	     /* its block is still there */
	assert_int_equal(from_pool(VA, MB, POOL + 5000 * 8)->gpu->index, 1); /* not known */
	assert_int_equal(ledger_lost_of(ledger, LOST_LIMIT), 5000 - 4095);
}

static void test_device_of_the_stream(void **state)
{
	(void)state;
	stream_new(S, C1);
	assert_int_equal(async(VA, MB, S)->gpu->index, 0); /* though C0 is current */
	assert_int_equal(async(VA + MB, MB, 0)->gpu->index, 1);
	assert_int_equal(async(VA + 2 * MB, MB, PER_THREAD)->gpu->index, 1);
	CALL(10, DONE, cuStreamDestroy_v2, .addr = S);
	assert_int_equal(async(VA + 3 * MB, MB, S)->gpu->index, 1);
	stream_new(S, C1);
	stream_new(S, 0); /* again, and nothing is known of it */
	assert_int_equal(async(VA + 4 * MB, MB, S)->gpu->index, 1);
	/* A context's end leaves memory of pools. */
	stream_new(S, C1);
	CALL(10, DONE, cuDevicePrimaryCtxReset_v2, .addr = 1);
	assert_quiet();
	assert_int_equal(live(10), 5 * MB);
	assert_int_equal(async(VA + 5 * MB, MB, S)->gpu->index, 1); /* its stream is gone */
}

static void test_capture(void **state)
{
	const struct notice *notice;

	(void)state;
	stream_new(S, C1);
	capture_begin(S);
	notice = async(VA, 64 * MB, S);
	assert_int_equal(notice->memory_kind, VT_KIND_GRAPH);
	assert_int_equal(notice->block_flags, BLOCK_VIRTUAL);
	assert_int_equal(notice->size, 0);
	assert_int_equal(notice->requested, 64 * MB);
	assert_int_equal(notice->gpu->index, 0);
	free_async(VA, S);
	assert_quiet();
	alloc(10, VA + 256 * MB, MB); /* not ordered by a stream: memory, or refused */
	assert_int_equal(heard_one(NOTICE_ALLOC)->block_flags, 0);
	assert_true(ledger_complete(ledger, process_of(10)));
	capture_end(S);
	assert_int_equal(live(10), MB);
	assert_int_equal(process_of(10)->virtual.bytes, 64 * MB);
	assert_int_equal(async(VA + 128 * MB, 2 * MB, S)->memory_kind, VT_KIND_POOL);
	free_async(VA, S); /* launched, and given back by the program */
	assert_int_equal(heard_one(NOTICE_FREE)->memory_kind, VT_KIND_GRAPH);
	assert_int_equal(heard_one(NOTICE_FREE)->size, 0);
	assert_int_equal(process_of(10)->virtual.count, 0);
	assert_int_equal(live(10), 3 * MB);
}

/* A stream joins a capture by an event, which we do not see. */
static void test_maybe_captured(void **state)
{
	const struct process *process = process_of(10);

	(void)state;
	capture_begin(S);
	assert_int_equal(async(VA, 2 * MB, S2)->block_flags, BLOCK_MAYBE_CAPTURED);
	assert_int_equal(process->maybe_captured, 1);
	assert_int_equal(live(10), 2 * MB);
	assert_false(ledger_complete(ledger, process));
	pool_new(POOL, ON_GPU(0));
	assert_int_equal(from_pool(VA + 8 * MB, MB, POOL)->block_flags, BLOCK_MAYBE_CAPTURED);
	async(0, 0, S2); /* of nothing, nothing may be captured */
	assert_int_equal(process->maybe_captured, 2);
	free_async(VA + 8 * MB, S); /* in a capture only an address of the graph can be freed */
	assert_quiet();
	assert_int_equal(live(10), 2 * MB);
	assert_int_equal(process->maybe_captured, 1);
	assert_int_equal(process->virtual.bytes, MB);
	assert_int_equal(process->by_kind[VT_KIND_GRAPH].live.count, 1);
	assert_int_equal(last_pool()->live.count, 0);
	free_async(VA, S2);
	assert_int_equal(heard_one(NOTICE_FREE)->size, 2 * MB);
	capture_end(S);
	assert_int_equal(async(VA, MB, S2)->block_flags, 0);
	/* Another process' capture is its own business. */
	CALL(11, ALLOC, cuMemAllocAsync, .addr = VA, .size = MB, .a = S);
	assert_int_equal(heard_one(NOTICE_ALLOC)->memory_kind, VT_KIND_POOL);
}

static void assert_captures(uint64_t stream, bool captures)
{
	static uint64_t addr = VA + (1ull << 40);
	const struct notice *notice = async(addr += MB, MB, stream);

	assert_int_equal(notice->memory_kind, captures ? VT_KIND_GRAPH : VT_KIND_POOL);
	assert_int_equal(notice->block_flags, captures ? BLOCK_VIRTUAL : 0);
}

static void test_ends_of_a_capture(void **state)
{
	(void)state;
	capture_begin(S);
	CALL(10, FAILED, cuStreamEndCapture, .addr = S, .result = 908); /* by another thread: it goes on */
	assert_quiet();
	assert_captures(S, true);
	CALL(10, FAILED, cuStreamEndCapture, .addr = S, .result = 901); /* something had been refused in it */
	assert_quiet();
	assert_captures(S, false);
	CALL(10, DONE, cuStreamBeginCaptureToGraph, .addr = S);
	assert_captures(S, true);
	CALL(10, FAILED, cuStreamDestroy_v2, .addr = S, .result = 400);
	assert_captures(S, true);
	CALL(10, DONE, cuStreamDestroy_v2, .addr = S);
	assert_captures(S, false);
	CALL(10, FAILED, cuStreamBeginCapture_v2, .addr = S, .result = 1);
	assert_captures(S, false);
	capture_begin(S);
	CALL(10, DONE, cudaStreamEndCapture, .addr = S, .a = 0x9000);
	assert_captures(S, false);
}

/* Memory that is freed on a stream: so its capture is over, and that was lost. */
static void test_lost_end_of_a_capture(void **state)
{
	(void)state;
	async(VA, MB, S);
	capture_begin(S);
	free_async(VA, S);
	assert_int_equal(heard_one(NOTICE_FREE)->size, MB);
	assert_int_equal(live(10), 0);
	assert_captures(S, false);
	capture_begin(S);
	stream_new(S, C0); /* the handle names another stream by now */
	assert_captures(S, false);
}

/* The streams of a context in which we saw nothing made go with it, too. */
static void test_end_of_an_unknown_context(void **state)
{
	(void)state;
	stream_new(S, C0 + 16);
	CALL(10, DONE, cuStreamBeginCapture_v2, .addr = S, .context = C0 + 16);
	CALL(10, DONE, cuCtxDestroy_v2, .addr = C0 + 16);
	assert_quiet();
	assert_int_equal(async(VA, MB, S2)->block_flags, 0);
	assert_true(ledger_complete(ledger, process_of(10)));
}

static const struct notice *async_by(uint32_t tid, int row, uint64_t addr, uint64_t stream)
{
	struct event event = { .kind = EVENT_ALLOC, .tgid = 10, .tid = tid, .addr = addr, .size = MB, .a = stream };

	event.row = event.outer_row = (uint16_t)row;
	event.enter_ns = event.time_ns = now += 10;
	heard_count = 0;
	ledger_apply(ledger, &event, &a_caller);
	return heard_one(NOTICE_ALLOC);
}

/* The default stream is one for all, or one of each thread: by its handle, or by the twin that was called. */
static void test_default_streams(void **state)
{
	const int plain = VT_PROBE_cuMemAllocAsync, twin = VT_PROBE_cuMemAllocAsync_ptsz;

	(void)state;
	capture_begin(PER_THREAD); /* of thread 10 */
	assert_int_equal(async_by(10, plain, VA, PER_THREAD)->memory_kind, VT_KIND_GRAPH);
	assert_int_equal(async_by(10, twin, VA + 1 * MB, 0)->memory_kind, VT_KIND_GRAPH);
	assert_int_equal(async_by(10, twin, VA + 2 * MB, LEGACY)->memory_kind, VT_KIND_POOL);
	assert_int_equal(async_by(10, plain, VA + 3 * MB, 0)->memory_kind, VT_KIND_POOL);
	assert_int_equal(async_by(10, plain, VA + 4 * MB, LEGACY)->memory_kind, VT_KIND_POOL);
	assert_int_equal(async_by(12, plain, VA + 5 * MB, PER_THREAD)->memory_kind, VT_KIND_POOL);
	assert_int_equal(async_by(12, twin, VA + 6 * MB, 0)->memory_kind, VT_KIND_POOL);
	CALL(10, DONE, cuStreamEndCapture_ptsz, .addr = 0, .a = 0x9000);
	assert_int_equal(async_by(10, plain, VA + 7 * MB, PER_THREAD)->memory_kind, VT_KIND_POOL);
	CALL(10, DONE, cudaStreamBeginCapture_ptsz, .addr = 0);
	assert_int_equal(async_by(10, twin, VA + 8 * MB, 0)->memory_kind, VT_KIND_GRAPH);
	assert_int_equal(async_by(10, plain, VA + 9 * MB, 0)->memory_kind, VT_KIND_POOL);
}

static void test_nodes(void **state)
{
	(void)state;
	CALL(10, ALLOC, cuGraphAddMemAllocNode, .addr = VA, .size = MB, .a = 0x9000, .context = C0);
	assert_int_equal(heard_one(NOTICE_ALLOC)->memory_kind, VT_KIND_GRAPH);
	assert_int_equal(heard_one(NOTICE_ALLOC)->requested, MB);
	CALL(10, DONE, cuGraphAddNode_v2, .addr = VA + MB, .size = 2 * MB, .a = 0x9000, .b = VT_NODE_MEM_ALLOC,
	     .context = C1);
	assert_int_equal(heard_one(NOTICE_ALLOC)->memory_kind, VT_KIND_GRAPH);
	assert_int_equal(heard_one(NOTICE_ALLOC)->gpu->index, 0);
	CALL(10, DONE, cuGraphAddNode, .addr = VA + MB, .a = 0x9000, .b = VT_NODE_MEM_FREE);
	assert_quiet();
	CALL(10, FREE, cuGraphAddMemFreeNode, .addr = VA, .a = 0x9000);
	assert_quiet();
	CALL(10, FREE, cuGraphAddMemFreeNode, .addr = 0x1234, .a = 0x9000);
	assert_quiet();
	assert_int_equal(process_of(10)->virtual.bytes, 3 * MB);
	assert_int_equal(live(10), 0);
	CALL(10, DONE, cuDevicePrimaryCtxReset_v2, .addr = 0);
	assert_int_equal(heard_one(NOTICE_FREE)->addr, VA);
	CALL(10, DONE, cuDevicePrimaryCtxReset_v2, .addr = 1);
	assert_int_equal(heard_one(NOTICE_FREE)->addr, VA + MB);
	assert_int_equal(heard_one(NOTICE_FREE)->reason, FREE_CONTEXT);
	life(EVENT_EXIT, 10);
	assert_int_equal(process_of(10)->virtual.count, 0);
	assert_int_equal(process_of(10)->unmatched_frees, 0);
}

/* An exec ends captures and pools without a word. */
static void test_exec(void **state)
{
	(void)state;
	pool_new(POOL, VT_LOCATION_HOST);
	capture_begin(S);
	stream_new(S2, C1);
	CALL(10, DONE, cuDeviceGetGraphMemAttribute, .addr = 1, .a = VT_GRAPH_RESERVED, .size = 64 * MB);
	life(EVENT_EXEC, 10);
	for (size_t i = 0; i < process_of(10)->place_count; i++)
		assert_false(process_of(10)->places[i].graph_known);
	assert_true(process_of(10)->pools[0].ended);
	assert_captures(S, false);
	assert_int_equal(from_pool(VA, MB, POOL)->placement, PLACEMENT_VRAM);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_devices, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_pool_of_a_device),
		TEST(test_placement_of_pools),
		TEST(test_pool_that_was_told),
		TEST(test_values),
		TEST(test_pool_handle_again),
		TEST(test_many_pools),
		TEST(test_device_of_the_stream),
		TEST(test_capture),
		TEST(test_maybe_captured),
		TEST(test_ends_of_a_capture),
		TEST(test_lost_end_of_a_capture),
		TEST(test_end_of_an_unknown_context),
		TEST(test_default_streams),
		TEST(test_nodes),
		TEST(test_exec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
