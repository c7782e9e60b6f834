/* SPDX-License-Identifier: Apache-2.0 */
/* ledger: memory that another process takes out of the card and back, and multicast objects. */
#include "ledger_calls.h"

#define VA 0x7f0000000000
#define H 0x5000

static void checkpoint(uint32_t by, uint64_t pid)
{
	CALL(by, DONE, cuCheckpointProcessCheckpoint, .addr = pid);
}

static void restore(uint32_t by, uint64_t pid)
{
	CALL(by, DONE, cuCheckpointProcessRestore, .addr = pid);
}

static void one_of_each(uint32_t tgid)
{
	CALL(tgid, DONE, cuDevicePrimaryCtxRetain, .addr = 0xc1, .a = 1);
	CALL(tgid, ALLOC, cuMemAlloc_v2, .addr = VA, .size = MB, .context = 0xc1);
	CALL(tgid, ALLOC, cuMemAllocManaged, .addr = VA + MB, .size = 2 * MB, .context = 0xc1);
	CALL(tgid, ALLOC, cuMemHostAlloc, .addr = VA + 4 * MB, .size = 4 * MB, .context = 0xc1);
	CALL(tgid, ALLOC, cuMemCreate, .addr = H, .size = 8 * MB, .a = ON_GPU(1));
	CALL(tgid, ALLOC, cuMemCreate, .addr = H + 1, .size = 16 * MB, .a = VT_LOCATION_HOST);
}

/* Sums by cell, of what is live. */
static uint64_t bytes_at(uint32_t tgid, enum placement placement)
{
	const struct process *process = process_of(tgid);
	uint64_t bytes = 0;

	for (size_t i = 0; i < process->cell_count; i++)
		bytes += process->cells[i].placement == placement ? process->cells[i].slice.live.bytes : 0;
	return bytes;
}

static uint64_t vram_of(uint32_t tgid)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < process_of(tgid)->place_count; i++)
		bytes += process_of(tgid)->places[i].vram.live.bytes;
	return bytes;
}

static void test_there_and_back(void **state)
{
	const struct notice *told;

	(void)state;
	one_of_each(10);
	checkpoint(20, 10);
	told = heard_one(NOTICE_CHECKPOINT);
	assert_non_null(told);
	assert_int_equal(told->process->tgid, 10);
	assert_int_equal(told->peer_tgid, 20);
	assert_int_equal(told->size, 9 * MB);
	assert_int_equal(vram_of(10), 0);
	assert_int_equal(bytes_at(10, PLACEMENT_HOST), 29 * MB);
	assert_int_equal(bytes_at(10, PLACEMENT_MIGRATABLE), 2 * MB);
	assert_int_equal(live(10), 31 * MB);
	restore(20, 10);
	assert_int_equal(heard_one(NOTICE_RESTORE)->size, 9 * MB);
	assert_int_equal(vram_of(10), 9 * MB);
	assert_int_equal(bytes_at(10, PLACEMENT_HOST), 20 * MB); /* what had been made there stays */
	mem_free(10, VA);
	assert_int_equal(heard_one(NOTICE_FREE)->placement, PLACEMENT_VRAM);
	assert_int_equal(vram_of(10), 8 * MB);
	assert_int_equal(heard_one(NOTICE_FREE)->block_flags, 0);
	assert_true(ledger_complete(ledger, process_of(10)));
}

static void test_ends_while_away(void **state)
{
	(void)state;
	one_of_each(10);
	checkpoint(20, 10);
	life(EVENT_EXIT, 10);
	assert_int_equal(live(10), 0);
	assert_int_equal(process_of(10)->total.at_exit.bytes, 31 * MB);
	assert_int_equal(vram_of(10), 0);
	restore(20, 10);
	assert_null(heard_one(NOTICE_RESTORE));
}

static void test_failed_moves_nothing(void **state)
{
	(void)state;
	one_of_each(10);
	CALL(20, FAILED, cuCheckpointProcessCheckpoint, .addr = 10, .result = 401);
	assert_null(heard_one(NOTICE_CHECKPOINT));
	assert_null(heard_one(NOTICE_ALLOC_FAILED));
	assert_int_equal(vram_of(10), 9 * MB);
	restore(20, 10); /* and what was never away does not come back */
	assert_int_equal(heard_one(NOTICE_RESTORE)->size, 0);
	assert_int_equal(vram_of(10), 9 * MB);
}

static void test_of_nobody(void **state)
{
	(void)state;
	one_of_each(10);
	checkpoint(20, 11);
	assert_null(heard_one(NOTICE_CHECKPOINT));
	checkpoint(20, 1ull << 32 | 10);
	assert_null(heard_one(NOTICE_CHECKPOINT));
	assert_int_equal(vram_of(10), 9 * MB);
}

/* A pid of a container: who is meant is known where only one is called so. */
static void in_namespace(uint32_t tgid, uint32_t ns_tgid)
{
	struct event event = { .kind = EVENT_PROCESS, .tgid = tgid, .tid = tgid, .start_ns = tgid, .ns_tgid = ns_tgid };

	event.time_ns = now += 10;
	ledger_apply(ledger, &event, NULL);
}

static void test_pid_of_a_namespace(void **state)
{
	(void)state;
	in_namespace(7, 7);
	in_namespace(1010, 7);
	in_namespace(1020, 8);
	one_of_each(7);
	one_of_each(1010);
	checkpoint(1020, 7);
	assert_int_equal(heard_one(NOTICE_CHECKPOINT)->process->tgid, 1010);
	assert_int_equal(vram_of(7), 9 * MB);
	assert_int_equal(vram_of(1010), 0);
	restore(1020, 7);
	in_namespace(2010, 7); /* of another container, or of the same: it is not known */
	checkpoint(1020, 7);
	assert_null(heard_one(NOTICE_CHECKPOINT));
	assert_int_equal(vram_of(1010), 9 * MB);
}

static void test_multicast(void **state)
{
	(void)state;
	CALL(10, ALLOC, cuMulticastCreate, .addr = H, .size = 64 * MB);
	assert_true(heard_one(NOTICE_ALLOC)->block_flags & BLOCK_VIRTUAL);
	assert_int_equal(heard_one(NOTICE_ALLOC)->requested, 64 * MB);
	map_at(10, VA, 64 * MB, H);
	assert_int_equal(heard_one(NOTICE_MAP)->id, 1);
	export_fd(10, H, 77, 5);
	import_fd(20, H + 1, 77);
	assert_int_equal(process_of(20)->borrowed.bytes, 0);
	assert_int_equal(process_of(20)->unsized, 0);
	release(10, H);
	unmap(10, VA, 64 * MB);
	close_fd(10, 5);
	assert_non_null(heard_one(NOTICE_TAKEN));
	assert_int_equal(live(10) + live(20), 0);
	release(20, H + 1);
	assert_non_null(heard_one(NOTICE_FREE));
	assert_int_equal(process_of(10)->unmatched_frees + process_of(20)->unmatched_frees, 0);
	assert_int_equal(process_of(10)->total.peak_bytes + process_of(20)->total.peak_bytes, 0);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(test_there_and_back), RULE(test_ends_while_away),	  RULE(test_failed_moves_nothing),
		RULE(test_of_nobody),	   RULE(test_pid_of_a_namespace), RULE(test_multicast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
