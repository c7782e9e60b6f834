/* SPDX-License-Identifier: Apache-2.0 */
/* ledger: physical memory whose calls were given up as lost, and that late ones still name. */
#include "ledger_calls.h"

#define H 0x5000
#define G 0x6000
#define VA 0x7f0000000000
#define MANY 70 /* more than wait for their calls */

/* An export that had returned before the handle was given out again, and is told after that. */
static void export_late(uint64_t handle, uint32_t descriptor, uint64_t time_ns)
{
	CALL(10, DONE, cuMemExportToShareableHandle, .addr = handle, .a = 77,
	     .b = VT_HANDLE_TYPE_FD | (uint64_t)descriptor << 32, .time_ns = time_ns, .enter_ns = time_ns);
}

static void create_many(uint64_t handle, int count)
{
	for (int i = 0; i < count; i++)
		create(10, handle, MB);
}

/* The first object of H is given up while descriptor 7 names it, and VA perhaps too. */
static void orphan_with_descriptor(bool is_mapped)
{
	uint64_t first_ns;

	create(10, H, MB);
	if (is_mapped)
		map_at(10, VA, MB, H);
	first_ns = now;
	create(10, H, MB);
	export_late(H, 7, first_ns + 1);
	create_many(H, MANY);
}

static void test_descriptor_of_what_was_mapped(void **state)
{
	(void)state;
	orphan_with_descriptor(true);
	unmap(10, VA, MB);
	assert_int_equal(count_descriptors(), 1);
	close_fd(10, 7);
	assert_int_equal(count_descriptors(), 0);
	assert_int_equal(live(10), MB);
}

/* What comes where it stood is not named by its descriptor. */
static void test_descriptor_alone(void **state)
{
	(void)state;
	orphan_with_descriptor(false);
	create(10, G, 2 * MB);
	close_fd(10, 7);
	assert_int_equal(count_descriptors(), 0);
	release(10, G);
	assert_non_null(heard_one(NOTICE_FREE));
	assert_int_equal(live(10), MB);
}

/* The descriptor that is taken from another one makes that one wait, and the one that gets it give up waiting. */
static void test_given_up_as_it_gets_a_descriptor(void **state)
{
	uint64_t first_ns;

	(void)state;
	create(10, H, MB);
	first_ns = now;
	create_many(H, 64);
	create(10, G, MB);
	export_fd(10, G, 78, 7);
	create(10, G, MB);
	export_late(H, 7, first_ns + 1);
	assert_int_equal(count_descriptors(), 1);
	close_fd(10, 7);
	assert_int_equal(count_descriptors(), 0);
	assert_int_equal(live(10), 2 * MB);
}

static void test_end_of_all(void **state)
{
	(void)state;
	orphan_with_descriptor(true);
	life(EVENT_EXIT, 10);
	assert_int_equal(process_of(10)->total.live.bytes, 0);
	assert_int_equal(process_of(10)->total.at_exit.bytes, MB);
	assert_int_equal(count_descriptors(), 0);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(test_descriptor_of_what_was_mapped),
		RULE(test_descriptor_alone),
		RULE(test_given_up_as_it_gets_a_descriptor),
		RULE(test_end_of_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
