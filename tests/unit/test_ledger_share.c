/* SPDX-License-Identifier: Apache-2.0 */
/* ledger: memory that processes share counts once, to whoever had it first, whoever goes in whichever order. */
#include "ledger_calls.h"

#define H 0x5000
#define A 0x7f1000000000
#define B 0x7f2000000000
#define T 0xfeed

static void assert_import(uint32_t peer_tgid, uint64_t peer_id, uint64_t size, bool is_borrowed)
{
	const struct notice *notice = heard_one(NOTICE_ALLOC);

	assert_non_null(notice);
	assert_int_equal(notice->memory_kind, VT_KIND_IMPORTED);
	assert_int_equal(notice->size, size);
	assert_int_equal(notice->peer_tgid, peer_tgid);
	assert_int_equal(notice->peer_id, peer_id);
	assert_int_equal(!!(notice->block_flags & BLOCK_BORROWED), is_borrowed);
}

static void assert_taken(uint32_t tgid, uint64_t addr, uint64_t size, uint32_t peer_tgid, uint64_t peer_id)
{
	const struct notice *notice = heard_one(NOTICE_TAKEN);

	assert_non_null(notice);
	assert_int_equal(notice->process->tgid, tgid);
	assert_int_equal(notice->addr, addr);
	assert_int_equal(notice->size, size);
	assert_int_equal(notice->peer_tgid, peer_tgid);
	assert_int_equal(notice->peer_id, peer_id);
	assert_false(notice->block_flags & BLOCK_BORROWED);
	assert_int_equal(notice->live_bytes, live(tgid));
	assert_int_equal(live(tgid), size);
	assert_int_equal(borrowed(tgid), 0);
}

/* Process 10 has 4 MB at A, process 20 has it open at B. Returns the exporter's id. */
static uint64_t share_by_ipc(void)
{
	uint64_t id;

	alloc(10, A, 4 * MB);
	id = heard_one(NOTICE_ALLOC)->id;
	ipc_export(10, A, T);
	assert_int_equal(heard_one(NOTICE_EXPORT)->id, id);
	ipc_open(20, B, T);
	assert_import(10, id, 4 * MB, true);
	assert_int_equal(live(10), 4 * MB);
	assert_int_equal(live(20), 0);
	assert_int_equal(borrowed(20), 4 * MB);
	return id;
}

static void test_ipc_importer_goes_first(void **state)
{
	const struct notice *notice;

	(void)state;
	share_by_ipc();
	ipc_close(20, B);
	notice = heard_one(NOTICE_FREE);
	assert_non_null(notice);
	assert_string_equal(notice->api, "cuIpcCloseMemHandle");
	assert_true(notice->block_flags & BLOCK_BORROWED);
	assert_null(heard_one(NOTICE_TAKEN));
	assert_int_equal(borrowed(20), 0);
	mem_free(10, A);
	assert_int_equal(live(10), 0);
	assert_int_equal(heard_one(NOTICE_FREE)->reason, FREE_CALL);
	ipc_close(20, B);
	assert_int_equal(process_of(20)->unmatched_frees, 1);
}

static void test_ipc_exporter_frees_first(void **state)
{
	uint64_t id = share_by_ipc();

	(void)state;
	mem_free(10, A);
	assert_int_equal(heard_one(NOTICE_FREE)->reason, FREE_CALL);
	assert_int_equal(heard[0].kind, NOTICE_FREE);
	assert_taken(20, B, 4 * MB, 10, id);
	assert_int_equal(live(10), 0);
	ipc_open(30, B, T);
	assert_int_equal(borrowed(30), 4 * MB);
	ipc_close(20, B);
	assert_int_equal(live(30), 4 * MB);
	ipc_close(30, B);
	assert_int_equal(live(30), 0);
}

static void test_exporter_ends_first(void **state)
{
	uint64_t id = share_by_ipc(), imported;
	const struct notice *notice;

	(void)state;
	imported = heard_one(NOTICE_ALLOC)->id;
	alloc(10, A + 64 * MB, MB);
	life(EVENT_EXIT, 10);
	assert_taken(20, B, 4 * MB, 10, id);
	for (size_t i = 0; i < heard_count; i++) {
		notice = &heard[i];
		if (notice->kind == NOTICE_FREE && notice->id == id) {
			assert_int_equal(notice->reason, FREE_EXPORTER_GONE);
			assert_int_equal(notice->peer_tgid, 20);
			assert_int_equal(notice->peer_id, imported);
		} else if (notice->kind == NOTICE_FREE) {
			assert_int_equal(notice->reason, FREE_EXIT);
		}
	}
	assert_int_equal(process_of(10)->total.live.count, 0);
	assert_int_equal(process_of(10)->total.at_exit.bytes, 5 * MB);
	life(EVENT_EXIT, 20);
	assert_int_equal(heard_one(NOTICE_FREE)->reason, FREE_EXIT);
	assert_int_equal(process_of(20)->total.at_exit.bytes, 4 * MB);
}

static void test_both_end_importer_first(void **state)
{
	(void)state;
	share_by_ipc();
	life(EVENT_EXIT, 20);
	assert_int_equal(heard_one(NOTICE_FREE)->reason, FREE_EXIT);
	assert_int_equal(process_of(20)->borrowed.count, 0);
	assert_int_equal(process_of(20)->total.at_exit.bytes, 0);
	life(EVENT_EXEC, 10);
	assert_int_equal(heard_one(NOTICE_FREE)->reason, FREE_EXEC);
	assert_int_equal(live(10), 0);
}

static void test_opened_twice(void **state)
{
	uint64_t id = share_by_ipc();

	(void)state;
	ipc_open(20, B, T);
	assert_null(heard_one(NOTICE_ALLOC));
	ipc_close(20, B);
	assert_null(heard_one(NOTICE_FREE));
	assert_int_equal(borrowed(20), 4 * MB);
	mem_free(10, A);
	assert_taken(20, B, 4 * MB, 10, id);
	ipc_close(20, B);
	assert_non_null(heard_one(NOTICE_FREE));
	assert_int_equal(live(20), 0);
	assert_int_equal(process_of(20)->unmatched_frees, 0);
}

static void test_export_of_an_inner_address(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		alloc(10, A + i * 16 * MB, (i + 1) * 1024);
	ipc_export(10, A + 49 * 16 * MB + 50 * 1024 - 1, T);
	assert_int_equal(heard_one(NOTICE_EXPORT)->addr, A + 49 * 16 * MB);
	ipc_export(10, A + 49 * 16 * MB + 7, T);
	ipc_open(20, B, T);
	assert_int_equal(borrowed(20), 50 * 1024);
	ipc_export(10, A + 49 * 16 * MB + 50 * 1024, T + 1);
	assert_quiet();
	ipc_export(20, B, T + 1); /* the driver lets no importer do that */
	assert_quiet();
}

/* The driver has nothing else than the number of a handle that it may give again. */
static void test_token_again(void **state)
{
	uint64_t id;

	(void)state;
	share_by_ipc();
	mem_free(10, A);
	alloc(10, A, MB);
	id = heard_one(NOTICE_ALLOC)->id;
	ipc_export(10, A, T);
	ipc_open(30, B, T);
	assert_import(10, id, MB, true);
	assert_int_equal(live(20), 4 * MB);
	mem_free(10, A);
	assert_taken(30, B, MB, 10, id);
}

static void test_exporter_not_known(void **state)
{
	uint64_t id;

	(void)state;
	ipc_open(20, B, T);
	assert_import(0, 0, 0, false);
	id = heard_one(NOTICE_ALLOC)->id;
	ipc_open(30, B, T);
	assert_import(20, id, 0, true);
	ipc_open(20, B, T);
	ipc_close(20, B);
	assert_quiet();
	ipc_close(20, B);
	assert_non_null(heard_one(NOTICE_FREE));
	assert_non_null(heard_one(NOTICE_TAKEN));
	ipc_close(30, B);
	ipc_open(20, B, 0); /* could not be read */
	ipc_open(30, B, 0);
	assert_import(0, 0, 0, false);
	ipc_close(20, B);
	ipc_close(30, B);
	assert_int_equal(process_of(20)->unmatched_frees + process_of(30)->unmatched_frees, 0);
	ipc_open(20, 0, T);
	assert_int_equal(process_of(20)->total.live.count, 0);
}

static void test_vmm_unknown_size_is_learnt(void **state)
{
	(void)state;
	import_fd(20, H, T);
	assert_int_equal(process_of(20)->unsized, 1);
	assert_false(ledger_complete(ledger, process_of(20)));
	map_at(20, B, 2 * MB, H);
	assert_int_equal(live(20), 2 * MB);
	assert_true(ledger_complete(ledger, process_of(20)));
	release(20, H);
	unmap(20, B, 2 * MB);
	assert_int_equal(live(20), 0);
	assert_int_equal(process_of(20)->unmatched_frees, 0);
}

/* Of an exporter that nobody traces. */
static void test_unknown_size_goes_with_the_memory(void **state)
{
	(void)state;
	ipc_open(20, B, T);
	assert_int_equal(heard_one(NOTICE_ALLOC)->block_flags, BLOCK_UNSIZED);
	ipc_open(30, B, T);
	assert_int_equal(process_of(20)->unsized, 1);
	assert_int_equal(process_of(30)->unsized, 0);
	assert_true(ledger_complete(ledger, process_of(30)));
	ipc_close(20, B);
	assert_non_null(heard_one(NOTICE_TAKEN));
	assert_int_equal(process_of(30)->unsized, 1);
	assert_false(ledger_complete(ledger, process_of(20)));
	assert_false(ledger_complete(ledger, process_of(30)));
}

static void test_buffer_of_external_memory_is_an_address(void **state)
{
	(void)state;
	CALL(10, DONE, cuImportExternalMemory, .addr = 0x8000, .size = MB);
	CALL(10, ALLOC, cuExternalMemoryGetMappedBuffer, .addr = B, .size = MB);
	assert_int_equal(heard_one(NOTICE_ALLOC)->requested, MB);
	assert_int_equal(live(10), MB);
	mem_free(10, B);
	assert_non_null(heard_one(NOTICE_FREE));
	assert_int_equal(live(10), MB);
}

static void test_vmm_chain(void **state)
{
	uint64_t id, second;

	(void)state;
	CALL(10, ALLOC, cuMemCreate, .addr = H, .size = 4 * MB, .a = ON_GPU(1));
	id = heard_one(NOTICE_ALLOC)->id;
	export_fd(10, H, T, 7);
	import_fd(20, H, T);
	assert_import(10, id, 4 * MB, true);
	assert_int_equal(heard_one(NOTICE_ALLOC)->placement, PLACEMENT_VRAM);
	second = heard_one(NOTICE_ALLOC)->id;
	export_fd(20, H, T + 1, 8);
	import_fd(30, H, T + 1);
	assert_import(10, id, 4 * MB, true);
	release(10, H);
	assert_int_equal(live(10), 4 * MB);
	close_fd(10, 7);
	assert_int_equal(heard_one(NOTICE_FREE)->reason, FREE_DESCRIPTOR);
	assert_taken(20, H, 4 * MB, 10, id);
	map_at(20, B, 4 * MB, H);
	release(20, H);
	unmap(20, B, 4 * MB);
	assert_int_equal(live(20), 4 * MB); /* its descriptor */
	life(EVENT_EXIT, 20);
	assert_int_equal(heard_one(NOTICE_FREE)->reason, FREE_EXPORTER_GONE);
	assert_taken(30, H, 4 * MB, 20, second);
	release(30, H);
	assert_int_equal(live(30), 0);
	import_fd(40, H, T);
	assert_import(0, 0, 0, false);
}

static void test_vmm_in_one_process(void **state)
{
	uint64_t id;

	(void)state;
	create(10, H, MB);
	id = heard_one(NOTICE_ALLOC)->id;
	export_fd(10, H, T, 7);
	import_fd(10, H + 1, T);
	assert_import(10, id, MB, true);
	import_fd(10, H + 1, T); /* once more: a reference */
	assert_quiet();
	release(10, H + 1);
	release(10, H);
	close_fd(10, 7);
	assert_taken(10, H + 1, MB, 10, id);
	import_fd(20, H, T);
	assert_int_equal(borrowed(20), MB);
	life(EVENT_EXIT, 10);
	assert_int_equal(live(20), MB);
	assert_int_equal(process_of(10)->total.at_exit.bytes, MB);
}

/* Exporter and importer in one process that ends: nobody takes it, and it does not take over from itself. */
static void test_vmm_in_one_process_that_ends(void **state)
{
	(void)state;
	create(10, H, MB);
	export_fd(10, H, T, 7);
	import_fd(10, H + 1, T);
	life(EVENT_EXIT, 10);
	assert_null(heard_one(NOTICE_TAKEN));
	assert_int_equal(live(10), 0);
	assert_int_equal(borrowed(10), 0);
	assert_int_equal(process_of(10)->total.at_exit.bytes, MB);
}

/* What only a descriptor keeps, moved aside for another object of the same handle, still has its importers. */
static void test_displaced_and_taken(void **state)
{
	uint64_t id, frees = 0;

	(void)state;
	create(10, H, MB);
	id = heard_one(NOTICE_ALLOC)->id;
	export_fd(10, H, T, 7);
	release(10, H);
	create(10, H, 2 * MB);
	import_fd(20, H, T);
	assert_import(10, id, MB, true);
	life(EVENT_EXEC, 10);
	assert_taken(20, H, MB, 10, id);
	for (size_t i = 0; i < heard_count; i++) {
		assert_true(heard[i].kind != NOTICE_FREE || heard[i].addr == H);
		frees += heard[i].kind == NOTICE_FREE;
	}
	assert_int_equal(frees, 2);
	assert_int_equal(live(10), 0);
}

static void test_pool_pointer(void **state)
{
	(void)state;
	CALL(10, ALLOC, cuMemAllocAsync, .addr = A, .size = MB);
	CALL(10, DONE, cuMemPoolExportPointer, .addr = A, .a = T);
	assert_non_null(heard_one(NOTICE_EXPORT));
	CALL(20, DONE, cuMemPoolImportPointer, .addr = B, .a = T, .b = 0x99);
	assert_int_equal(borrowed(20), MB);
	CALL(20, FREE, cuMemFreeAsync, .addr = B);
	assert_int_equal(borrowed(20), 0);
	assert_non_null(heard_one(NOTICE_FREE));
	assert_int_equal(live(10), MB);
}

static void test_external_memory(void **state)
{
	(void)state;
	create(10, H, MB);
	export_fd(10, H, T, 7);
	CALL(20, DONE, cuImportExternalMemory, .addr = H, .size = MB, .a = T, .b = 1);
	assert_int_equal(borrowed(20), MB);
	CALL(20, DONE, cuImportExternalMemory, .addr = H + 1, .size = 3 * MB, .a = T + 1, .b = 1);
	assert_int_equal(live(20), 3 * MB);
	CALL(20, FREE, cuDestroyExternalMemory, .addr = H);
	CALL(20, FREE, cuDestroyExternalMemory, .addr = H + 1);
	assert_int_equal(live(20) + borrowed(20), 0);
	assert_int_equal(process_of(20)->unmatched_frees, 0);
}

/* A program that exports without end fills no table without end; the latest tokens are the ones that are known. */
static void test_many_tokens(void **state)
{
	(void)state;
	create(10, H, MB);
	for (uint32_t i = 1; i <= 20000; i++)
		export_fd(10, H, i, 5);
	import_fd(20, H, 20000);
	assert_int_equal(borrowed(20), MB);
	import_fd(30, H, 1);
	assert_int_equal(borrowed(30), 0);
}

/* The handle that an import comes with was another memory's. */
static void test_import_by_a_handle_again(void **state)
{
	(void)state;
	create(10, H, MB);
	export_fd(10, H, T, 7);
	create(20, H, 2 * MB);
	import_fd(20, H, T);
	assert_int_equal(live(20), 0);
	assert_int_equal(borrowed(20), MB);
}

/* Its free has not been told, and it was the last that had the memory: the new one counts. */
static void test_import_in_the_way_of_itself(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		CALL(20, DONE, cuMemPoolImportPointer, .addr = B, .a = T, .b = 0x99);
	assert_int_equal(process_of(20)->total.live.count, 1);
	assert_int_equal(process_of(20)->borrowed.count, 0);
	assert_int_equal(process_of(20)->by_kind[VT_KIND_IMPORTED].live.count, 1);
}

static void test_pool_is_no_block(void **state)
{
	(void)state;
	CALL(10, DONE, cuMemPoolExportToShareableHandle, .addr = 0x900, .a = T, .b = 1 | 5ull << 32);
	assert_null(heard_one(NOTICE_EXPORT));
	CALL(20, DONE, cuMemPoolImportFromShareableHandle, .addr = 0x901, .a = T, .b = 1);
	assert_null(heard_one(NOTICE_ALLOC));
	assert_int_equal(process_of(20)->total.live.count, 0);
}

/* The exporter's handle is given out again before its last release is told: from then on only the importer has the memory. */
static void test_importer_has_it_while_the_release_is_still_to_be_told(void **state)
{
	uint64_t id, enter_ns;

	(void)state;
	create(10, H, 4 * MB);
	id = heard_one(NOTICE_ALLOC)->id;
	export_fd(10, H, T, 5);
	import_fd(20, H, T);
	close_fd(10, 5);
	enter_ns = now + 1;
	create(10, H, MB);
	assert_taken(20, H, 4 * MB, 10, id);
	assert_int_equal(live(10), MB);
	CALL(10, DONE, cuMemRelease, .addr = H, .enter_ns = enter_ns, .time_ns = now += 10);
	assert_int_equal(heard_one(NOTICE_FREE)->id, id);
	assert_null(heard_one(NOTICE_TAKEN));
	assert_int_equal(live(10), MB);
	assert_int_equal(live(20), 4 * MB);
}

/* By a name that it got before its handle was given out again: nothing of the one that has the handle now. */
static void test_export_of_what_waits(void **state)
{
	(void)state;
	create(10, H, 4 * MB);
	map_at(10, A, 4 * MB, H);
	retain(10, H + 16, A);
	create(10, H, MB);
	export_fd(10, H + 16, T, 5);
	assert_null(heard_one(NOTICE_EXPORT));
	import_fd(20, H, T);
	assert_import(0, 0, 0, false);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(test_ipc_importer_goes_first),
		RULE(test_ipc_exporter_frees_first),
		RULE(test_exporter_ends_first),
		RULE(test_both_end_importer_first),
		RULE(test_opened_twice),
		RULE(test_export_of_an_inner_address),
		RULE(test_token_again),
		RULE(test_exporter_not_known),
		RULE(test_vmm_unknown_size_is_learnt),
		RULE(test_unknown_size_goes_with_the_memory),
		RULE(test_buffer_of_external_memory_is_an_address),
		RULE(test_vmm_chain),
		RULE(test_vmm_in_one_process),
		RULE(test_vmm_in_one_process_that_ends),
		RULE(test_displaced_and_taken),
		RULE(test_pool_pointer),
		RULE(test_external_memory),
		RULE(test_many_tokens),
		RULE(test_import_by_a_handle_again),
		RULE(test_import_in_the_way_of_itself),
		RULE(test_pool_is_no_block),
		RULE(test_export_of_what_waits),
		RULE(test_importer_has_it_while_the_release_is_still_to_be_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
