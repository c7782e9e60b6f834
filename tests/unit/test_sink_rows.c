/* SPDX-License-Identifier: Apache-2.0 */
#include "sink_ledger.h"

#include "sink/backend.h"
#include "sink/holders.h"

/* Any cells at all: what is shown of them adds up. */

static struct fake_process fake;

/* Whatever the cells are: each is in one row, rows and sums of groups come to the same, and rows stand in order. */
static void check_holders(const struct ledger *ledger, const struct process *process)
{
	struct tally rows = { 0 }, sums = { 0 }, cells = { 0 };
	struct holders holders;

	assert_int_equal(holders_find(ledger, process, &holders), 0);
	for (size_t i = 0; i < process->cell_count; i++)
		tally_add(&cells, &process->cells[i].slice.live);
	for (size_t i = 0; i < holders.count; i++) {
		const struct holder *holder = &holders.items[i];

		tally_add(&rows, &holder->live);
		if (i && holders.items[i - 1].group == holder->group)
			assert_true(holders.items[i - 1].live.bytes >= holder->live.bytes);
		else if (i)
			assert_true(holder_order(holders.items[i - 1].group, holder->group) < 0);
	}
	for (int group = HOLDER_UNKNOWN; group < 2; group++) {
		for (unsigned int placement = 0; placement < PLACEMENT_COUNT; placement++) {
			struct holder_sum sum =
				holders_sum(ledger, process, &holders, group, (enum placement)placement);

			tally_add(&sums, &sum.live);
		}
	}
	assert_int_equal(rows.bytes, cells.bytes);
	assert_int_equal(rows.count, cells.count);
	assert_int_equal(sums.bytes, cells.bytes);
	assert_int_equal(sums.count, cells.count);
	holders_fini(&holders);
}

static void test_any_cells(void **state)
{
	static const char *const libraries[] = { "a", "b", "c" };
	static const enum vt_kind kinds[] = { VT_KIND_DEVICE, VT_KIND_PINNED, VT_KIND_MANAGED, VT_KIND_VMM };

	(void)state;
	srand(7);
	for (int round = 0; round < 2000; round++) {
		struct ledger ledger = { .gpus = capture_gpus, .gpu_count = 2 };

		fake_init(&fake, 1, "p");
		for (int i = rand() % FAKE_MAX; i > 0; i--) {
			uint64_t count = (uint64_t)(rand() % 3);
			uint64_t bytes = count * (uint64_t)(rand() % 1000);

			fake_hold(&fake, libraries[rand() % 3], (uint16_t)(rand() % 4), kinds[rand() % 4],
				  fake_slice(bytes, count, bytes + (uint64_t)(rand() % 10)));
		}
		check_holders(&ledger, &fake.process);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_any_cells) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
