/* SPDX-License-Identifier: Apache-2.0 */
/* ledger: what each call does to blocks, by its kind of memory, and what is told where it fails. */
#include "ledger_calls.h"
#include "probe/table.h"

#define VA 0x7f0000000000

static struct notice the(enum notice_kind kind)
{
	const struct notice *notice = heard_one(kind);

	assert_non_null(notice);
	return *notice;
}

static void registered_memory_is_given_back_by_its_own_call_only(void **state)
{
	struct notice told;

	(void)state;
	CALL(10, ALLOC, cuMemHostRegister_v2, .addr = VA, .size = 64, .a = 1);
	told = the(NOTICE_ALLOC);
	assert_int_equal(told.memory_kind, VT_KIND_REGISTERED);
	assert_int_equal(told.placement, PLACEMENT_HOST);
	assert_null(told.gpu);
	assert_int_equal(told.size, 64);
	mem_free(10, VA);
	assert_non_null(heard_one(NOTICE_FREE_UNMATCHED));
	CALL(10, FREE, cuMemFreeHost, .addr = VA);
	assert_non_null(heard_one(NOTICE_FREE_UNMATCHED));
	assert_int_equal(live(10), 64);
	CALL(10, FREE, cuMemHostUnregister, .addr = VA);
	assert_int_equal(the(NOTICE_FREE).memory_kind, VT_KIND_REGISTERED);
	assert_int_equal(live(10), 0);
	assert_int_equal(process_of(10)->unmatched_frees, 2);
	/* and nothing else is given back by that call */
	CALL(10, ALLOC, cuMemHostAlloc, .addr = VA, .size = 32);
	CALL(10, FREE, cuMemHostUnregister, .addr = VA);
	assert_non_null(heard_one(NOTICE_FREE_UNMATCHED));
	CALL(10, FREE, cuMemFreeHost, .addr = VA);
	assert_int_equal(the(NOTICE_FREE).memory_kind, VT_KIND_PINNED);
}

/* The free that is late is one of that kind, too. */
static void registered_again_before_the_end_of_it_was_told(void **state)
{
	(void)state;
	CALL(10, ALLOC, cuMemHostRegister_v2, .addr = VA, .size = 64, .enter_ns = 100, .time_ns = 110);
	CALL(10, ALLOC, cuMemHostRegister_v2, .addr = VA, .size = 32, .enter_ns = 125, .time_ns = 130);
	CALL(10, FREE, cuMemFree_v2, .addr = VA, .enter_ns = 120, .time_ns = 140);
	assert_non_null(heard_one(NOTICE_FREE_UNMATCHED));
	CALL(10, FREE, cuMemHostUnregister, .addr = VA, .enter_ns = 120, .time_ns = 150);
	assert_int_equal(the(NOTICE_FREE).size, 64);
	assert_int_equal(live(10), 32);
}

/* A context ends while frees of memory in it are still to be told: it goes with the context, and they find nothing. */
static void settling_with_a_context_that_ends(void **state)
{
	(void)state;
	CALL(10, DONE, cuCtxCreate_v4, .addr = 0x5500, .a = 0);
	CALL(10, DONE, cuCtxCreate_v4, .addr = 0x6600, .a = 0);
	CALL(10, ALLOC, cuMemAlloc_v2, .addr = VA, .size = 1, .context = 0x6600, .enter_ns = 2000, .time_ns = 2010);
	CALL(10, ALLOC, cuMemAlloc_v2, .addr = VA, .size = 2, .context = 0x5500, .enter_ns = 2025, .time_ns = 2030);
	CALL(10, ALLOC, cuMemAlloc_v2, .addr = VA, .size = 4, .context = 0x5500, .enter_ns = 2045, .time_ns = 2050);
	CALL(10, DONE, cuCtxDestroy_v2, .addr = 0x5500, .enter_ns = 2060, .time_ns = 2070);
	assert_int_equal(heard_count, 2);
	assert_int_equal(heard[0].size, 2);
	assert_int_equal(heard[1].size, 4);
	assert_int_equal(heard[1].reason, FREE_CONTEXT);
	assert_int_equal(live(10), 0);
	CALL(10, FREE, cuMemFree_v2, .addr = VA, .enter_ns = 2035, .time_ns = 2080);
	assert_non_null(heard_one(NOTICE_FREE_UNMATCHED));
	CALL(10, FREE, cuMemFree_v2, .addr = VA, .enter_ns = 2015, .time_ns = 2090); /* of the other context */
	assert_int_equal(the(NOTICE_FREE).size, 1);
}

static void an_array_is_no_address(void **state)
{
	struct notice told;

	(void)state;
	alloc(10, VA, 100);
	CALL(10, ALLOC, cuArray3DCreate_v2, .addr = VA, .size = 4096, .b = 1);
	told = the(NOTICE_ALLOC);
	assert_int_equal(told.block_flags, BLOCK_COMPUTED);
	assert_int_equal(told.placement, PLACEMENT_VRAM);
	assert_int_equal(live(10), 4196);
	assert_int_equal(process_of(10)->computed.bytes, 4096);
	CALL(10, FREE, cuArrayDestroy, .addr = VA);
	assert_int_equal(the(NOTICE_FREE).memory_kind, VT_KIND_ARRAY);
	assert_int_equal(live(10), 100);
	CALL(10, FREE, cuArrayDestroy, .addr = VA);
	assert_non_null(heard_one(NOTICE_FREE_UNMATCHED));
	mem_free(10, VA);
	assert_int_equal(the(NOTICE_FREE).memory_kind, VT_KIND_DEVICE);
}

static void an_array_whose_handle_comes_back_before_its_end_was_told(void **state)
{
	(void)state;
	CALL(10, ALLOC, cuArray3DCreate_v2, .addr = VA, .size = 1, .enter_ns = 100, .time_ns = 110);
	CALL(10, ALLOC, cuArray3DCreate_v2, .addr = VA, .size = 2, .enter_ns = 125, .time_ns = 130);
	assert_int_equal(live(10), 2);
	CALL(10, FREE, cuMemFree_v2, .addr = VA, .enter_ns = 120, .time_ns = 135); /* another name space */
	assert_non_null(heard_one(NOTICE_FREE_UNMATCHED));
	CALL(10, FREE, cuArrayDestroy, .addr = VA, .enter_ns = 120, .time_ns = 140);
	assert_int_equal(the(NOTICE_FREE).size, 1);
	assert_int_equal(live(10), 2);
}

static void sparse_and_deferred_arrays_take_nothing(void **state)
{
	const uint64_t flags[] = { VT_ARRAY_SPARSE, VT_ARRAY_DEFERRED };
	struct notice told;

	(void)state;
	for (uint64_t i = 0; i < 2; i++) {
		CALL(10, ALLOC, cuMipmappedArrayCreate, .addr = VA + i, .size = 4096, .a = flags[i] | 2, .b = 3);
		told = the(NOTICE_ALLOC);
		assert_int_equal(told.size, 0);
		assert_int_equal(told.requested, 4096);
		assert_true(told.block_flags & BLOCK_VIRTUAL);
	}
	assert_int_equal(live(10), 0);
	assert_int_equal(process_of(10)->total.live.count, 2);
	assert_int_equal(process_of(10)->virtual.bytes, 8192);
	CALL(10, FREE, cuMipmappedArrayDestroy, .addr = VA);
	told = the(NOTICE_FREE);
	assert_int_equal(told.size, 0);
	assert_int_equal(told.requested, 4096);
	assert_int_equal(process_of(10)->virtual.bytes, 4096);
}

/* Of an unknown format the extent says no bytes: a block it is, and no total is what it says from then on. */
static void an_array_of_no_known_size_is_a_block(void **state)
{
	(void)state;
	CALL(10, ALLOC, cuArray3DCreate_v2, .addr = VA, .size = 0);
	assert_int_equal(the(NOTICE_ALLOC).block_flags, BLOCK_UNSIZED);
	assert_int_equal(process_of(10)->total.live.count, 1);
	assert_int_equal(process_of(10)->computed.count, 0);
	CALL(10, FREE, cuArrayDestroy, .addr = VA);
	assert_non_null(heard_one(NOTICE_FREE));
	assert_int_equal(process_of(10)->unsized, 1);
	assert_false(ledger_complete(ledger, process_of(10)));
}

static void a_graph_node_is_an_address_without_memory(void **state)
{
	struct notice told;

	(void)state;
	CALL(10, ALLOC, cuGraphAddMemAllocNode, .addr = VA, .size = 4096, .a = 5);
	told = the(NOTICE_ALLOC);
	assert_int_equal(told.memory_kind, VT_KIND_GRAPH);
	assert_int_equal(told.size, 0);
	assert_int_equal(told.requested, 4096);
	assert_int_equal(live(10), 0);
	CALL(10, FREE, cuGraphAddMemFreeNode, .addr = VA, .a = 5);
	assert_quiet();
	CALL(10, FREE, cuMemFreeAsync, .addr = VA);
	assert_int_equal(the(NOTICE_FREE).memory_kind, VT_KIND_GRAPH);
	assert_int_equal(process_of(10)->virtual.count, 0);
	/* with its context it goes, too */
	CALL(10, DONE, cuCtxCreate_v4, .addr = 0x5500, .a = 0);
	CALL(10, ALLOC, cuGraphAddMemAllocNode, .addr = VA, .size = 4096, .context = 0x5500);
	CALL(10, DONE, cuGraphAddNode_v2, .addr = VA + 4096, .size = 1, .b = VT_NODE_MEM_ALLOC, .context = 0x5500);
	CALL(10, DONE, cuCtxDestroy_v2, .addr = 0x5500);
	assert_int_equal(heard_count, 2);
	assert_int_equal(heard[1].reason, FREE_CONTEXT);
	assert_int_equal(process_of(10)->total.live.count, 0);
}

static void memory_of_a_pool_goes_by_any_free(void **state)
{
	(void)state;
	CALL(10, ALLOC, cuMemAllocAsync, .addr = VA, .size = 10);
	CALL(10, ALLOC, cuMemAllocAsync, .addr = VA + 64, .size = 10);
	mem_free(10, VA);
	assert_int_equal(the(NOTICE_FREE).memory_kind, VT_KIND_POOL);
	CALL(10, FREE, cuMemFreeAsync, .addr = VA + 64);
	assert_int_equal(the(NOTICE_FREE).memory_kind, VT_KIND_POOL);
	alloc(10, VA, 5);
	CALL(10, FREE, cuMemFreeAsync, .addr = VA);
	assert_int_equal(the(NOTICE_FREE).memory_kind, VT_KIND_DEVICE);
	/* nothing asked for: what stands in addr is no answer */
	CALL(10, ALLOC, cuMemAllocAsync, .addr = VA, .size = 0);
	assert_int_equal(process_of(10)->zero_sized, 1);
	assert_int_equal(process_of(10)->total.live.count, 0);
}

static void an_address_inside_a_block_is_none(void **state)
{
	(void)state;
	alloc(10, VA, 4096);
	mem_free(10, VA + 256);
	assert_non_null(heard_one(NOTICE_FREE_UNMATCHED));
	assert_int_equal(live(10), 4096);
}

static void external_memory_is_a_name_space_of_its_own(void **state)
{
	(void)state;
	alloc(10, VA, 1);
	CALL(10, DONE, cuImportExternalMemory, .addr = VA, .size = 64, .a = 999, .b = 1);
	assert_int_equal(the(NOTICE_ALLOC).memory_kind, VT_KIND_IMPORTED);
	assert_int_equal(live(10), 65);
	CALL(10, FREE, cuDestroyExternalMemory, .addr = VA);
	assert_int_equal(the(NOTICE_FREE).memory_kind, VT_KIND_IMPORTED);
	assert_int_equal(live(10), 1);
	ipc_close(10, VA); /* what stands there is no import */
	assert_non_null(heard_one(NOTICE_FREE_UNMATCHED));
	assert_int_equal(live(10), 1);
}

#define FAIL(event_kind, symbol, error, ...) CALL(10, event_kind, symbol, .result = (error), __VA_ARGS__)

static void a_failed_call_for_memory_is_told(void **state)
{
	struct notice told;

	(void)state;
	FAIL(ALLOC_FAILED, cuMemCreate, 2, .size = 77, .a = ON_GPU(1));
	told = the(NOTICE_ALLOC_FAILED);
	assert_int_equal(told.memory_kind, VT_KIND_VMM);
	assert_int_equal(told.placement, PLACEMENT_VRAM);
	assert_int_equal(told.size, 77);
	assert_int_equal(told.error, 2);
	assert_int_equal(told.error_layer, VT_LAYER_DRIVER);
	FAIL(ALLOC_FAILED, cuMemCreate, 2, .size = 77, .a = VT_LOCATION_HOST);
	assert_int_equal(the(NOTICE_ALLOC_FAILED).placement, PLACEMENT_HOST);
	assert_null(the(NOTICE_ALLOC_FAILED).gpu);
	FAIL(FAILED, cuMemMap, 801, .addr = VA, .size = 5);
	assert_int_equal(the(NOTICE_ALLOC_FAILED).memory_kind, VT_KIND_VMM);
	assert_int_equal(the(NOTICE_ALLOC_FAILED).size, 5);
	FAIL(FAILED, cuIpcOpenMemHandle_v2, 201, .a = 9);
	assert_int_equal(the(NOTICE_ALLOC_FAILED).memory_kind, VT_KIND_IMPORTED);
	FAIL(FAILED, cuMemPoolImportFromShareableHandle, 1, .a = 9);
	assert_int_equal(the(NOTICE_ALLOC_FAILED).memory_kind, VT_KIND_ANY);
	FAIL(FAILED, cuMemPoolCreate, 1, .a = ON_GPU(0));
	assert_int_equal(the(NOTICE_ALLOC_FAILED).memory_kind, VT_KIND_ANY);
	FAIL(FAILED, cuGraphAddNode_v2, 1, .size = 8, .b = VT_NODE_MEM_ALLOC);
	assert_int_equal(the(NOTICE_ALLOC_FAILED).memory_kind, VT_KIND_GRAPH);
	assert_int_equal(process_of(10)->failed, 7);
	assert_int_equal(process_of(10)->failed_frees, 0);
	assert_true(ledger_complete(ledger, process_of(10)));
}

static void a_failed_call_that_gives_back_is_told(void **state)
{
	(void)state;
	create(10, 0x77, 64);
	FAIL(FAILED, cuMemRelease, 1, .addr = 0x77);
	assert_int_equal(the(NOTICE_FREE_FAILED).addr, 0x77);
	FAIL(FAILED, cuMemUnmap, 1, .addr = VA, .size = 64);
	assert_int_equal(the(NOTICE_FREE_FAILED).error, 1);
	FAIL(FAILED, cuMemPoolDestroy, 1, .addr = 0x99);
	assert_non_null(heard_one(NOTICE_FREE_FAILED));
	FAIL(FREE_FAILED, cuArrayDestroy, 709, .addr = 0x99);
	assert_non_null(heard_one(NOTICE_FREE_FAILED));
	assert_int_equal(process_of(10)->failed_frees, 4);
	assert_int_equal(live(10), 64);
}

static void what_makes_no_memory_fails_in_silence_but_for_want_of_it(void **state)
{
	static const char *const symbols[] = {
		"cuCtxCreate_v4",	 "cuDevicePrimaryCtxRetain", "cuModuleLoadData",	   "cuLibraryLoadData",
		"cuCtxEnablePeerAccess", "cuStreamCreate",	     "cuGraphAddNode_v2",	   "cuMemAdvise_v2",
		"cuStreamEndCapture",	 "cuIpcGetMemHandle",	     "cuMemRetainAllocationHandle"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		int row = probe_row_find(symbols[i]);

		assert_true(row >= 0);
		call_of(10, EVENT_FAILED, row, (struct event) { .result = 1, .size = 99 });
		assert_null(heard_one(NOTICE_ALLOC_FAILED));
		assert_int_equal(process_of(10)->failed, i);
		call_of(10, EVENT_FAILED, row, (struct event) { .result = 2, .size = 99 });
		assert_string_equal(the(NOTICE_ALLOC_FAILED).api, symbols[i]);
		assert_int_equal(the(NOTICE_ALLOC_FAILED).memory_kind, VT_KIND_ANY);
		assert_int_equal(the(NOTICE_ALLOC_FAILED).size, 0);
		assert_int_equal(process_of(10)->failed, i + 1);
	}
	assert_int_equal(process_of(10)->failed_frees, 0);
}

/* A program's own device, as its context says; the machine's index where the UUID is known. */
static void a_notice_names_the_gpu(void **state)
{
	uint64_t bytes[2];

	(void)state;
	memset(bytes, 0x11, sizeof(bytes));
	CALL(10, DONE, cuDeviceGetUuid_v2, .addr = 0, .a = bytes[0], .b = bytes[1]);
	CALL(10, DONE, cuDevicePrimaryCtxRetain, .addr = 0x5500, .a = 0);
	CALL(10, ALLOC, cuMemAlloc_v2, .addr = VA, .size = 1, .context = 0x5500);
	assert_int_equal(the(NOTICE_ALLOC).gpu->index, 1);
	FAIL(ALLOC_FAILED, cuMemAlloc_v2, 2, .size = 1, .context = 0x5500);
	assert_int_equal(the(NOTICE_ALLOC_FAILED).gpu->index, 1);
	CALL(10, ALLOC, cuMemHostAlloc, .addr = VA + 64, .size = 1, .context = 0x5500);
	assert_null(the(NOTICE_ALLOC).gpu);
	CALL(10, ALLOC, cuMemAllocManaged, .addr = VA + 128, .size = 1, .context = 0x5500);
	assert_int_equal(the(NOTICE_ALLOC).gpu->index, 1);
	CALL(10, ALLOC, cuMemAlloc_v2, .addr = VA + 192, .size = 1, .context = 0x6600);
	assert_null(the(NOTICE_ALLOC).gpu);
	mem_free(10, VA);
	assert_int_equal(the(NOTICE_FREE).gpu->index, 1);
}

static void maybe_captured_makes_incomplete(void **state)
{
	(void)state;
	CALL(10, DONE, cuStreamBeginCapture_v2, .addr = 0x8800);
	CALL(10, ALLOC, cuMemAllocAsync, .addr = VA, .size = 64, .a = 0x8800);
	assert_int_equal(the(NOTICE_ALLOC).memory_kind, VT_KIND_GRAPH);
	assert_int_equal(live(10), 0);
	assert_true(ledger_complete(ledger, process_of(10)));
	CALL(10, ALLOC, cuMemAllocAsync, .addr = VA + 64, .size = 64, .a = 0x9900);
	assert_true(the(NOTICE_ALLOC).block_flags & BLOCK_MAYBE_CAPTURED);
	assert_int_equal(live(10), 64);
	assert_false(ledger_complete(ledger, process_of(10)));
}

static void frees_below_the_runtime_that_no_driver_call_stood_under(void **state)
{
	(void)state;
	CALL(10, DONE, cudaIpcOpenMemHandle, .addr = VA, .a = 5);
	assert_int_equal(heard_count, 3); /* the process, the block, and that */
	assert_int_equal(heard[2].kind, NOTICE_UNCOVERED);
	CALL(10, FREE, cudaIpcCloseMemHandle, .addr = VA);
	assert_int_equal(heard[1].kind, NOTICE_UNCOVERED);
	assert_int_equal(process_of(10)->uncovered, 2);
}

static void entered_calls_of_other_sorts_are_counted_only(void **state)
{
	(void)state;
	life(EVENT_PROCESS, 10);
	CALL(10, ENTERED, cuMemRelease, .addr = 5);
	assert_quiet();
	CALL(10, ENTERED, cuCtxSetCurrent, .addr = 5);
	assert_quiet();
	CALL(10, ENTERED, cuMemHostRegister_v2, .addr = 0, .size = 64);
	assert_int_equal(the(NOTICE_ENTERED).size, 64);
	assert_int_equal(process_of(10)->entered, 3);
	assert_int_equal(process_of(10)->frees_entered, 0);
	assert_int_equal(process_of(10)->by_kind[VT_KIND_REGISTERED].allocated.bytes, 64);
}

/* An exec takes everything: contexts, streams and pools too. */
static void exec_begins_anew(void **state)
{
	(void)state;
	CALL(10, DONE, cuStreamBeginCapture_v2, .addr = 0x8800);
	alloc(10, VA, 64);
	create(10, 0x77, 32);
	map_at(10, VA + MB, 32, 0x77);
	life(EVENT_EXEC, 10);
	assert_int_equal(live(10), 0);
	assert_int_equal(process_of(10)->total.at_exit.bytes, 96);
	assert_int_equal(heard[0].reason, FREE_EXEC);
	assert_true(heard[0].id < heard[1].id);
	CALL(10, ALLOC, cuMemAllocAsync, .addr = VA, .size = 64, .a = 0x8800);
	assert_int_equal(the(NOTICE_ALLOC).memory_kind, VT_KIND_POOL);
	release(10, 0x77);
	assert_non_null(heard_one(NOTICE_FREE_UNMATCHED));
}

/* A handle of the old image names nothing that the new one has. */
static void exec_forgets_contexts(void **state)
{
	(void)state;
	CALL(10, DONE, cuDeviceGetUuid_v2, .addr = 0, .a = 0x1111111111111111, .b = 0x1111111111111111);
	CALL(10, DONE, cuDevicePrimaryCtxRetain, .addr = 0x5500, .a = 0);
	life(EVENT_EXEC, 10);
	CALL(10, ALLOC, cuMemAlloc_v2, .addr = VA, .size = 1, .context = 0x5500);
	assert_null(the(NOTICE_ALLOC).gpu);
}

/* The exporter's address was handed out again: its block is gone, and the importer has it on. */
static void superseded_while_others_have_it(void **state)
{
	(void)state;
	CALL(10, ALLOC, cuMemAlloc_v2, .addr = VA, .size = 64, .enter_ns = 2000, .time_ns = 2010);
	ipc_export(10, VA, 77);
	ipc_open(11, VA + MB, 77);
	assert_int_equal(borrowed(11), 64);
	CALL(10, ALLOC, cuMemAlloc_v2, .addr = VA, .size = 1, .enter_ns = 3025, .time_ns = 3030);
	assert_int_equal(the(NOTICE_TAKEN).process->tgid, 11);
	assert_int_equal(borrowed(11), 0);
	assert_int_equal(live(11), 64);
	assert_int_equal(live(10), 1);
	CALL(10, FREE, cuMemFree_v2, .addr = VA, .enter_ns = 3020, .time_ns = 3040);
	assert_int_equal(the(NOTICE_FREE).size, 64);
	assert_null(heard_one(NOTICE_TAKEN));
}

static void note_context(void *ctx, const struct block *block)
{
	*(uint16_t *)ctx = block->context;
}

/* H100: what comes from a pool outlives every context. */
static void memory_of_a_pool_is_of_no_context(void **state)
{
	uint16_t context = 99;

	(void)state;
	CALL(10, DONE, cuCtxCreate_v4, .addr = 0x5500, .a = 0);
	CALL(10, ALLOC, cuMemAllocAsync, .addr = VA, .size = 10, .context = 0x5500);
	ledger_each_block(ledger, process_of(10), note_context, &context);
	assert_int_equal(context, 0);
	CALL(10, DONE, cuCtxDestroy_v2, .addr = 0x5500);
	assert_quiet();
	assert_int_equal(live(10), 10);
}

static void sum_block(void *ctx, const struct block *block)
{
	uint64_t *sums = ctx;

	sums[0] += block_bytes(block);
	sums[1] += block->size;
	sums[2]++;
}

static void views(void **state)
{
	uint64_t sums[3] = { 0 };

	(void)state;
	alloc(10, VA, 100);
	CALL(10, ALLOC, cuGraphAddMemAllocNode, .addr = VA + 256, .size = 7);
	CALL(10, ALLOC, cuArrayCreate_v2, .addr = VA, .size = 1000);
	ledger_each_block(ledger, process_of(10), sum_block, sums);
	assert_int_equal(sums[0], 1100);
	assert_int_equal(sums[1], 1107);
	assert_int_equal(sums[2], 3);
	assert_int_equal(ledger_gpu(ledger, 1)->index, 1);
	assert_null(ledger_gpu(ledger, 2));
	assert_int_equal(ledger_gpu_of(ledger, process_of(10), 0), -1);
	assert_int_equal(ledger_gpu_of(ledger, process_of(10), 77), -1);
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(kind_name(VT_KIND_ARRAY), "array");
	assert_string_equal(kind_name(VT_KIND_REGISTERED), "registered");
	assert_string_equal(kind_name(VT_KIND_VMM), "vmm");
	assert_string_equal(kind_name(VT_KIND_IMPORTED), "imported");
	assert_string_equal(kind_name(VT_KIND_GRAPH), "graph");
	assert_string_equal(kind_name(VT_KIND_COUNT), "unknown");
	assert_string_equal(free_reason_name(FREE_CONTEXT), "context");
	assert_string_equal(free_reason_name(FREE_EXPORTER_GONE), "exporter_gone");
	assert_string_equal(free_reason_name(FREE_DESCRIPTOR), "descriptor");
	assert_string_equal(purpose_title((enum purpose)99), "Unknown");
	assert_string_equal(placement_name((enum placement)99), "unknown");
	assert_int_equal(placement_of_kind(VT_KIND_REGISTERED), PLACEMENT_HOST);
	assert_int_equal(placement_of_kind(VT_KIND_ARRAY), PLACEMENT_VRAM);
	assert_int_equal(placement_of_kind(VT_KIND_IMPORTED), PLACEMENT_UNKNOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registered_memory_is_given_back_by_its_own_call_only),
		TEST(registered_again_before_the_end_of_it_was_told),
		TEST(settling_with_a_context_that_ends),
		TEST(an_array_is_no_address),
		TEST(an_array_whose_handle_comes_back_before_its_end_was_told),
		TEST(sparse_and_deferred_arrays_take_nothing),
		TEST(an_array_of_no_known_size_is_a_block),
		TEST(a_graph_node_is_an_address_without_memory),
		TEST(memory_of_a_pool_goes_by_any_free),
		TEST(an_address_inside_a_block_is_none),
		TEST(external_memory_is_a_name_space_of_its_own),
		TEST(a_failed_call_for_memory_is_told),
		TEST(a_failed_call_that_gives_back_is_told),
		TEST(what_makes_no_memory_fails_in_silence_but_for_want_of_it),
		TEST(a_notice_names_the_gpu),
		TEST(maybe_captured_makes_incomplete),
		TEST(frees_below_the_runtime_that_no_driver_call_stood_under),
		TEST(entered_calls_of_other_sorts_are_counted_only),
		TEST(exec_begins_anew),
		TEST(exec_forgets_contexts),
		TEST(superseded_while_others_have_it),
		TEST(memory_of_a_pool_is_of_no_context),
		TEST(views),
		TEST(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
