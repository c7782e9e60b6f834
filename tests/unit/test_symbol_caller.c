/* SPDX-License-Identifier: Apache-2.0 */
/* symbol: which frame is the caller, and what it is called. The news and the ELF reader are doubles; one test reads this very program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "symbol/caller.h"

#define NOBODY 0x7ffffff0u /* above any process id */
#define EVENT_NS 1000000000u

static char folder[] = "/tmp/vramtrace-caller-XXXXXX";
static struct callers *callers;

/* --- the doubles -------------------------------------------------------------------------------------------------- */

static struct mapping pending[16];
static size_t pending_count, drains;
static uint64_t lost_news;
static unsigned int places_read;
static int reader_error;

int mappings_open(struct mappings **ret_mappings, struct diag *diag)
{
	(void)ret_mappings;
	(void)diag;
	return -ENOSYS;
}

void mappings_free(struct mappings *mappings)
{
	(void)mappings;
}

int mappings_fd(const struct mappings *mappings)
{
	(void)mappings;
	return -1;
}

uint64_t mappings_lost(const struct mappings *mappings)
{
	(void)mappings;
	return lost_news;
}

int mappings_drain(struct mappings *mappings, mappings_fn *fn, void *ctx)
{
	size_t count = pending_count;

	(void)mappings;
	drains++;
	pending_count = 0;
	for (size_t i = 0; i < count; i++)
		fn(ctx, &pending[i]);
	return count;
}

int reader_new(struct reader **ret_reader, struct diag *diag)
{
	(void)ret_reader;
	(void)diag;
	return -ENOSYS;
}

void reader_free(struct reader *reader)
{
	(void)reader;
}

int reader_exports(struct reader *reader, int fd, enum vt_layer layer, struct elf_exports *ret)
{
	(void)reader;
	(void)fd;
	(void)layer;
	(void)ret;
	return -ENOSYS;
}

/* Functions of 0x100 bytes each. */
static const struct {
	const char *file;
	uint64_t offset;
	const char *symbol;
	const char *demangled;
} functions[] = {
	{ "libc10_cuda.so", 0x100, "_ZN3c104cuda9raw_allocEm", "c10::cuda::raw_alloc(unsigned long)" },
	{ "libc10_cuda.so", 0x200, "_ZN3c104cuda9raw_allocEi", "c10::cuda::raw_alloc(int)" },
	{ "libc10_cuda.so", 0x300, "_ZN3c104cuda9raw_allocEv", "<no sense" },
	{ "libtorch.so", 0x100, "torch_alloc", NULL },
	{ "libcudart.so.13", 0x100, "cudaMalloc", NULL },
	{ "static_app", 0x100, "cudaMalloc", NULL },
	{ "static_app", 0x200, "__cudart827", NULL },
	{ "static_app", 0x300, "_ZN6cudart12_GLOBAL__N_1E", NULL },
	{ "static_app", 0x400, "load_model", NULL },
};

int reader_place(struct reader *reader, int fd, uint64_t file_offset, struct elf_place *ret)
{
	char link[64], path[512] = "";
	const char *base;

	(void)reader;
	places_read++;
	if (reader_error)
		return reader_error;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	assert_true(readlink(link, path, sizeof(path) - 1) > 0);
	base = strrchr(path, '/') + 1;
	if (strncmp(base, "test_", 5) == 0)
		return elf_read_place(fd, file_offset, ret);
	*ret = (struct elf_place) { .offset = 0x400000 + file_offset };
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		if (strcmp(functions[i].file, base) != 0 || file_offset - functions[i].offset >= 0x100)
			continue;
		snprintf(ret->symbol, sizeof(ret->symbol), "%s", functions[i].symbol);
		snprintf(ret->demangled, sizeof(ret->demangled), "%s",
			 functions[i].demangled ? functions[i].demangled : "");
		ret->offset = file_offset - functions[i].offset;
	}
	return 0;
}

/* --- the scene ---------------------------------------------------------------------------------------------------- */

enum {
	C10 = 0x10000000,
	TORCH = 0x20000000,
	DRIVER = 0x30000000,
	RUNTIME = 0x40000000,
	APP = 0x50000000,
	BARE = 0x60000000
};

static const struct {
	uint64_t start;
	const char *file;
} files[] = {
	{ C10, "libc10_cuda.so" },	{ TORCH, "libtorch.so" }, { DRIVER, "libcuda.so.580.1" },
	{ RUNTIME, "libcudart.so.13" }, { APP, "static_app" },	  { BARE, "bare.so" },
};

static const char *path_of(const char *file)
{
	static char path[8][512];
	static unsigned int next;
	char *here = path[next++ % 8];

	snprintf(here, sizeof(path[0]), "%s/%s", folder, file);
	return here;
}

static void queue_news(enum mapping_kind kind, uint32_t tgid, uint64_t start, const char *file, uint64_t now)
{
	static char paths[16][512];

	assert_true(pending_count < ARRAY_SIZE(pending));
	snprintf(paths[pending_count], sizeof(paths[0]), "%s/%s", folder, file);
	pending[pending_count] = (struct mapping) { .kind = kind, .tgid = tgid, .time_ns = now, .start = start };
	pending[pending_count].length = 0x10000;
	pending[pending_count].path = paths[pending_count];
	pending_count++;
}

static int setup(void **state)
{
	struct diag diag;

	(void)state;
	pending_count = drains = places_read = 0;
	reader_error = 0;
	lost_news = 0;
	assert_int_equal(callers_new((struct reader *)1, (struct mappings *)1, &callers, &diag), 0);
	queue_news(MAPPING_EXEC, NOBODY, 0, "", 1);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		queue_news(MAPPING_MAP, NOBODY, files[i].start, files[i].file, 2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	callers_free(callers);
	return 0;
}

static int make_files(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		FILE *file = fopen(path_of(files[i].file), "we");

		if (!file)
			return -1;
		fclose(file);
	}
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlink(path_of(files[i].file));
	return rmdir(folder);
}

static const struct caller *resolve(uint64_t now, int count, const uint64_t *frames)
{
	struct event event = { .kind = EVENT_ALLOC, .tgid = NOBODY, .tid = NOBODY, .time_ns = now };

	event.frame_count = count;
	for (int i = 0; i < count; i++)
		event.frames[i] = frames[i];
	return callers_resolve(callers, &event);
}

#define RESOLVE_AT(now, ...)                                                                                           \
	resolve(now, sizeof((uint64_t[]) { __VA_ARGS__ }) / sizeof(uint64_t), (uint64_t[]) { __VA_ARGS__ })
#define RESOLVE(...) RESOLVE_AT(EVENT_NS, __VA_ARGS__)

static void test_first_frame_outside_cuda(void **state)
{
	const struct caller *caller = RESOLVE(DRIVER + 0x50, RUNTIME + 0x110, C10 + 0x112, TORCH + 0x120);

	(void)state;
	assert_string_equal(caller->name, "libc10_cuda.so!c10::cuda::raw_alloc");
	assert_string_equal(caller->symbol, "_ZN3c104cuda9raw_allocEm");
	assert_string_equal(caller->demangled, "c10::cuda::raw_alloc(unsigned long)");
	assert_string_equal(caller->module, path_of("libc10_cuda.so"));
	assert_int_equal(caller->offset, 0x12);
	assert_int_equal(drains, 1);
	assert_ptr_equal(RESOLVE(DRIVER + 0x50, RUNTIME + 0x110, C10 + 0x112, TORCH + 0x120), caller);
	assert_ptr_equal(RESOLVE(C10 + 0x112), caller); /* another stack, the same place */
	assert_int_equal(places_read, 1);
	assert_int_equal(drains, 1);
}

static void test_names_and_ids(void **state)
{
	const struct caller *one = RESOLVE(C10 + 0x112), *two = RESOLVE(C10 + 0x140), *three = RESOLVE(TORCH + 0x150);

	(void)state;
	assert_ptr_not_equal(one, two);
	assert_int_equal(one->id, two->id);
	assert_string_equal(one->name, two->name);
	assert_int_not_equal(one->id, three->id);
	assert_int_not_equal(one->id, 0);
	assert_null(three->demangled);
	/* a return address is the byte behind the call: here the first one behind the function */
	assert_string_equal(RESOLVE(C10 + 0x200)->name, one->name);
	assert_int_equal(RESOLVE(C10 + 0x200)->offset, 0x100);
}

static void test_overloads_share_a_name(void **state)
{
	const struct caller *one = RESOLVE(C10 + 0x112), *two = RESOLVE(C10 + 0x212), *three = RESOLVE(C10 + 0x312);

	(void)state;
	assert_string_not_equal(one->symbol, two->symbol);
	assert_string_not_equal(one->demangled, two->demangled);
	assert_string_equal(one->name, two->name);
	assert_int_equal(one->id, two->id);
	/* a C++ name that cannot be made short: the symbol */
	assert_string_equal(three->name, "libc10_cuda.so!_ZN3c104cuda9raw_allocEv");
	assert_int_not_equal(three->id, one->id);
}

static void test_no_symbol(void **state)
{
	const struct caller *caller = RESOLVE(BARE + 0x1234);

	(void)state;
	assert_null(caller->symbol);
	assert_string_equal(caller->name, "bare.so+0x401234");
	assert_int_equal(caller->offset, 0x401234);
}

static void test_static_runtime(void **state)
{
	(void)state;
	assert_string_equal(RESOLVE(DRIVER + 1, APP + 0x310, APP + 0x210, APP + 0x110, APP + 0x410)->name,
			    "static_app!load_model");
	/* nothing further in that file: it is what there is */
	assert_string_equal(RESOLVE(DRIVER + 1, APP + 0x110, TORCH + 0x110)->name, "static_app!cudaMalloc");
}

static void test_nothing_outside(void **state)
{
	(void)state;
	assert_string_equal(RESOLVE(DRIVER + 0x10, DRIVER + 0x20)->name, "?");
	assert_string_equal(RESOLVE(DRIVER + 0x10, RUNTIME + 0x110)->name, "libcudart.so.13!cudaMalloc");
	assert_string_equal(RESOLVE(0x7770000, 0)->name, "?");
	assert_int_equal(RESOLVE(0x7770000, 0)->id, 0);
	assert_null(RESOLVE(0x7770000, 0)->module);
	assert_string_equal(resolve(EVENT_NS, 0, NULL)->name, "?");
	assert_string_equal(RESOLVE(0x7770000, C10 + 0x112)->name, "libc10_cuda.so!c10::cuda::raw_alloc");
}

static void test_new_library_is_seen_on_a_miss(void **state)
{
	(void)state;
	assert_string_equal(RESOLVE(0x70000110)->name, "?");
	queue_news(MAPPING_MAP, NOBODY, 0x70000000, "libtorch.so", 5);
	/* an unknown stack is looked at again, but not for each of a flood of calls */
	assert_string_equal(RESOLVE_AT(EVENT_NS + 10, 0x70000110)->name, "?");
	assert_string_equal(RESOLVE_AT(EVENT_NS + 2000000, 0x70000110)->name, "libtorch.so!torch_alloc");
	assert_string_equal(RESOLVE_AT(4, 0x70000110)->name, "?"); /* it was not there then */
}

static void test_exec_and_exit(void **state)
{
	const struct caller *before = RESOLVE_AT(100, C10 + 0x112);

	(void)state;
	queue_news(MAPPING_EXEC, NOBODY, 0, "", 200);
	queue_news(MAPPING_MAP, NOBODY, C10, "libtorch.so", 201);
	callers_drain(callers);
	assert_string_equal(RESOLVE_AT(300, C10 + 0x112)->name, "libtorch.so!torch_alloc");
	assert_ptr_equal(RESOLVE_AT(150, C10 + 0x112), before);
	queue_news(MAPPING_EXIT, NOBODY, 0, "", 400);
	callers_drain(callers);
	assert_string_equal(RESOLVE_AT(399, C10 + 0x113)->name, "libtorch.so!torch_alloc");
	assert_ptr_equal(RESOLVE_AT(399, C10 + 0x112), RESOLVE_AT(300, C10 + 0x112));
}

static void test_file_is_gone(void **state)
{
	const struct caller *caller;

	(void)state;
	queue_news(MAPPING_MAP, NOBODY, 0x70000000, "never_there.so", 5);
	queue_news(MAPPING_MAP, NOBODY, 0x71000000, "libtorch.so (deleted)", 5);
	caller = RESOLVE(0x70000200);
	assert_null(caller->symbol);
	assert_string_equal(caller->name, "never_there.so+0x200");
	assert_string_equal(RESOLVE(0x71000200)->name, "libtorch.so (deleted)+0x200");
	assert_int_equal(places_read, 0);
}

static void test_reader_trouble_is_bounded(void **state)
{
	(void)state;
	reader_error = -ETIMEDOUT;
	for (int i = 0; i < 50; i++) {
		assert_non_null(RESOLVE(C10 + 0x112 + i)->name);
		assert_null(RESOLVE(TORCH + 0x112 + i)->symbol);
		assert_null(RESOLVE(APP + 0x112 + i)->symbol);
		assert_null(RESOLVE(BARE + 0x112 + i)->symbol);
	}
	assert_int_equal(places_read, 4); /* each file once */
	reader_error = 0;
	queue_news(MAPPING_MAP, NOBODY, 0x70000000, "libcudart.so.13", 5);
	assert_null(RESOLVE(0x70000110)->symbol);
	assert_int_equal(places_read, 4);
}

static void test_library_news(void **state)
{
	struct library_news found;

	(void)state;
	assert_false(callers_next_library(callers, &found));
	callers_drain(callers);
	assert_true(callers_next_library(callers, &found));
	assert_string_equal(found.path, path_of("libcuda.so.580.1"));
	assert_int_equal(found.tgid, NOBODY);
	assert_int_equal(found.start, DRIVER);
	assert_int_equal(found.end, DRIVER + 0x10000);
	assert_int_equal(found.time_ns, 2);
	assert_true(callers_next_library(callers, &found));
	assert_string_equal(found.path, path_of("libcudart.so.13"));
	assert_false(callers_next_library(callers, &found));
	assert_int_equal(callers_libraries_lost(callers), 0);
	for (int i = 0; i < 4100; i++) {
		queue_news(MAPPING_MAP, NOBODY, DRIVER, "libcuda.so.1", 5);
		callers_drain(callers);
	}
	assert_int_equal(callers_libraries_lost(callers), 4);
}

static __attribute__((noinline)) const struct caller *call_from_here(void)
{
	struct event event = { .kind = EVENT_ALLOC, .tgid = getpid(), .time_ns = EVENT_NS, .frame_count = 1 };

	event.frames[0] = (uintptr_t)__builtin_return_address(0);
	return callers_resolve(callers, &event);
}

__attribute__((noinline)) const struct caller *the_calling_function(void);
const struct caller *the_calling_function(void)
{
	const struct caller *caller = call_from_here();

	__asm__ volatile("" ::: "memory"); /* no tail call */
	return caller;
}

static void test_a_process_that_was_there_before(void **state)
{
	const struct caller *caller = the_calling_function();

	(void)state;
	assert_string_equal(caller->symbol, "the_calling_function");
	assert_string_equal(caller->name, "test_symbol_caller!the_calling_function");
	assert_in_range(caller->offset, 1, 200);
	assert_int_equal(callers_load_process(callers, NOBODY), -ENOENT);
}

static void test_replay_does_not_ask_this_machine(void **state)
{
	struct diag diag;

	(void)state;
	callers_free(callers);
	assert_int_equal(callers_new(NULL, NULL, &callers, &diag), 0);
	assert_string_equal(the_calling_function()->name, "?");
	assert_int_equal(callers_load_process(callers, getpid()), 0);
	assert_non_null(strstr(the_calling_function()->name, "test_symbol_caller+0x"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_frame_outside_cuda),
		TEST(test_names_and_ids),
		TEST(test_overloads_share_a_name),
		TEST(test_no_symbol),
		TEST(test_static_runtime),
		TEST(test_nothing_outside),
		TEST(test_new_library_is_seen_on_a_miss),
		TEST(test_exec_and_exit),
		TEST(test_file_is_gone),
		TEST(test_reader_trouble_is_bounded),
		TEST(test_library_news),
		TEST(test_a_process_that_was_there_before),
		TEST(test_replay_does_not_ask_this_machine),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
