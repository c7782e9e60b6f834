/* SPDX-License-Identifier: Apache-2.0 */
/* The context that each record says, and what nested calls come to. */
#include <pthread.h>

#include "shapes_stage.h"

static uint64_t made = 0x6000, out = 0x7f1234500000;

static int fail_1(void)
{
	return 1;
}

static int fail_2(void)
{
	return 2;
}

static void alloc(void)
{
	shapes_call(VT_PROBE_cuMemAlloc_v2, (uintptr_t)&out, 64, 0, 0);
}

static void set(uint64_t context)
{
	shapes_call(VT_PROBE_cuCtxSetCurrent, context, 0, 0, 0);
}

static void push(uint64_t context)
{
	shapes_call(VT_PROBE_cuCtxPushCurrent_v2, context, 0, 0, 0);
}

static void pop(void)
{
	shapes_call(VT_PROBE_cuCtxPopCurrent_v2, 0, 0, 0, 0);
}

/* Contexts of the events in their order, but for those of no allocation. */
static void expect_contexts(const struct fixture *fixture, const uint64_t *contexts, size_t count)
{
	size_t seen = 0;

	for (size_t i = 0; i < fixture->count; i++) {
		const struct event *event = &fixture->events[i];

		if (event->kind != EVENT_ALLOC)
			continue;
		assert_true(seen < count);
		if (event->context != contexts[seen])
			fail_msg("allocation %zu: context %#llx, not %#llx", seen, (unsigned long long)event->context,
				 (unsigned long long)contexts[seen]);
		seen++;
	}
	assert_int_equal(seen, count);
}

static void *alloc_in_thread(void *unused)
{
	alloc();
	set(0x7000);
	alloc();
	return unused;
}

static void follow(void)
{
	pthread_t thread;

	alloc();
	set(0x1000);
	alloc();
	push(0x2000);
	alloc();
	set(0x3000); /* in place of the second */
	alloc();
	pthread_create(&thread, NULL, alloc_in_thread, NULL);
	pthread_join(thread, NULL);
	pop();
	alloc();
	shapes_hook(VT_LAYER_DRIVER, fail_1);
	set(0x4000);
	alloc();
	set(0);
	alloc();
	pop(); /* nothing is there */
	alloc();
}

static void contexts_of_each_thread(void **state)
{
	static const uint64_t contexts[] = { 0, 0x1000, 0x2000, 0x3000, 0, 0x7000, 0x1000, 0x1000, 0, 0 };
	struct fixture *fixture = shapes_start(0);

	(void)state;
	shapes_run(fixture, follow);
	expect_contexts(fixture, contexts, ARRAY_SIZE(contexts));
	assert_int_equal(fixture->count, ARRAY_SIZE(contexts)); /* the context's own calls are not told */
	end(fixture);
}

static void make_and_end(void)
{
	set(0x1000);
	shapes_call(VT_PROBE_cuCtxCreate_v2, (uintptr_t)&made, 0, 3, 0);
	alloc();
	shapes_call(VT_PROBE_cuDevicePrimaryCtxRetain, (uintptr_t)&out, 0, 0, 0);
	alloc();
	shapes_call(VT_PROBE_cuCtxDestroy_v2, 0x5555, 0, 0, 0);
	alloc();
	shapes_call(VT_PROBE_cuCtxDestroy_v2, 0x6000, 0, 0, 0);
	alloc();
	shapes_call(VT_PROBE_cuDevicePrimaryCtxReset_v2, 0, 0, 0, 0); /* stays current (H100) */
	alloc();
}

static void contexts_made_and_ended(void **state)
{
	static const uint64_t contexts[] = { 0x6000, 0x6000, 0x6000, 0x1000, 0x1000 };
	struct fixture *fixture = shapes_start(0);

	(void)state;
	shapes_run(fixture, make_and_end);
	expect_contexts(fixture, contexts, ARRAY_SIZE(contexts));
	assert_int_equal(fixture->events[0].context, 0x6000); /* its own record */
	end(fixture);
}

static void push_many(void)
{
	for (uint64_t i = 1; i <= 10; i++)
		push(i << 16);
	alloc();
	set(0x1000); /* the tenth: not kept */
	alloc();
	pop();
	alloc();
	pop();
	alloc();
	pop();
	alloc();
}

static void more_contexts_than_are_kept(void **state)
{
	static const uint64_t contexts[] = { 0, 0, 0, 8 << 16, 7 << 16 };
	struct fixture *fixture = shapes_start(0);

	(void)state;
	shapes_run(fixture, push_many);
	expect_contexts(fixture, contexts, ARRAY_SIZE(contexts));
	end(fixture);
}

static int set_below(void)
{
	set(0x2000);
	return 0;
}

static void set_inside(void)
{
	set(0x1000);
	shapes_hook(VT_LAYER_DRIVER, set_below);
	alloc(); /* the driver at work for itself; the record is of the return */
	alloc();
	shapes_hook(VT_LAYER_RUNTIME, set_below);
	shapes_call(VT_PROBE_cudaMalloc, (uintptr_t)&out, 64, 0, 0);
}

static void contexts_set_inside_of_calls(void **state)
{
	static const uint64_t contexts[] = { 0x2000, 0x2000, 0x2000 };
	struct fixture *fixture = shapes_start(0);

	(void)state;
	shapes_run(fixture, set_inside);
	expect_contexts(fixture, contexts, ARRAY_SIZE(contexts));
	assert_int_equal(fixture->events[2].row, VT_PROBE_cudaMalloc); /* a call of another op is not it */
	assert_int_equal(stats_of(fixture).entered, stats_of(fixture).returned);
	end(fixture);
}

static int retain_and_alloc(void)
{
	shapes_call(VT_PROBE_cuDevicePrimaryCtxRetain, (uintptr_t)&made, 0, 0, 0);
	set(0x6000);
	alloc();
	return 0;
}

static int retain_in_vain(void)
{
	shapes_hook(VT_LAYER_DRIVER, fail_2);
	shapes_call(VT_PROBE_cuDevicePrimaryCtxRetain, (uintptr_t)&made, 0, 0, 0);
	return 2;
}

static int alloc_in_vain_then_well(void)
{
	shapes_hook(VT_LAYER_DRIVER, fail_1);
	alloc();
	retain_and_alloc();
	return 0;
}

static void nest(void)
{
	shapes_hook(VT_LAYER_RUNTIME, retain_and_alloc);
	shapes_call(VT_PROBE_cudaMalloc, (uintptr_t)&out, 64, 0, 0);
	shapes_hook(VT_LAYER_RUNTIME, retain_in_vain);
	shapes_call(VT_PROBE_cudaMalloc, (uintptr_t)&out, 96, 0, 0);
	shapes_hook(VT_LAYER_RUNTIME, alloc_in_vain_then_well);
	shapes_call(VT_PROBE_cudaMalloc, (uintptr_t)&out, 64, 0, 0);
}

static void expect(const struct event *event, enum event_kind kind, enum vt_probe row, enum vt_probe outer)
{
	assert_int_equal(event->kind, kind);
	assert_string_equal(probe_row(event->row)->symbol, probe_row(row)->symbol);
	assert_string_equal(probe_row(event->outer_row)->symbol, probe_row(outer)->symbol);
	assert_true(event->frame_count >= 1);
}

/* A driver's call that does the same is the runtime's; one that does something else is told itself. */
static void calls_under_the_runtime(void **state)
{
	struct fixture *fixture = shapes_start(0);
	const struct event *events = fixture->events;
	const enum vt_probe retain = VT_PROBE_cuDevicePrimaryCtxRetain, alloc_row = VT_PROBE_cuMemAlloc_v2;

	(void)state;
	shapes_run(fixture, nest);
	assert_int_equal(fixture->count, 6);
	expect(&events[0], EVENT_DONE, retain, retain);
	expect(&events[1], EVENT_ALLOC, alloc_row, VT_PROBE_cudaMalloc);
	assert_int_equal(events[1].context, 0x6000);
	assert_int_equal(events[1].frames[0], events[0].frames[0]); /* the caller of the runtime */
	expect(&events[2], EVENT_FAILED, retain, retain);
	assert_int_equal(events[2].result, 2);
	expect(&events[3], EVENT_ALLOC_FAILED, VT_PROBE_cudaMalloc, VT_PROBE_cudaMalloc);
	assert_int_equal(events[3].result, 2);
	assert_int_equal(events[3].size, 96);
	expect(&events[4], EVENT_DONE, retain, retain);
	expect(&events[5], EVENT_ALLOC, alloc_row, VT_PROBE_cudaMalloc);
	end(fixture);
}

static void choose_devices(void)
{
	shapes_call(VT_PROBE_cudaMalloc, (uintptr_t)&out, 64, 0, 0);
	shapes_call(VT_PROBE_cudaSetDevice, 2, 0, 0, 0);
	shapes_call(VT_PROBE_cudaMalloc, (uintptr_t)&out, 64, 0, 0);
	shapes_hook(VT_LAYER_RUNTIME, fail_1);
	shapes_call(VT_PROBE_cudaSetDevice, 77, 0, 0, 0);
	shapes_call(VT_PROBE_cudaSetDevice, 0, 0, 0, 0);
	shapes_call(VT_PROBE_cudaMalloc, (uintptr_t)&out, 64, 0, 0);
}

/* Without the driver's calls, the device that the runtime's have set. */
static void devices_of_the_runtime(void **state)
{
	static const uint64_t contexts[] = { 0, 3, 1 }, none[] = { 0, 0, 0 };
	struct fixture *fixture;

	(void)state;
	runtime_only = true;
	fixture = start_with(true, 0, 0);
	runtime_only = false;
	shapes_attach(fixture, VT_LAYER_RUNTIME);
	shapes_run(fixture, choose_devices);
	expect_contexts(fixture, contexts, ARRAY_SIZE(contexts));
	end(fixture);
	fixture = shapes_start(0);
	shapes_run(fixture, choose_devices);
	expect_contexts(fixture, none, ARRAY_SIZE(none));
	assert_int_equal(stats_of(fixture).entered, 3);
	end(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contexts_of_each_thread),     cmocka_unit_test(contexts_made_and_ended),
		cmocka_unit_test(more_contexts_than_are_kept), cmocka_unit_test(contexts_set_inside_of_calls),
		cmocka_unit_test(calls_under_the_runtime),     cmocka_unit_test(devices_of_the_runtime),
	};

	return cmocka_run_group_tests(tests, shapes_set_up, shapes_tear_down);
}
