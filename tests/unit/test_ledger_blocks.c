/* SPDX-License-Identifier: Apache-2.0 */
/* ledger/blocks: the table of blocks by itself, against an array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ledger/blocks.h"

#define KEYS 3
#define ADDRESSES 5000
#define STEPS 400000

static uint64_t sizes[KEYS][ADDRESSES]; /* 0: none there */
static uint64_t seen[KEYS][ADDRESSES];
static struct blocks blocks;
static uint64_t dice;

static uint64_t roll(uint64_t sides)
{
	dice = dice * 6364136223846793005u + 1442695040888963407u;
	return (dice >> 33) % sides;
}

static int start(void **state)
{
	(void)state;
	blocks_init(&blocks);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	blocks_fini(&blocks);
	return 0;
}

/* As the driver gives them out: far apart and alike. */
static uint64_t address(uint64_t i)
{
	return 0x7f0000000000 + (i << 21);
}

static void add(uint8_t key, uint64_t addr, uint64_t size)
{
	struct entry *entry = blocks_add(&blocks, key, addr);

	assert_non_null(entry);
	assert_int_equal(entry->addr, addr);
	assert_int_equal(entry->key, key);
	assert_int_equal(entry->size, 0);
	entry->kind = 1;
	entry->size = size;
}

static void check_whole(void)
{
	size_t count = 0, expected = 0;
	struct entry *entry;

	memset(seen, 0, sizeof(seen));
	for (size_t i = 0; (entry = blocks_next(&blocks, &i));) {
		uint64_t index = (entry->addr - address(0)) >> 21;

		assert_true(entry->key < KEYS && index < ADDRESSES && !seen[entry->key][index]);
		seen[entry->key][index] = entry->size;
		count++;
	}
	assert_memory_equal(seen, sizes, sizeof(sizes));
	for (int key = 0; key < KEYS; key++) {
		for (size_t i = 0; i < ADDRESSES; i++)
			expected += sizes[key][i] != 0;
	}
	assert_int_equal(count, expected);
	assert_int_equal(blocks.count, expected);
}

static void move_one(uint8_t key, uint64_t from)
{
	uint64_t to = roll(ADDRESSES);

	if (sizes[key][to])
		return;
	blocks_move(&blocks, blocks_find(&blocks, key, address(from)), address(to));
	sizes[key][to] = sizes[key][from];
	sizes[key][from] = 0;
}

/* It grows, shrinks and grows again: the chance of an addition swings. */
static void random_steps(void **state)
{
	(void)state;
	dice = 20261125;
	for (uint64_t step = 0; step < STEPS; step++) {
		uint8_t key = (uint8_t)roll(KEYS);
		uint64_t i = roll(ADDRESSES), chance = step / 50000 % 2 ? 2 : 9;
		const struct entry *entry = blocks_find(&blocks, key, address(i));

		assert_int_equal(entry ? entry->size : 0, sizes[key][i]);
		if (!entry && roll(10) < chance) {
			sizes[key][i] = step + 1;
			add(key, address(i), step + 1);
		} else if (entry && roll(20) == 0) {
			move_one(key, i);
		} else if (entry && roll(10) >= chance) {
			blocks_remove(&blocks, blocks_find(&blocks, key, address(i)));
			sizes[key][i] = 0;
		}
		if (step % 20000 == 0)
			check_whole();
	}
	check_whole();
}

static void all_may_go_while_they_are_gone_through(void **state)
{
	struct entry *entry;
	size_t count = 0;

	(void)state;
	for (uint64_t i = 0; i < 10000; i++)
		add(0, address(i), 1);
	for (size_t i = 0; (entry = blocks_next(&blocks, &i)); count++)
		blocks_remove(&blocks, entry);
	assert_int_equal(count, 10000);
	assert_int_equal(blocks.count, 0);
	assert_null(blocks_find(&blocks, 0, address(3)));
}

/* What was a million once does not cost a million for ever, and what comes and goes at the edge of a slab costs no call for memory. */
static void empty_slabs_are_given_back(void **state)
{
	size_t i = 0;

	(void)state;
	for (i = 0; i < 100 * 1024; i++)
		add(0, address(i), 1);
	assert_int_equal(blocks.slab_count, 100);
	assert_int_equal(blocks.empty_count, 0);
	/* Every second one: no slab is empty, and the next ones fill the holes. */
	for (i = 0; i < 100 * 1024; i += 2)
		blocks_remove(&blocks, blocks_find(&blocks, 0, address(i)));
	assert_int_equal(blocks.empty_count, 0);
	for (i = 0; i < 100 * 1024; i += 2)
		add(1, address(i), 1);
	assert_int_equal(blocks.slab_count, 100);
	for (i = 0; i < 100 * 1024; i++)
		blocks_remove(&blocks, blocks_find(&blocks, i % 2 ? 0 : 1, address(i)));
	assert_int_equal(blocks.count, 0);
	assert_int_equal(blocks.empty_count, 1); /* the others are NULL: only one is kept */
	i = 0;
	assert_null(blocks_next(&blocks, &i));
	for (i = 0; i < 3 * 1024; i++)
		add(0, address(i), 1);
	assert_int_equal(blocks.slab_count, 100); /* their numbers are used again */
	assert_int_equal(blocks.empty_count, 0);
}

static void nothing_is_found_in_nothing(void **state)
{
	struct blocks zeroed = { 0 };
	size_t i = 0;

	(void)state;
	assert_null(blocks_find(&blocks, 0, 0));
	assert_null(blocks_next(&blocks, &i));
	blocks_fini(&zeroed);
}

/* Two tables, two secrets: nobody can prepare addresses that fall on one head. */
static void each_table_has_a_secret_of_its_own(void **state)
{
	struct blocks other;

	(void)state;
	blocks_init(&other);
	assert_true(other.hash.secrets[0] != blocks.hash.secrets[0] && other.hash.secrets[1] != blocks.hash.secrets[1]);
	blocks_fini(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_steps, start, stop),
		cmocka_unit_test_setup_teardown(all_may_go_while_they_are_gone_through, start, stop),
		cmocka_unit_test_setup_teardown(empty_slabs_are_given_back, start, stop),
		cmocka_unit_test_setup_teardown(nothing_is_found_in_nothing, start, stop),
		cmocka_unit_test_setup_teardown(each_table_has_a_secret_of_its_own, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
