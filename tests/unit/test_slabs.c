/* SPDX-License-Identifier: Apache-2.0 */
/* base/slabs: items never overlap, what is given back is used again, and memory follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/chunks.h"
#include "base/cleanup.h"
#include "base/slabs.h"

#define ITEMS 10000 /* many slabs of them */

static unsigned char *items[ITEMS];

static void take(struct slabs *slabs, uint32_t bytes, size_t i)
{
	items[i] = slabs_take(slabs, bytes);
	assert_non_null(items[i]);
	assert_int_equal((uintptr_t)items[i] % sizeof(uint64_t), 0);
	memset(items[i], (int)(i % 251), bytes);
}

/* Nobody else has written into it. */
static void give(struct slabs *slabs, uint32_t bytes, size_t i)
{
	for (uint32_t j = 0; j < bytes; j++)
		assert_int_equal(items[i][j], i % 251);
	slabs_give(slabs, items[i]);
}

static void test_items_do_not_overlap(void **state)
{
	static const uint32_t sizes[] = { 8, 56, 88, 1000 };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		struct slabs slabs = { 0 };

		for (size_t i = 0; i < ITEMS; i++)
			take(&slabs, sizes[s], i);
		for (size_t i = 0; i < ITEMS; i += 3) {
			give(&slabs, sizes[s], i);
			take(&slabs, sizes[s], i);
		}
		for (size_t i = 0; i < ITEMS; i++)
			give(&slabs, sizes[s], i * 7 % ITEMS); /* 7 divides no power of ten: each once */
		slabs_fini(&slabs);
	}
}

static void test_what_is_given_back_is_used_again(void **state)
{
	struct slabs slabs = { 0 };
	void *first, *second;

	(void)state;
	first = slabs_take(&slabs, 88);
	slabs_give(&slabs, first);
	second = slabs_take(&slabs, 88);
	assert_ptr_equal(first, second);
	slabs_give(&slabs, second);
	slabs_give(&slabs, NULL);
	slabs_fini(&slabs);
	slabs_fini(&slabs);
}

static void test_memory_follows(void **state)
{
	struct slabs slabs = { 0 };
	size_t before = chunks_taken(), full;

	(void)state;
	for (size_t i = 0; i < ITEMS; i++)
		take(&slabs, 88, i);
	full = chunks_taken() - before;
	for (size_t i = 0; i < ITEMS; i += 2)
		give(&slabs, 88, i);
	for (size_t i = 0; i < ITEMS; i += 2)
		take(&slabs, 88, i);
	assert_int_equal(chunks_taken() - before, full);
	assert_int_equal(full, ITEMS * 89 / CHUNK_BYTES + 1); /* hardly more than the items */
	for (size_t i = 0; i < ITEMS; i++)
		give(&slabs, 88, i);
	assert_int_equal(chunks_taken() - before, 1); /* one is kept */
	slabs_fini(&slabs);
	assert_int_equal(chunks_taken(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items_do_not_overlap),
		cmocka_unit_test(test_what_is_given_back_is_used_again),
		cmocka_unit_test(test_memory_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
