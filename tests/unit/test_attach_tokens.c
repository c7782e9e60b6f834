/* SPDX-License-Identifier: Apache-2.0 */
/* What two processes share has one token, and something else another. */
#include <sys/mman.h>

#include "shapes_stage.h"

struct handle {
	uint64_t words[8];
};

static struct handle handle = { { 1, 2, 3, 4, 5, 6, 7, 8 } }, other = { { 1, 2, 3, 4, 5, 6, 7, 9 } };
static uint64_t out = 0x7f1234500000;
static int fd_of_one = -1, fd_of_another = -1;

static uint64_t only_token(const struct fixture *fixture)
{
	assert_int_equal(fixture->count, 1);
	assert_int_equal(fixture->events[0].kind, EVENT_DONE);
	return fixture->events[0].a;
}

static uint64_t token_of(struct fixture *fixture, void (*script)(void))
{
	shapes_run(fixture, script);
	return only_token(fixture);
}

static void export_block(void)
{
	shapes_call(VT_PROBE_cuIpcGetMemHandle, (uintptr_t)&handle, 0x5000, 0, 0);
}

static void export_other(void)
{
	shapes_call(VT_PROBE_cuIpcGetMemHandle, (uintptr_t)&other, 0x5000, 0, 0);
}

static void open_by_value(enum vt_probe row, struct handle given)
{
	int (*open_handle)(uint64_t *, struct handle, unsigned int);

	*(void **)&open_handle = (void *)shapes_symbol(row);
	open_handle(&out, given, 1);
}

static void import_block(void)
{
	open_by_value(VT_PROBE_cuIpcOpenMemHandle_v2, handle);
}

static void import_block_by_runtime(void)
{
	open_by_value(VT_PROBE_cudaIpcOpenMemHandle, handle);
}

static void import_pool_pointer(void)
{
	shapes_call(VT_PROBE_cuMemPoolImportPointer, (uintptr_t)&out, 0x66, (uintptr_t)&handle, 0);
}

static void export_fabric(void)
{
	shapes_call(VT_PROBE_cuMemExportToShareableHandle, (uintptr_t)&handle, 0x44, VT_HANDLE_TYPE_FABRIC, 0);
}

static void import_fabric(void)
{
	shapes_call(VT_PROBE_cuMemImportFromShareableHandle, (uintptr_t)&out, (uintptr_t)&handle, VT_HANDLE_TYPE_FABRIC,
		    0);
}

static void handles_of_64_bytes(void **state)
{
	struct fixture *fixture = shapes_start(0);
	uint64_t token = token_of(fixture, export_block);

	(void)state;
	assert_true(token);
	assert_int_equal(fixture->events[0].addr, 0x5000);
	assert_int_equal(token_of(fixture, import_block), token);
	assert_int_equal(fixture->events[0].addr, out);
	assert_int_equal(token_of(fixture, import_block_by_runtime), token);
	assert_int_equal(token_of(fixture, import_pool_pointer), token);
	assert_int_equal(fixture->events[0].b, 0x66);
	assert_true(token_of(fixture, export_other) != token);
	assert_int_equal(token_of(fixture, export_fabric), token_of(fixture, import_fabric));
	assert_int_equal(fixture->events[0].b, VT_HANDLE_TYPE_FABRIC);
	end(fixture);
}

/* A token of one run says nothing to another. */
static void keys_are_drawn_at_each_load(void **state)
{
	struct fixture *fixture = shapes_start(0);
	uint64_t token = token_of(fixture, export_block);

	(void)state;
	end(fixture);
	fixture = shapes_start(0);
	assert_true(token_of(fixture, export_block) != token);
	end(fixture);
}

static void export_descriptor(void)
{
	shapes_call(VT_PROBE_cuMemExportToShareableHandle, (uintptr_t)&fd_of_one, 0x44, VT_HANDLE_TYPE_FD, 0);
}

static void export_pool_descriptor(void)
{
	shapes_call(VT_PROBE_cuMemPoolExportToShareableHandle, (uintptr_t)&fd_of_another, 0x55, VT_HANDLE_TYPE_FD, 0);
}

static void import_descriptor(void)
{
	int fd = fcntl(fd_of_one, F_DUPFD, 500); /* as it is after it was passed: another number */

	shapes_call(VT_PROBE_cuMemImportFromShareableHandle, (uintptr_t)&out, (uint64_t)fd, VT_HANDLE_TYPE_FD, 0);
}

static void import_pool_descriptor(void)
{
	shapes_call(VT_PROBE_cudaMemPoolImportFromShareableHandle, (uintptr_t)&out, (uint64_t)fd_of_another,
		    VT_HANDLE_TYPE_FD, 0);
}

static void import_no_descriptor(void)
{
	shapes_call(VT_PROBE_cuMemImportFromShareableHandle, (uintptr_t)&out, 100000, VT_HANDLE_TYPE_FD, 0);
}

static void descriptors(void **state)
{
	struct fixture *fixture = shapes_start(0);
	uint64_t one, another;

	(void)state;
	fd_of_one = memfd_create("one", MFD_CLOEXEC);
	fd_of_another = memfd_create("another", MFD_CLOEXEC);
	assert_true(fd_of_one >= 0 && fd_of_another >= 0);
	one = token_of(fixture, export_descriptor);
	assert_true(one);
	assert_int_equal(fixture->events[0].addr, 0x44);
	assert_int_equal(fixture->events[0].b, VT_HANDLE_TYPE_FD | (uint64_t)fd_of_one << 32);
	another = token_of(fixture, export_pool_descriptor);
	assert_true(another && another != one);
	assert_int_equal(token_of(fixture, import_descriptor), one);
	assert_int_equal(token_of(fixture, import_pool_descriptor), another);
	assert_int_equal(token_of(fixture, import_no_descriptor), 0);
	close(fd_of_one);
	close(fd_of_another);
	end(fixture);
}

struct external {
	uint32_t type, pad;
	union {
		int fd;
		void *win32[2];
	} handle;
	uint64_t size;
	uint32_t flags;
};

/* The driver closes it: what is read after that would be nothing. */
static int close_it(void)
{
	close(fd_of_one);
	return 0;
}

static void import_external(void)
{
	const struct external desc = { .type = 1, .handle.fd = fd_of_one, .size = 12 << 20 };

	shapes_hook(VT_LAYER_DRIVER, close_it);
	shapes_call(VT_PROBE_cuImportExternalMemory, (uintptr_t)&out, (uintptr_t)&desc, 0, 0);
}

static void external_memory(void **state)
{
	struct fixture *fixture = shapes_start(0);
	uint64_t token;

	(void)state;
	fd_of_one = memfd_create("one", MFD_CLOEXEC);
	token = token_of(fixture, export_descriptor);
	assert_true(token);
	assert_int_equal(token_of(fixture, import_external), token);
	assert_int_equal(fixture->events[0].size, 12 << 20);
	assert_int_equal(fixture->events[0].addr, out);
	assert_int_equal(fixture->events[0].b, 1);
	close(fd_of_one);
	end(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handles_of_64_bytes),
		cmocka_unit_test(keys_are_drawn_at_each_load),
		cmocka_unit_test(descriptors),
		cmocka_unit_test(external_memory),
	};

	return cmocka_run_group_tests(tests, shapes_set_up, shapes_tear_down);
}
