/* SPDX-License-Identifier: Apache-2.0 */
/* ledger: where managed memory was asked to be. */
#include "ledger_calls.h"

#define A 0x7f3000000000
#define SET 3
#define UNSET 4
#define READ_MOSTLY 1

static uint64_t managed(uint64_t addr, uint64_t size)
{
	CALL(10, ALLOC, cuMemAllocManaged, .addr = addr, .size = size);
	assert_int_equal(heard_one(NOTICE_ALLOC)->placement, PLACEMENT_MIGRATABLE);
	return heard_one(NOTICE_ALLOC)->id;
}

static void advise(uint64_t addr, uint64_t size, uint64_t advice, uint64_t location)
{
	CALL(10, DONE, cuMemAdvise_v2, .addr = addr, .size = size, .a = location, .b = advice);
}

struct search {
	uint64_t id;
	struct block found;
};

static void find_id(void *ctx, const struct block *block)
{
	struct search *search = ctx;

	if (block->id == search->id)
		search->found = *block;
}

static int gpu_of(uint64_t id)
{
	struct search search = { .id = id };

	ledger_each_block(ledger, process_of(10), find_id, &search);
	assert_int_equal(search.found.id, id);
	assert_int_equal(search.found.placement, PLACEMENT_MIGRATABLE);
	return ledger_gpu_of(ledger, process_of(10), search.found.place);
}

/* The process tells which of the machine's GPUs its devices are. */
static void learn_devices(void)
{
	CALL(10, DONE, cuDeviceGetUuid, .addr = 0, .a = 0x2222222222222222, .b = 0x2222222222222222);
	CALL(10, DONE, cuDeviceGetUuid, .addr = 1, .a = 0x1111111111111111, .b = 0x1111111111111111);
}

static void assert_told(enum notice_kind kind, uint64_t id, enum notice_location location, int gpu)
{
	const struct notice *notice = heard_one(kind);

	assert_non_null(notice);
	assert_int_equal(heard_count, 1);
	assert_int_equal(notice->id, id);
	assert_int_equal(notice->location, location);
	if (gpu < 0)
		assert_null(notice->gpu);
	else
		assert_int_equal(notice->gpu->index, gpu);
}

static void test_advice_for_the_whole(void **state)
{
	uint64_t id;

	(void)state;
	learn_devices();
	id = managed(A, 4 * MB);
	advise(A, 4 * MB, SET, ON_GPU(1));
	assert_told(NOTICE_ADVISE, id, NOTICE_AT_GPU, 1);
	assert_int_equal(heard[0].range_addr, A);
	assert_int_equal(heard[0].range_size, 4 * MB);
	assert_int_equal(gpu_of(id), 1);
	advise(A, 4 * MB, SET, ON_GPU(0));
	assert_int_equal(gpu_of(id), 0);
	advise(A, 4 * MB, UNSET, ON_GPU(1));
	assert_told(NOTICE_ADVISE, id, NOTICE_AT_NONE, -1);
	assert_int_equal(gpu_of(id), 0);
	advise(A, 4 * MB, SET, VT_LOCATION_HOST);
	assert_told(NOTICE_ADVISE, id, NOTICE_AT_HOST, -1);
	assert_int_equal(live(10), 4 * MB);
}

static void test_advice_for_a_part(void **state)
{
	uint64_t id;
	int before;

	(void)state;
	learn_devices();
	id = managed(A, 4 * MB);
	before = gpu_of(id);
	advise(A + MB, MB, SET, ON_GPU(1));
	assert_told(NOTICE_ADVISE, id, NOTICE_AT_GPU, 1);
	assert_int_equal(gpu_of(id), before);
	advise(A, MB, SET, ON_GPU(1));
	assert_int_equal(gpu_of(id), before);
	advise(A + MB, 4 * MB, SET, ON_GPU(1));
	assert_int_equal(gpu_of(id), before);
}

static void test_other_advice(void **state)
{
	(void)state;
	managed(A, MB);
	advise(A, MB, READ_MOSTLY, ON_GPU(1));
	assert_quiet();
	advise(A, MB, 77, ON_GPU(1));
	assert_quiet();
}

static void test_prefetch(void **state)
{
	uint64_t id;
	int before;

	(void)state;
	learn_devices();
	id = managed(A, 4 * MB);
	before = gpu_of(id);
	CALL(10, DONE, cuMemPrefetchAsync, .addr = A, .size = 4 * MB, .a = ON_GPU(1));
	assert_told(NOTICE_PREFETCH, id, NOTICE_AT_GPU, 1);
	assert_int_equal(gpu_of(id), before);
	CALL(10, DONE, cuMemPrefetchAsync_v2, .addr = A + 3 * MB, .size = MB, .a = VT_LOCATION_HOST_NUMA);
	assert_told(NOTICE_PREFETCH, id, NOTICE_AT_HOST, -1);
	CALL(10, DONE, cuMemPrefetchAsync_v2, .addr = A, .size = MB, .a = 99); /* of a later driver */
	assert_told(NOTICE_PREFETCH, id, NOTICE_AT_NONE, -1);
}

static void test_not_known(void **state)
{
	uint64_t id = managed(A, MB);

	(void)state;
	advise(A - 1, MB, SET, VT_LOCATION_HOST);
	assert_told(NOTICE_ADVISE, 0, NOTICE_AT_HOST, -1);
	advise(A + MB, MB, SET, VT_LOCATION_HOST);
	assert_told(NOTICE_ADVISE, 0, NOTICE_AT_HOST, -1);
	CALL(10, ALLOC, cuMemAlloc_v2, .addr = A + 2 * MB, .size = MB);
	advise(A + 2 * MB, MB, SET, ON_GPU(0)); /* no managed memory */
	assert_int_equal(heard_one(NOTICE_ADVISE)->id, 0);
	advise(A + MB - 1, 1, SET, VT_LOCATION_HOST);
	assert_int_equal(heard_one(NOTICE_ADVISE)->id, id);
}

/* An address that was found once and is another block's now. */
static void test_found_and_gone(void **state)
{
	uint64_t id = managed(A, 4 * MB), other;

	(void)state;
	advise(A + 3 * MB, MB, SET, VT_LOCATION_HOST);
	assert_int_equal(heard_one(NOTICE_ADVISE)->id, id);
	mem_free(10, A);
	advise(A + 3 * MB, MB, SET, VT_LOCATION_HOST);
	assert_int_equal(heard_one(NOTICE_ADVISE)->id, 0);
	managed(A, MB);
	other = managed(A + 2 * MB, 2 * MB);
	advise(A + 3 * MB, MB, SET, VT_LOCATION_HOST);
	assert_int_equal(heard_one(NOTICE_ADVISE)->id, other);
	advise(A + 3 * MB + 5, 1, SET, VT_LOCATION_HOST);
	assert_int_equal(heard_one(NOTICE_ADVISE)->id, other);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(test_advice_for_the_whole),
		RULE(test_advice_for_a_part),
		RULE(test_other_advice),
		RULE(test_prefetch),
		RULE(test_not_known),
		RULE(test_found_and_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
