/* SPDX-License-Identifier: Apache-2.0 */
/* ledger/index: random operations through several growths, chains as long as no honest keys make them, what an entry costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/chunks.h"
#include "ledger/index.h"

#define MANY 100000u
#define KEYS 20000u

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t roll(uint64_t sides)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state * 0x2545f4914f6cdd1dULL >> 16) % sides;
}

/* Up and down again through several growths, each key's value known. */
static void test_index(void **state)
{
	static uintptr_t values[KEYS];
	struct index index;
	struct map_slot *slot;
	size_t count = 0, seen = 0, biggest = 0;

	(void)state;
	memset(values, 0, sizeof(values));
	index_init(&index);
	for (uint64_t i = 0; i < 400000; i++) {
		uint64_t key = roll(KEYS);
		bool puts = roll(100) < (i / 60000 % 2 ? 20 : 80);

		assert_ptr_equal(index_get(&index, key), (void *)values[key]);
		count += puts ? !values[key] : 0;
		count -= puts ? 0 : !!values[key];
		if (puts)
			assert_int_equal(index_put(&index, key, (void *)(values[key] = i + 1)), 0);
		else
			assert_ptr_equal(index_del(&index, key), (void *)values[key]);
		if (!puts)
			values[key] = 0;
		assert_int_equal(index.count, count);
		biggest = count > biggest ? count : biggest;
	}
	assert_true(biggest > KEYS / 2);
	for (size_t i = 0; (slot = index_next(&index, &i));) {
		assert_ptr_equal(slot->value, (void *)values[slot->key]);
		seen++;
	}
	assert_int_equal(seen, count);
	index_fini(&index);
}

/* No insertion waits for others: one bucket more for each few, and those that are there stay where they are. */
static void test_index_grows_slowly(void **state)
{
	struct index index;
	void *first;

	(void)state;
	index_init(&index);
	assert_int_equal(index_put(&index, 0, &index), 0);
	first = index.segments[0];
	for (uint64_t i = 1; i < MANY; i++) {
		size_t before = index.bucket_count;

		assert_int_equal(index_put(&index, i, &index), 0);
		assert_true(index.bucket_count - before <= 1);
		assert_true(index.count <= 3 * index.bucket_count);
	}
	assert_ptr_equal(index.segments[0], first);
	for (uint64_t i = 0; i < MANY; i++)
		assert_ptr_equal(index_get(&index, i), &index);
	index_fini(&index);
}

/* Its own buckets, and those for what does not fit into them. */
static void test_index_is_small(void **state)
{
	size_t before = chunks_taken();
	struct index index;

	(void)state;
	index_init(&index);
	for (uint64_t i = 0; i < 3 * MANY; i++)
		assert_int_equal(index_put(&index, i << 21, &index), 0);
	print_message("%.1f bytes for each\n", (double)((chunks_taken() - before) * CHUNK_BYTES) / (3 * MANY));
	assert_true((chunks_taken() - before) * CHUNK_BYTES < 3 * MANY * 32);
	for (uint64_t i = 0; i < 3 * MANY; i++)
		assert_ptr_equal(index_del(&index, i << 21), &index);
	assert_int_equal(index.count, 0);
	index_fini(&index);
	assert_int_equal(chunks_taken(), before);
}

/* Keys that an attacker would choose, who knows the secrets: chains of hundreds of buckets, which are cut in two, or in none. */
static void long_chains(int shift)
{
	struct index index;
	struct map_slot *slot;
	size_t seen = 0;

	index_init(&index);
	index.hash = (struct hash) { { 0, 0 } };
	for (uint64_t i = 0; i < 2000; i++) {
		assert_int_equal(index_put(&index, i << shift, &seen), 0);
		assert_int_equal(index_put(&index, i / 2 << shift, &index), 0);
		assert_ptr_equal(index_get(&index, i << shift), i < 1 ? (void *)&index : &seen);
	}
	for (size_t i = 0; (slot = index_next(&index, &i));) {
		assert_int_equal(slot->key % (1ull << shift), 0);
		assert_ptr_equal(slot->value, slot->key >> shift < 1000 ? (void *)&index : &seen);
		seen++;
	}
	assert_int_equal(seen, 2000);
	assert_int_equal(index.count, 2000);
	for (uint64_t i = 0; i < 1999; i++)
		assert_non_null(index_del(&index, i * 7 % 2000 << shift));
	assert_null(index_del(&index, 0));
	index_fini(&index);
}

static void test_index_of_long_chains(void **state)
{
	size_t before = chunks_taken();

	(void)state;
	long_chains(48);
	long_chains(38);
	assert_int_equal(chunks_taken(), before);
}

static void test_empty_index(void **state)
{
	struct index index = { 0 };
	size_t cursor = 0;

	(void)state;
	index_fini(&index);
	index_init(&index);
	assert_null(index_get(&index, 1));
	assert_null(index_del(&index, 1));
	assert_null(index_next(&index, &cursor));
	assert_int_equal(index_put(&index, UINT64_MAX, &index), 0);
	assert_ptr_equal(index_get(&index, UINT64_MAX), &index);
	index_fini(&index);
	index_fini(&index);
}

/* Nobody can foresee which keys meet in a bucket. */
static void test_secrets_differ(void **state)
{
	struct index a, b;

	(void)state;
	index_init(&a);
	index_init(&b);
	assert_true(a.hash.secrets[0] != b.hash.secrets[0] && a.hash.secrets[1] != b.hash.secrets[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_index),	     cmocka_unit_test(test_index),
		cmocka_unit_test(test_index_grows_slowly),   cmocka_unit_test(test_index_is_small),
		cmocka_unit_test(test_index_of_long_chains), cmocka_unit_test(test_secrets_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
