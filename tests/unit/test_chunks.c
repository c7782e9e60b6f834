/* SPDX-License-Identifier: Apache-2.0 */
/* base/chunks: they never overlap, what is given back leaves memory and is used again, and what the kernel refuses is survived. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/chunks.h"

#define CHUNKS 200 /* many regions of them */

static unsigned char *chunks[2 * CHUNKS];
static bool refuse_mmap, refuse_munmap; /* what the kernel would */
static int mappings;			/* that were asked for */

#ifndef __SANITIZE_ADDRESS__
void *mmap(void *addr, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	if (refuse_mmap)
		return MAP_FAILED;
	mappings++;
	return (void *)syscall(SYS_mmap, addr, bytes, protection, flags, fd, offset);
}

int munmap(void *addr, size_t bytes)
{
	if (refuse_munmap)
		return -1;
	return (int)syscall(SYS_munmap, addr, bytes);
}
#endif

static void take(size_t i)
{
	chunks[i] = chunk_take();
	assert_non_null(chunks[i]);
	assert_int_equal((uintptr_t)chunks[i] % CHUNK_BYTES, 0);
	memset(chunks[i], (int)(i % 251), CHUNK_BYTES);
}

/* Nobody else has written into it. */
static void give(size_t i)
{
	for (size_t j = 0; j < CHUNK_BYTES; j++)
		assert_int_equal(chunks[i][j], i % 251);
	chunk_give(chunks[i]);
	chunks[i] = NULL;
}

static double resident_chunks(void)
{
	unsigned long pages = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &pages, &resident), 2);
	fclose(file);
	return (double)resident * (double)sysconf(_SC_PAGESIZE) / CHUNK_BYTES;
}

static int setup(void **state)
{
	(void)state;
	refuse_mmap = refuse_munmap = false;
	for (int i = 0; i < CHUNKS; i++)
		chunks_step();
	assert_int_equal(chunks_taken(), 0);
	return 0;
}

static void test_chunks_do_not_overlap(void **state)
{
	(void)state;
	for (size_t i = 0; i < CHUNKS; i++)
		take(i);
	assert_int_equal(chunks_taken(), CHUNKS);
	for (size_t i = 0; i < CHUNKS; i += 3) {
		give(i);
		take(i);
	}
	for (size_t i = 0; i < CHUNKS; i++)
		give(i * 7 % CHUNKS); /* 7 divides no power of ten: each once */
	chunk_give(NULL);
	assert_int_equal(chunks_taken(), 0);
}

static void test_what_is_given_back_leaves_memory(void **state)
{
	double before = resident_chunks();

	(void)state;
	for (size_t i = 0; i < CHUNKS; i++)
		take(i);
	assert_true(resident_chunks() - before > CHUNKS - CHUNKS_KEPT - 4);
	/* One in each region stays. */
	for (size_t i = 0; i < CHUNKS; i++) {
		if (i % 20)
			give(i);
	}
	for (size_t i = 0; i < CHUNKS; i++)
		chunks_step();
#ifndef __SANITIZE_ADDRESS__
	assert_true(resident_chunks() - before < CHUNKS / 20 + CHUNKS_KEPT + 4);
#endif
	for (size_t i = 0; i < CHUNKS; i += 20)
		give(i);
}

static void test_out_of_memory(void **state)
{
	size_t count = 0;

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	print_message("SKIP: the sanitizer has its own memory\n");
	skip();
#endif
	refuse_mmap = true;
	while (count < 2 * CHUNKS && (chunks[count] = chunk_take()))
		count++;
	assert_true(count < 2 * CHUNKS);
	assert_int_equal(chunks_taken(), count);
	assert_null(chunk_take());
	refuse_mmap = false;
	take(count);
	chunk_give(chunks[count]);
	while (count--)
		chunk_give(chunks[count]);
}

/* Nothing can be cut off a mapping any more. */
static void test_too_many_mappings(void **state)
{
	(void)state;
	refuse_munmap = true;
	for (size_t i = 0; i < 2 * CHUNKS; i++)
		take(i);
	for (size_t i = 0; i < 2 * CHUNKS; i++)
		give(i);
}

/* One that was leaving is whole again. */
static void test_taken_while_it_leaves(void **state)
{
	(void)state;
	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < CHUNKS; i++)
			take(i);
		for (size_t i = 0; i < CHUNKS; i++) {
			give(i);
			chunks_step();
		}
		chunks_step();
	}
}

/* Where chunks were, in any order, there is room for as many. */
static void test_no_new_regions(void **state)
{
	int before = mappings;

	(void)state;
	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < CHUNKS; i++)
			take(i);
		for (size_t i = 0; i < CHUNKS; i++)
			give((i * 7 + (size_t)round) % CHUNKS);
	}
	assert_int_equal(mappings, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_chunks_do_not_overlap, setup),
		cmocka_unit_test_setup(test_what_is_given_back_leaves_memory, setup),
		cmocka_unit_test_setup(test_out_of_memory, setup),
		cmocka_unit_test_setup(test_taken_while_it_leaves, setup),
		cmocka_unit_test_setup(test_no_new_regions, setup),
		cmocka_unit_test_setup(test_too_many_mappings, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
