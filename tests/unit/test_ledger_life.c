/* SPDX-License-Identifier: Apache-2.0 */
/* ledger: what is told of processes and losses that does not fit together, for something was missed. */
#include "ledger_calls.h"

#define TICK_NS 10000000ull
#define VA 0x7f0000000000

static void tell_life(enum event_kind kind, uint64_t start_ns, const char *comm)
{
	struct event event = {
		.kind = kind, .tgid = 10, .tid = 10, .start_ns = start_ns, .uid = 1000, .time_ns = now += 10
	};

	memcpy(event.comm, comm, strlen(comm));
	ledger_apply(ledger, &event, NULL);
}

static void lose(uint32_t tgid, enum lost_cause cause, uint64_t count)
{
	struct event event = { .kind = EVENT_LOST, .tgid = tgid, .lost_cause = cause, .lost_count = count };

	heard_count = 0;
	ledger_apply(ledger, &event, NULL);
}

/* A recording can tell any number, and any cause. */
static void losses_of_any_sort(void **state)
{
	(void)state;
	life(EVENT_PROCESS, 10);
	alloc(10, VA, 1);
	assert_true(ledger_complete(ledger, NULL));
	lose(10, LOST_CAUSE_COUNT, 5);
	assert_quiet();
	assert_int_equal(ledger_lost(ledger), 0);
	assert_int_equal(ledger_lost_of(ledger, LOST_CAUSE_COUNT), 0);
	lose(0, LOST_RING, 3);
	assert_int_equal(ledger_lost_unknown(ledger), 3);
	assert_false(ledger_complete(ledger, NULL));
	lose(0, LOST_RING, UINT64_MAX);
	assert_true(ledger_lost_unknown(ledger) == UINT64_MAX);
	assert_true(ledger_lost(ledger) == UINT64_MAX);
	life(EVENT_PROCESS, 20);
	life(EVENT_EXIT, 10);
	lose(10, LOST_READ, 4); /* noticed when it had ended */
	assert_int_equal(process_of(10)->lost, 4);
	lose(77, LOST_READ, 4); /* of nobody that we know */
	assert_null(heard[0].process);
}

/* The end of the one and the start of the other were lost. */
static void the_end_of_another_process(void **state)
{
	(void)state;
	tell_life(EVENT_PROCESS, 7 * TICK_NS, "one");
	alloc(10, VA, 64);
	tell_life(EVENT_EXIT, 9 * TICK_NS + 1, "two");
	assert_true(process_of(10)->ended);
	assert_string_equal(process_of(10)->comm, "one");
	assert_int_equal(process_of(10)->exit_code, PROCESS_EXIT_UNKNOWN);
	assert_int_equal(process_of(10)->total.at_exit.bytes, 64);
	tell_life(EVENT_EXIT, 9 * TICK_NS + 1, "two");
	assert_int_equal(ledger_process_count(ledger), 1);
}

static void attached_late_to_one_that_is_known(void **state)
{
	(void)state;
	assert_null(ledger_process(ledger, 0));
	tell_life(EVENT_PROCESS, 7 * TICK_NS + 1, "one");
	assert_int_equal(ledger_attach_late(ledger, 10, 0, 7 * TICK_NS, "", now), 0);
	assert_int_equal(ledger_process_count(ledger), 1);
	assert_int_equal(process_of(10)->uid, 1000);
	assert_string_equal(process_of(10)->comm, "one");
	assert_int_equal(process_of(10)->start_ns, 7 * TICK_NS + 1);
	assert_true(process_of(10)->attached_late);
	assert_null(ledger_process(ledger, 1));
}

static void nobody_listens(void **state)
{
	struct ledger_settings settings = { 0 };

	(void)state;
	ledger_free(ledger);
	assert_int_equal(ledger_new(&settings, &ledger), 0);
	alloc(10, VA, 64);
	assert_int_equal(live(10), 64);
}

/* Frees that wait hold up nobody: at the end they are told as what they were. */
static void an_end_settles_what_waits(void **state)
{
	(void)state;
	CALL(10, ALLOC, cuMemAlloc_v2, .addr = VA, .size = 1, .enter_ns = 2000, .time_ns = 2010);
	CALL(10, ALLOC, cuMemAlloc_v2, .addr = VA, .size = 2, .enter_ns = 2025, .time_ns = 2030);
	life(EVENT_EXIT, 10);
	assert_int_equal(heard[0].size, 1);
	assert_int_equal(heard[0].reason, FREE_CALL);
	assert_int_equal(heard[1].size, 2);
	assert_int_equal(heard[1].reason, FREE_EXIT);
	assert_int_equal(process_of(10)->total.at_exit.bytes, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(losses_of_any_sort), TEST(the_end_of_another_process), TEST(attached_late_to_one_that_is_known),
		TEST(nobody_listens),	  TEST(an_end_settles_what_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
