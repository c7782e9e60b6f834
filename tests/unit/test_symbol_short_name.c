/* SPDX-License-Identifier: Apache-2.0 */
/* symbol: what of a C++ name a line of text shows. One test lets the compiler and the confined reader make the names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>

#include <dlfcn.h>

#include "base/cleanup.h"
#include "probe/reader.h"
#include "symbol/short_name.h"

static const struct {
	const char *name;
	const char *expected; /* NULL: no sense */
} samples[] = {
	{ "f", "f" },
	{ "f(int)", "f" },
	{ "c10::cuda::CUDACachingAllocator::Native::DeviceCachingAllocator::alloc_block(c10::cuda::AllocParams&, bool, "
	  "std::shared_ptr<c10::GatheredContext> const&, std::unique_lock<std::recursive_mutex>&)",
	  "c10::cuda::CUDACachingAllocator::Native::DeviceCachingAllocator::alloc_block" },
	{ "A::A(int)", "A::A" },
	{ "A<int>::~A()", "A<int>::~A" },
	{ "A::size() const", "A::size" },
	{ "A::steal() &&", "A::steal" },
	{ "f(int) [clone .isra.0]", "f" },
	{ "f [clone .cold]", "f" },
	{ "A::name[abi:cxx11](int)", "A::name" },
	/* return types */
	{ "int f<int>(int)", "f<int>" },
	{ "unsigned long const* ns::f<float>(float)", "ns::f<float>" },
	{ "std::vector<int, std::allocator<int> > ns::f<float>(float)", "ns::f<float>" },
	{ "(anonymous namespace)::T f<int>(int)", "f<int>" },
	{ "decltype(auto) f<int>(int)", "f<int>" },
	{ "decltype (((declval<int>)())+(1)) ns::f<int>(int)", "ns::f<int>" },
	{ "float __vector(4) f<int>(int)", "f<int>" },
	{ "void (*f<int>(char))(long)", "f<int>" },
	{ "int (A::*ns::f<int>(char))(long) const", "ns::f<int>" },
	{ "std::enable_if<((1)>(0)), int>::type f<int>(int)", "f<int>" },
	/* template arguments */
	{ "std::vector<int, std::allocator<int> >::push_back(int const&)", "std::vector<...>::push_back" },
	{ "std::function<void (int)>::swap(std::function<void (int)>&)", "std::function<...>::swap" },
	{ "A<a_very_long_class_name_in_the_brackets>::f()", "A<...>::f" },
	{ "void f<(A)1, &(g(int))>(int)", "f<...>" },
	{ "void f<((1)>(2))>(int)", "f<...>" },
	{ "void f<(1)<(2), 3>(int)", "f<...>" },
	{ "void f<&A::operator()<int> >(int)", "f<...>" },
	{ "void f<&A::operator->, 5>::g()", "f<&A::operator->, 5>::g" },
	/* operators */
	{ "A::operator()(int) const", "A::operator()" },
	{ "int A::operator()<int>(int) const", "A::operator()<int>" },
	{ "operator<<(std::ostream&, A const&)", "operator<<" },
	{ "std::ostream& operator<< <char>(std::ostream&, A<char>)", "operator<< <char>" },
	{ "bool operator< <int>(A<int>, A<int>)", "operator< <int>" },
	{ "bool std::operator==<char>(A<char>, A<char>)", "std::operator==<char>" },
	{ "A::operator-><int>(int)", "A::operator-><int>" },
	{ "A::operator->*(int)", "A::operator->*" },
	{ "A::operator[](int)", "A::operator[]" },
	{ "A::operator&(int)", "A::operator&" },
	{ "A::operator bool() const", "A::operator bool" },
	{ "A::operator unsigned char const*() const", "A::operator unsigned char const*" },
	{ "A::operator std::vector<int, std::allocator<int> >()", "A::operator std::vector<...>" },
	{ "operator new(unsigned long)", "operator new" },
	{ "A::operator delete[](void*)", "A::operator delete[]" },
	{ "unsigned long long operator\"\" _mb<char>(char)", "operator\"\" _mb<char>" },
	{ "operators::run(int)", "operators::run" },
	{ "my_operator<int>::operator_run(int)", "my_operator<int>::operator_run" },
	/* things inside functions */
	{ "(anonymous namespace)::f(int)", "(anonymous namespace)::f" },
	{ "unsigned long (anonymous namespace)::f<int>(int)", "(anonymous namespace)::f<int>" },
	{ "ns::f(int)::{lambda(int)#1}::operator()(int) const", "ns::f::{lambda#1}::operator()" },
	{ "A::f(int) const::{lambda(A<int>, {lambda(int)#3})#2}::operator()(int) const::{lambda()#1}::operator()() "
	  "const",
	  "A::f::{lambda#2}::operator()::{lambda#1}::operator()" },
	{ "auto f()::{lambda(auto:1)#1}::operator()<int>(int) const", "f::{lambda#1}::operator()<int>" },
	{ "{lambda(int)#1}::_FUN(int)", "{lambda#1}::_FUN" },
	{ "f()::{unnamed type#1}::g()", "f::{unnamed type#1}::g" },
	{ "non-virtual thunk to A::f()", "A::f" },
	{ "guard variable for f(int)::once", "f::once" },
	/* no sense */
	{ "", NULL },
	{ "()", NULL },
	{ "int ", NULL },
	{ "<int>f()", "<int>f" },
	{ "f<int", NULL },
	{ "f>int", NULL },
	{ "f(int", NULL },
	{ "f{lambda(]}", NULL },
	{ "a,b", NULL },
};

static void check(const char *name, const char *expected)
{
	char shown[SHORT_NAME_BYTES];

	if (!short_name(name, shown, sizeof(shown))) {
		if (expected)
			fail_msg("%s: no sense, not %s", name, expected);
		return;
	}
	if (!expected || strcmp(shown, expected) != 0)
		fail_msg("%s: %s, not %s", name, shown, expected ? expected : "nothing");
}

static void names_become_short(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		check(samples[i].name, samples[i].expected);
}

static void room_is_kept(void **state)
{
	char *small = malloc(9); /* on the heap: a sanitizer sees one byte too many */

	(void)state;
	assert_non_null(small);
	assert_false(short_name("f()", small, 0));
	assert_false(short_name("f()", small, 1));
	assert_true(short_name("f()", small, 2));
	assert_true(short_name("ns::func(int)", small, 9));
	assert_string_equal(small, "ns::func");
	assert_false(short_name("ns::func2(int)", small, 9));
	assert_false(short_name("ns::f<a<b> >(int)", small, 9));
	free(small);
}

/* Pieces and single bytes in any order, and every beginning of the samples: an answer, inside its room. */
static void any_bytes_are_safe(void **state)
{
	static const char *const pieces[] = {
		"operator", "(",  ")", "<",	    ">",      "{lambda(", "#1}",     "[abi:",
		"]",	    "::", " ", "decltype ", " const", "{",	  "f",	     "(anonymous namespace)",
		"*",	    "&",  "-", "\"\" ",	    "}",      "\xff",	  " [clone "
	};
	unsigned int seed = 1, sense = 0;

	(void)state;
	for (int i = 0; i < 300000; i++) {
		size_t room = (size_t)rand_r(&seed) % 64;
		char name[256] = "";
		char *shown = malloc(room + 1);

		assert_non_null(shown);
		for (int n = rand_r(&seed) % 12; n > 0; n--) {
			size_t length = strlen(name);
			char byte[2] = { (char)(rand_r(&seed) % 255 + 1), '\0' };

			snprintf(name + length, sizeof(name) - length, "%s",
				 n % 4 ? pieces[(size_t)rand_r(&seed) % ARRAY_SIZE(pieces)] : byte);
		}
		if (short_name(name, shown, room)) {
			assert_in_range(strnlen(shown, room), 1, room - 1);
			sense++;
		}
		free(shown);
	}
	assert_in_range(sense, 1, 299999);
}

static void long_and_deep_is_bounded(void **state)
{
	static char deep[1 << 20];
	char shown[SHORT_NAME_BYTES];
	const char opening[] = "<({[";

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		memset(deep, opening[i], sizeof(deep) - 1);
		deep[0] = 'f';
		assert_false(short_name(deep, shown, sizeof(shown)));
	}
	memset(deep, 'n', sizeof(deep) - 1);
	assert_false(short_name(deep, shown, sizeof(shown)));
}

/* --- names as a compiler makes them ------------------------------------------------------------------------------- */

/* Each function with a name that the text output is to show. */
static const char source[] =
	"namespace ns {\n"
	"struct Pool { Pool(int); int grow(int) const; int operator()(int); operator bool() const; };\n"
	"Pool::Pool(int) {}\n"
	"int Pool::grow(int n) const { auto more = [n](int m) __attribute__((noinline,used)) { return n + m; };\n"
	"	return more(n); }\n"
	"int Pool::operator()(int n) { return n; }\n"
	"Pool::operator bool() const { return true; }\n"
	"Pool &operator<<(Pool &pool, int) { return pool; }\n"
	"template <typename T, int N> T *fill(T *t) { return t; }\n"
	"template int *fill<int, 3>(int *);\n"
	"namespace { __attribute__((noinline,used)) int hidden(int n) { return n; } }\n"
	"}\n"
	"extern \"C\" int plain(int n) { return n; }\n";

static const char *const expected_names[] = {
	"ns::Pool::Pool",
	"ns::Pool::grow",
	"ns::Pool::operator()",
	"ns::Pool::operator bool",
	"ns::operator<<",
	"ns::fill<int, 3>",
	"ns::(anonymous namespace)::hidden",
	"ns::Pool::grow::{lambda#1}::operator()",
};

static bool compile(const char *folder, char path[64])
{
	char command[256];
	FILE *file;

	snprintf(path, 64, "%s/names.cc", folder);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(source, file) >= 0);
	assert_int_equal(fclose(file), 0);
	snprintf(command, sizeof(command), "g++ -O0 -fPIC -shared -o %s/names.so %s 2>/dev/null", folder, path);
	if (system(command) != 0)
		return false;
	snprintf(path, 64, "%s/names.so", folder);
	return true;
}

/* Bits of expected_names that some function of the file has. */
static unsigned int find_names(int fd)
{
	struct reader *reader = NULL;
	unsigned int found = 0;
	struct elf_place place;
	struct diag diag;

	assert_int_equal(reader_new(&reader, &diag), 0);
	for (uint64_t at = 0; at < 0x3000; at++) {
		char shown[SHORT_NAME_BYTES];

		if (reader_place(reader, fd, at, &place) || !place.symbol[0])
			continue;
		at += 7; /* no function is shorter */
		assert_true(strncmp(place.symbol, "_Z", 2) == 0 || !place.demangled[0]);
		if (!place.demangled[0])
			continue;
		assert_true(short_name(place.demangled, shown, sizeof(shown)));
		for (size_t i = 0; i < ARRAY_SIZE(expected_names); i++)
			found |= (strcmp(shown, expected_names[i]) == 0) << i;
	}
	reader_free(reader);
	return found;
}

static void a_compiled_file_shows_its_names(void **state)
{
	char folder[] = "/tmp/vramtrace-names-XXXXXX", command[64], path[64];
	void *library = dlopen("libstdc++.so.6", RTLD_LAZY);
	bool compiled;
	int fd = -1;

	(void)state;
	assert_non_null(mkdtemp(folder));
	compiled = compile(folder, path);
	if (compiled)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
	if (!compiled || !library) {
		print_message("SKIP: no %s\n", library ? "g++" : "libstdc++.so.6");
		skip();
	}
	assert_true(fd >= 0);
	for (size_t i = 0, found = find_names(fd); i < ARRAY_SIZE(expected_names); i++) {
		if (!(found & 1u << i))
			fail_msg("no function is shown as %s", expected_names[i]);
	}
	close(fd);
	dlclose(library);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_become_short),
		cmocka_unit_test(room_is_kept),
		cmocka_unit_test(any_bytes_are_safe),
		cmocka_unit_test(long_and_deep_is_bounded),
		cmocka_unit_test(a_compiled_file_shows_its_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
