/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger: out of memory, at every place where it asks for some. One run of events, again and again, in which the first, the second, ...
 * request is refused; then that one and all later ones. What could not be kept is told as lost, sums and blocks agree, and nothing leaks.
 */
#include "ledger_calls.h"

#include <errno.h>
#include <stdlib.h>

#include "base/chunks.h"

#define VA 0x7f0000000000
#define PROCESSES 3
#define MANY 800 /* more than an index has room for at first */

#ifdef __SANITIZE_ADDRESS__
#define CAN_REFUSE false
#else
#define CAN_REFUSE true

/* glibc's own, under names that nobody else has. */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *pointer, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *pointer);
#endif

static bool watching, all_later;
static uint64_t asked, refused_from; /* from 1; 0: none */
static int64_t outstanding;	     /* had and not given back */

#if CAN_REFUSE
static bool refuse(void)
{
	if (!watching)
		return false;
	asked++;
	return refused_from && (all_later ? asked >= refused_from : asked == refused_from);
}

static void *had(void *pointer)
{
	outstanding += pointer != NULL;
	return pointer;
}

void *malloc(size_t bytes)
{
	return refuse() ? NULL : had(__libc_malloc(bytes));
}

void *calloc(size_t count, size_t bytes)
{
	return refuse() ? NULL : had(__libc_calloc(count, bytes));
}

void *realloc(void *pointer, size_t bytes)
{
	if (refuse())
		return NULL;
	return pointer ? __libc_realloc(pointer, bytes) : had(__libc_malloc(bytes));
}

void *reallocarray(void *pointer, size_t count, size_t bytes)
{
	size_t whole;

	if (__builtin_mul_overflow(count, bytes, &whole)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(pointer, whole);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	return refuse() ? NULL : had(__libc_memalign(alignment, bytes));
}

int posix_memalign(void **ret_pointer, size_t alignment, size_t bytes)
{
	void *pointer = aligned_alloc(alignment, bytes);

	if (pointer)
		*ret_pointer = pointer;
	return pointer ? 0 : ENOMEM;
}

void free(void *pointer)
{
	outstanding -= pointer != NULL;
	__libc_free(pointer);
}

/* Each chunk is a request, too: base/chunks.c asks only for many at once. */
void *chunk_take(void)
{
	return aligned_alloc(CHUNK_BYTES, CHUNK_BYTES);
}

void chunk_give(void *chunk)
{
	free(chunk);
}

void chunks_step(void)
{
}
#endif

struct sums {
	struct tally live;
	struct tally borrowed;
	struct tally vram;
};

static void sum_block(void *ctx, const struct block *block)
{
	struct sums *sums = ctx;
	struct tally *tally = block->flags & BLOCK_BORROWED ? &sums->borrowed : &sums->live;

	tally->bytes += block_bytes(block);
	tally->count++;
	if (!(block->flags & BLOCK_BORROWED) && block->placement == PLACEMENT_VRAM) {
		sums->vram.bytes += block_bytes(block);
		sums->vram.count++;
	}
}

static void assert_tally(const struct tally *a, const struct tally *b)
{
	assert_int_equal(a->bytes, b->bytes);
	assert_int_equal(a->count, b->count);
}

static void check_process(const struct process *process)
{
	struct sums sums = { 0 }, cells = { 0 };

	ledger_each_block(ledger, process, sum_block, &sums);
	assert_tally(&process->total.live, &sums.live);
	assert_tally(&process->borrowed, &sums.borrowed);
	for (size_t i = 0; i < process->cell_count; i++) {
		struct tally *tally = process->cells[i].borrowed ? &cells.borrowed : &cells.live;

		tally->bytes += process->cells[i].slice.live.bytes;
		tally->count += process->cells[i].slice.live.count;
	}
	assert_tally(&process->total.live, &cells.live);
	assert_tally(&process->borrowed, &cells.borrowed);
	for (size_t i = 0; i < process->place_count; i++) {
		cells.vram.bytes += process->places[i].vram.live.bytes;
		cells.vram.count += process->places[i].vram.live.count;
	}
	assert_tally(&sums.vram, &cells.vram);
}

static void check(void)
{
	watching = false;
	for (size_t i = 0; i < ledger_process_count(ledger); i++)
		check_process(ledger_process(ledger, i));
	watching = true;
}

static void set_up_devices(uint32_t tgid)
{
	CALL(tgid, DONE, cuDeviceGetUuid, .addr = 0, .a = 0x1111111111111111, .b = 0x1111111111111111);
	CALL(tgid, DONE, cuDeviceGetUuid, .addr = 1, .a = tgid, .b = 7); /* one that the machine does not have */
	CALL(tgid, DONE, cuDevicePrimaryCtxRetain, .addr = 0x5500, .a = 0);
	CALL(tgid, DONE, cuCtxCreate_v4, .addr = 0x6600, .a = 1);
	CALL(tgid, DONE, cuStreamCreate, .addr = 0x8800, .context = 0x6600);
	CALL(tgid, DONE, cuMemPoolCreate, .addr = 0x9900, .a = ON_GPU(1));
}

static void use_every_kind(uint32_t tgid)
{
	uint64_t base = VA + tgid * MB;

	for (uint64_t i = 0; i < 20; i++)
		CALL(tgid, ALLOC, cuMemAlloc_v2, .addr = base + i * 16, .size = i + 1, .context = 0x5500);
	CALL(tgid, ALLOC, cuMemAlloc_v2, .addr = base, .size = 3, .context = 0x7700, .enter_ns = now, .time_ns = now);
	CALL(tgid, ALLOC, cuMemAllocAsync, .addr = base + 800, .size = 9, .a = 0x8800);
	CALL(tgid, ALLOC, cuMemAllocFromPoolAsync, .addr = base + 816, .size = 9, .b = 0x9900);
	CALL(tgid, DONE, cuStreamBeginCapture_v2, .addr = 0x8800);
	CALL(tgid, ALLOC, cuMemAllocAsync, .addr = base + 832, .size = 9, .a = 0x8800);
	CALL(tgid, ALLOC, cuMemAllocAsync, .addr = base + 848, .size = 9, .a = 0);
	CALL(tgid, FREE, cuMemFreeAsync, .addr = base + 848, .a = 0x8800);
	CALL(tgid, ALLOC, cuMemAllocManaged, .addr = base + 864, .size = 16);
	CALL(tgid, DONE, cuMemAdvise_v2, .addr = base + 864, .size = 16, .a = ON_GPU(1), .b = 3);
	CALL(tgid, DONE, cuMemPrefetchAsync_v2, .addr = base + 868, .size = 4, .a = ON_GPU(1));
	CALL(tgid, ALLOC, cuArrayCreate_v2, .addr = base, .size = 99);
	CALL(tgid, ALLOC, cuMemHostRegister_v2, .addr = base + 896, .size = 5);
	CALL(tgid, ENTERED, cuMemAlloc_v2, .size = 5);
}

static void share(uint32_t from, uint32_t to)
{
	create(from, 0x770, 64);
	map_at(from, VA + 900 * MB, 64, 0x770);
	retain(from, 0x771, VA + 900 * MB);
	export_fd(from, 0x770, 1000 + from, 5);
	import_fd(to, 0x990, 1000 + from);
	map_at(to, VA + 900 * MB, 32, 0x990);
	create(from, 0x770, 32);
	release(from, 0x770);
	ipc_export(from, VA + from * MB + 17, 2000 + from); /* inside a block */
	ipc_open(to, VA + 950 * MB, 2000 + from);
	CALL(to, DONE, cuImportExternalMemory, .addr = 0x123, .size = 64, .a = 3000 + from);
	unmap(from, VA + 900 * MB + 16, 16);
	close_fd(from, 5);
}

/* Of physical memory only, and so much that tables grow while they are in use. Every second part is cut out of each mapping. */
static void map_many(uint32_t tgid)
{
	create(tgid, 1, 64);
	for (uint64_t i = 0; i < MANY; i++) {
		uint64_t at = VA + tgid * 64 * MB + i * 64;

		create(tgid, 0x1000 + i, 64);
		map_at(tgid, at, 64, 0x1000 + i);
		unmap(tgid, at + 16, 16);
		unmap(tgid, at + 48, 1);
	}
	retain(tgid, 0x771, VA + tgid * 64 * MB);
	retain(tgid, 0x772, VA + tgid * 64 * MB);
}

static void export_many(uint32_t tgid)
{
	for (uint64_t i = 0; i < MANY; i++)
		ipc_export(tgid, VA + tgid * MB + i * 16, 5000 + i);
}

static void run(void)
{
	uint32_t tgid;

	now = 1000;
	watching = true;
	asked = 0;
	ledger_attach_late(ledger, 99, 0, 0, "late", 1);
	for (tgid = 10; tgid < 10 + PROCESSES; tgid++) {
		life(EVENT_PROCESS, tgid);
		set_up_devices(tgid);
		use_every_kind(tgid);
		check();
	}
	share(10, 11);
	check();
	CALL(10, DONE, cuDevicePrimaryCtxReset_v2, .addr = 0);
	CALL(11, DONE, cuCtxDestroy_v2, .addr = 0x6600);
	check();
	life(EVENT_EXIT, 10);
	check();
	life(EVENT_EXEC, 11);
	check();
	life(EVENT_EXIT, 12);
	check();
	map_many(13);
	check();
	for (uint64_t i = 0; i < MANY; i++)
		alloc(14, VA + 14 * MB + i * 16, 16);
	export_many(14); /* and the ledger ends while their table still moves */
	check();
	watching = false;
}

static void start_ledger(void)
{
	static const struct ledger_gpu gpus[2] = { { 0, "GPU-22222222-2222-2222-2222-222222222222" },
						   { 1, "GPU-11111111-1111-1111-1111-111111111111" } };
	struct ledger_settings settings = { .driver_probed = true, .gpus = gpus, .gpu_count = 2, .fn = hear };

	assert_int_equal(ledger_new(&settings, &ledger), 0);
}

static void refuse_each(bool later)
{
	int64_t before = outstanding;
	uint64_t count, silent = 0;

	if (!CAN_REFUSE) {
		print_message("SKIP: the sanitizer has its own malloc\n");
		skip();
	}
	all_later = later;
	refused_from = 0;
	start_ledger();
	run();
	count = asked;
	assert_int_equal(ledger_lost(ledger), 0);
	ledger_free(ledger);
	assert_true(count > 100);
	for (refused_from = 1; refused_from <= count; refused_from++) {
		start_ledger();
		run();
		silent += ledger_lost(ledger) == 0;
		assert_int_equal(ledger_lost(ledger), ledger_lost_of(ledger, LOST_MEMORY));
		ledger_free(ledger);
		assert_int_equal(outstanding, before);
	}
	print_message("%llu requests, %llu of them refused without a word\n", (unsigned long long)count,
		      (unsigned long long)silent);
	/* What is kept only to be faster, or tells only less of a place, may go without a word. */
	assert_true(silent < count / 2);
}

static void one_is_refused(void **state)
{
	(void)state;
	refuse_each(false);
}

static void all_later_ones_are_refused(void **state)
{
	(void)state;
	refuse_each(true);
}

static void a_ledger_needs_some(void **state)
{
	struct ledger_settings settings = { .fn = hear };

	(void)state;
	if (!CAN_REFUSE) {
		print_message("SKIP: the sanitizer has its own malloc\n");
		skip();
	}
	all_later = false;
	for (refused_from = 1; refused_from <= 2; refused_from++) {
		ledger = NULL;
		asked = 0;
		watching = true;
		assert_int_equal(ledger_new(&settings, &ledger), -ENOMEM);
		watching = false;
		assert_null(ledger);
	}
	ledger_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_is_refused),
		cmocka_unit_test(all_later_ones_are_refused),
		cmocka_unit_test(a_ledger_needs_some),
	};

	(void)setup;
	(void)teardown;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
