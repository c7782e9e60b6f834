/* SPDX-License-Identifier: Apache-2.0 */
/* symbol: strings, and address spaces as news build them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "symbol/space.h"

static struct spaces spaces;

static int setup(void **state)
{
	(void)state;
	spaces_init(&spaces);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	spaces_fini(&spaces);
	return 0;
}

static void news(enum mapping_kind kind, uint32_t tgid, uint64_t now)
{
	spaces_apply(&spaces, &(struct mapping) { .kind = kind, .tgid = tgid, .time_ns = now });
}

static void forked(uint32_t parent, uint32_t tgid, uint64_t now)
{
	spaces_apply(&spaces,
		     &(struct mapping) { .kind = MAPPING_FORK, .tgid = tgid, .parent = parent, .time_ns = now });
}

static void mapped(uint32_t tgid, uint64_t start, uint64_t end, const char *path, uint64_t now)
{
	spaces_apply(&spaces, &(struct mapping) { .kind = MAPPING_MAP,
						  .tgid = tgid,
						  .start = start,
						  .length = end - start,
						  .file_offset = 0x100,
						  .path = path,
						  .time_ns = now });
}

static const char *at(uint32_t tgid, uint64_t address, uint64_t now)
{
	const struct image *image = spaces_image(&spaces, tgid, now);
	const struct range *range = image ? image_find(image, address, now) : NULL;

	return range ? range->path->text : "none";
}

static void test_map_and_find(void **state)
{
	(void)state;
	news(MAPPING_EXEC, 1, 10);
	mapped(1, 0x3000, 0x4000, "/c", 11);
	mapped(1, 0x1000, 0x2000, "/a", 12);
	mapped(1, 0x2000, 0x3000, "/b", 13);
	assert_string_equal(at(1, 0xfff, 20), "none");
	assert_string_equal(at(1, 0x1000, 20), "/a");
	assert_string_equal(at(1, 0x1fff, 20), "/a");
	assert_string_equal(at(1, 0x2000, 20), "/b");
	assert_string_equal(at(1, 0x3fff, 20), "/c");
	assert_string_equal(at(1, 0x4000, 20), "none");
	assert_string_equal(at(1, 0x2000, 12), "none"); /* not yet mapped then */
	assert_string_equal(at(1, 0x2000, 9), "none");	/* another image then */
	assert_string_equal(at(2, 0x2000, 20), "none");
	assert_false(spaces_knows(&spaces, 2));
}

static void test_overlap_splits(void **state)
{
	const struct range *range;

	(void)state;
	mapped(1, 0x1000, 0x9000, "/a", 10);
	mapped(1, 0x3000, 0x4000, "/b", 11);
	assert_string_equal(at(1, 0x2fff, 20), "/a");
	assert_string_equal(at(1, 0x3000, 20), "/b");
	assert_string_equal(at(1, 0x4000, 20), "/a");
	range = image_find(spaces_image(&spaces, 1, 20), 0x4000, 20);
	assert_int_equal(range->start, 0x4000);
	assert_int_equal(range->end, 0x9000);
	assert_int_equal(range->file_offset, 0x3100);
	mapped(1, 0x2000, 0x8000, "/c", 12);
	assert_string_equal(at(1, 0x1fff, 20), "/a");
	assert_string_equal(at(1, 0x3000, 20), "/c");
	assert_string_equal(at(1, 0x8000, 20), "/a");
	mapped(1, 0x1800, 0x8800, "//anon", 13); /* no file: what was there is gone */
	assert_string_equal(at(1, 0x1000, 20), "/a");
	assert_string_equal(at(1, 0x1800, 20), "none");
	assert_string_equal(at(1, 0x8800, 20), "/a");
	assert_int_equal(spaces.range_count, 2);
	mapped(1, 0x1000, 0xa000, "/d", 14);
	assert_int_equal(spaces.range_count, 1);
	mapped(1, UINT64_MAX - 0xfff, 0x1000, "/wraps", 15);
	mapped(1, 0x5000, 0x5000, "/empty", 15);
	assert_int_equal(spaces.range_count, 1);
}

static void test_fork_shares_until_changed(void **state)
{
	(void)state;
	news(MAPPING_EXEC, 1, 10);
	mapped(1, 0x1000, 0x2000, "/a", 11);
	forked(1, 2, 20);
	assert_ptr_equal(spaces_image(&spaces, 1, 30)->space, spaces_image(&spaces, 2, 30)->space);
	assert_int_equal(spaces.range_count, 1);
	assert_string_equal(at(2, 0x1000, 30), "/a");
	mapped(2, 0x1000, 0x2000, "/b", 31);
	assert_string_equal(at(2, 0x1000, 40), "/b");
	assert_string_equal(at(1, 0x1000, 40), "/a");
	mapped(1, 0x5000, 0x6000, "/c", 41);
	assert_string_equal(at(2, 0x5000, 50), "none");
	assert_false(spaces_image(&spaces, 2, 50)->partial);
	forked(77, 78, 50); /* of a parent that we know nothing of */
	assert_true(spaces_image(&spaces, 78, 60)->partial);
}

static void test_time_chooses_the_image(void **state)
{
	(void)state;
	mapped(1, 0x1000, 0x2000, "/before", 10);
	assert_true(spaces_image(&spaces, 1, 10)->partial);
	news(MAPPING_EXEC, 1, 20);
	mapped(1, 0x1000, 0x2000, "/after", 21);
	assert_string_equal(at(1, 0x1000, 15), "/before");
	assert_string_equal(at(1, 0x1000, 25), "/after");
	news(MAPPING_EXIT, 1, 30);
	assert_string_equal(at(1, 0x1000, 31), "/after"); /* events come later than news */
	forked(9, 1, 40);
	assert_string_equal(at(1, 0x1000, 29), "/after");
	assert_string_equal(at(1, 0x1000, 41), "none");
}

static void test_news_out_of_order(void **state)
{
	(void)state;
	mapped(2, 0x1000, 0x2000, "/early", 31); /* read before the fork that made the process */
	forked(1, 2, 30);
	assert_string_equal(at(2, 0x1000, 40), "/early");
	news(MAPPING_EXEC, 3, 50);
	mapped(3, 0x1000, 0x2000, "/image", 51);
	forked(1, 3, 49); /* late news */
	news(MAPPING_EXIT, 3, 48);
	assert_string_equal(at(3, 0x1000, 60), "/image");
	assert_false(spaces_image(&spaces, 3, 60)->ended);
}

static void test_ended_images_go(void **state)
{
	(void)state;
	news(MAPPING_EXEC, 1, 10);
	mapped(1, 0x1000, 0x2000, "/a", 11);
	news(MAPPING_EXIT, 1, 20);
	news(MAPPING_EXEC, 2, 20 + SPACE_ENDED_NS);
	assert_true(spaces_knows(&spaces, 1));
	news(MAPPING_EXEC, 2, 22 + SPACE_ENDED_NS);
	assert_false(spaces_knows(&spaces, 1));
	assert_int_equal(spaces.paths.map.count, 0);

	for (uint32_t i = 100; i < 100 + SPACE_ENDED_MAX + 50; i++) {
		news(MAPPING_EXEC, i, 30 + SPACE_ENDED_NS);
		news(MAPPING_EXIT, i, 31 + SPACE_ENDED_NS);
	}
	assert_int_equal(spaces.ended_count, SPACE_ENDED_MAX + 1);
	assert_false(spaces_knows(&spaces, 100));
	assert_true(spaces_knows(&spaces, 100 + SPACE_ENDED_MAX + 49));
}

static void test_exec_in_a_loop_is_bounded(void **state)
{
	(void)state;
	for (uint64_t i = 1; i < 3 * SPACE_ENDED_MAX; i++) {
		news(MAPPING_EXEC, 1, i);
		mapped(1, 0x1000, 0x2000, "/a", i);
	}
	assert_true(spaces.ended_count <= SPACE_ENDED_MAX + 1);
	assert_true(spaces.range_count <= SPACE_ENDED_MAX + 2);
	assert_string_equal(at(1, 0x1000, 3 * SPACE_ENDED_MAX), "/a");
}

static void test_ranges_are_bounded(void **state)
{
	(void)state;
	news(MAPPING_EXEC, 1, 1);
	for (uint64_t i = 1; i < SPACE_RANGES_MAX + 100; i++)
		mapped(1, i * 0x2000, i * 0x2000 + 0x1000, "/a", 2);
	assert_in_range(spaces.range_count, SPACE_RANGES_MAX - 2, SPACE_RANGES_MAX);
	assert_true(spaces_image(&spaces, 1, 9)->partial);
}

static int read_text(const char *text, uint32_t tgid)
{
	FILE *file = fmemopen((char *)(uintptr_t)text, strlen(text), "r");
	int err = spaces_read_maps(&spaces, tgid, file);

	fclose(file);
	return err;
}

static void test_read_maps(void **state)
{
	static const char text[] = "00400000-00452000 r-xp 00001000 08:02 173521      /usr/bin/a b\n"
				   "00651000-00652000 r--p 00051000 08:02 173521      /usr/bin/data\n"
				   "00700000-00701000 r-xp 00000000 00:00 0 \n"
				   "nonsense\n"
				   "\n"
				   "00800000-00700000 r-xp 00000000 08:02 1           /backwards\n"
				   "00900000-00901000 r-xp 00002000 08:02 1           /new\\012line\n"
				   "00a00000-00a01000 rwxp 00000000 00:00 7           /memfd:x (deleted)\n"
				   "7ffff7fc1000-7ffff7fc3000 r-xp 00000000 00:00 0   [vdso]\n"
				   "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 /last";
	const struct range *range;

	(void)state;
	mapped(1, 0x900000, 0x901000, "/new\nline", 50); /* known by news: since when is kept */
	assert_int_equal(read_text(text, 1), 0);
	assert_string_equal(at(1, 0x400000, 60), "/usr/bin/a b");
	assert_string_equal(at(1, 0x651000, 60), "none");
	assert_string_equal(at(1, 0x700000, 60), "none");
	assert_string_equal(at(1, 0x900fff, 60), "/new\nline");
	assert_string_equal(at(1, 0x900fff, 40), "none");
	assert_string_equal(at(1, 0x400000, 40), "/usr/bin/a b");
	assert_string_equal(at(1, 0xa00000, 40), "/memfd:x (deleted)");
	assert_string_equal(at(1, 0x7ffff7fc1000, 40), "none");
	assert_string_equal(at(1, 0xffffffffff600000, 40), "/last");
	range = image_find(spaces_image(&spaces, 1, 60), 0x400000, 60);
	assert_int_equal(range->file_offset, 0x1000);
	assert_false(spaces_image(&spaces, 1, 60)->partial);
	assert_int_equal(spaces.range_count, 4);
}

static void test_random_maps_against_bytes(void **state)
{
	enum {
		PAGES = 200
	};
	const char *model[PAGES] = { NULL };
	static const char *const names[] = { "/a", "/b", "/c", "//anon" };
	unsigned int seed = 7;

	(void)state;
	news(MAPPING_EXEC, 1, 1);
	for (int round = 0; round < 3000; round++) {
		uint64_t start = rand_r(&seed) % PAGES, end = start + 1 + rand_r(&seed) % (PAGES - start);
		const char *name = names[rand_r(&seed) % 4];

		if (end - start > 20)
			end = start + 20;
		mapped(1, start << 12, end << 12, name, 2);
		for (uint64_t i = start; i < end; i++)
			model[i] = name[1] == '/' ? "none" : name;
		if (round % 100 == 0)
			forked(1, 2 + round, 2); /* so that copies are made */
		for (uint64_t i = 0; i < PAGES; i++)
			assert_string_equal(at(1, i << 12, 3), model[i] ? model[i] : "none");
	}
}

static void test_strings(void **state)
{
	struct strings strings;
	struct string *a, *b;

	(void)state;
	strings_init(&strings, 4096, 1);
	a = strings_get(&strings, "same", 4);
	b = strings_get(&strings, "same and more", 4);
	assert_ptr_equal(a, b);
	assert_int_equal(a->refs, 2);
	assert_int_equal(a->id, 1);
	b = strings_get(&strings, "other", 5);
	assert_int_equal(b->id, 2);
	strings_put(&strings, a);
	strings_put(&strings, a);
	assert_int_equal(strings.map.count, 1);
	for (int i = 0; i < 1000; i++) {
		char text[32];

		snprintf(text, sizeof(text), "string %d", i);
		strings_get(&strings, text, strlen(text));
	}
	assert_true(strings.bytes <= 4096 + 64);
	assert_ptr_equal(strings_get(&strings, "other", 5), b);
	strings_fini(&strings);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_map_and_find),
		TEST(test_overlap_splits),
		TEST(test_fork_shares_until_changed),
		TEST(test_time_chooses_the_image),
		TEST(test_news_out_of_order),
		TEST(test_ended_images_go),
		TEST(test_exec_in_a_loop_is_bounded),
		TEST(test_ranges_are_bounded),
		TEST(test_read_maps),
		TEST(test_random_maps_against_bytes),
		TEST(test_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
