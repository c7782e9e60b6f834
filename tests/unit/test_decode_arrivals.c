/* SPDX-License-Identifier: Apache-2.0 */
/* The reader's own count, against what the producer says. */
#include <linux/types.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "decode/arrivals.h"

static struct arrivals arrivals;

static int setup(void **state)
{
	(void)state;
	arrivals_init(&arrivals);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arrivals_fini(&arrivals);
	return 0;
}

static void call(uint32_t tgid, uint16_t cpu)
{
	const struct vt_header header = { .kind = VT_RECORD_CALL, .tgid = tgid, .cpu = cpu };

	arrivals_record(&arrivals, &header, NULL);
}

static void life(uint16_t kind, uint32_t tgid, uint64_t start_ns, uint64_t produced, uint64_t lost)
{
	struct vt_process process = {
		.header = { .kind = kind, .tgid = tgid },
		.start_ns = start_ns,
		.produced = produced,
		.lost = lost,
	};

	memcpy(process.comm, "0123456789abcdef", 16);
	arrivals_record(&arrivals, &process.header, &process);
}

static void per_cpu(void **state)
{
	(void)state;
	call(1, 3);
	call(2, 0);
	call(1, 3);
	assert_int_equal(arrivals.cpu_count, 4);
	assert_int_equal(arrivals.cpus[3], 2);
	assert_int_equal(arrivals.cpus[0], 1);
	assert_int_equal(arrivals.cpus[1], 0);
}

static void a_process_comes_out_even_or_not(void **state)
{
	(void)state;
	life(VT_RECORD_PROCESS, 7, 100, 0, 0);
	call(7, 0);
	call(7, 1);
	life(VT_RECORD_EXIT, 7, 100, 5, 2);
	assert_int_equal(arrivals.ended_count, 1);
	assert_int_equal(arrivals.live.count, 0);
	assert_int_equal(arrivals.ended[0]->delivered, 3);
	assert_string_equal(arrivals.ended[0]->comm, "0123456789abcdef");
	assert_true(arrivals_is_even(arrivals.ended[0]));
	/* The same tgid again is another process. */
	life(VT_RECORD_FORK, 7, 200, 0, 0);
	life(VT_RECORD_EXIT, 7, 200, 2, 0);
	assert_int_equal(arrivals.ended_count, 2);
	assert_false(arrivals_is_even(arrivals.ended[1]));
}

static void an_exit_that_was_lost(void **state)
{
	const struct vt_process_state end = { .start_ns = 100, .produced = 4, .lost[VT_LOST_RING] = 2 };
	const struct vt_process_state known = { .start_ns = 300, .produced = 9 };
	struct arrivals_process *process;

	(void)state;
	life(VT_RECORD_PROCESS, 7, 100, 0, 0);
	arrivals_lost_exit(&arrivals, 7, &end);
	call(7, 0); /* was on its way */
	process = map_get(&arrivals.live, 7);
	assert_non_null(process);
	assert_true(process->ended && arrivals_is_even(process));
	arrivals_lost_exit(&arrivals, 7, &known); /* another one's: this one stays as it is */
	assert_true(process->start_ns == 100 && arrivals_is_even(process));
	/* The next owner of the tgid. */
	life(VT_RECORD_PROCESS, 7, 300, 0, 0);
	assert_int_equal(arrivals.ended_count, 1);
	life(VT_RECORD_EXIT, 7, 300, 1, 0);
	arrivals_lost_exit(&arrivals, 7, &known); /* it was not lost: nothing changes */
	assert_int_equal(arrivals.ended_count, 2);
	assert_int_equal(arrivals.live.count, 0);
	assert_true(arrivals_is_even(arrivals.ended[1]));
}

static void many_are_not_all_kept(void **state)
{
	(void)state;
	for (uint32_t tgid = 1; tgid <= ARRIVALS_ENDED_MAX + 3; tgid++) {
		life(VT_RECORD_FORK, tgid, tgid, 0, 0);
		life(VT_RECORD_EXIT, tgid, tgid, tgid == ARRIVALS_ENDED_MAX + 3 ? 2 : 1, 0);
	}
	assert_int_equal(arrivals.ended_count, ARRIVALS_ENDED_MAX);
	assert_int_equal(arrivals.forgotten, 2);
	assert_int_equal(arrivals.uneven, 1);
	arrivals_lost_exit(&arrivals, ARRIVALS_ENDED_MAX + 2,
			   &(struct vt_process_state) { .start_ns = ARRIVALS_ENDED_MAX + 2, .produced = 2 });
	assert_int_equal(arrivals.live.count, 0);
	for (uint32_t tgid = 1; tgid <= ARRIVALS_LIVE_MAX + 5; tgid++)
		call(tgid, 0);
	assert_int_equal(arrivals.live.count, ARRIVALS_LIVE_MAX);
	assert_int_equal(arrivals.cpus[0], 2 * (ARRIVALS_ENDED_MAX + 3) + ARRIVALS_LIVE_MAX + 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(per_cpu, setup, teardown),
		cmocka_unit_test_setup_teardown(a_process_comes_out_even_or_not, setup, teardown),
		cmocka_unit_test_setup_teardown(an_exit_that_was_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(many_are_not_all_kept, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
