/* SPDX-License-Identifier: Apache-2.0 */
/* C++ names: from the confined child, and what hostile ones cost. */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "elf_maker.h"
#include "probe/demangle.h"
#include "probe/reader.h"

static struct reader *new_reader(void)
{
	struct reader *reader = NULL;
	struct diag diag = { "" };

	if (reader_new(&reader, &diag))
		fail_msg("%s", diag.text);
	return reader;
}

static void place_is_named(struct reader *reader, int fd, uint64_t at, const char *symbol, const char *demangled)
{
	struct elf_place place;

	assert_int_equal(reader_place(reader, fd, MADE_TEXT + at, &place), 0);
	assert_string_equal(place.symbol, symbol);
	assert_string_equal(place.demangled, demangled);
}

static void cxx_names_come_demangled(void **state)
{
	void *library = dlopen("libstdc++.so.6", RTLD_LAZY);
	struct reader *reader = new_reader();
	struct made_elf made;
	int fd;

	(void)state;
	made_init(&made);
	made_symbol(&made, 1, "_ZN3c104cuda9raw_allocEm", STT_FUNC, 0x40, 16);
	made_symbol(&made, 1, "_Zno C++ at all", STT_FUNC, 0x60, 16);
	made_symbol(&made, 1, "i", STT_FUNC, 0x80, 16); /* a type's name there: int */
	fd = made_fd(made.bytes, sizeof(made.bytes));
	place_is_named(reader, fd, 0x44, "_ZN3c104cuda9raw_allocEm",
		       library ? "c10::cuda::raw_alloc(unsigned long)" : "");
	place_is_named(reader, fd, 0x64, "_Zno C++ at all", "");
	place_is_named(reader, fd, 0x84, "i", "");
	close(fd);
	reader_free(reader);
	if (!library) {
		print_message("SKIP: no libstdc++.so.6\n");
		skip();
	}
	dlclose(library);
}

/* a<int,int>, then a of two of those, and so on: 2 to the power of 40 times "int". */
static void a_name_that_unfolds_costs_at_most_the_child(void **state)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	struct reader *reader = new_reader();
	char name[600] = "_Z1f1aIiiE";
	struct elf_place place;
	struct made_elf made;
	uint64_t start;
	int fd, err;

	(void)state;
	for (int i = 0; i < 36; i++) {
		size_t length = strlen(name);

		snprintf(name + length, sizeof(name) - length, "S_IS%c_S%c_E", digits[i], digits[i]);
	}
	made_init(&made);
	made_symbol(&made, 0, "_ZN2ns4goodEv", STT_FUNC, 0x40, 16);
	made_symbol(&made, 0, name, STT_FUNC, 0x120, 16);
	fd = made_fd(made.bytes, sizeof(made.bytes));
	start = clock_mono_ns();
	err = reader_place(reader, fd, MADE_TEXT + 0x124, &place);
	assert_true(err == -EPIPE || (err == 0 && !place.demangled[0]));
	print_message("answer %d after %llu ms\n", err, (unsigned long long)(clock_mono_ns() - start) / 1000000);
	assert_in_range(clock_mono_ns() - start, 0, 2000000000);
	assert_int_equal(reader_place(reader, fd, MADE_TEXT + 0x44, &place), 0);
	assert_string_equal(place.symbol, "_ZN2ns4goodEv");
	assert_true(err == 0 || !strcmp(place.demangled, "ns::good()")); /* the new child can do it too */
	close(fd);
	reader_free(reader);
}

/* This program never opened the library: as if there were none. Must be the first test. */
static void without_the_library_names_stay(void **state)
{
	char name[64] = "before";

	(void)state;
	demangle("_ZN2ns4goodEv", name, sizeof(name));
	assert_string_equal(name, "");
}

static void what_does_not_fit_is_left_out(void **state)
{
	char name[11] = "";

	(void)state;
	demangle_open();
	demangle("_ZN2ns4goodEv", name, sizeof(name));
	if (!name[0]) {
		print_message("SKIP: no libstdc++.so.6\n");
		skip();
	}
	assert_string_equal(name, "ns::good()");
	demangle("_ZN2ns5good2Ev", name, sizeof(name));
	assert_string_equal(name, "");
	demangle("good", name, sizeof(name));
	assert_string_equal(name, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_the_library_names_stay),
		cmocka_unit_test(what_does_not_fit_is_left_out),
		cmocka_unit_test(cxx_names_come_demangled),
		cmocka_unit_test(a_name_that_unfolds_costs_at_most_the_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
