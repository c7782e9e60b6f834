/* SPDX-License-Identifier: Apache-2.0 */
/* ledger/books: blocks and the sums that they count in, without any event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ledger/account.h"

static struct processes processes;
static struct process *process;
static char name_a[] = "liba.so!f", name_b[] = "liba.so!g", name_c[] = "libc10_cuda.so!h", name_d[] = "?";
static struct caller caller_a = { .name = name_a, .module = "/opt/x/liba.so", .id = 3 };
static struct caller caller_b = { .name = name_b, .module = "/opt/y/liba.so", .id = 4 };
static struct caller caller_c = { .name = name_c, .module = "libc10_cuda.so", .id = 5 };
static struct caller caller_d = { .name = name_d, .id = 6 };

static int start(void **state)
{
	(void)state;
	map_init(&processes.live);
	process = processes_add(&processes, 10, 1);
	assert_non_null(process);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	processes_fini(&processes);
	return 0;
}

static struct block make(uint64_t addr, uint64_t size, const struct caller *caller)
{
	static uint64_t last_id;

	return (struct block) {
		.addr = addr,
		.size = size,
		.id = ++last_id,
		.alloc_ns = 1000 + addr,
		.caller = caller,
		.kind = VT_KIND_DEVICE,
		.placement = PLACEMENT_VRAM,
	};
}

static void put(const struct block *block)
{
	assert_int_equal(books_put(process, key_of_kind(block->kind), block), 0);
}

static const struct cell *cell(size_t index)
{
	assert_true(index < process->cell_count);
	return &process->cells[index];
}

static void assert_same(const struct block *a, const struct block *b)
{
	assert_int_equal(a->addr, b->addr);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->alloc_ns, b->alloc_ns);
	assert_ptr_equal(a->caller, b->caller);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->placement, b->placement);
	assert_int_equal(a->place, b->place);
	assert_int_equal(a->context, b->context);
	assert_int_equal(a->flags, b->flags);
}

static void a_block_comes_back_as_it_was_put(void **state)
{
	struct block block = make(0x1000, 64, &caller_a), got;

	(void)state;
	block.kind = VT_KIND_ARRAY;
	block.placement = PLACEMENT_MIGRATABLE;
	block.context = 7;
	block.flags = BLOCK_COMPUTED | BLOCK_EXPORTED;
	put(&block);
	assert_false(books_get(process, KEY_ADDRESS, 0x1000, &got));
	assert_true(books_get(process, KEY_ARRAY, 0x1000, &got));
	assert_same(&got, &block);
	assert_true(books_take(process, KEY_ARRAY, 0x1000, &got));
	assert_same(&got, &block);
	assert_false(books_take(process, KEY_ARRAY, 0x1000, &got));
	assert_false(books_take_held(process, KEY_ARRAY, 0x1000, &got));
}

static void keys_of_kinds(void **state)
{
	(void)state;
	assert_int_equal(key_of_kind(VT_KIND_ARRAY), KEY_ARRAY);
	assert_int_equal(key_of_kind(VT_KIND_VMM), KEY_VMM);
	assert_int_equal(key_of_kind(VT_KIND_DEVICE), KEY_ADDRESS);
	assert_int_equal(key_of_kind(VT_KIND_IMPORTED), KEY_ADDRESS);
}

static void cells_are_by_library(void **state)
{
	struct block blocks[] = { make(1, 10, &caller_a), make(2, 20, &caller_b), make(3, 40, &caller_c),
				  make(4, 80, &caller_d), make(5, 160, NULL) };

	(void)state;
	for (size_t i = 0; i < 5; i++)
		put(&blocks[i]);
	assert_int_equal(process->caller_count, 4);
	assert_int_equal(process->cell_count, 3); /* one name, two paths; a caller of no module, and none */
	assert_string_equal(cell(0)->library, "liba.so");
	assert_int_equal(cell(0)->slice.live.bytes, 30);
	assert_int_equal(cell(0)->slice.live.count, 2);
	assert_string_equal(cell(1)->library, "libc10_cuda.so");
	assert_string_equal(cell(2)->library, "?");
	assert_int_equal(cell(2)->slice.live.bytes, 240);
	assert_int_equal(process->total.live.bytes, 310);
	assert_int_equal(process->places[0].vram.live.bytes, 310);
}

static void cells_are_by_place_kind_and_placement(void **state)
{
	struct block block = make(1, 10, &caller_a), got;

	(void)state;
	put(&block);
	block = make(2, 10, &caller_a);
	block.kind = VT_KIND_POOL;
	put(&block);
	block = make(3, 10, &caller_a);
	block.kind = VT_KIND_POOL;
	block.placement = PLACEMENT_HOST;
	put(&block);
	assert_int_equal(process->cell_count, 3);
	assert_int_equal(cell(2)->kind, VT_KIND_POOL);
	assert_int_equal(cell(2)->placement, PLACEMENT_HOST);
	assert_int_equal(process->places[0].vram.live.bytes, 20);
	assert_int_equal(process->by_kind[VT_KIND_POOL].live.bytes, 20);
	books_take(process, KEY_ADDRESS, 3, &got);
	assert_int_equal(process->cell_count, 3); /* the row stays */
	assert_int_equal(cell(2)->slice.live.count, 0);
	assert_int_equal(cell(2)->slice.peak_bytes, 10);
	assert_int_equal(process->places[0].vram.live.bytes, 20);
}

static void a_row_knows_since_when_something_is_in_it(void **state)
{
	struct block a = make(100, 1, NULL), b = make(200, 1, NULL), got;

	(void)state;
	put(&a);
	put(&b);
	assert_int_equal(cell(0)->since_ns, 1100);
	books_take(process, KEY_ADDRESS, 100, &got);
	assert_int_equal(cell(0)->since_ns, 1100); /* without a break */
	books_take(process, KEY_ADDRESS, 200, &got);
	assert_int_equal(cell(0)->since_ns, 0);
	put(&b);
	assert_int_equal(cell(0)->since_ns, 1200);
}

static void what_is_borrowed_is_in_no_total(void **state)
{
	struct block block = make(1, 10, &caller_a), got;

	(void)state;
	block.kind = VT_KIND_IMPORTED;
	block.flags = BLOCK_BORROWED;
	put(&block);
	assert_true(cell(0)->borrowed);
	assert_int_equal(cell(0)->slice.live.bytes, 10);
	assert_int_equal(process->borrowed.bytes, 10);
	assert_int_equal(process->borrowed.count, 1);
	assert_int_equal(process->total.allocated.count, 0);
	assert_int_equal(process->by_kind[VT_KIND_IMPORTED].live.count, 0);
	assert_int_equal(process->by_caller[0].slice.live.count, 0);
	assert_int_equal(process->places[0].vram.live.count, 0);
	/* taken over: it counts from now on, in another row */
	block.flags = 0;
	assert_int_equal(books_change(process, KEY_ADDRESS, &block), 0);
	assert_int_equal(process->borrowed.bytes, 0);
	assert_int_equal(process->borrowed.count, 0);
	assert_int_equal(process->total.live.bytes, 10);
	assert_int_equal(process->total.allocated.count, 1);
	assert_int_equal(process->by_kind[VT_KIND_IMPORTED].live.bytes, 10);
	assert_int_equal(process->places[0].vram.live.bytes, 10);
	assert_int_equal(cell(0)->slice.live.count, 0);
	assert_int_equal(cell(0)->since_ns, 0);
	assert_int_equal(cell(1)->slice.live.bytes, 10);
	assert_int_equal(cell(1)->since_ns, 1001);
	assert_false(cell(1)->borrowed);
	books_take_held(process, KEY_ADDRESS, 1, &got);
	assert_int_equal(process->total.at_exit.bytes, 10);
	assert_int_equal(cell(1)->slice.at_exit.count, 1);
	assert_int_equal(process->total.live.count, 0);
}

static void what_is_virtual_counts_as_one_of_no_bytes(void **state)
{
	struct block block = make(1, 10, &caller_a), got;

	(void)state;
	block.flags = BLOCK_VIRTUAL;
	put(&block);
	assert_int_equal(process->total.live.count, 1);
	assert_int_equal(process->total.live.bytes, 0);
	assert_int_equal(process->virtual.bytes, 10);
	assert_int_equal(process->virtual.count, 1);
	books_take(process, KEY_ADDRESS, 1, &got);
	assert_int_equal(got.size, 10);
	assert_int_equal(block_bytes(&got), 0);
	assert_int_equal(process->virtual.bytes, 0);
	assert_int_equal(process->virtual.count, 0);
}

static void what_is_computed_marks_its_row(void **state)
{
	struct block block = make(1, 10, &caller_a), got;

	(void)state;
	block.flags = BLOCK_COMPUTED;
	put(&block);
	assert_int_equal(process->computed.bytes, 10);
	assert_int_equal(process->computed.count, 1);
	books_take(process, KEY_ADDRESS, 1, &got);
	assert_int_equal(process->computed.count, 0);
	assert_true(cell(0)->computed); /* "is or was" */
}

static void a_size_that_becomes_known_counts_once(void **state)
{
	struct block block = make(1, 0, &caller_a), smaller;

	(void)state;
	put(&block);
	block.size = 100;
	assert_int_equal(books_change(process, KEY_ADDRESS, &block), 0);
	assert_int_equal(process->total.live.bytes, 100);
	assert_int_equal(process->total.live.count, 1);
	assert_int_equal(process->total.allocated.bytes, 100);
	assert_int_equal(process->total.allocated.count, 1);
	assert_int_equal(process->total.peak_bytes, 100);
	assert_int_equal(process->by_caller[0].slice.live.bytes, 100);
	smaller = block;
	smaller.size = 40;
	assert_int_equal(books_change(process, KEY_ADDRESS, &smaller), 0);
	assert_int_equal(process->total.live.bytes, 40);
	assert_int_equal(process->total.peak_bytes, 100);
	smaller.addr = 2; /* there is none */
	assert_int_equal(books_change(process, KEY_ADDRESS, &smaller), 0);
	assert_int_equal(process->total.live.bytes, 40);
}

static void a_block_moves_and_no_sum_changes(void **state)
{
	struct block block = make(1, 10, &caller_a), got;

	(void)state;
	put(&block);
	books_move(process, KEY_ADDRESS, 1, 99);
	assert_false(books_get(process, KEY_ADDRESS, 1, &got));
	assert_true(books_get(process, KEY_ADDRESS, 99, &got));
	assert_int_equal(got.id, block.id);
	assert_int_equal(got.addr, 99);
	assert_int_equal(process->total.live.bytes, 10);
	assert_int_equal(process->total.allocated.count, 1);
	books_move(process, KEY_ADDRESS, 1, 5); /* nothing there */
	assert_false(books_get(process, KEY_ADDRESS, 5, &got));
}

static bool is_large(void *ctx, enum key key, const struct block *block)
{
	assert_int_equal(key, KEY_ADDRESS);
	return block->size > *(uint64_t *)ctx;
}

static void picked_are_by_id(void **state)
{
	struct picked *picked;
	uint64_t limit = 50;
	size_t count;

	(void)state;
	assert_int_equal(books_pick(process, NULL, NULL, &picked, &count), 0);
	assert_int_equal(count, 0);
	free(picked);
	for (uint64_t i = 1; i <= 100; i++) {
		struct block block = make(i * 7919 % 101, i, &caller_a);

		put(&block);
	}
	assert_int_equal(books_pick(process, is_large, &limit, &picked, &count), 0);
	assert_int_equal(count, 50);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(picked[i].block.size, 51 + i);
	free(picked);
}

static void count_drained(void *ctx, const struct block *block)
{
	uint64_t *last = ctx;

	assert_true(block->id > *last);
	*last = block->id;
	assert_int_equal(process->total.live.bytes + process->total.at_exit.bytes, 5050);
}

static void drained_in_order(void **state)
{
	uint64_t last = 0;

	(void)state;
	books_drain(process, count_drained, &last);
	assert_int_equal(last, 0);
	for (uint64_t i = 1; i <= 100; i++) {
		struct block block = make(i * 7919 % 101, i, i % 2 ? &caller_a : NULL);

		put(&block);
	}
	books_drain(process, count_drained, &last);
	assert_int_equal(process->total.live.count, 0);
	assert_int_equal(process->total.at_exit.bytes, 5050);
	assert_int_equal(process->places[0].vram.at_exit.count, 100);
	assert_int_equal(process->by_caller[0].slice.at_exit.count, 50);
	assert_int_equal(process->cells[0].slice.at_exit.count, 50);
}

static void requests_do_not_wrap(void **state)
{
	struct block block = make(1, 10, &caller_a);

	(void)state;
	assert_int_equal(books_request(process, VT_KIND_DEVICE, &caller_a, UINT64_MAX), 0);
	assert_int_equal(books_request(process, VT_KIND_DEVICE, NULL, 5), 0);
	put(&block);
	assert_true(process->total.allocated.bytes == UINT64_MAX);
	assert_int_equal(process->total.allocated.count, 3);
	assert_int_equal(process->total.live.bytes, 10);
	assert_int_equal(process->by_caller[0].slice.allocated.count, 2);
}

/* A program that makes up callers: all of its bytes are counted, to somebody. */
static void callers_and_libraries_are_bounded(void **state)
{
	enum {
		MADE_UP = SUMS_CALLERS_MAX + 100
	};
	struct caller *callers = calloc(MADE_UP, sizeof(*callers));
	char(*modules)[16] = calloc(MADE_UP, sizeof(*modules));
	uint64_t other = 0;
	struct block got;

	(void)state;
	for (uint32_t i = 0; i < MADE_UP; i++) {
		struct block block;

		snprintf(modules[i], sizeof(modules[i]), "/m/lib%u", i % 2000);
		callers[i] = (struct caller) { .name = modules[i], .module = modules[i], .id = i };
		block = make(i + 1, 1, &callers[i]);
		put(&block);
	}
	assert_int_equal(process->caller_count, SUMS_CALLERS_MAX + 1);
	assert_string_equal(process->by_caller[SUMS_CALLERS_MAX].caller->name, "(other)");
	assert_int_equal(process->by_caller[SUMS_CALLERS_MAX].slice.live.count, 100);
	for (size_t i = 0; i < process->cell_count; i++) {
		if (!strcmp(process->cells[i].library, "(other)"))
			other += process->cells[i].slice.live.count;
	}
	assert_int_equal(process->cell_count, SUMS_LIBRARIES_MAX - 1); /* without "?" */
	assert_true(other > 100 && other < MADE_UP);
	assert_true(books_get(process, KEY_ADDRESS, MADE_UP, &got));
	assert_string_equal(got.caller->name, "(other)");
	assert_int_equal(process->total.live.count, MADE_UP);
	free(callers);
	free(modules);
}

/* Rows of places, kinds and placements are told apart even then. */
static void cells_are_bounded(void **state)
{
	enum {
		LIBRARIES = 900,
		PLACES = 250
	};
	struct caller *callers = calloc(LIBRARIES, sizeof(*callers));
	char(*modules)[16] = calloc(LIBRARIES, sizeof(*modules));
	uint64_t live = 0, addr = 0, in_place = 0;

	(void)state;
	free(process->places);
	process->places = calloc(PLACES, sizeof(*process->places));
	process->place_count = PLACES;
	for (uint32_t i = 0; i < LIBRARIES; i++) {
		snprintf(modules[i], sizeof(modules[i]), "lib%u", i);
		callers[i] = (struct caller) { .name = modules[i], .module = modules[i], .id = i };
		for (uint16_t place = 0; place < PLACES; place++) {
			struct block block = make(++addr, 1, &callers[i]);

			block.place = place;
			put(&block);
		}
	}
	assert_true(process->cell_count > SUMS_CELLS_MAX);
	assert_true(process->cell_count <= SUMS_CELLS_MAX + PLACES);
	for (size_t i = 0; i < process->cell_count; i++) {
		live += process->cells[i].slice.live.count;
		if (process->cells[i].place == 77)
			in_place += process->cells[i].slice.live.count;
	}
	assert_int_equal(live, LIBRARIES * PLACES);
	assert_int_equal(in_place, LIBRARIES);
	assert_int_equal(process->places[77].vram.live.count, LIBRARIES);
	free(callers);
	free(modules);
}

static void a_place_that_is_none_is_no_known_one(void **state)
{
	struct block block = make(1, 10, NULL), got;

	(void)state;
	block.place = 9;
	put(&block);
	assert_true(books_get(process, KEY_ADDRESS, 1, &got));
	assert_int_equal(got.place, 0);
	assert_int_equal(process->places[0].vram.live.bytes, 10);
}

/* Of a process that has ended only the sums are left. */
static void sums_stay_when_the_rest_goes(void **state)
{
	struct block block = make(1, 10, &caller_a), got;
	size_t count;
	struct picked *picked;

	(void)state;
	put(&block);
	books_take_held(process, KEY_ADDRESS, 1, &got);
	process->has_cuda = process->ended = true;
	processes_end(&processes, process);
	assert_null(own_of(process)->books);
	assert_string_equal(process->cells[0].library, "liba.so");
	assert_int_equal(process->cells[0].slice.at_exit.bytes, 10);
	assert_false(books_get(process, KEY_ADDRESS, 1, &got));
	assert_false(books_take(process, KEY_ADDRESS, 1, &got));
	assert_null(books_settlings(process));
	assert_int_equal(books_pick(process, NULL, NULL, &picked, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(processes.count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_block_comes_back_as_it_was_put),
		TEST(keys_of_kinds),
		TEST(cells_are_by_library),
		TEST(cells_are_by_place_kind_and_placement),
		TEST(a_row_knows_since_when_something_is_in_it),
		TEST(what_is_borrowed_is_in_no_total),
		TEST(what_is_virtual_counts_as_one_of_no_bytes),
		TEST(what_is_computed_marks_its_row),
		TEST(a_size_that_becomes_known_counts_once),
		TEST(a_block_moves_and_no_sum_changes),
		TEST(picked_are_by_id),
		TEST(drained_in_order),
		TEST(requests_do_not_wrap),
		TEST(callers_and_libraries_are_bounded),
		TEST(cells_are_bounded),
		TEST(a_place_that_is_none_is_no_known_one),
		TEST(sums_stay_when_the_rest_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
