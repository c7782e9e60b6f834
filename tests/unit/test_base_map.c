/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/map.h"

/* The map against the plainest model: an array indexed by key. Few keys, so that collisions and wrap-around are common. */
#define KEYS 600
#define STEPS 300000

static void check_all(const struct map *map, void *const *model)
{
	struct map_slot *slot;
	size_t count = 0;
	size_t seen = 0;

	for (uint64_t key = 0; key < KEYS; key++) {
		assert_ptr_equal(map_get(map, key << 12), model[key]);
		count += model[key] != NULL;
	}
	for (size_t i = 0; (slot = map_next(map, &i));) {
		assert_ptr_equal(slot->value, model[slot->key >> 12]);
		seen++;
	}
	assert_int_equal(seen, count);
	assert_int_equal(map->count, count);
}

static void test_against_model(void **state)
{
	static char values[1000];
	void *model[KEYS] = { NULL };
	struct map map;
	void *old;

	(void)state;
	srandom(1);
	map_init(&map);
	for (int step = 0; step < STEPS; step++) {
		uint64_t key = (uint64_t)random() % KEYS;
		void *value = &values[random() % 1000];

		/* Waves: mostly filling, then mostly emptying. */
		if (random() % 100 < (step / 10000 % 2 ? 30 : 70)) {
			assert_int_equal(map_put(&map, key << 12, value, &old), 0);
			assert_ptr_equal(old, model[key]);
			model[key] = value;
		} else {
			assert_ptr_equal(map_del(&map, key << 12), model[key]);
			model[key] = NULL;
		}
		if (step % 1000 == 0)
			check_all(&map, model);
	}
	check_all(&map, model);
	map_clear(&map);
	assert_int_equal(map.count, 0);
	assert_null(map_get(&map, 0));
	assert_int_equal(map_put(&map, UINT64_MAX, values, NULL), 0);
	assert_ptr_equal(map_get(&map, UINT64_MAX), values);
	map_fini(&map);
	map_fini(&map);
}

static void test_empty(void **state)
{
	size_t cursor = 0;
	struct map map;

	(void)state;
	map_init(&map);
	assert_null(map_get(&map, 1));
	assert_null(map_del(&map, 1));
	assert_null(map_next(&map, &cursor));
	map_clear(&map);
	map_fini(&map);
}

static void test_seeds_differ(void **state)
{
	struct map a;
	struct map b;

	(void)state;
	map_init(&a);
	map_init(&b);
	assert_true(a.hash.secrets[0] != b.hash.secrets[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_seeds_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
