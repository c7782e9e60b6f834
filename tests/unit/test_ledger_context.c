/* SPDX-License-Identifier: Apache-2.0 */
/* ledger: what goes with a context, however it ends, and what does not. */
#include "ledger_calls.h"

#define C1 0x55d15c79f700
#define C2 0x55d15c8a0000
#define VA 0x7f0000000000

static void context_new(uint32_t tgid, uint64_t handle, int ordinal)
{
	CALL(tgid, DONE, cuCtxCreate_v4, .addr = handle, .a = (uint64_t)ordinal);
}

static void context_end(uint32_t tgid, uint64_t handle)
{
	CALL(tgid, DONE, cuCtxDestroy_v2, .addr = handle);
}

static void primary_retain(uint32_t tgid, uint64_t handle, int ordinal)
{
	CALL(tgid, DONE, cuDevicePrimaryCtxRetain, .addr = handle, .a = (uint64_t)ordinal);
}

static void primary_release(uint32_t tgid, int ordinal)
{
	CALL(tgid, DONE, cuDevicePrimaryCtxRelease_v2, .addr = (uint64_t)ordinal);
}

static void primary_reset(uint32_t tgid, int ordinal)
{
	CALL(tgid, DONE, cuDevicePrimaryCtxReset_v2, .addr = (uint64_t)ordinal);
}

static void alloc_in(uint32_t tgid, uint64_t addr, uint64_t size, uint64_t context)
{
	CALL(tgid, ALLOC, cuMemAlloc_v2, .addr = addr, .size = size, .context = context);
}

/* The FREEs since the last call: each for a context, oldest first. */
static size_t gone(const char *api)
{
	size_t count = 0;
	uint64_t id = 0;

	for (size_t i = 0; i < heard_count; i++) {
		if (heard[i].kind != NOTICE_FREE)
			continue;
		assert_int_equal(heard[i].reason, FREE_CONTEXT);
		assert_string_equal(heard[i].api, api);
		assert_true(heard[i].id > id);
		id = heard[i].id;
		count++;
	}
	return count;
}

/* One block of each kind, in C1: 9 that go with it, and 2 that do not, of 11 MB. */
static void one_of_each(uint32_t tgid)
{
	alloc_in(tgid, VA, MB, C1);
	CALL(tgid, ALLOC, cuMemAllocPitch_v2, .addr = VA + 1 * MB, .size = 2 * MB, .context = C1);
	CALL(tgid, ALLOC, cuMemAllocManaged, .addr = VA + 8 * MB, .size = 3 * MB, .context = C1);
	CALL(tgid, ALLOC, cuMemAllocAsync, .addr = VA + 16 * MB, .size = 5 * MB, .context = C1);
	CALL(tgid, ALLOC, cuMemHostAlloc, .addr = VA + 32 * MB, .size = 4 * MB, .context = C1);
	CALL(tgid, ALLOC, cuMemHostRegister_v2, .addr = VA + 64 * MB, .size = 5 * MB, .context = C1);
	CALL(tgid, ALLOC, cuMemCreate, .addr = 0x5000, .size = 6 * MB, .a = ON_GPU(0), .context = C1);
	CALL(tgid, ALLOC, cuArray3DCreate_v2, .addr = 0x6000, .size = 6 * MB, .b = 1, .context = C1);
	CALL(tgid, ALLOC, cuMipmappedArrayCreate, .addr = 0x7000, .size = 7 * MB, .b = 4, .context = C1);
	CALL(tgid, ALLOC, cuGraphAddMemAllocNode, .addr = VA + 128 * MB, .size = 7 * MB, .context = C1);
	CALL(tgid, DONE, cuImportExternalMemory, .addr = 0x8000, .size = 8 * MB, .context = C1);
}

static void assert_outlived(uint32_t tgid)
{
	const struct process *process = process_of(tgid);

	assert_int_equal(process->by_kind[VT_KIND_POOL].live.bytes, 5 * MB);
	assert_int_equal(process->by_kind[VT_KIND_VMM].live.bytes, 6 * MB);
	assert_int_equal(process->virtual.count, 0);
	assert_int_equal(live(tgid), 11 * MB);
	assert_int_equal(process->total.live.count, 2);
	CALL(tgid, FREE, cuMemFree_v2, .addr = VA + 16 * MB);
	CALL(tgid, DONE, cuMemRelease, .addr = 0x5000);
	assert_int_equal(process->total.live.count, 0);
	assert_int_equal(process->unmatched_frees, 0);
	assert_int_equal(process->total.at_exit.count, 0);
}

static void test_destroy(void **state)
{
	(void)state;
	context_new(10, C1, 0);
	context_new(10, C2, 0);
	one_of_each(10);
	alloc_in(10, VA + 256 * MB, 9 * MB, C2);
	alloc_in(11, VA, MB, C1); /* another process' context can have the same handle */
	context_end(10, C1);
	assert_int_equal(gone("cuCtxDestroy_v2"), 9);
	assert_int_equal(heard[0].addr, VA);
	assert_int_equal(heard[0].size, MB);
	assert_int_equal(heard[heard_count - 1].live_bytes, 20 * MB);
	context_end(10, C1);
	assert_quiet();
	context_end(10, 0x1234);
	assert_quiet();
	context_end(10, 0);
	assert_quiet();
	context_end(10, C2);
	assert_int_equal(gone("cuCtxDestroy_v2"), 1);
	assert_outlived(10);
	assert_int_equal(live(11), MB);
}

static void test_reset(void **state)
{
	(void)state;
	primary_retain(10, C1, 0);
	primary_retain(10, C2, 1);
	one_of_each(10);
	alloc_in(10, VA + 256 * MB, 9 * MB, C2);
	primary_reset(10, 0);
	assert_int_equal(gone("cuDevicePrimaryCtxReset_v2"), 9);
	alloc_in(10, VA, MB, C1); /* the handle lives on */
	primary_reset(10, 1);
	assert_int_equal(gone("cuDevicePrimaryCtxReset_v2"), 1);
	primary_reset(10, 1);
	assert_quiet();
	primary_reset(10, 7);
	assert_quiet();
	primary_retain(10, C1, 0);
	primary_reset(10, 0);
	assert_int_equal(gone("cuDevicePrimaryCtxReset_v2"), 1);
	assert_outlived(10);
}

static void test_release(void **state)
{
	(void)state;
	primary_retain(10, C1, 0);
	primary_retain(10, C1, 0);
	one_of_each(10);
	primary_release(10, 0);
	assert_quiet();
	primary_release(10, 0);
	assert_int_equal(gone("cuDevicePrimaryCtxRelease_v2"), 9);
	alloc_in(10, VA, MB, C2);
	primary_release(10, 0); /* more than were retained */
	assert_quiet();
	assert_int_equal(live(10), 12 * MB);
	mem_free(10, VA);
	assert_outlived(10);
}

/* The handle of a primary context that is no more can be another context's. */
static void test_handle_of_a_released(void **state)
{
	(void)state;
	primary_retain(10, C1, 0);
	primary_release(10, 0);
	context_new(10, C1, 1);
	alloc_in(10, VA, MB, C1);
	primary_reset(10, 0);
	assert_quiet();
	assert_int_equal(live(10), MB);
}

/* Whoever came late, or has lost events, does not know how often it was retained. */
static void test_release_unsure(void **state)
{
	struct event lost = { .kind = EVENT_LOST, .tgid = 11, .lost_count = 1, .time_ns = 1000 };

	(void)state;
	ledger_attach_late(ledger, 10, 10, 0, "late", 1000);
	life(EVENT_PROCESS, 11);
	ledger_apply(ledger, &lost, NULL);
	for (uint32_t tgid = 10; tgid <= 11; tgid++) {
		primary_retain(tgid, C1, 0);
		alloc_in(tgid, VA, MB, C1);
		primary_release(tgid, 0);
		assert_quiet();
		assert_int_equal(live(tgid), MB);
		primary_reset(tgid, 0); /* of this one there is no doubt */
		assert_int_equal(gone("cuDevicePrimaryCtxReset_v2"), 1);
	}
}

/* Attached in the middle: which context it was that was reset, the next retain tells. */
static void test_reset_of_unknown(void **state)
{
	(void)state;
	ledger_attach_late(ledger, 10, 10, 0, "late", 1000);
	alloc_in(10, VA, MB, C1);
	alloc_in(10, VA + MB, 2 * MB, C2);
	primary_reset(10, 0);
	assert_quiet();
	alloc_in(10, VA + 4 * MB, 4 * MB, C1);
	primary_retain(10, C1, 0);
	assert_int_equal(gone("cuDevicePrimaryCtxRetain"), 1);
	assert_int_equal(heard[0].addr, VA);
	assert_int_equal(live(10), 6 * MB);
	primary_retain(10, C1, 0);
	assert_quiet();
}

static void new_ledger(bool driver_probed, size_t gpu_count)
{
	static const struct ledger_gpu gpus[2] = { { 0, "GPU-2" }, { 1, "GPU-1" } };
	struct ledger_settings settings = {
		.driver_probed = driver_probed, .gpus = gpus, .gpu_count = gpu_count, .fn = hear
	};

	ledger_free(ledger);
	assert_int_equal(ledger_new(&settings, &ledger), 0);
}

static void test_device_reset_by_runtime(void **state)
{
	(void)state;
	new_ledger(false, 2);
	CALL(10, ALLOC, cudaMalloc, .addr = VA, .size = MB); /* device 0, as at first */
	CALL(10, ALLOC, cudaMalloc, .addr = VA + MB, .size = 2 * MB, .context = 1);
	CALL(10, ALLOC, cudaMallocHost, .addr = VA + 8 * MB, .size = 4 * MB, .context = 2);
	CALL(10, DONE, cudaDeviceReset, .context = 0);
	assert_int_equal(gone("cudaDeviceReset"), 2);
	assert_int_equal(live(10), 4 * MB);
	CALL(10, ALLOC, cudaMalloc, .addr = VA, .size = MB, .context = 1);
	CALL(10, DONE, cudaDeviceReset, .context = 2);
	assert_int_equal(gone("cudaDeviceReset"), 1);
	CALL(10, DONE, cudaDeviceReset, .context = 1);
	assert_int_equal(gone("cudaDeviceReset"), 1);
	assert_int_equal(live(10), 0);
}

/* The driver's row is missing under it, by another name perhaps: the context says which device. */
static void test_device_reset_alone(void **state)
{
	(void)state;
	primary_retain(10, C1, 0);
	primary_retain(10, C2, 1);
	alloc_in(10, VA, MB, C1);
	alloc_in(10, VA + MB, MB, C2);
	CALL(10, DONE, cudaDeviceReset, .context = C2);
	assert_int_equal(gone("cudaDeviceReset"), 1);
	assert_int_equal(heard[0].addr, VA + MB);
	CALL(10, DONE, cudaDeviceReset, .context = 0);
	assert_quiet();
}

/* As a free: what came after the call was entered is not what it took. */
static void test_end_told_late(void **state)
{
	(void)state;
	context_new(10, C1, 0);
	alloc_in(10, VA, MB, C1);
	now += 1000;
	CALL(10, DONE, cuCtxCreate_v4, .addr = C1, .a = 1, .enter_ns = now - 10, .time_ns = now);
	CALL(10, ALLOC, cuMemAlloc_v2, .addr = VA + MB, .size = 2 * MB, .context = C1, .enter_ns = now + 1,
	     .time_ns = now + 2);
	CALL(10, DONE, cuCtxDestroy_v2, .addr = C1, .enter_ns = now - 20, .time_ns = now + 3);
	assert_int_equal(gone("cuCtxDestroy_v2"), 1);
	assert_int_equal(heard[0].addr, VA);
	assert_int_equal(live(10), 2 * MB);
	now += 1000;
	alloc_in(10, VA, 4 * MB, C1);
	context_end(10, C1);
	assert_int_equal(gone("cuCtxDestroy_v2"), 2);
	assert_int_equal(live(10), 0);
}

/* The address of a block that went with its context is another thread's before the end is told. */
static void test_address_reused_before_end(void **state)
{
	(void)state;
	context_new(10, C1, 0);
	context_new(10, C2, 0);
	alloc_in(10, VA, MB, C1);
	now += 1000;
	CALL(10, ALLOC, cuMemAlloc_v2, .addr = VA, .size = 2 * MB, .context = C2, .enter_ns = now - 5, .time_ns = now);
	assert_int_equal(live(10), 2 * MB);
	CALL(10, DONE, cuCtxDestroy_v2, .addr = C1, .enter_ns = now - 10, .time_ns = now + 5);
	assert_int_equal(gone("cuCtxDestroy_v2"), 1);
	assert_int_equal(heard[0].size, MB);
	assert_int_equal(live(10), 2 * MB);
	life(EVENT_EXIT, 10);
	assert_int_equal(heard_one(NOTICE_FREE)->reason, FREE_EXIT); /* and that one only */
}

/* The primary context got the handle of one that had ended: that end, told late, is not its own. */
static void test_end_of_another_told_after_a_retain(void **state)
{
	uint64_t end_ns;

	(void)state;
	context_new(10, C1, 0);
	end_ns = now + 1;
	now += 100;
	primary_retain(10, C1, 1);
	CALL(10, DONE, cuStreamBeginCapture_v2, .addr = 0x5000, .context = C1);
	CALL(10, DONE, cuCtxDestroy_v2, .addr = C1, .enter_ns = end_ns, .time_ns = now + 5);
	now += 10;
	CALL(10, ALLOC, cuMemAllocAsync, .addr = VA, .size = MB, .a = 0x5000, .context = C1);
	assert_int_equal(heard_one(NOTICE_ALLOC)->memory_kind, VT_KIND_GRAPH);
	assert_int_equal(process_of(10)->places[1].ordinal, 0);
	assert_int_equal(process_of(10)->place_count, 3); /* two devices, and none that is not known */
}

/* What waits for its free is not the next context's that is told of. */
static void test_block_that_waits_for_its_free_is_no_other_contexts(void **state)
{
	uint64_t end_ns = now + 1;

	(void)state;
	now += 100;
	alloc_in(10, VA, MB, C1); /* made after the end below was entered */
	alloc_in(10, VA, 2 * MB, 0);
	CALL(10, DONE, cuCtxDestroy_v2, .addr = C1, .enter_ns = end_ns, .time_ns = now + 5);
	assert_quiet();
	now += 10;
	context_new(10, C2, 0);
	alloc_in(10, VA + 8 * MB, 4 * MB, C2);
	context_end(10, C2);
	assert_int_equal(gone("cuCtxDestroy_v2"), 1);
	CALL(10, FREE, cuMemFree_v2, .addr = VA, .enter_ns = end_ns + 112, .time_ns = now + 5);
	assert_int_equal(heard_one(NOTICE_FREE)->size, MB);
	assert_int_equal(live(10), 2 * MB);
}

/* A server that makes a context for each request never runs out of numbers. */
static void test_many_after_another(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 10000; i++) {
		context_new(10, C1 + i * 16, 0);
		alloc_in(10, VA, MB, C1 + i * 16);
		context_end(10, C1 + i * 16);
		assert_int_equal(gone("cuCtxDestroy_v2"), 1);
	}
	assert_int_equal(live(10), 0);
	assert_int_equal(process_of(10)->place_count, 2);
}

static void test_too_many_at_once(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 5000; i++) {
		context_new(10, C1 + i * 16, 0);
		alloc_in(10, VA + i * MB, MB, C1 + i * 16);
	}
	assert_int_equal(live(10), 5000 * MB);
	for (uint64_t i = 1; i <= 5000; i++)
		context_end(10, C1 + i * 16);
	assert_int_equal(live(10), (5000 - 4096) * MB); /* of no context that we know */
	assert_int_equal(process_of(10)->lost, 5000 - 4096);
	assert_int_equal(ledger_lost_of(ledger, LOST_LIMIT), 5000 - 4096);
	life(EVENT_EXIT, 10);
	assert_int_equal(live(10), 0);
}

/* The exporter's context ends: the importer has it from now on. */
static void test_end_of_exporters_context(void **state)
{
	(void)state;
	context_new(10, C1, 0);
	alloc_in(10, VA, MB, C1);
	ipc_export(10, VA, 77);
	CALL(11, DONE, cuIpcOpenMemHandle_v2, .addr = VA, .a = 77, .context = C2);
	assert_int_equal(live(11), 0);
	context_end(10, C1);
	assert_int_equal(gone("cuCtxDestroy_v2"), 1);
	assert_non_null(heard_one(NOTICE_TAKEN));
	assert_int_equal(live(10), 0);
	assert_int_equal(live(11), MB);
	context_new(11, C2, 0);
	context_end(11, C2);
	assert_int_equal(gone("cuCtxDestroy_v2"), 1);
	assert_int_equal(live(11), 0);
}

/* What goes with the same context is not handed from one to the other first. */
static void test_end_of_a_context_with_two_imports(void **state)
{
	(void)state;
	context_new(10, C1, 0);
	for (uint64_t i = 0; i < 2; i++)
		CALL(10, DONE, cuImportExternalMemory, .addr = VA + i, .size = MB, .a = 77, .context = C1);
	assert_int_equal(live(10), MB);
	assert_int_equal(borrowed(10), MB);
	context_end(10, C1);
	assert_null(heard_one(NOTICE_TAKEN));
	assert_int_equal(gone("cuCtxDestroy_v2"), 2);
	assert_int_equal(live(10), 0);
	assert_int_equal(borrowed(10), 0);
}

static void test_failure_is_nothing(void **state)
{
	(void)state;
	context_new(10, C1, 0);
	alloc_in(10, VA, MB, C1);
	CALL(10, FAILED, cuCtxDestroy_v2, .addr = C1, .result = 709);
	CALL(10, FAILED, cuDevicePrimaryCtxReset_v2, .result = 709);
	assert_quiet();
	assert_int_equal(live(10), MB);
	CALL(10, FAILED, cuCtxCreate_v4, .result = 2);
	assert_int_equal(heard_one(NOTICE_ALLOC_FAILED)->error, 2);
	assert_int_equal(process_of(10)->failed, 1);
}

/* A context of no address, a device that has none: nothing there was made in them, and nothing goes. */
static void test_what_names_nothing(void **state)
{
	(void)state;
	alloc_in(10, VA, MB, 0);
	context_new(10, 0, 0);
	primary_retain(10, 0, 1);
	assert_quiet();
	primary_release(10, 1);
	primary_release(10, 7);
	primary_release(10, -1);
	primary_reset(10, -1);
	context_end(10, 0);
	assert_quiet();
	assert_int_equal(live(10), MB);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_destroy),
		TEST(test_reset),
		TEST(test_release),
		TEST(test_handle_of_a_released),
		TEST(test_release_unsure),
		TEST(test_reset_of_unknown),
		TEST(test_device_reset_by_runtime),
		TEST(test_device_reset_alone),
		TEST(test_end_told_late),
		TEST(test_address_reused_before_end),
		TEST(test_end_of_another_told_after_a_retain),
		TEST(test_block_that_waits_for_its_free_is_no_other_contexts),
		TEST(test_many_after_another),
		TEST(test_too_many_at_once),
		TEST(test_end_of_exporters_context),
		TEST(test_end_of_a_context_with_two_imports),
		TEST(test_failure_is_nothing),
		TEST(test_what_names_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
