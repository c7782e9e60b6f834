/* SPDX-License-Identifier: Apache-2.0 */
/* What a call record says of the arguments of each shape. */
#include "shapes_stage.h"

#define P(x) ((uint64_t)(uintptr_t)(x))
#define UPPER 0xdeadbeef00000000ull /* may stand above a 32-bit argument */
#define DEVICE_3 (3ull << 32 | VT_LOCATION_DEVICE)
#define NUMA_1 (1ull << 32 | VT_LOCATION_HOST_NUMA)
#define NOWHERE 0x10ull

static uint64_t out = 0x7f1234500000, second = 0x600, value = 777;
static uint64_t uuid[2] = { 0x1122334455667788, 0x99aabbccddeeff00 };
static struct {
	uint32_t type, handle_types, location_type, location_id;
} props = { 2, 8, VT_LOCATION_HOST_NUMA, 1 };
static struct {
	uint32_t devices, pad;
	uint64_t size, types, flags;
} multicast = { 2, 0, 64 << 20, 1, 0 };
static uint32_t location[2] = { VT_LOCATION_DEVICE, 3 };
static struct {
	uint64_t width, height;
	uint32_t format, channels;
} array = { 100, 10, 0x20, 4 };
static struct {
	uint64_t width, height, depth;
	uint32_t format, channels, flags, pad;
} array3d = { 64, 32, 5, 0x10, 2, VT_ARRAY_SPARSE, 0 }, layered = { 8, 8, 6, 0x01, 1, 1, 0 },
  compressed = { 1024, 1024, 0, 0x91, 4, 0, 0 }, planar = { 64, 64, 0, 0xb0, 3, 0, 0 },
  endless = { ~0ull, 2, 1, 0x20, 4, 0, 0 };
static int32_t channels[5] = { 16, 16, 0, 0, 2 };
static struct {
	uint32_t type, pad[3];
	uint64_t words[16];
} node_alloc = { .type = VT_NODE_MEM_ALLOC, .words = { [13] = 96 << 20, [14] = 0x2a9a000000 } },
  node_free = { .type = VT_NODE_MEM_FREE, .words = { 0x2a9a000000 } }, node_kernel = { .type = 0 };

struct scene {
	enum vt_probe row;
	uint64_t arg[6];
	uint64_t addr, size, a, b;
};

/* clang-format off */
static const struct scene scenes[] = {
	{ VT_PROBE_cuMemAlloc_v2, { P(&out), 4096, 99 }, 0x7f1234500000, 4096, 0, 0 },
	{ VT_PROBE_cuMemAllocAsync, { P(&out), 4096, 7 }, 0x7f1234500000, 4096, 7, 0 },
	{ VT_PROBE_cuMemAllocFromPoolAsync_ptsz, { P(&out), 4096, 5, 7 }, 0x7f1234500000, 4096, 7, 5 },
	{ VT_PROBE_cuMemAllocPitch_v2, { P(&out), P(&second), 1000, 10, 4 }, 0x7f1234500000, 0x600 * 10, 0, 0 },
	{ VT_PROBE_cuMemFree_v2, { 0x5000, 99, 99 }, 0x5000, 0, 0, 0 },
	{ VT_PROBE_cuMemFreeAsync, { 0x5000, 7 }, 0x5000, 0, 7, 0 },
	{ VT_PROBE_cuMemHostRegister_v2, { 0x5000, 8192, 99 }, 0x5000, 8192, 0, 0 },
	{ VT_PROBE_cuMemUnmap, { 0x5000, 8192, 99 }, 0x5000, 8192, 0, 0 },
	{ VT_PROBE_cuDevicePrimaryCtxReset_v2, { UPPER | 3 }, 3, 0, 0, 0 },
	{ VT_PROBE_cuStreamCreate, { P(&out), 99 }, 0x7f1234500000, 0, 0, 0 },
	{ VT_PROBE_cuMemRetainAllocationHandle, { P(&out), 0x7fff00005000 }, 0x7f1234500000, 0, 0x7fff00005000, 0 },
	{ VT_PROBE_cuDevicePrimaryCtxRetain, { P(&out), UPPER | 3 }, 0x7f1234500000, 0, 3, 0 },
	{ VT_PROBE_cuDeviceGetMemPool, { P(&out), UPPER | 3 }, 0x7f1234500000, 0, 3, 0 },
	{ VT_PROBE_cuCtxCreate_v2, { P(&out), 99, UPPER | 3 }, 0x7f1234500000, 0, 3, 0 },
	{ VT_PROBE_cuCtxCreate_v4, { P(&out), 99, 99, UPPER | 3 }, 0x7f1234500000, 0, 3, 0 },
	{ VT_PROBE_cuCtxCreate_v3, { P(&out), 99, 99, 99, UPPER | 3 }, 0x7f1234500000, 0, 3, 0 },
	{ VT_PROBE_cuStreamEndCapture, { 7, P(&value) }, 7, 0, 777, 0 },
	{ VT_PROBE_cuArrayCreate_v2, { P(&out), P(&array) }, 0x7f1234500000, 100 * 10 * 16, 0, 1 },
	{ VT_PROBE_cuArray3DCreate_v2, { P(&out), P(&array3d) }, 0x7f1234500000, 64 * 32 * 5 * 4, VT_ARRAY_SPARSE, 1 },
	{ VT_PROBE_cuArray3DCreate_v2, { P(&out), P(&compressed) }, 0x7f1234500000, 1024 * 1024 / 2, 0, 1 },
	{ VT_PROBE_cuArray3DCreate_v2, { P(&out), P(&planar) }, 0x7f1234500000, 0, 0, 1 },
	{ VT_PROBE_cuArray3DCreate_v2, { P(&out), P(&endless) }, 0x7f1234500000, 0, 0, 1 },
	{ VT_PROBE_cuMipmappedArrayCreate, { P(&out), P(&array3d), 3 }, 0x7f1234500000, (64 * 32 * 5 + 32 * 16 * 2 + 16 * 8) * 4, VT_ARRAY_SPARSE, 3 },
	{ VT_PROBE_cuMipmappedArrayCreate, { P(&out), P(&layered), 4 }, 0x7f1234500000, (64 + 16 + 4 + 1) * 6, 1, 4 },
	{ VT_PROBE_cudaMallocArray, { P(&out), P(channels), 50, 0, UPPER | 4 }, 0x7f1234500000, 50 * 4, 4, 1 },
	{ VT_PROBE_cuMemCreate, { P(&out), 2 << 20, P(&props) }, 0x7f1234500000, 2 << 20, NUMA_1, 8 | 2ull << 32 },
	{ VT_PROBE_cuMemPoolCreate, { P(&out), P(&props) }, 0x7f1234500000, 0, NUMA_1, 8 | 2ull << 32 },
	{ VT_PROBE_cuMemGetMemPool, { P(&out), P(location), UPPER | 2 }, 0x7f1234500000, 0, DEVICE_3, 2 },
	{ VT_PROBE_cuMulticastCreate, { P(&out), P(&multicast) }, 0x7f1234500000, 64 << 20, 0, 0 },
	{ VT_PROBE_cuExternalMemoryGetMappedBuffer, { P(&out), 0x99, P(&multicast) }, 0x7f1234500000, 64 << 20, 0, 0 },
	{ VT_PROBE_cuCheckpointProcessRestore, { UPPER | 4711 }, 4711, 0, 0, 0 },
	{ VT_PROBE_cuMemMap, { 0x5000, 8192, 4096, 0x44 }, 0x5000, 8192, 0x44, 4096 },
	{ VT_PROBE_cuDestroyExternalMemory, { 0x5000 }, 0x5000, 0, 0, 0 },
	{ VT_PROBE_cuGraphAddMemAllocNode, { P(&value), 0x66, 0, 0, P(node_alloc.words) }, 0x2a9a000000, 96 << 20, 0x66, 0 },
	{ VT_PROBE_cuGraphAddMemFreeNode, { P(&value), 0x66, 0, 0, 0x5000 }, 0x5000, 0, 0x66, 0 },
	{ VT_PROBE_cuGraphAddNode, { P(&value), 0x66, 0, 0, P(&node_alloc) }, 0x2a9a000000, 96 << 20, 0x66, VT_NODE_MEM_ALLOC },
	{ VT_PROBE_cuGraphAddNode_v2, { P(&value), 0x66, 0, 0, 0, P(&node_free) }, 0x2a9a000000, 0, 0x66, VT_NODE_MEM_FREE },
	{ VT_PROBE_cuMemAdvise, { 0x5000, 8192, UPPER | 3, UPPER | 3 }, 0x5000, 8192, DEVICE_3, 3 },
	{ VT_PROBE_cuMemAdvise, { 0x5000, 8192, 3, -1ull }, 0x5000, 8192, VT_LOCATION_HOST, 3 },
	{ VT_PROBE_cuMemAdvise_v2, { 0x5000, 8192, UPPER | 3, NUMA_1 }, 0x5000, 8192, NUMA_1, 3 },
	{ VT_PROBE_cuMemPrefetchAsync, { 0x5000, 8192, UPPER | 3, 7 }, 0x5000, 8192, DEVICE_3, 0 },
	{ VT_PROBE_cuMemPrefetchAsync_v2, { 0x5000, 8192, NUMA_1, 0, 7 }, 0x5000, 8192, NUMA_1, 0 },
	{ VT_PROBE_cuMemPoolGetAttribute, { 0x7fff00005000, UPPER | VT_POOL_RESERVED, P(&value) }, 0x7fff00005000, 777, VT_POOL_RESERVED, 0 },
	{ VT_PROBE_cuMemPoolGetAttribute, { 0x7fff00005000, 1, P(&value) }, 0x7fff00005000, 0, 1, 0 }, /* an int */
	{ VT_PROBE_cuDeviceGetGraphMemAttribute, { UPPER | 3, VT_GRAPH_RESERVED, P(&value) }, 3, 777, VT_GRAPH_RESERVED, 0 },
	{ VT_PROBE_cuDeviceGetUuid_v2, { P(uuid), UPPER | 3 }, 3, 0, 0x1122334455667788, 0x99aabbccddeeff00 },
	{ VT_PROBE_cudaDeviceReset, { 99, 99 }, 0, 0, 0, 0 },
};
/* clang-format on */

static void call_scenes(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		const uint64_t *arg = scenes[i].arg;

		shapes_symbol(scenes[i].row)(arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
	}
}

static void expect_scene(const struct event *event, const struct scene *scene)
{
	const struct probe_row *row = probe_row(scene->row);

	assert_string_equal(probe_row(event->row)->symbol, row->symbol);
	if (event->addr != scene->addr || event->size != scene->size || event->a != scene->a || event->b != scene->b)
		fail_msg("%s: addr %llx size %llu a %llx b %llx", row->symbol, (unsigned long long)event->addr,
			 (unsigned long long)event->size, (unsigned long long)event->a, (unsigned long long)event->b);
	assert_int_equal(event->outer_row, event->row);
	assert_int_equal(event->result, 0);
	assert_int_equal(event->flags, 0);
	assert_true(event->frame_count >= 1);
	assert_int_equal(event->kind, row->op == VT_OP_ALLOC  ? EVENT_ALLOC
				      : row->op == VT_OP_FREE ? EVENT_FREE
							      : EVENT_DONE);
}

static void every_shape(unsigned int without)
{
	struct fixture *fixture = shapes_start(without);

	shapes_run(fixture, call_scenes);
	assert_int_equal(fixture->count, ARRAY_SIZE(scenes));
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++)
		expect_scene(&fixture->events[i], &scenes[i]);
	end(fixture);
}

static void arguments_of_each_shape(void **state)
{
	(void)state;
	every_shape(0);
}

static void the_same_in_a_hash_table(void **state)
{
	(void)state;
	every_shape(ATTACH_WITHOUT_TASK_STORAGE);
}

struct extent {
	uint64_t width, height, depth;
};

struct pitched {
	uint64_t addr, pitch, x, y;
};

static struct pitched pitched = { 0x7f1234500000, 0x600, 1000, 10 };

static int fail_1(void)
{
	return 1;
}

static int fail_2(void)
{
	return 2;
}

static void call_by_value(void)
{
	const struct extent extent = { 1000, 10, 4 };
	int (*malloc_3d)(struct pitched *, struct extent);
	int (*array_3d)(uint64_t *, int32_t *, struct extent, unsigned int);
	int (*mipmap)(uint64_t *, int32_t *, struct extent, unsigned int, unsigned int);

	*(void **)&malloc_3d = (void *)shapes_symbol(VT_PROBE_cudaMalloc3D);
	*(void **)&array_3d = (void *)shapes_symbol(VT_PROBE_cudaMalloc3DArray);
	*(void **)&mipmap = (void *)shapes_symbol(VT_PROBE_cudaMallocMipmappedArray);
	malloc_3d(&pitched, extent);
	array_3d(&out, channels, extent, VT_ARRAY_DEFERRED);
	mipmap(&out, channels, extent, 2, VT_ARRAY_DEFERRED);
	shapes_hook(VT_LAYER_RUNTIME, fail_2);
	malloc_3d(&pitched, extent);
}

static void structs_by_value(void **state)
{
	struct fixture *fixture = shapes_start(0);
	const struct event *events = fixture->events;

	(void)state;
	shapes_run(fixture, call_by_value);
	assert_int_equal(fixture->count, 4);
	expect_scene(&events[0], &(struct scene) { VT_PROBE_cudaMalloc3D, { 0 }, out, 0x600 * 10 * 4, 0, 0 });
	expect_scene(
		&events[1],
		&(struct scene) { VT_PROBE_cudaMalloc3DArray, { 0 }, out, 1000 * 10 * 4 * 4, VT_ARRAY_DEFERRED, 1 });
	expect_scene(&events[2], &(struct scene) { VT_PROBE_cudaMallocMipmappedArray,
						   { 0 },
						   out,
						   (1000 * 10 * 4 + 500 * 5 * 2) * 4,
						   VT_ARRAY_DEFERRED,
						   2 });
	assert_int_equal(events[3].kind, EVENT_ALLOC_FAILED);
	assert_int_equal(events[3].size, 1000 * 10 * 4);
	assert_int_equal(events[3].addr, 0);
	end(fixture);
}

static void fail_once(enum vt_probe row, uint64_t b, uint64_t c, uint64_t e, int (*hook)(void))
{
	shapes_hook(probe_row(row)->layer, hook);
	shapes_symbol(row)(P(&out), b, c, 0, e, 0);
}

static void call_failing(void)
{
	fail_once(VT_PROBE_cuMemCreate, 2 << 20, P(&props), 0, fail_2);
	fail_once(VT_PROBE_cuArray3DCreate_v2, P(&array3d), 0, 0, fail_2);
	fail_once(VT_PROBE_cuGraphAddNode, 0x66, 0, P(&node_alloc), fail_2);
	fail_once(VT_PROBE_cuGraphAddNode, 0x66, 0, P(&node_free), fail_1);
	fail_once(VT_PROBE_cuGraphAddNode, 0x66, 0, P(&node_kernel), fail_2);
	fail_once(VT_PROBE_cuGraphAddNode, 0x66, 0, P(&node_kernel), NULL);
	fail_once(VT_PROBE_cuGraphAddMemAllocNode, 0x66, 0, P(node_alloc.words), fail_2);
	fail_once(VT_PROBE_cuModuleLoad, 0, 0, 0, NULL);
	fail_once(VT_PROBE_cuModuleLoad, 0, 0, 0, fail_1);
	fail_once(VT_PROBE_cuModuleLoad, 0, 0, 0, fail_2);
}

static void expect_failed(const struct event *event, enum vt_probe row, uint64_t addr, uint64_t size)
{
	assert_string_equal(probe_row(event->row)->symbol, probe_row(row)->symbol);
	assert_int_equal(event->kind, probe_row(row)->op == VT_OP_ALLOC ? EVENT_ALLOC_FAILED : EVENT_FAILED);
	assert_int_equal(event->addr, addr);
	assert_int_equal(event->size, size);
	assert_true(event->result != 0);
}

static void what_failed_calls_asked_for(void **state)
{
	struct fixture *fixture = shapes_start(0);
	const struct event *events = fixture->events;

	(void)state;
	shapes_run(fixture, call_failing);
	assert_int_equal(fixture->count, 6);
	expect_failed(&events[0], VT_PROBE_cuMemCreate, 0, 2 << 20);
	expect_failed(&events[1], VT_PROBE_cuArray3DCreate_v2, 0, 64 * 32 * 5 * 4);
	expect_failed(&events[2], VT_PROBE_cuGraphAddNode, 0, 96 << 20);
	assert_int_equal(events[2].b, VT_NODE_MEM_ALLOC);
	expect_failed(&events[3], VT_PROBE_cuGraphAddNode, 0x2a9a000000, 0);
	expect_failed(&events[4], VT_PROBE_cuGraphAddMemAllocNode, 0, 96 << 20);
	expect_failed(&events[5], VT_PROBE_cuModuleLoad, 0, 0);
	assert_int_equal(events[5].result, 2);
	end(fixture);
}

static const enum vt_probe unreadable[] = {
	VT_PROBE_cuMemAllocAsync,
	VT_PROBE_cuMemAllocPitch_v2,
	VT_PROBE_cuStreamCreate,
	VT_PROBE_cuArrayCreate_v2,
	VT_PROBE_cuMipmappedArrayCreate,
	VT_PROBE_cudaMallocArray,
	VT_PROBE_cuMemCreate,
	VT_PROBE_cuMemPoolCreate,
	VT_PROBE_cuMemGetMemPool,
	VT_PROBE_cuDeviceGetUuid,
	VT_PROBE_cuStreamEndCapture,
	VT_PROBE_cuGraphAddMemAllocNode,
	VT_PROBE_cuMemPoolImportPointer,
};

/* Every pointer among the arguments points nowhere. */
static void call_with_bad_pointers(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(unreadable); i++)
		shapes_symbol(unreadable[i])(NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE);
	shapes_symbol(VT_PROBE_cuIpcGetMemHandle)(NOWHERE, 0x5000, 0, 0, 0, 0); /* no token, and no loss */
	shapes_symbol(VT_PROBE_cuIpcOpenMemHandle)(P(&out), 0, 0, 0, 0, 0);
}

static void bad_pointers(void **state)
{
	struct fixture *fixture = shapes_start(0);
	const struct event *events = fixture->events;

	(void)state;
	shapes_run(fixture, call_with_bad_pointers);
	assert_int_equal(fixture->count, ARRAY_SIZE(unreadable) + 2);
	for (size_t i = 0; i < ARRAY_SIZE(unreadable); i++) {
		assert_int_equal(events[i].kind, EVENT_LOST);
		assert_int_equal(events[i].lost_cause, LOST_READ);
	}
	assert_int_equal(stats_of(fixture).read_failed, ARRAY_SIZE(unreadable));
	events += ARRAY_SIZE(unreadable);
	assert_int_equal(events[0].kind, EVENT_DONE);
	assert_int_equal(events[0].addr, 0x5000);
	assert_int_equal(events[0].a, 0);
	assert_int_equal(events[1].addr, out);
	end(fixture);
}

/* Only what is asked for and given back is told, and no context. */
static void entries_alone(void **state)
{
	struct fixture *fixture = shapes_start(ATTACH_WITHOUT_RETURN_PROBES);
	size_t told = 0;

	(void)state;
	shapes_run(fixture, call_scenes);
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		const struct probe_row *row = probe_row(scenes[i].row);
		const struct event *event = &fixture->events[told];

		if ((row->op != VT_OP_ALLOC && row->op != VT_OP_FREE) || row->kind == VT_KIND_GRAPH)
			continue;
		assert_true(told++ < fixture->count);
		assert_int_equal(event->kind, EVENT_ENTERED);
		assert_string_equal(probe_row(event->row)->symbol, row->symbol);
		if (row->op == VT_OP_FREE)
			assert_int_equal(event->addr, scenes[i].addr);
		else if (row->shape != VT_SHAPE_OUT_PITCH && row->shape != VT_SHAPE_OUT_MULTICAST &&
			 row->shape != VT_SHAPE_OUT_BUFFER)
			assert_int_equal(event->size, scenes[i].size);
	}
	assert_int_equal(told, fixture->count);
	assert_int_equal(told, stats_of(fixture).entered);
	end(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_of_each_shape),
		cmocka_unit_test(the_same_in_a_hash_table),
		cmocka_unit_test(structs_by_value),
		cmocka_unit_test(what_failed_calls_asked_for),
		cmocka_unit_test(bad_pointers),
		cmocka_unit_test(entries_alone),
	};

	return cmocka_run_group_tests(tests, shapes_set_up, shapes_tear_down);
}
