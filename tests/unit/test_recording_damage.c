/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings that were hurt: never a crash, never an item that was not put in, never more missing than what was touched, the number of the missing
 * exact, and something said. Every bit and every length, but for builds with a sanitizer: there some, and more with VRAMTRACE_LONG=1.
 */
#include "recording_read.h"

#include <errno.h>
#include <sys/wait.h>

#define MEBIBYTE (1u << 20)
#define ITEMS 24000 /* enough for a mebibyte */
#define PER_FRAME 8
#define WORKERS 2

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_UNDEFINED__)
#define SLOW 1
#else
#define SLOW 0
#endif

static struct dice_item *items;
static struct file *small; /* frames of few items, a mebibyte or more */

static int make_small(void **state)
{
	(void)state;
	dice_begin(5, 60);
	items = dice_items(ITEMS);
	small = file_of(write_items(items, ITEMS, PER_FRAME));
	assert_true(small->length > MEBIBYTE);
	assert_true(small->frame_count > ITEMS / PER_FRAME);
	return 0;
}

static int free_small(void **state)
{
	(void)state;
	free_file(small);
	free(items);
	dice_end();
	return 0;
}

/* Heads, and the frames from first up to last: a recording some of which was cut out, as far as its reader can tell. */
static int neighbourhood(size_t heads, size_t first, size_t last, uint8_t *copy)
{
	size_t head_bytes = small->frames[heads].offset;
	size_t begin = small->frames[first].offset;
	size_t end = small->frames[last].offset + small->frames[last].length;

	memcpy(copy, small->data, head_bytes);
	memcpy(copy + head_bytes, small->data + begin, end - begin);
	return fd_of(copy, head_bytes + end - begin);
}

static void put_byte(int fd, size_t offset, uint8_t byte)
{
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
}

static void expect(struct result result, uint64_t given, uint64_t lost, bool cut)
{
	assert_int_equal(result.err, 0);
	assert_true(result.damaged);
	assert_int_equal(result.given, given);
	assert_int_equal(result.lost, lost);
	assert_int_equal(result.cut, cut);
}

/* A bit of frame `index` is turned over: its neighbours' items come, and its own are told missing. */
static void expect_flip(int fd, size_t first, size_t index, size_t last)
{
	struct frame *touched = &small->frames[index].frame;
	uint64_t skipped = small->frames[first].frame.first;
	bool end = last + 1 == small->frame_count;
	uint64_t given = 0;

	for (size_t i = first; i <= last; i++)
		given += i == index ? 0 : small->frames[i].frame.count;
	if (index == last)
		expect(read_items(fd, items, ITEMS), given, skipped + 1, true);
	else
		expect(read_items(fd, items, ITEMS), given, skipped + touched->count + !end, !end);
}

/* Every step-th bit of a frame, between its neighbours. */
static void flip_frame(size_t index, size_t step)
{
	size_t first = index > 2 ? index - 1 : 2;
	size_t last = index + 1 < small->frame_count ? index + 1 : index;
	uint8_t *copy = malloc(small->length);
	size_t begin = small->frames[1].offset + small->frames[index].offset - small->frames[first].offset;
	int fd;

	assert_non_null(copy);
	fd = neighbourhood(1, first, last, copy);
	for (size_t bit = index % step; bit < small->frames[index].length * 8; bit += step) {
		size_t at = begin + bit / 8;

		put_byte(fd, at, copy[at] ^ (uint8_t)(1 << bit % 8));
		expect_flip(fd, first, index, last);
		if (bit % 8 + step >= 8)
			put_byte(fd, at, copy[at]);
	}
	close(fd);
	free(copy);
}

/* Every bit of either copy of the head: nothing is missing. */
static void flip_heads(size_t step)
{
	uint8_t *copy = malloc(small->length);
	int fd;

	assert_non_null(copy);
	fd = neighbourhood(2, 2, 2, copy);
	for (size_t bit = 0; bit < small->frames[2].offset * 8; bit += step) {
		put_byte(fd, bit / 8, copy[bit / 8] ^ (uint8_t)(1 << bit % 8));
		expect(read_items(fd, items, ITEMS), small->frames[2].frame.count, 1, true);
		put_byte(fd, bit / 8, copy[bit / 8]);
	}
	close(fd);
	free(copy);
}

/* Every length that ends within a frame, or at its end: what lies before comes, and the cut is told. */
static void cut_frame(size_t index, size_t step)
{
	size_t first = index > 2 ? index - 1 : 2;
	uint8_t *copy = malloc(small->length);
	size_t begin = small->frames[1].offset + small->frames[index].offset - small->frames[first].offset;
	uint64_t given = first < index ? small->frames[first].frame.count : 0;
	int fd;

	assert_non_null(copy);
	fd = neighbourhood(1, first, index, copy);
	for (size_t left = small->frames[index].length - 1; left < small->frames[index].length; left -= step) {
		assert_int_equal(ftruncate(fd, (off_t)(begin + left)), 0);
		expect(read_items(fd, items, ITEMS), given, small->frames[first].frame.first + 1, true);
		if (left < step)
			break;
	}
	close(fd);
	free(copy);
}

/* The first head must be there whole; without it there is no recording. */
static void cut_heads(void)
{
	for (size_t length = 0; length <= small->frames[2].offset; length++) {
		int fd = fd_of(small->data, length);
		struct result result = read_items(fd, items, ITEMS);

		if (length < small->frames[1].offset)
			assert_int_equal(result.err, -ENOEXEC);
		else
			expect(result, 0, 1, true);
		close(fd);
	}
}

/* A share of the work, in a process of its own; a failed assertion is its exit status. */
static pid_t start_worker(size_t which, size_t step, void (*work)(size_t index, size_t step))
{
	pid_t pid = fork();

	if (pid == 0) {
		for (size_t i = 2 + which; i < small->frame_count && small->frames[i].offset < MEBIBYTE; i += WORKERS)
			work(i, step);
		exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

static void work_all(size_t step, void (*work)(size_t index, size_t step))
{
	pid_t pids[WORKERS];
	int status;

	for (size_t i = 0; i < WORKERS; i++)
		pids[i] = start_worker(i, step, work);
	for (size_t i = 0; i < WORKERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
}

static void test_every_bit(void **state)
{
	size_t step = !SLOW ? 1 : getenv("VRAMTRACE_LONG") ? 7 : 61;

	(void)state;
	flip_heads(step);
	work_all(step, flip_frame);
}

static void test_every_cut(void **state)
{
	(void)state;
	cut_heads();
	work_all(SLOW ? 13 : 1, cut_frame);
}

/* Whole files, with frames as large as they come: the neighbourhoods above stand for them. */
static void test_whole_files(void **state)
{
	struct file *file = file_of(write_items(items, ITEMS, 0));
	int fd = fd_of(file->data, file->length);

	(void)state;
	dice_state = 99;
	for (unsigned int i = 0; i < (SLOW ? 30 : 300); i++) {
		size_t bit = dice(file->length * 8);
		struct result result;

		put_byte(fd, bit / 8, file->data[bit / 8] ^ (uint8_t)(1 << bit % 8));
		result = read_items(fd, items, ITEMS);
		put_byte(fd, bit / 8, file->data[bit / 8]);
		assert_int_equal(result.err, 0);
		assert_true(result.damaged);
		assert_true(result.lost_runs <= 1);
	}
	for (unsigned int i = 0; i < (SLOW ? 30 : 300); i++) {
		size_t length = file->frames[2].offset + dice(file->length - file->frames[2].offset);
		struct result result;
		uint64_t whole = 0;

		for (size_t j = 2; j < file->frame_count && file->frames[j].offset + file->frames[j].length <= length;
		     j++)
			whole += file->frames[j].frame.count;
		close(fd);
		fd = fd_of(file->data, length);
		result = read_items(fd, items, ITEMS);
		expect(result, whole, 1, true);
	}
	close(fd);
	free_file(file);
}

/* Pieces overwritten, cut out, put in, doubled and exchanged: whatever comes is right, or missing and counted. */
static size_t hurt(uint8_t *data, size_t length)
{
	size_t from = dice(length);
	size_t to = dice(length);
	size_t bytes = dice(dice(4) ? 2000 : 100000);

	if (bytes > length - (from > to ? from : to))
		bytes = length - (from > to ? from : to);
	switch (dice(4)) {
	case 0:
		memset(data + from, 0, bytes);
		return length;
	case 1:
		memmove(data + to, data + from, bytes);
		return length;
	case 2:
		memmove(data + from, data + from + bytes, length - from - bytes);
		return length - bytes;
	default:
		memmove(data + from + bytes, data + from, length - from - bytes);
		return length;
	}
}

static void test_any_damage(void **state)
{
	uint8_t *data = malloc(small->length);

	(void)state;
	assert_non_null(data);
	dice_state = 7;
	for (unsigned int i = 0; i < (SLOW ? 50 : 500); i++) {
		size_t length = small->length;
		struct result result;
		int fd;

		memcpy(data, small->data, length);
		for (uint64_t times = 1 + dice(4); times && length > 1; times--)
			length = hurt(data, length);
		fd = fd_of(data, length);
		result = read_items(fd, items, ITEMS);
		assert_true(result.err == 0 || result.err == -ENOEXEC);
		assert_true(result.err || result.damaged || result.given == ITEMS);
		close(fd);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_files),
		cmocka_unit_test(test_any_damage),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_every_bit),
	};

	return cmocka_run_group_tests(tests, make_small, free_small);
}
