/* SPDX-License-Identifier: Apache-2.0 */
/* ledger: which GPU a block is on. The machine: GPU 0 has UUID 2222..., GPU 1 1111...; see ledger_calls.h. */
#include "ledger_calls.h"

#define C1 0x55d15c79f700
#define C2 0x55d15c8a0000
#define VA 0x7f0000000000
#define BYTES_1 0x1111111111111111
#define BYTES_2 0x2222222222222222

static void uuid(uint32_t tgid, uint64_t ordinal, uint64_t bytes)
{
	CALL(tgid, DONE, cuDeviceGetUuid, .addr = ordinal, .a = bytes, .b = bytes);
}

static void primary_retain(uint32_t tgid, uint64_t handle, int ordinal)
{
	CALL(tgid, DONE, cuDevicePrimaryCtxRetain, .addr = handle, .a = (uint64_t)ordinal);
}

/* nvidia-smi's index of the GPU of the ALLOC just told; -1: none was told. */
static int allocated_on(uint32_t tgid, uint64_t addr, uint64_t size, uint64_t context)
{
	const struct notice *notice;

	CALL(tgid, ALLOC, cuMemAlloc_v2, .addr = addr, .size = size, .context = context);
	notice = heard_one(NOTICE_ALLOC);
	assert_non_null(notice);
	return notice->gpu ? notice->gpu->index : -1;
}

static uint64_t vram_of(uint32_t tgid, int gpu)
{
	const struct process *process = process_of(tgid);
	uint64_t bytes = 0;

	for (size_t i = 0; i < process->place_count; i++) {
		if (ledger_gpu_of(ledger, process, (uint16_t)i) == gpu)
			bytes += process->places[i].vram.live.bytes;
	}
	return bytes;
}

/* CUDA_VISIBLE_DEVICES=1,0: the process' device 0 is GPU 1. */
static void test_order_of_the_process(void **state)
{
	(void)state;
	uuid(10, 0, BYTES_1);
	uuid(10, 1, BYTES_2);
	primary_retain(10, C1, 0);
	primary_retain(10, C2, 1);
	assert_int_equal(allocated_on(10, VA, MB, C1), 1);
	assert_int_equal(allocated_on(10, VA + MB, 2 * MB, C2), 0);
	assert_int_equal(allocated_on(10, VA + 4 * MB, 4 * MB, C1), 1);
	assert_string_equal(heard_one(NOTICE_ALLOC)->gpu->uuid, "GPU-11111111-1111-1111-1111-111111111111");
	assert_int_equal(vram_of(10, 1), 5 * MB);
	assert_int_equal(vram_of(10, 0), 2 * MB);
	mem_free(10, VA);
	assert_int_equal(heard_one(NOTICE_FREE)->gpu->index, 1);
	assert_int_equal(vram_of(10, 1), 4 * MB);
	/* Another process sees them in another order. */
	uuid(11, 0, BYTES_2);
	primary_retain(11, C1, 0);
	assert_int_equal(allocated_on(11, VA, MB, C1), 0);
}

static void test_created_context(void **state)
{
	(void)state;
	uuid(10, 1, BYTES_1);
	CALL(10, DONE, cuCtxCreate_v2, .addr = C1, .a = 1);
	assert_int_equal(allocated_on(10, VA, MB, C1), 1);
	CALL(10, DONE, cuCtxDestroy_v2, .addr = C1);
	uuid(10, 0, BYTES_2);
	CALL(10, DONE, cuCtxCreate_v3, .addr = C1, .a = 0); /* the handle comes again, on another device */
	assert_int_equal(allocated_on(10, VA, MB, C1), 0);
	assert_int_equal(vram_of(10, 1), 0);
}

/* The end of a context is told after another one of that handle was made. */
static void test_end_told_late(void **state)
{
	(void)state;
	uuid(10, 1, BYTES_1);
	CALL(10, DONE, cuCtxCreate_v2, .addr = C1, .a = 0);
	now += 1000;
	CALL(10, DONE, cuCtxCreate_v2, .addr = C1, .a = 1, .enter_ns = now - 5, .time_ns = now);
	CALL(10, DONE, cuCtxDestroy_v2, .addr = C1, .enter_ns = now - 10, .time_ns = now + 5);
	now += 1000;
	assert_int_equal(allocated_on(10, VA, MB, C1), 1);
}

/* As where instances of one GPU tell its UUID. */
static void test_two_of_one_gpu(void **state)
{
	(void)state;
	uuid(10, 0, BYTES_1);
	uuid(10, 1, BYTES_1);
	primary_retain(10, C1, 0);
	primary_retain(10, C2, 1);
	assert_int_equal(allocated_on(10, VA, MB, C1), 1);
	assert_int_equal(allocated_on(10, VA + MB, 2 * MB, C2), 1);
	uuid(10, 0, BYTES_2);
	assert_int_equal(vram_of(10, 0), MB);
	assert_int_equal(vram_of(10, 1), 2 * MB);
}

/* The UUID comes after the memory: nothing has to be counted anew. */
static void test_uuid_last(void **state)
{
	(void)state;
	primary_retain(10, C1, 0);
	assert_int_equal(allocated_on(10, VA, MB, C1), -1);
	assert_int_equal(vram_of(10, -1), MB);
	uuid(10, 0, BYTES_1);
	assert_int_equal(vram_of(10, -1), 0);
	assert_int_equal(vram_of(10, 1), MB);
	mem_free(10, VA);
	assert_int_equal(heard_one(NOTICE_FREE)->gpu->index, 1);
}

/* Attached in the middle: memory of a context that nobody has told the device of. */
static void test_unknown_until_told(void **state)
{
	(void)state;
	ledger_attach_late(ledger, 10, 10, 0, "late", 1000);
	assert_int_equal(allocated_on(10, VA, MB, C1), -1);
	assert_int_equal(allocated_on(10, VA + MB, 2 * MB, C2), -1);
	assert_int_equal(allocated_on(10, VA + 4 * MB, 4 * MB, 0), -1);
	uuid(10, 0, BYTES_2);
	uuid(10, 1, BYTES_1);
	assert_int_equal(vram_of(10, -1), 7 * MB);
	primary_retain(10, C1, 1);
	assert_int_equal(vram_of(10, 1), MB);
	assert_int_equal(vram_of(10, -1), 6 * MB);
	primary_retain(10, C2, 0);
	assert_int_equal(vram_of(10, 0), 2 * MB);
	assert_int_equal(allocated_on(10, VA + 8 * MB, 8 * MB, C1), 1);
	mem_free(10, VA);
	assert_int_equal(vram_of(10, 1), 8 * MB);
	assert_int_equal(live(10), 14 * MB);
}

static void test_by_location(void **state)
{
	(void)state;
	uuid(10, 0, BYTES_1);
	uuid(10, 1, BYTES_2);
	primary_retain(10, C1, 0);
	CALL(10, ALLOC, cuMemCreate, .addr = 0x5000, .size = MB, .a = ON_GPU(1), .context = C1);
	assert_int_equal(heard_one(NOTICE_ALLOC)->gpu->index, 0);
	CALL(10, ALLOC, cuMemCreate, .addr = 0x6000, .size = MB, .a = VT_LOCATION_HOST_NUMA, .context = C1);
	assert_null(heard_one(NOTICE_ALLOC)->gpu);
	CALL(10, ALLOC, cuMemHostAlloc, .addr = VA, .size = MB, .context = C1);
	assert_null(heard_one(NOTICE_ALLOC)->gpu);
	assert_int_equal(vram_of(10, 0), MB);
	assert_int_equal(vram_of(10, 1), 0);
}

static void test_unlisted_gpu(void **state)
{
	const struct ledger_gpu *gpu;

	(void)state;
	CALL(10, DONE, cuDeviceGetUuid_v2, .addr = 0, .a = 0xefcdab8967452301, .b = 0x1032547698badcfe);
	primary_retain(10, C1, 0);
	assert_int_equal(allocated_on(10, VA, MB, C1), -1);
	gpu = heard_one(NOTICE_ALLOC)->gpu;
	assert_non_null(gpu);
	assert_string_equal(gpu->uuid, "GPU-01234567-89ab-cdef-fedc-ba9876543210");
	CALL(11, DONE, cuDeviceGetUuid_v2, .addr = 3, .a = 0xefcdab8967452301, .b = 0x1032547698badcfe);
	assert_non_null(ledger_gpu(ledger, 2));
	assert_null(ledger_gpu(ledger, 3)); /* the same one */
	uuid(10, 0, BYTES_2);		    /* the last word counts */
	assert_int_equal(vram_of(10, 0), MB);
}

static void new_ledger(bool driver_probed, size_t gpu_count)
{
	struct ledger_gpu gpus[2] = { { 5, "GPU-22222222-2222-2222-2222-222222222222" },
				      { 6, "gpu-11111111-1111-1111-1111-111111111111" } };
	struct ledger_settings settings = {
		.driver_probed = driver_probed, .gpus = gpus, .gpu_count = gpu_count, .fn = hear
	};

	ledger_free(ledger);
	assert_int_equal(ledger_new(&settings, &ledger), 0);
	memset(gpus, 0xff, sizeof(gpus)); /* they are the ledger's own now */
}

/* The newer call tells the instance's UUID, the older one that of its GPU: in whatever order. */
static void test_instance(void **state)
{
	(void)state;
	primary_retain(10, C1, 0);
	uuid(10, 0, BYTES_1);
	assert_int_equal(allocated_on(10, VA, MB, C1), 1);
	uuid(10, 0, 0x3333333333333333);
	assert_int_equal(allocated_on(10, VA + MB, MB, C1), 1);
	assert_int_equal(vram_of(10, 1), 2 * MB);
	primary_retain(11, C1, 0);
	uuid(11, 0, 0x3333333333333333);
	assert_int_equal(allocated_on(11, VA, MB, C1), -1);
	uuid(11, 0, BYTES_1);
	assert_int_equal(allocated_on(11, VA + MB, MB, C1), 1);
	assert_int_equal(vram_of(11, 1), 2 * MB);
}

static void test_only_one(void **state)
{
	(void)state;
	new_ledger(true, 1);
	assert_int_equal(allocated_on(10, VA, MB, 0), 5);
	primary_retain(10, C1, 3);
	assert_int_equal(allocated_on(10, VA + MB, MB, C1), 5);
	CALL(10, ALLOC, cuMemHostAlloc, .addr = VA + 2 * MB, .size = MB, .context = C1);
	assert_null(heard_one(NOTICE_ALLOC)->gpu);
	assert_int_equal(vram_of(10, 0), 2 * MB);
}

static int runtime_on(uint32_t tgid, uint64_t addr, uint64_t context)
{
	const struct notice *notice;

	CALL(tgid, ALLOC, cudaMalloc, .addr = addr, .size = MB, .context = context);
	notice = heard_one(NOTICE_ALLOC);
	return notice->gpu ? notice->gpu->index : -1;
}

/* Where the driver is not probed a context is an ordinal, and no context the first device; but not where we came late. */
static void test_runtime_only(void **state)
{
	(void)state;
	new_ledger(false, 2);
	uuid(10, 0, BYTES_1);
	uuid(10, 1, BYTES_2);
	assert_int_equal(runtime_on(10, VA, 0), 6);
	assert_int_equal(runtime_on(10, VA + MB, 1), 6);
	assert_int_equal(runtime_on(10, VA + 2 * MB, 2), 5);
	assert_int_equal(process_of(10)->place_count, 3);
	ledger_attach_late(ledger, 11, 11, 0, "late", 1000);
	uuid(11, 0, BYTES_1);
	assert_int_equal(runtime_on(11, VA, 0), -1);
	assert_int_equal(runtime_on(11, VA + MB, 1), 6);
}

/* The new program may have another CUDA_VISIBLE_DEVICES; a place of the same GPU is not made twice. */
static void test_exec(void **state)
{
	size_t count;

	(void)state;
	life(EVENT_PROCESS, 10);
	uuid(10, 0, BYTES_1);
	uuid(10, 1, BYTES_2);
	primary_retain(10, C1, 0);
	allocated_on(10, VA, MB, C1);
	count = process_of(10)->place_count;
	life(EVENT_EXEC, 10);
	assert_int_equal(live(10), 0);
	primary_retain(10, C1, 0);
	assert_int_equal(allocated_on(10, VA, 4 * MB, C1), -1); /* not told yet */
	for (size_t i = 0; i < process_of(10)->place_count; i++) {
		if (ledger_gpu_of(ledger, process_of(10), (uint16_t)i) == 1)
			assert_int_equal(process_of(10)->places[i].vram.peak_bytes, MB);
	}
	life(EVENT_EXEC, 10);
	for (int i = 0; i < 1000; i++) {
		life(EVENT_EXEC, 10);
		uuid(10, 0, BYTES_2);
		uuid(10, 1, BYTES_1);
		primary_retain(10, C1, 0);
		assert_int_equal(allocated_on(10, VA, 8 * MB, C1), 0);
	}
	assert_int_equal(process_of(10)->place_count, count + 1);
	life(EVENT_EXIT, 10);
	assert_int_equal(vram_of(10, 0), 0);
}

/* Numbers that no machine has: bounded, and the rest goes on. */
static void test_inventions(void **state)
{
	(void)state;
	ledger_attach_late(ledger, 10, 10, 0, "late", 1000);
	for (uint64_t i = 1; i <= 5000; i++)
		allocated_on(10, VA + i * MB, MB, C2 + i * 16);
	assert_true(process_of(10)->place_count <= 128);
	assert_int_equal(vram_of(10, -1), 5000 * MB);
	uuid(10, 0, BYTES_1);
	primary_retain(10, C2 + 16, 0);
	assert_int_equal(vram_of(10, 1), MB);
	for (uint64_t i = 0; i < 1000; i++) {
		uuid(10, i, 0x3333000000000000 + i);
		uuid(11, 0, 0x4444000000000000 + i);
		CALL(10, ALLOC, cuMemCreate, .addr = 0x5000 + i, .size = MB, .a = ON_GPU(i));
	}
	uuid(10, 0xffffffff, BYTES_1);
	CALL(10, ALLOC, cuMemCreate, .addr = 0x9000, .size = MB, .a = ON_GPU(0xffffffff));
	assert_true(process_of(10)->place_count <= 256);
	assert_null(ledger_gpu(ledger, 2 + 256));
	assert_int_equal(live(10), 6001 * MB);
	uuid(12, 0, BYTES_2);
	primary_retain(12, C1, 0);
	assert_int_equal(allocated_on(12, VA, MB, C1), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_order_of_the_process),
		TEST(test_created_context),
		TEST(test_uuid_last),
		TEST(test_end_told_late),
		TEST(test_two_of_one_gpu),
		TEST(test_unknown_until_told),
		TEST(test_by_location),
		TEST(test_unlisted_gpu),
		TEST(test_instance),
		TEST(test_only_one),
		TEST(test_runtime_only),
		TEST(test_exec),
		TEST(test_inventions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
