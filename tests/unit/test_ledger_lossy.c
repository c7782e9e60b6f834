/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ledger/ledger.h"
#include "probe/table.h"

/* A ledger that is told of half a program: what was counted as lost is not counted again for what follows from it. */

#define TGID 10u
#define ADDRESS 0x1000

static struct ledger *ledger;
static uint64_t now_ns, frees_told;

static void on_notice(void *ctx, const struct notice *notice)
{
	(void)ctx;
	frees_told += notice->kind == NOTICE_FREE;
}

static int start(void **state)
{
	struct ledger_settings settings = { .driver_probed = true, .fn = on_notice };

	(void)state;
	now_ns = frees_told = 0;
	return ledger_new(&settings, &ledger);
}

static int stop(void **state)
{
	(void)state;
	ledger_free(ledger);
	return 0;
}

static void lose(uint32_t tgid, uint64_t count)
{
	struct event event = { .kind = EVENT_LOST, .tgid = tgid, .lost_cause = LOST_RING, .lost_count = count };

	ledger_apply(ledger, &event, NULL);
}

/* One address, again and again, and never a free: all of them were lost. */
static void allocate(unsigned int times)
{
	struct event event = { .kind = EVENT_ALLOC, .tgid = TGID, .tid = TGID, .addr = ADDRESS, .size = 1 };

	event.row = event.outer_row = (uint16_t)probe_row_find("cuMemAlloc_v2");
	for (unsigned int i = 0; i < times; i++) {
		event.enter_ns = ++now_ns;
		event.time_ns = ++now_ns;
		ledger_apply(ledger, &event, NULL);
	}
}

static void frees_that_were_lost_are_one_loss(void **state)
{
	(void)state;
	allocate(1);
	lose(TGID, 5000);
	allocate(5000);
	assert_int_equal(ledger_lost(ledger), 5000);
	assert_int_equal(ledger_process(ledger, 0)->lost, 5000);
	assert_int_equal(ledger_process(ledger, 0)->total.live.bytes, 1);
	assert_true(frees_told > 4900); /* few wait: each is looked at with every free of an unknown address */
}

static void also_where_nobody_knows_whose_they_were(void **state)
{
	(void)state;
	allocate(1);
	lose(0, 7);
	allocate(5000);
	assert_int_equal(ledger_lost(ledger), 7);
}

static void without_a_loss_they_are_told_as_one(void **state)
{
	(void)state;
	allocate(5000);
	assert_true(ledger_lost_of(ledger, LOST_RETURN) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frees_that_were_lost_are_one_loss, start, stop),
		cmocka_unit_test_setup_teardown(also_where_nobody_knows_whose_they_were, start, stop),
		cmocka_unit_test_setup_teardown(without_a_loss_they_are_told_as_one, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
