/* SPDX-License-Identifier: Apache-2.0 */
/* ledger: each rule of ledger.h by itself. test_ledger_whole.c has them all at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "ledger/ledger.h"

#define NOTICES_MAX 8192
#define TICK_NS 10000000ull

static struct notice notices[NOTICES_MAX];
static size_t notice_count;
static struct ledger *ledger;
static char name_a[] = "liba.so!f", name_b[] = "libb.so!g";
static struct caller caller_a = { .name = name_a, .id = 7 };
static struct caller caller_b = { .name = name_b, .id = 1 };

static void collect(void *ctx, const struct notice *notice)
{
	assert_ptr_equal(ctx, notices);
	assert_true(notice_count < NOTICES_MAX);
	notices[notice_count++] = *notice;
}

static int setup(void **state)
{
	struct ledger_settings settings = { .driver_probed = true, .fn = collect, .ctx = notices };

	(void)state;
	notice_count = 0;
	return ledger_new(&settings, &ledger);
}

static int teardown(void **state)
{
	(void)state;
	ledger_free(ledger);
	return 0;
}

static void life(enum event_kind kind, uint32_t tgid, uint64_t start_ns, uint64_t now, const char *comm)
{
	struct event event = { .kind = kind, .tgid = tgid, .tid = tgid, .start_ns = start_ns, .time_ns = now };

	memcpy(event.comm, comm, strlen(comm));
	event.uid = 1000;
	event.ns_tgid = tgid + 1;
	event.exit_code = kind == EVENT_EXIT ? 512 : 0;
	ledger_apply(ledger, &event, NULL);
}

/* A call of process 10; the fields that matter are the test's. */
#define CALL(by, event_kind_, ...)                                                                                     \
	call_by(by, (struct event) { .kind = event_kind_, .tgid = 10, .tid = 11, __VA_ARGS__ })

static void call_by(const struct caller *caller, struct event event)
{
	if (event.kind == EVENT_ALLOC_FAILED || event.kind == EVENT_FREE_FAILED)
		event.result = 2;
	ledger_apply(ledger, &event, caller);
}

static void alloc(uint64_t addr, uint64_t size, uint64_t now)
{
	CALL(&caller_a, EVENT_ALLOC, .row = VT_PROBE_cuMemAlloc_v2, .outer_row = VT_PROBE_cudaMalloc, .addr = addr,
	     .size = size, .enter_ns = now - 1, .time_ns = now);
}

static void release(uint64_t addr, uint64_t enter, uint64_t now)
{
	CALL(&caller_b, EVENT_FREE, .row = VT_PROBE_cuMemFree_v2, .outer_row = VT_PROBE_cudaFree, .addr = addr,
	     .enter_ns = enter, .time_ns = now);
}

static const struct notice *last(void)
{
	assert_true(notice_count > 0);
	return &notices[notice_count - 1];
}

static const struct process *first_process(void)
{
	assert_true(ledger_process_count(ledger) > 0);
	return ledger_process(ledger, 0);
}

static size_t count_kind(enum notice_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < notice_count; i++)
		count += notices[i].kind == kind;
	return count;
}

static void test_alloc_and_free(void **state)
{
	const struct process *process;

	(void)state;
	life(EVENT_PROCESS, 10, 5, 100, "prog");
	assert_int_equal(last()->kind, NOTICE_PROCESS);
	alloc(0x1000, 4096, 110);
	process = first_process();
	assert_int_equal(last()->kind, NOTICE_ALLOC);
	assert_string_equal(last()->api, "cudaMalloc");
	assert_int_equal(last()->layer, NOTICE_LAYER_BOTH);
	assert_int_equal(last()->memory_kind, VT_KIND_DEVICE);
	assert_int_equal(last()->placement, PLACEMENT_VRAM);
	assert_int_equal(last()->purpose, PURPOSE_UNKNOWN);
	assert_int_equal(last()->duration_ns, 1);
	assert_int_equal(last()->live_bytes, 4096);
	assert_int_equal(last()->id, 1);
	assert_ptr_equal(last()->caller, &caller_a);
	assert_ptr_equal(last()->process, process);
	assert_string_equal(process->comm, "prog");
	assert_int_equal(process->total.live.bytes, 4096);
	assert_int_equal(process->by_kind[VT_KIND_DEVICE].live.count, 1);
	assert_int_equal(process->caller_count, 1);
	assert_ptr_equal(process->by_caller[0].caller, &caller_a);
	assert_int_equal(process->by_caller[0].slice.live.bytes, 4096);

	release(0x1000, 120, 130);
	assert_int_equal(last()->kind, NOTICE_FREE);
	assert_int_equal(last()->size, 4096);
	assert_int_equal(last()->memory_kind, VT_KIND_DEVICE);
	assert_int_equal(last()->age_ns, 20);
	assert_int_equal(last()->reason, FREE_CALL);
	assert_int_equal(last()->live_bytes, 0);
	assert_int_equal(last()->id, 1);
	assert_int_equal(process->total.live.count, 0);
	assert_int_equal(process->total.peak_bytes, 4096);
	assert_int_equal(process->total.allocated.count, 1);
	assert_int_equal(process->by_caller[0].slice.live.bytes, 0);
	assert_int_equal(process->calls, 2);
	assert_true(ledger_complete(ledger, process));
	assert_int_equal(count_kind(NOTICE_UNCOVERED), 0);
}

static void test_address_reused_before_free_returns(void **state)
{
	(void)state;
	alloc(0x1000, 100, 110);
	/* a free is entered at 120; the driver hands the address out again at 130; the free returns at 140 */
	alloc(0x1000, 300, 130);
	assert_int_equal(first_process()->total.live.bytes, 300);
	assert_int_equal(first_process()->total.live.count, 1);
	assert_int_equal(first_process()->total.peak_bytes, 300); /* never 400: the old one was gone */
	assert_int_equal(count_kind(NOTICE_FREE), 0);
	release(0x1000, 120, 140);
	assert_int_equal(last()->kind, NOTICE_FREE);
	assert_int_equal(last()->size, 100);
	assert_int_equal(last()->id, 1);
	assert_int_equal(last()->live_bytes, 300);
	assert_int_equal(first_process()->total.live.bytes, 300);
	release(0x1000, 150, 160);
	assert_int_equal(last()->size, 300);
	assert_int_equal(first_process()->total.live.bytes, 0);
	assert_int_equal(first_process()->unmatched_frees, 0);
}

static void test_free_before_the_allocation_returned(void **state)
{
	(void)state;
	alloc(0x1000, 100, 110);
	release(0x1000, 109, 120); /* it cannot have been about this block */
	assert_int_equal(last()->kind, NOTICE_FREE_UNMATCHED);
	assert_int_equal(last()->addr, 0x1000);
	assert_int_equal(first_process()->total.live.bytes, 100);
	assert_int_equal(first_process()->unmatched_frees, 1);
	release(0x1000, 110, 130); /* the very instant is late enough */
	assert_int_equal(last()->kind, NOTICE_FREE);
}

static void test_failures_and_nothing(void **state)
{
	(void)state;
	CALL(&caller_a, EVENT_ALLOC_FAILED, .row = VT_PROBE_cuMemAllocManaged, .outer_row = VT_PROBE_cudaMallocManaged,
	     .size = 1 << 20, .enter_ns = 1, .time_ns = 2);
	assert_int_equal(last()->kind, NOTICE_ALLOC_FAILED);
	assert_int_equal(last()->error, 2);
	assert_int_equal(last()->error_layer, VT_LAYER_DRIVER);
	assert_int_equal(last()->size, 1 << 20);
	assert_int_equal(first_process()->failed, 1);
	assert_int_equal(first_process()->caller_count, 0);
	alloc(0x1000, 64, 10);
	CALL(NULL, EVENT_FREE_FAILED, .row = VT_PROBE_cudaFree, .outer_row = VT_PROBE_cudaFree, .addr = 0x1000,
	     .enter_ns = 20, .time_ns = 21);
	assert_int_equal(last()->kind, NOTICE_FREE_FAILED);
	assert_int_equal(last()->error_layer, VT_LAYER_RUNTIME);
	assert_int_equal(first_process()->total.live.bytes, 64);
	assert_int_equal(first_process()->failed_frees, 1);

	notice_count = 0;
	release(0, 30, 31);
	assert_int_equal(notice_count, 0);
	assert_int_equal(first_process()->unmatched_frees, 0);
	alloc(0, 0, 40);
	assert_int_equal(last()->kind, NOTICE_ALLOC);
	assert_int_equal(first_process()->zero_sized, 1);
	assert_int_equal(first_process()->total.live.count, 1);
	assert_int_equal(first_process()->total.allocated.count, 1);
}

static void test_uncovered(void **state)
{
	(void)state;
	CALL(&caller_a, EVENT_ALLOC, .row = VT_PROBE_cudaMallocHost, .outer_row = VT_PROBE_cudaMallocHost,
	     .addr = 0x1000, .size = 64, .enter_ns = 1, .time_ns = 2);
	assert_int_equal(notices[notice_count - 2].kind, NOTICE_ALLOC);
	assert_int_equal(notices[notice_count - 2].layer, NOTICE_LAYER_RUNTIME);
	assert_int_equal(last()->kind, NOTICE_UNCOVERED);
	assert_string_equal(last()->api, "cudaMallocHost");
	assert_int_equal(first_process()->total.live.bytes, 64);
	assert_int_equal(first_process()->by_kind[VT_KIND_PINNED].live.bytes, 64);
	assert_false(ledger_complete(ledger, first_process()));
	CALL(&caller_a, EVENT_FREE, .row = VT_PROBE_cudaFreeHost, .outer_row = VT_PROBE_cudaFreeHost, .addr = 0x1000,
	     .enter_ns = 3, .time_ns = 4);
	assert_int_equal(notices[notice_count - 2].kind, NOTICE_FREE);
	assert_int_equal(notices[notice_count - 2].placement, PLACEMENT_HOST);
	assert_int_equal(last()->kind, NOTICE_UNCOVERED);
	assert_int_equal(first_process()->uncovered, 2);
	CALL(&caller_a, EVENT_ALLOC, .row = VT_PROBE_cudaMalloc, .outer_row = VT_PROBE_cudaMalloc, .enter_ns = 5,
	     .time_ns = 6);
	CALL(&caller_a, EVENT_FREE, .row = VT_PROBE_cudaFree, .outer_row = VT_PROBE_cudaFree, .enter_ns = 7,
	     .time_ns = 8);
	CALL(&caller_a, EVENT_ALLOC, .row = VT_PROBE_cuMemAlloc_v2, .outer_row = VT_PROBE_cuMemAlloc_v2, .addr = 0x2000,
	     .size = 64, .enter_ns = 9, .time_ns = 10);
	assert_int_equal(last()->layer, NOTICE_LAYER_DRIVER);
	CALL(&caller_a, EVENT_ALLOC, .row = VT_PROBE_cudaMalloc, .outer_row = VT_PROBE_cudaMalloc, .addr = 8);
	assert_int_equal(first_process()->uncovered, 2);
}

static void test_uncovered_needs_a_probed_driver(void **state)
{
	struct ledger_settings settings = { .driver_probed = false, .fn = collect, .ctx = notices };

	(void)state;
	ledger_free(ledger);
	assert_int_equal(ledger_new(&settings, &ledger), 0);
	CALL(&caller_a, EVENT_ALLOC, .row = VT_PROBE_cudaMalloc, .outer_row = VT_PROBE_cudaMalloc, .addr = 0x1000,
	     .size = 64, .enter_ns = 1, .time_ns = 2);
	assert_int_equal(last()->kind, NOTICE_ALLOC);
	assert_true(ledger_complete(ledger, first_process()));
}

static void test_exit_frees_in_order_of_allocation(void **state)
{
	const struct process *process;

	(void)state;
	life(EVENT_PROCESS, 10, 5, 100, "prog");
	for (uint64_t i = 1; i <= 100; i++)
		alloc(i * 0x1000, i, 100 + i);
	alloc(0x1000, 7, 300); /* the first one settles */
	notice_count = 0;
	life(EVENT_EXIT, 10, 5, 400, "renamed");
	process = first_process();
	assert_int_equal(notice_count, 102);
	assert_int_equal(notices[0].reason, FREE_CALL);
	assert_int_equal(notices[0].id, 1);
	for (uint64_t i = 1; i <= 100; i++) {
		assert_int_equal(notices[i].kind, NOTICE_FREE);
		assert_int_equal(notices[i].reason, FREE_EXIT);
		assert_int_equal(notices[i].id, i + 1);
		assert_null(notices[i].api);
		assert_null(notices[i].caller);
	}
	assert_int_equal(notices[99].live_bytes, 7);
	assert_int_equal(notices[100].live_bytes, 0);
	assert_int_equal(last()->kind, NOTICE_PROCESS);
	assert_true(process->ended);
	assert_int_equal(process->exit_code, 512);
	assert_int_equal(process->ended_ns, 400);
	assert_string_equal(process->comm, "renamed");
	assert_int_equal(process->total.live.bytes, 0);
	assert_int_equal(process->total.at_exit.bytes, 5050 - 1 + 7);
	assert_int_equal(process->total.at_exit.count, 100);
	assert_int_equal(process->by_kind[VT_KIND_DEVICE].at_exit.count, 100);
	assert_int_equal(process->by_caller[0].slice.at_exit.count, 100);
	assert_int_equal(ledger_process_count(ledger), 1);
}

static void test_exec_keeps_the_process(void **state)
{
	(void)state;
	life(EVENT_PROCESS, 10, 5, 100, "sh");
	alloc(0x1000, 64, 110);
	life(EVENT_EXEC, 10, 5, 120, "python3");
	assert_int_equal(notices[notice_count - 2].reason, FREE_EXEC);
	assert_int_equal(last()->kind, NOTICE_PROCESS);
	assert_int_equal(ledger_process_count(ledger), 1);
	assert_string_equal(first_process()->comm, "python3");
	assert_int_equal(first_process()->total.live.bytes, 0);
	assert_int_equal(first_process()->total.at_exit.bytes, 64);
	assert_false(first_process()->ended);
	release(0x1000, 130, 140);
	assert_int_equal(last()->kind, NOTICE_FREE_UNMATCHED);
}

static void test_fork_copies_nothing(void **state)
{
	struct event fork = {
		.kind = EVENT_FORK, .tgid = 20, .tid = 20, .start_ns = 9, .parent_tgid = 10, .time_ns = 120
	};

	(void)state;
	life(EVENT_PROCESS, 10, 5, 100, "prog");
	alloc(0x1000, 64, 110);
	ledger_apply(ledger, &fork, NULL);
	assert_int_equal(ledger_process_count(ledger), 2);
	assert_int_equal(ledger_process(ledger, 1)->total.live.bytes, 0);
	assert_int_equal(ledger_process(ledger, 1)->parent_tgid, 10);
	assert_false(ledger_process(ledger, 1)->has_cuda);
	life(EVENT_EXIT, 20, 9, 130, "prog"); /* no CUDA call: forgotten */
	assert_int_equal(ledger_process_count(ledger), 1);
	assert_int_equal(first_process()->total.live.bytes, 64);
}

static void test_reused_tgid_is_another_process(void **state)
{
	(void)state;
	life(EVENT_PROCESS, 10, 5, 100, "one");
	alloc(0x1000, 64, 110);
	life(EVENT_PROCESS, 10, 500, 600, "two"); /* the exit of the first was lost */
	assert_int_equal(ledger_process_count(ledger), 2);
	assert_true(ledger_process(ledger, 0)->ended);
	assert_string_equal(ledger_process(ledger, 1)->comm, "two");
	assert_int_equal(count_kind(NOTICE_FREE), 1);
	release(0x1000, 610, 620);
	assert_int_equal(last()->kind, NOTICE_FREE_UNMATCHED);
	assert_ptr_equal(last()->process, ledger_process(ledger, 1));
}

static void test_calls_of_an_unknown_process(void **state)
{
	(void)state;
	alloc(0x1000, 64, 110);
	assert_string_equal(first_process()->comm, "?");
	life(EVENT_PROCESS, 10, 5, 120, "late");
	assert_int_equal(ledger_process_count(ledger), 1);
	assert_string_equal(first_process()->comm, "late");
	assert_int_equal(first_process()->total.live.bytes, 64);
	life(EVENT_EXIT, 10, 5, 130, "late");
	alloc(0x1000, 64, 140);
	assert_int_equal(ledger_process_count(ledger), 2);
	/* a fork makes a new process: whoever called before cannot be it */
	life(EVENT_FORK, 10, 150, 150, "child");
	assert_true(ledger_process(ledger, 1)->ended);
	assert_int_equal(ledger_process_count(ledger), 3);
}

static void test_attached_late(void **state)
{
	const struct process *process;

	(void)state;
	assert_int_equal(ledger_attach_late(ledger, 10, 3, 7 * TICK_NS, "a name of more than 16 bytes", 5000), 0);
	process = first_process();
	assert_true(process->attached_late);
	assert_int_equal(process->ns_tgid, 3);
	assert_string_equal(process->comm, "a name of more t");
	assert_false(ledger_complete(ledger, process));
	/* the kernel's exact start time is within /proc's tick: the same process */
	life(EVENT_PROCESS, 10, 7 * TICK_NS + 123, 200, "x");
	assert_int_equal(ledger_process_count(ledger), 1);
	assert_int_equal(process->start_ns, 7 * TICK_NS + 123);
	life(EVENT_PROCESS, 10, 7 * TICK_NS + 124, 300, "y");
	assert_int_equal(ledger_process_count(ledger),
			 2); /* the first may have made calls that nobody saw: it is kept */
	assert_int_equal(process->exit_code, PROCESS_EXIT_UNKNOWN);
	assert_false(ledger_process(ledger, 1)->attached_late);
}

static void lose(uint32_t tgid, enum lost_cause cause, uint64_t count)
{
	struct event event = { .kind = EVENT_LOST, .tgid = tgid, .lost_cause = cause, .lost_count = count };

	ledger_apply(ledger, &event, NULL);
}

static void test_losses(void **state)
{
	(void)state;
	life(EVENT_PROCESS, 10, 5, 100, "one");
	life(EVENT_PROCESS, 20, 5, 100, "two");
	lose(20, LOST_READ, 1);
	assert_ptr_equal(last()->process, ledger_process(ledger, 1));
	assert_true(ledger_complete(ledger, ledger_process(ledger, 0)));
	assert_false(ledger_complete(ledger, ledger_process(ledger, 1)));
	lose(0, LOST_RING, 41);
	assert_null(last()->process);
	assert_int_equal(last()->lost_count, 41);
	assert_false(ledger_complete(ledger, ledger_process(ledger, 0)));
	assert_int_equal(ledger_lost(ledger), 42);
	assert_int_equal(ledger_lost_of(ledger, LOST_RING), 41);
	assert_int_equal(ledger_process(ledger, 1)->lost, 1);
}

static void test_settling_is_bounded(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 1025; i++) {
		alloc(0x1000, 1, 10 + 2 * i);
		assert_int_equal(first_process()->total.live.count, 1);
	}
	assert_int_equal(count_kind(NOTICE_FREE), 0);
	alloc(0x1000, 1, 10000);
	assert_int_equal(count_kind(NOTICE_FREE), 1);
	assert_int_equal(ledger_lost_of(ledger, LOST_RETURN), 1);
	assert_int_equal(first_process()->total.live.bytes, 1);
	assert_false(ledger_complete(ledger, first_process()));
}

static void count_block(void *ctx, const struct block *block)
{
	*(uint64_t *)ctx += block->size;
}

static void test_each_block(void **state)
{
	uint64_t bytes = 0;

	(void)state;
	alloc(0x1000, 1, 10);
	alloc(0x2000, 10, 11);
	alloc(0x1000, 100, 12);
	ledger_each_block(ledger, first_process(), count_block, &bytes);
	assert_int_equal(bytes, 110);
	life(EVENT_EXIT, 10, 0, 100, "x");
	ledger_each_block(ledger, first_process(), count_block, &bytes);
	assert_int_equal(bytes, 110);
}

static void test_ended_processes_are_bounded(void **state)
{
	struct ledger_settings settings = { 0 };
	struct event event = { .tid = 1, .row = VT_PROBE_cuMemFree_v2, .outer_row = VT_PROBE_cuMemFree_v2 };

	(void)state;
	ledger_free(ledger);
	assert_int_equal(ledger_new(&settings, &ledger), 0);
	life(EVENT_PROCESS, 100000, 1, 1, "lives"); /* and is never dropped */
	for (uint32_t i = 1; i <= 65536 + 3; i++) {
		event.tgid = i;
		event.kind = EVENT_FREE;
		ledger_apply(ledger, &event, NULL);
		event.kind = EVENT_EXIT;
		ledger_apply(ledger, &event, NULL);
	}
	assert_int_equal(ledger_process_count(ledger), 65536 + 1);
	assert_int_equal(ledger_forgotten(ledger), 3);
	assert_int_equal(first_process()->tgid, 100000);
	assert_int_equal(ledger_process(ledger, 1)->tgid, 4);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(placement_name(PLACEMENT_MIGRATABLE), "migratable");
	assert_string_equal(purpose_name(PURPOSE_KV_CACHE), "kv_cache");
	assert_string_equal(purpose_title(PURPOSE_INTERMEDIATE_BUFFERS), "IntermediateBuffers");
	assert_string_equal(free_reason_name(FREE_EXEC), "exec");
	assert_string_equal(notice_layer_name(NOTICE_LAYER_BOTH), "both");
	assert_int_equal(placement_of_kind(VT_KIND_DEVICE), PLACEMENT_VRAM);
	assert_int_equal(placement_of_kind(VT_KIND_POOL), PLACEMENT_VRAM);
	assert_int_equal(placement_of_kind(VT_KIND_MANAGED), PLACEMENT_MIGRATABLE);
	assert_int_equal(placement_of_kind(VT_KIND_PINNED), PLACEMENT_HOST);
	assert_int_equal(placement_of_kind(VT_KIND_ANY), PLACEMENT_UNKNOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_alloc_and_free),
		TEST(test_address_reused_before_free_returns),
		TEST(test_free_before_the_allocation_returned),
		TEST(test_failures_and_nothing),
		TEST(test_uncovered),
		TEST(test_uncovered_needs_a_probed_driver),
		TEST(test_exit_frees_in_order_of_allocation),
		TEST(test_exec_keeps_the_process),
		TEST(test_fork_copies_nothing),
		TEST(test_reused_tgid_is_another_process),
		TEST(test_calls_of_an_unknown_process),
		TEST(test_attached_late),
		TEST(test_losses),
		TEST(test_settling_is_bounded),
		TEST(test_each_block),
		TEST(test_ended_processes_are_bounded),
		TEST(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
