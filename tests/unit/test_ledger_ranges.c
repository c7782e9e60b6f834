/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger/ranges: the edges one by one, then random operations against an array with a cell for every address, in trees of few and of many
 * leaves, also where now and then there is no memory; and what 10^5 ranges cost.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "ledger/ranges.h"

#define MANY 100000u

static struct ranges ranges;
static uint64_t random_state;
static size_t nodes;	      /* taken and not given back */
static unsigned int refusals; /* of 100 requests */
static bool refused;

static uint64_t roll(uint64_t sides)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state * 0x2545f4914f6cdd1dULL >> 16) % sides;
}

/* In place of base/slabs.c: each node by itself. */
void *slabs_take(struct slabs *slabs, uint32_t bytes)
{
	void *node;

	(void)slabs;
	if (roll(100) < refusals) {
		refused = true;
		return NULL;
	}
	node = malloc(bytes);
	assert_non_null(node);
	nodes++;
	return node;
}

void slabs_give(struct slabs *slabs, void *item)
{
	(void)slabs;
	nodes -= item != NULL;
	free(item);
}

void slabs_fini(struct slabs *slabs)
{
	(void)slabs;
}

static int setup(void **state)
{
	(void)state;
	ranges = (struct ranges) { 0 };
	random_state = 0x9e3779b97f4a7c15;
	refusals = 0;
	refused = false;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ranges_fini(&ranges);
	assert_int_equal(nodes, 0);
	return 0;
}

static int add(uint64_t addr, uint64_t size, uintptr_t value)
{
	struct range range = { .addr = addr, .size = size, .since_ns = value, .value = (void *)value };

	return ranges_add(&ranges, &range);
}

static void assert_next(uint64_t from, uint64_t addr, uint64_t size, uintptr_t value)
{
	struct range range;

	assert_true(ranges_next(&ranges, from, &range));
	assert_int_equal(range.addr, addr);
	assert_int_equal(range.size, size);
	assert_ptr_equal(range.value, (void *)value);
	assert_int_equal(range.since_ns, value);
}

static void test_add_and_find(void **state)
{
	struct range range;

	(void)state;
	assert_false(ranges_next(&ranges, 0, &range));
	assert_int_equal(add(100, 10, 1), 0);
	assert_int_equal(add(110, 10, 2), 0);
	assert_int_equal(add(109, 2, 3), -EEXIST);
	assert_int_equal(add(90, 11, 3), -EEXIST);
	assert_int_equal(add(90, 100, 3), -EEXIST);
	assert_int_equal(add(104, 1, 3), -EEXIST);
	assert_int_equal(add(90, 10, 3), 0);
	assert_int_equal(ranges.count, 3);
	assert_next(0, 90, 10, 3);
	assert_next(99, 90, 10, 3);
	assert_next(100, 100, 10, 1);
	assert_next(119, 110, 10, 2);
	assert_false(ranges_next(&ranges, 120, &range));
	assert_false(ranges_find(&ranges, 89, &range));
	assert_true(ranges_find(&ranges, 109, &range));
	assert_int_equal(range.addr, 100);
}

static void test_what_is_no_range(void **state)
{
	struct range range;

	(void)state;
	assert_int_equal(add(100, 0, 1), -EINVAL);
	assert_int_equal(add(UINT64_MAX, 2, 1), -EINVAL);
	assert_int_equal(add(2, UINT64_MAX, 1), -EINVAL);
	assert_int_equal(ranges_remove(&ranges, 5, 0), 0);
	assert_int_equal(ranges.count, 0);
	assert_int_equal(add(UINT64_MAX, 1, 7), 0);
	assert_int_equal(add(UINT64_MAX - 7, 7, 8), 0);
	assert_true(ranges_find(&ranges, UINT64_MAX, &range));
	assert_ptr_equal(range.value, (void *)7);
	assert_int_equal(ranges_remove(&ranges, UINT64_MAX - 1, UINT64_MAX), 0);
	assert_next(0, UINT64_MAX - 7, 6, 8);
	assert_int_equal(ranges.count, 1);
	assert_int_equal(ranges_last(5, UINT64_MAX), UINT64_MAX);
	assert_int_equal(ranges_last(5, 1), 5);
}

static void test_remove_cuts(void **state)
{
	struct range range;

	(void)state;
	add(100, 100, 1);
	assert_int_equal(ranges_remove(&ranges, 140, 20), 0);
	assert_next(0, 100, 40, 1);
	assert_next(140, 160, 40, 1);
	assert_int_equal(ranges_remove(&ranges, 90, 20), 0);
	assert_next(0, 110, 30, 1);
	assert_int_equal(ranges_remove(&ranges, 190, 1000), 0);
	assert_next(150, 160, 30, 1);
	assert_int_equal(ranges_remove(&ranges, 0, 1000), 0);
	assert_false(ranges_next(&ranges, 0, &range));
	assert_int_equal(ranges.count, 0);
}

#define SPACE_MAX 131072u
static uint8_t cells[SPACE_MAX]; /* value of the range that has this address, 0: none */
static uint64_t space;

static void compare(void)
{
	static uint8_t seen[SPACE_MAX];
	struct range range;
	uint64_t at = 0, count = 0;

	memset(seen, 0, sizeof(seen));
	while (ranges_next(&ranges, at, &range)) {
		assert_true(range.addr >= at && range.size > 0 && range.addr + range.size <= space);
		memset(&seen[range.addr], (int)(uintptr_t)range.value, range.size);
		at = range.addr + range.size;
		count++;
	}
	assert_memory_equal(seen, cells, space);
	assert_int_equal(count, ranges.count);
}

/* Without memory nothing has changed. */
static void assert_done(int err, int expected)
{
	if (refused && err == -ENOMEM)
		return;
	assert_int_equal(err, expected);
}

static void random_add(void)
{
	uint64_t addr = roll(space), size = 1 + roll(roll(4) ? 8 : 60);
	uintptr_t value = 1 + roll(250);
	bool is_free = true;
	int err;

	if (addr + size > space)
		size = space - addr;
	for (uint64_t i = addr; i < addr + size; i++)
		is_free &= !cells[i];
	refused = false;
	err = add(addr, size, value);
	assert_done(err, is_free ? 0 : -EEXIST);
	if (!err)
		memset(&cells[addr], (int)value, size);
}

static void random_remove(uint64_t most)
{
	uint64_t addr = roll(space), size = roll(roll(8) ? 12 : most);
	int err;

	refused = false;
	err = ranges_remove(&ranges, addr, size);
	assert_done(err, 0);
	for (uint64_t i = addr; !err && i < addr + size && i < space; i++)
		cells[i] = 0;
}

static void random_run(uint64_t of, int steps, int compared)
{
	struct range range;
	uint64_t at;

	space = of;
	memset(cells, 0, sizeof(cells));
	for (int i = 0; i < steps; i++) {
		if (roll(3))
			random_add();
		else
			random_remove(i % 1000 ? 200 : of);
		at = roll(space);
		assert_int_equal(ranges_find(&ranges, at, &range), cells[at] != 0);
		if (cells[at])
			assert_int_equal((uintptr_t)range.value, cells[at]);
		if (i % compared == 0)
			compare();
	}
	compare();
	ranges_fini(&ranges);
	assert_int_equal(nodes, 0);
}

static void test_random(void **state)
{
	(void)state;
	random_run(512, 100000, 16);
	random_run(SPACE_MAX, 400000, 10000);
	refusals = 20;
	random_run(512, 100000, 16);
	random_run(SPACE_MAX, 400000, 10000);
}

/* A key that stays where its range has gone must not hide one that reaches beyond it and then loses its first addresses. */
static void test_a_range_beyond_a_key(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 400; i++)
		assert_int_equal(add(i * 100, 50, i + 1), 0);
	for (uint64_t i = 1; i < 399; i++) {
		assert_int_equal(ranges_remove(&ranges, i * 100, 50), 0);
		assert_int_equal(add(i * 100 - 40, 130, 7), 0);
		assert_int_equal(ranges_remove(&ranges, i * 100 - 40, 80), 0);
		assert_next(0, 0, 50, 1);
		assert_next(i * 100, i * 100 + 40, 50, 7);
		assert_int_equal(ranges_remove(&ranges, i * 100 + 40, 50), 0);
		assert_next(i * 100, i * 100 + 100, 50, i + 2);
		assert_int_equal(add(i * 100, 50, i + 1), 0);
	}
	assert_int_equal(ranges.count, 400);
}

static double bytes_each(void)
{
	return (double)(nodes * 512) / (double)ranges.count;
}

static void test_bytes(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < MANY; i++)
		assert_int_equal(add(i << 21, 1 << 21, 1), 0);
	print_message("%.1f bytes for each in ascending order\n", bytes_each());
	assert_true(bytes_each() < 40);
	ranges_fini(&ranges);
	for (uint64_t i = MANY; i--;)
		assert_int_equal(add(i << 21, 1 << 21, 1), 0);
	print_message("%.1f bytes for each in descending order\n", bytes_each());
	assert_true(bytes_each() < 40);
	ranges_fini(&ranges);
	for (uint64_t i = 0; i < MANY; i++)
		assert_int_equal(add((i * 7919 % MANY) << 21, 1 << 21, 1), 0);
	for (uint64_t i = 0; i < 5 * MANY; i++) {
		uint64_t addr = roll(MANY) << 21;

		ranges_remove(&ranges, addr, 1 << 21);
		ranges_remove(&ranges, roll(MANY) << 21, 1 << 21);
		add(addr, 1 << 21, 1);
		add(roll(MANY) << 21, 1 << 21, 1);
	}
	print_message("%.1f bytes for each in random order\n", bytes_each());
	assert_true(bytes_each() < 60);
}

/* No operation stalls for others that are there: the whole run, sorted so that a list would be at its worst, is far below 1 ms each. */
static void test_many(void **state)
{
	uint64_t begin = clock_mono_ns(), spent;
	struct range range;

	(void)state;
	for (uint64_t i = 0; i < MANY; i++)
		assert_int_equal(add(i * 16, 16, i + 1), 0);
	for (uint64_t i = 0; i < MANY; i++) {
		assert_true(ranges_find(&ranges, (i * 7919 % MANY) * 16 + 15, &range));
		assert_int_equal((uintptr_t)range.value, i * 7919 % MANY + 1);
	}
	for (uint64_t i = 0; i < MANY; i++)
		assert_int_equal(ranges_remove(&ranges, (i * 7919 % MANY) * 16, 16), 0);
	assert_int_equal(ranges.count, 0);
	spent = (clock_mono_ns() - begin) / (3 * MANY);
	print_message("%llu ns for each of %u operations\n", (unsigned long long)spent, 3 * MANY);
	assert_true(spent < 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_add_and_find, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_no_range, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove_cuts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_range_beyond_a_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
