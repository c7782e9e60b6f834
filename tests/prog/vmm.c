// SPDX-License-Identifier: Apache-2.0
/*
 * vmm [hold|descriptor]
 * Memory by handle: created, mapped once and twice, released before and after it is unmapped, retained by its address, on the
 * device, on the host and on a node of the host. hold: ends with one block whose handle is long released, but which is mapped.
 * descriptor: the memory lives by a descriptor alone, for more than a second, and then by nothing, for as long.
 */
#include "prog_cuda.h"

#define BLOCK (16 * MIB)
#define RANGE (64 * MIB)
#define DESCRIPTOR_US 2500000 /* a tracer looks at descriptors once a second */

static CUdeviceptr range;

static CUmemGenericAllocationHandle create(void)
{
	CUmemAllocationProp prop = device_memory(0);
	CUmemGenericAllocationHandle handle;

	must_cu(cuMemCreate(&handle, BLOCK, &prop, 0), "cuMemCreate");
	return handle;
}

static void map(CUdeviceptr addr, CUmemGenericAllocationHandle handle)
{
	CUmemAccessDesc access = {
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0 },
		.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
	};

	must_cu(cuMemMap(addr, BLOCK, 0, handle, 0), "cuMemMap");
	must_cu(cuMemSetAccess(addr, BLOCK, &access, 1), "cuMemSetAccess");
}

/* The usual way: the memory goes with the handle, which goes last. */
static void release_last(void)
{
	CUmemGenericAllocationHandle handle = create();

	map(range, handle);
	must_cu(cuMemUnmap(range, BLOCK), "cuMemUnmap");
	must_cu(cuMemRelease(handle), "cuMemRelease");
}

/* As PyTorch does it: the mapping alone keeps the memory. */
static void release_first(void)
{
	CUmemGenericAllocationHandle handle = create();

	map(range, handle);
	must_cu(cuMemRelease(handle), "cuMemRelease");
	must_cu(cuMemUnmap(range, BLOCK), "cuMemUnmap");
}

/* Two mappings of one handle are one block; it goes with the second. */
static void map_twice(void)
{
	CUmemGenericAllocationHandle handle = create();

	map(range, handle);
	map(range + BLOCK, handle);
	must_cu(cuMemRelease(handle), "cuMemRelease");
	must_cu(cuMemUnmap(range + BLOCK, BLOCK), "cuMemUnmap");
	must_cu(cuMemUnmap(range, BLOCK), "cuMemUnmap");
}

/* Two blocks side by side, unmapped by one call; half of one cannot be. */
static void unmap_two(void)
{
	CUmemGenericAllocationHandle first = create(), second = create();

	map(range, first);
	map(range + BLOCK, second);
	must_cu(cuMemRelease(first), "cuMemRelease");
	must_cu(cuMemRelease(second), "cuMemRelease");
	must_be(cuMemUnmap(range, BLOCK / 2), CUDA_ERROR_INVALID_VALUE, "cuMemUnmap of half");
	must_cu(cuMemUnmap(range, 2 * BLOCK), "cuMemUnmap of two");
}

/* A handle is had again by an address within the mapping, after its last reference has gone, too. */
static void retain(void)
{
	CUmemGenericAllocationHandle handle = create(), again;

	map(range, handle);
	must_cu(cuMemRetainAllocationHandle(&again, (void *)(range + 5 * MIB)), "cuMemRetainAllocationHandle");
	must_cu(cuMemRelease(handle), "cuMemRelease");
	must_cu(cuMemRelease(again), "cuMemRelease");
	must_be(cuMemRelease(again), CUDA_ERROR_INVALID_VALUE, "cuMemRelease once more");
	must_cu(cuMemRetainAllocationHandle(&again, (void *)range), "cuMemRetainAllocationHandle");
	must_cu(cuMemUnmap(range, BLOCK), "cuMemUnmap");
	must_cu(cuMemRelease(again), "cuMemRelease");
}

/* No memory of the GPU. */
static void on_host(CUmemLocationType type)
{
	CUmemAllocationProp prop = device_memory(0);
	CUmemGenericAllocationHandle handle;

	prop.location.type = type;
	prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_NONE;
	must_cu(cuMemCreate(&handle, BLOCK, &prop, 0), "cuMemCreate on the host");
	must_cu(cuMemMap(range, BLOCK, 0, handle, 0), "cuMemMap");
	must_cu(cuMemUnmap(range, BLOCK), "cuMemUnmap");
	must_cu(cuMemRelease(handle), "cuMemRelease");
}

static void fail(void)
{
	CUmemAllocationProp prop = device_memory(0);
	CUmemGenericAllocationHandle handle;

	must_be(cuMemCreate(&handle, 1000, &prop, 0), CUDA_ERROR_INVALID_VALUE, "cuMemCreate of an odd size");
	must_be(cuMemCreate(&handle, 1UL << 50, &prop, 0), CUDA_ERROR_OUT_OF_MEMORY, "cuMemCreate of too much");
}

static void hold(void)
{
	CUmemGenericAllocationHandle handle = create();

	map(range, handle);
	must_cu(cuMemRelease(handle), "cuMemRelease");
	_exit(0);
}

/* No call of the driver tells of the end of a descriptor. */
static void keep_by_descriptor(void)
{
	CUmemGenericAllocationHandle handle = create();
	int descriptor;

	must_cu(cuMemExportToShareableHandle(&descriptor, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
		"cuMemExportToShareableHandle");
	must_cu(cuMemRelease(handle), "cuMemRelease");
	usleep(DESCRIPTOR_US);
	close(descriptor);
	usleep(DESCRIPTOR_US);
}

int main(int argc, char **argv)
{
	use_device(0);
	must_cu(cuMemAddressReserve(&range, RANGE, 0, 0, 0), "cuMemAddressReserve");
	release_last();
	release_first();
	map_twice();
	unmap_two();
	retain();
	on_host(CU_MEM_LOCATION_TYPE_HOST);
	on_host(CU_MEM_LOCATION_TYPE_HOST_NUMA);
	fail();
	if (argc > 1 && !strcmp(argv[1], "hold"))
		hold();
	if (argc > 1 && !strcmp(argv[1], "descriptor"))
		keep_by_descriptor();
	must_cu(cuMemAddressFree(range, RANGE), "cuMemAddressFree");
	must_cu(cuDevicePrimaryCtxRelease(0), "cuDevicePrimaryCtxRelease");
	return 0;
}
