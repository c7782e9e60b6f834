/* SPDX-License-Identifier: Apache-2.0 */
/* ledger: calls that are told as they are entered, for a kernel where returns cannot be probed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "ledger/ledger.h"

static struct notice notices[16];
static size_t notice_count;
static struct ledger *ledger;
static char name_a[] = "liba.so!f";
static struct caller caller_a = { .name = name_a, .id = 7 };

static void collect(void *ctx, const struct notice *notice)
{
	assert_ptr_equal(ctx, notices);
	assert_true(notice_count < sizeof(notices) / sizeof(notices[0]));
	notices[notice_count++] = *notice;
}

static int setup(void **state)
{
	struct ledger_settings settings = { .driver_probed = true, .entry_only = true, .fn = collect, .ctx = notices };

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

static void enter(uint16_t row, uint64_t addr, uint64_t size, const struct caller *caller)
{
	struct event event = { .kind = EVENT_ENTERED,
			       .tgid = 10,
			       .tid = 11,
			       .time_ns = 1000,
			       .enter_ns = 900,
			       .row = row,
			       .outer_row = row,
			       .addr = addr,
			       .size = size };

	ledger_apply(ledger, &event, caller);
}

static const struct notice *last(void)
{
	return &notices[notice_count - 1];
}

static void test_asking_makes_no_block(void **state)
{
	const struct process *process;

	(void)state;
	enter(VT_PROBE_cuMemAlloc_v2, 0, 4096, &caller_a);
	enter(VT_PROBE_cuMemAllocManaged, 0, 100, NULL);
	enter(VT_PROBE_cuMemAlloc_v2, 0, 1, &caller_a);
	process = ledger_process(ledger, 0);
	assert_int_equal(process->calls, 3);
	assert_int_equal(process->entered, 3);
	assert_int_equal(process->frees_entered, 0);
	assert_int_equal(process->total.allocated.bytes, 4197);
	assert_int_equal(process->total.allocated.count, 3);
	assert_int_equal(process->by_kind[VT_KIND_DEVICE].allocated.bytes, 4097);
	assert_int_equal(process->by_kind[VT_KIND_MANAGED].allocated.count, 1);
	assert_int_equal(process->caller_count, 1);
	assert_int_equal(process->by_caller[0].slice.allocated.bytes, 4097);
	assert_int_equal(process->by_caller[0].slice.allocated.count, 2);
	assert_int_equal(process->total.live.count, 0);
	assert_int_equal(process->total.live.bytes, 0);
	assert_int_equal(process->total.peak_bytes, 0);
	assert_true(process->has_cuda);
}

static void test_what_is_told(void **state)
{
	(void)state;
	enter(VT_PROBE_cuMemAlloc_v2, 0, 4096, &caller_a);
	assert_int_equal(notice_count, 2);
	assert_int_equal(notices[0].kind, NOTICE_PROCESS);
	assert_int_equal(last()->kind, NOTICE_ENTERED);
	assert_int_equal(last()->op, VT_OP_ALLOC);
	assert_int_equal(last()->size, 4096);
	assert_int_equal(last()->memory_kind, VT_KIND_DEVICE);
	assert_int_equal(last()->placement, PLACEMENT_VRAM);
	assert_int_equal(last()->layer, NOTICE_LAYER_DRIVER);
	assert_int_equal(last()->duration_ns, 0);
	assert_int_equal(last()->id, 0);
	assert_ptr_equal(last()->caller, &caller_a);
	assert_string_equal(last()->api, "cuMemAlloc_v2");
	enter(VT_PROBE_cuMemFree_v2, 0x7f0000, 0, NULL);
	assert_int_equal(last()->op, VT_OP_FREE);
	assert_int_equal(last()->addr, 0x7f0000);
	assert_int_equal(ledger_process(ledger, 0)->frees_entered, 1);
}

/* A free of NULL is nothing, here too. */
static void test_free_of_null(void **state)
{
	(void)state;
	enter(VT_PROBE_cuMemFree_v2, 0, 0, NULL);
	assert_int_equal(notice_count, 1); /* the process */
	assert_int_equal(ledger_process(ledger, 0)->frees_entered, 0);
	assert_int_equal(ledger_process(ledger, 0)->entered, 1);
}

/* Programs can ask for anything. */
static void test_sums_do_not_wrap(void **state)
{
	(void)state;
	enter(VT_PROBE_cuMemAlloc_v2, 0, UINT64_MAX, &caller_a);
	enter(VT_PROBE_cuMemAlloc_v2, 0, 4096, &caller_a);
	assert_true(ledger_process(ledger, 0)->total.allocated.bytes == UINT64_MAX);
	assert_true(ledger_process(ledger, 0)->by_caller[0].slice.allocated.bytes == UINT64_MAX);
	assert_int_equal(ledger_process(ledger, 0)->total.allocated.count, 2);
}

static void test_never_complete(void **state)
{
	struct event end = { .kind = EVENT_EXIT, .tgid = 10, .tid = 10, .time_ns = 2000 };

	(void)state;
	assert_true(ledger_entry_only(ledger));
	assert_false(ledger_complete(ledger, NULL));
	enter(VT_PROBE_cuMemAlloc_v2, 0, 4096, NULL);
	assert_false(ledger_complete(ledger, ledger_process(ledger, 0)));
	ledger_apply(ledger, &end, NULL);
	assert_int_equal(ledger_process(ledger, 0)->total.at_exit.count, 0);
	assert_int_equal(last()->kind, NOTICE_PROCESS);
}

/* Ends are numbered in their order, also those of processes that nobody keeps. */
static void test_ends_are_numbered(void **state)
{
	struct event event = { .kind = EVENT_FORK, .tgid = 20, .tid = 20, .time_ns = 500, .start_ns = 5 };

	(void)state;
	ledger_apply(ledger, &event, NULL);
	enter(VT_PROBE_cuMemAlloc_v2, 0, 4096, NULL);
	assert_int_equal(ledger_ends(ledger), 0);
	event.kind = EVENT_EXIT;
	ledger_apply(ledger, &event, NULL);
	assert_int_equal(ledger_process_count(ledger), 1);
	assert_int_equal(ledger_process(ledger, 0)->end_number, 0);
	event.tgid = 10;
	event.start_ns = 0;
	ledger_apply(ledger, &event, NULL);
	assert_int_equal(ledger_ends(ledger), 2);
	assert_int_equal(ledger_process(ledger, 0)->end_number, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_asking_makes_no_block, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_of_null, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sums_do_not_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_complete, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_are_numbered, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
