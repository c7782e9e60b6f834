/* SPDX-License-Identifier: Apache-2.0 */
/* ledger: physical memory by handle: references, mappings, descriptors, in every order that a program can give them up in. */
#include "ledger_calls.h"

#define H 0x5000
#define VA 0x7f0000000000

static void assert_freed(uint64_t handle, uint64_t size, const char *api, enum free_reason reason)
{
	const struct notice *notice = heard_one(NOTICE_FREE);

	assert_non_null(notice);
	assert_int_equal(notice->addr, handle);
	assert_int_equal(notice->size, size);
	assert_int_equal(notice->reason, reason);
	assert_int_equal(notice->memory_kind, VT_KIND_VMM);
	if (api)
		assert_string_equal(notice->api, api);
	else
		assert_null(notice->api);
}

static void test_create_and_release(void **state)
{
	const struct notice *notice;

	(void)state;
	create(10, H, 4 * MB);
	notice = heard_one(NOTICE_ALLOC);
	assert_non_null(notice);
	assert_int_equal(notice->memory_kind, VT_KIND_VMM);
	assert_int_equal(notice->placement, PLACEMENT_VRAM);
	assert_int_equal(notice->addr, H);
	assert_int_equal(live(10), 4 * MB);
	release(10, H);
	assert_freed(H, 4 * MB, "cuMemRelease", FREE_CALL);
	assert_int_equal(live(10), 0);
	release(10, H);
	assert_non_null(heard_one(NOTICE_FREE_UNMATCHED));
	assert_int_equal(process_of(10)->unmatched_frees, 1);
	release(10, 0);
	assert_int_equal(process_of(10)->unmatched_frees, 1);
}

static void test_host_location(void **state)
{
	(void)state;
	CALL(10, ALLOC, cuMemCreate, .addr = H, .size = MB, .a = VT_LOCATION_HOST);
	assert_int_equal(heard_one(NOTICE_ALLOC)->placement, PLACEMENT_HOST);
	CALL(10, ALLOC, cuMemCreate, .addr = H + 1, .size = MB, .a = VT_LOCATION_HOST_NUMA);
	assert_int_equal(heard_one(NOTICE_ALLOC)->placement, PLACEMENT_HOST);
	assert_null(heard_one(NOTICE_ALLOC)->gpu);
	CALL(10, ALLOC, cuMemCreate, .addr = H + 2, .size = MB, .a = 99); /* of a later driver */
	assert_int_equal(heard_one(NOTICE_ALLOC)->placement, PLACEMENT_UNKNOWN);
	assert_int_equal(live(10), 3 * MB);
}

static void test_release_before_unmap(void **state)
{
	const struct notice *notice;
	uint64_t id;

	(void)state;
	create(10, H, 4 * MB);
	id = heard_one(NOTICE_ALLOC)->id;
	map_at(10, VA, 4 * MB, H);
	notice = heard_one(NOTICE_MAP);
	assert_non_null(notice);
	assert_int_equal(notice->id, id);
	assert_int_equal(notice->range_addr, VA);
	assert_int_equal(notice->range_size, 4 * MB);
	release(10, H);
	assert_quiet();
	assert_int_equal(live(10), 4 * MB);
	unmap(10, VA, 4 * MB);
	assert_non_null(heard_one(NOTICE_UNMAP));
	assert_int_equal(heard_one(NOTICE_UNMAP)->id, id);
	assert_freed(H, 4 * MB, "cuMemUnmap", FREE_CALL);
	assert_int_equal(heard[0].kind, NOTICE_UNMAP);
	assert_int_equal(live(10), 0);
}

static void test_unmap_before_release(void **state)
{
	(void)state;
	create(10, H, MB);
	map_at(10, VA, MB, H);
	unmap(10, VA, MB);
	assert_null(heard_one(NOTICE_FREE));
	release(10, H);
	assert_freed(H, MB, "cuMemRelease", FREE_CALL);
}

static void test_two_mappings_and_retain(void **state)
{
	(void)state;
	create(10, H, MB);
	map_at(10, VA, MB, H);
	map_at(10, VA + 8 * MB, MB, H);
	retain(10, H, VA + 5);
	release(10, H);
	release(10, H);
	assert_int_equal(live(10), MB);
	release(10, H); /* the driver says error 1: this one was not ours */
	assert_non_null(heard_one(NOTICE_FREE_UNMATCHED));
	retain(10, H, VA + 8 * MB); /* comes back alive */
	unmap(10, VA, MB);
	unmap(10, VA + 8 * MB, MB);
	assert_int_equal(live(10), MB);
	release(10, H);
	assert_freed(H, MB, "cuMemRelease", FREE_CALL);
}

static void test_retain_by_another_name(void **state)
{
	(void)state;
	create(10, H, MB);
	map_at(10, VA, MB, H);
	retain(10, H + 0x100, VA + MB - 1);
	release(10, H);
	release(10, H + 0x100);
	assert_quiet();
	unmap(10, VA, MB);
	assert_freed(H, MB, "cuMemUnmap", FREE_CALL);
	create(10, H + 0x100, 2 * MB);
	assert_int_equal(live(10), 2 * MB);
}

static void test_one_unmap_of_two(void **state)
{
	size_t unmapped = 0;

	(void)state;
	create(10, H, MB);
	create(10, H + 1, 2 * MB);
	map_at(10, VA, MB, H);
	map_at(10, VA + MB, 2 * MB, H + 1);
	release(10, H);
	unmap(10, VA, 3 * MB);
	for (size_t i = 0; i < heard_count; i++)
		unmapped += heard[i].kind == NOTICE_UNMAP ? heard[i].range_size : 0;
	assert_int_equal(unmapped, 3 * MB);
	assert_freed(H, MB, "cuMemUnmap", FREE_CALL);
	assert_int_equal(live(10), 2 * MB);
}

static void test_part_of_a_mapping(void **state)
{
	(void)state;
	create(10, H, 4 * MB);
	map_at(10, VA, 4 * MB, H);
	release(10, H);
	unmap(10, VA + MB, MB);
	assert_int_equal(heard_one(NOTICE_UNMAP)->range_size, MB);
	unmap(10, VA, MB);
	assert_int_equal(live(10), 4 * MB);
	unmap(10, VA - MB, 16 * MB);
	assert_int_equal(heard_one(NOTICE_UNMAP)->range_addr, VA + 2 * MB);
	assert_int_equal(live(10), 0);
}

static void test_what_we_do_not_know(void **state)
{
	(void)state;
	map_at(10, VA, MB, 0x77);
	assert_int_equal(heard_one(NOTICE_MAP)->id, 0);
	unmap(10, VA, MB);
	assert_int_equal(heard_one(NOTICE_UNMAP)->id, 0);
	retain(10, 0x77, VA);
	assert_quiet();
	assert_int_equal(process_of(10)->unmatched_frees, 0);
	assert_int_equal(live(10), 0);
	unmap(10, VA, 0);
	map_at(10, UINT64_MAX - 1, UINT64_MAX, 0x77);
	unmap(10, UINT64_MAX - 1, UINT64_MAX);
}

/* No sum of sizes makes an object look unmapped. */
static void test_hostile_ranges(void **state)
{
	(void)state;
	create(10, H, MB);
	map_at(10, 0, 1ull << 63, H);
	map_at(10, 1ull << 63, 1ull << 63, H);
	map_at(10, 0, UINT64_MAX, H);
	map_at(10, 1, 1, H);
	map_at(10, 1, 1, H);
	release(10, H);
	assert_int_equal(live(10), MB);
	unmap(10, 0, UINT64_MAX);
	assert_int_equal(live(10), 0);
	create(10, UINT64_MAX, MB);
	assert_int_equal(live(10), 0);
	assert_int_equal(process_of(10)->lost, 1);
}

/* One thread's release has not returned yet when another thread is given the same handle. */
static void test_handle_again_before_release_told(void **state)
{
	uint64_t id;

	(void)state;
	create(10, H, MB);
	id = heard_one(NOTICE_ALLOC)->id;
	CALL(10, ALLOC, cuMemCreate, .addr = H, .size = 2 * MB, .a = ON_GPU(0), .enter_ns = 2000, .time_ns = 2010);
	assert_int_equal(live(10), 2 * MB);
	assert_null(heard_one(NOTICE_FREE));
	CALL(10, DONE, cuMemRelease, .addr = H, .enter_ns = 1990, .time_ns = 2020);
	assert_int_equal(heard_one(NOTICE_FREE)->id, id);
	assert_freed(H, MB, "cuMemRelease", FREE_CALL);
	assert_int_equal(live(10), 2 * MB);
	CALL(10, DONE, cuMemRelease, .addr = H, .enter_ns = 2030, .time_ns = 2040);
	assert_freed(H, 2 * MB, "cuMemRelease", FREE_CALL);
	assert_int_equal(process_of(10)->unmatched_frees, 0);
}

/* The same with an address that is mapped again before its unmap is told. */
static void test_mapped_again_before_unmap_told(void **state)
{
	(void)state;
	create(10, H, MB);
	create(10, H + 1, MB);
	map_at(10, VA, MB, H);
	CALL(10, DONE, cuMemMap, .addr = VA, .size = MB, .a = H + 1, .enter_ns = 2000, .time_ns = 2010);
	CALL(10, DONE, cuMemUnmap, .addr = VA, .size = MB, .enter_ns = 1990, .time_ns = 2020);
	CALL(10, DONE, cuMemRelease, .addr = H + 1, .enter_ns = 2030, .time_ns = 2040);
	assert_int_equal(live(10), 2 * MB);
	CALL(10, DONE, cuMemUnmap, .addr = VA, .size = MB, .enter_ns = 2050, .time_ns = 2060);
	assert_int_equal(live(10), MB);
}

static void test_descriptor_keeps_it(void **state)
{
	(void)state;
	create(10, H, MB);
	export_fd(10, H, 0xabc, 36);
	assert_non_null(heard_one(NOTICE_EXPORT));
	assert_true(heard_one(NOTICE_EXPORT)->block_flags & BLOCK_EXPORTED);
	export_fd(10, H, 0xabd, 37);
	assert_int_equal(count_descriptors(), 0);
	release(10, H);
	assert_quiet();
	assert_int_equal(count_descriptors(), 2);
	close_fd(10, 36);
	close_fd(10, 36);
	close_fd(10, 99);
	assert_int_equal(live(10), MB);
	assert_int_equal(count_descriptors(), 1);
	assert_int_equal(told_descriptors[0], 37);
	close_fd(10, 37);
	assert_freed(H, MB, NULL, FREE_DESCRIPTOR);
	assert_int_equal(live(10), 0);
	assert_int_equal(count_descriptors(), 0);
}

/* A number that is handed out again was closed in between. */
static void test_descriptor_again(void **state)
{
	(void)state;
	create(10, H, MB);
	export_fd(10, H, 1, 5);
	release(10, H);
	create(10, H + 1, 2 * MB);
	export_fd(10, H + 1, 2, 5);
	assert_freed(H, MB, NULL, FREE_DESCRIPTOR);
	assert_int_equal(live(10), 2 * MB);
	export_fd(10, H + 1, 3, 5);
	assert_null(heard_one(NOTICE_FREE));
	release(10, H + 1);
	close_fd(10, 5);
	assert_int_equal(live(10), 0);
	export_fd(10, 0x999, 4, 5);
	assert_quiet();
}

/* What only a descriptor keeps has no handle any more: its value may be the next object's. */
static void test_handle_again_while_descriptor_open(void **state)
{
	uint64_t id, allocated;

	(void)state;
	create(10, H, MB);
	id = heard_one(NOTICE_ALLOC)->id;
	export_fd(10, H, 1, 5);
	release(10, H);
	create(10, H, 2 * MB);
	allocated = process_of(10)->total.allocated.bytes;
	assert_int_equal(allocated, 3 * MB);
	assert_int_equal(live(10), 3 * MB);
	release(10, H);
	assert_freed(H, 2 * MB, "cuMemRelease", FREE_CALL);
	create(10, H, 4 * MB);
	assert_int_equal(live(10), 5 * MB);
	close_fd(10, 5);
	assert_freed(H, MB, NULL, FREE_DESCRIPTOR);
	assert_int_equal(heard_one(NOTICE_FREE)->id, id);
	assert_int_equal(live(10), 4 * MB);
	release(10, H);
	assert_int_equal(live(10), 0);
}

static void test_end_with_all(void **state)
{
	(void)state;
	life(EVENT_PROCESS, 10);
	create(10, H, MB);
	export_fd(10, H, 1, 5);
	release(10, H);
	create(10, H, 2 * MB);
	map_at(10, VA, 2 * MB, H);
	release(10, H);
	create(10, H + 9, 4 * MB);
	life(EVENT_EXEC, 10);
	assert_int_equal(live(10), 0);
	assert_int_equal(count_descriptors(), 0);
	for (size_t i = 0; i < heard_count; i++) {
		if (heard[i].kind == NOTICE_FREE)
			assert_true(heard[i].addr == H || heard[i].addr == H + 9);
		assert_true(heard[i].kind != NOTICE_FREE || heard[i].reason == FREE_EXEC);
	}
	unmap(10, VA, 2 * MB);
	assert_int_equal(heard_one(NOTICE_UNMAP)->id, 0);
	create(10, H, MB);
	map_at(10, VA, MB, H);
	life(EVENT_EXIT, 10);
	assert_int_equal(process_of(10)->total.at_exit.bytes, 8 * MB);
	assert_int_equal(process_of(10)->total.live.count, 0);
}

/* Lost releases: the objects they were of are not kept for ever. */
static void test_lost_releases(void **state)
{
	(void)state;
	for (int i = 0; i < 500; i++)
		create(10, H, MB);
	assert_int_equal(live(10), MB);
	assert_true(process_of(10)->lost > 0);
	assert_false(ledger_complete(ledger, process_of(10)));
	for (int i = 0; i < 500; i++) {
		create(10, H, MB);
		map_at(10, VA, MB, H);
	}
	assert_int_equal(live(10), MB);
	release(10, H);
	unmap(10, VA, MB);
	assert_int_equal(live(10), 0);
}

/* The same with mappings that were never taken away. */
static void test_lost_unmaps(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 200; i++) {
		create(10, H, MB);
		map_at(10, VA + i * MB, MB, H);
	}
	assert_int_equal(live(10), MB);
	assert_true(process_of(10)->lost > 0);
	for (uint64_t i = 0; i < 200; i++)
		unmap(10, VA + i * MB, MB);
	release(10, H);
	assert_int_equal(live(10), 0);
}

/* What such an object had mapped is nobody's, whatever comes there. The first 135 of them are gone. */
static void test_mappings_of_lost_objects(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 200; i++) {
		create(10, H, MB);
		map_at(10, VA + i * MB, MB, H);
	}
	unmap(10, VA, MB / 2);
	assert_int_equal(heard_one(NOTICE_UNMAP)->id, 0);
	retain(10, H + 1, VA + MB / 2);
	release(10, H + 1);
	assert_int_equal(process_of(10)->unmatched_frees, 1);
	map_at(10, VA + MB / 2, MB, H);
	unmap(10, VA + MB, 2 * MB);
	assert_int_equal(heard_one(NOTICE_UNMAP)->range_size, MB / 2);
	assert_int_equal(live(10), MB);
	life(EVENT_EXIT, 10);
	assert_int_equal(heard_count, 66); /* that many were not told yet */
}

/* Only its descriptor keeps an object, its release is still to be told, and its handle is another's already. */
static void test_descriptor_closed_before_release_told(void **state)
{
	uint64_t id;

	(void)state;
	create(10, H, MB);
	id = heard_one(NOTICE_ALLOC)->id;
	export_fd(10, H, 1, 5);
	CALL(10, ALLOC, cuMemCreate, .addr = H, .size = 2 * MB, .a = ON_GPU(0), .enter_ns = 2000, .time_ns = 2010);
	assert_int_equal(live(10), 3 * MB);
	close_fd(10, 5);
	assert_quiet();
	assert_int_equal(live(10), 2 * MB);
	CALL(10, DONE, cuMemRelease, .addr = H, .enter_ns = 1990, .time_ns = 2020);
	assert_freed(H, MB, "cuMemRelease", FREE_CALL);
	assert_int_equal(heard_one(NOTICE_FREE)->id, id);
}

/* A name that was told for an object, and then is another object's. */
static void test_alias_again(void **state)
{
	(void)state;
	create(10, H, MB);
	map_at(10, VA, MB, H);
	retain(10, H + 0x100, VA);
	create(10, H + 0x100, 2 * MB);
	assert_int_equal(live(10), 3 * MB);
	release(10, H + 0x100);
	assert_freed(H + 0x100, 2 * MB, "cuMemRelease", FREE_CALL);
	life(EVENT_EXEC, 10);
	assert_int_equal(live(10), 0);
}

static void test_end_while_settling(void **state)
{
	const struct notice *notice = NULL;
	uint64_t id;

	(void)state;
	create(10, H, MB);
	id = heard_one(NOTICE_ALLOC)->id;
	create(10, H, 2 * MB);
	life(EVENT_EXIT, 10);
	for (size_t i = 0; i < heard_count; i++) {
		if (heard[i].kind == NOTICE_FREE && heard[i].id == id)
			notice = &heard[i];
	}
	assert_non_null(notice);
	assert_int_equal(notice->reason, FREE_CALL);
	assert_int_equal(notice->size, MB);
	assert_int_equal(process_of(10)->total.at_exit.bytes, 2 * MB);
}

static void test_create_of_nothing(void **state)
{
	(void)state;
	create(10, 0, MB);
	create(10, H, 0);
	assert_int_equal(process_of(10)->zero_sized, 2);
	assert_int_equal(process_of(10)->total.live.count, 0);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(test_create_and_release),
		RULE(test_host_location),
		RULE(test_release_before_unmap),
		RULE(test_unmap_before_release),
		RULE(test_two_mappings_and_retain),
		RULE(test_retain_by_another_name),
		RULE(test_one_unmap_of_two),
		RULE(test_part_of_a_mapping),
		RULE(test_what_we_do_not_know),
		RULE(test_hostile_ranges),
		RULE(test_handle_again_before_release_told),
		RULE(test_mapped_again_before_unmap_told),
		RULE(test_descriptor_keeps_it),
		RULE(test_descriptor_again),
		RULE(test_handle_again_while_descriptor_open),
		RULE(test_end_with_all),
		RULE(test_lost_releases),
		RULE(test_lost_unmaps),
		RULE(test_mappings_of_lost_objects),
		RULE(test_descriptor_closed_before_release_told),
		RULE(test_alias_again),
		RULE(test_end_while_settling),
		RULE(test_create_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
