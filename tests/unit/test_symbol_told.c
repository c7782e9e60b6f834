/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "symbol/told.h"

static struct told *told;

static int make(void **state)
{
	(void)state;
	return told_new(&told);
}

static int drop(void **state)
{
	(void)state;
	told_free(told);
	return 0;
}

static const struct item_caller torch = {
	.module = "/usr/lib/libc10_cuda.so",
	.symbol = "_ZN3c104cuda9raw_allocEm",
	.demangled = "c10::cuda::raw_alloc(unsigned long)",
	.name = "libc10_cuda.so!c10::cuda::raw_alloc",
	.offset = 0x40,
};

static void all_parts_are_kept(void **state)
{
	const struct caller *caller = told_caller(told, &torch);

	(void)state;
	assert_string_equal(caller->module, torch.module);
	assert_string_equal(caller->symbol, torch.symbol);
	assert_string_equal(caller->demangled, torch.demangled);
	assert_string_equal(caller->name, torch.name);
	assert_int_equal(caller->offset, 0x40);
	assert_ptr_not_equal(caller->name, torch.name);
}

static void equal_callers_are_one(void **state)
{
	struct item_caller again = torch;
	char module[] = "/usr/lib/libc10_cuda.so";

	(void)state;
	again.module = module;
	assert_ptr_equal(told_caller(told, &torch), told_caller(told, &again));
}

static void one_name_is_one_id(void **state)
{
	struct item_caller elsewhere = torch;
	const struct caller *first = told_caller(told, &torch), *second;

	(void)state;
	elsewhere.offset = 0x80;
	second = told_caller(told, &elsewhere);
	assert_ptr_not_equal(first, second);
	assert_int_equal(first->id, second->id);
	elsewhere.name = "another";
	assert_int_not_equal(told_caller(told, &elsewhere)->id, first->id);
}

/* The end of one part and the begin of the next must not make another caller of the same bytes. */
static void parts_do_not_run_together(void **state)
{
	const struct item_caller one = { .module = "/a", .symbol = "b", .name = "n" };
	const struct item_caller other = { .module = "/ab", .symbol = "", .name = "n" };
	const struct item_caller third = { .module = "/ab", .symbol = NULL, .name = "n" };

	(void)state;
	assert_ptr_not_equal(told_caller(told, &one), told_caller(told, &other));
	assert_ptr_not_equal(told_caller(told, &other), told_caller(told, &third));
	assert_null(told_caller(told, &third)->symbol);
	assert_string_equal(told_caller(told, &other)->symbol, "");
}

static void nobody_is_the_unknown_caller(void **state)
{
	const struct item_caller nameless = { .module = "/a" };
	const struct item_caller unknown = { .name = "?" };
	const struct caller *caller = told_caller(told, NULL);

	(void)state;
	assert_string_equal(caller->name, "?");
	assert_int_equal(caller->id, 0);
	assert_null(caller->module);
	assert_ptr_equal(told_caller(told, &nameless), caller);
	assert_ptr_equal(told_caller(told, &unknown), caller);
	assert_int_not_equal(told_caller(told, &torch)->id, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_parts_are_kept, make, drop),
		cmocka_unit_test_setup_teardown(equal_callers_are_one, make, drop),
		cmocka_unit_test_setup_teardown(one_name_is_one_id, make, drop),
		cmocka_unit_test_setup_teardown(parts_do_not_run_together, make, drop),
		cmocka_unit_test_setup_teardown(nobody_is_the_unknown_caller, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
