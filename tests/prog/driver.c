// SPDX-License-Identifier: Apache-2.0
/*
 * driver
 * No runtime at all: one of each allocation of the driver interface, then the frees.
 */
#include <stdio.h>
#include <stdlib.h>

#include <cuda.h>

#define MIB (1024UL * 1024UL)

static void must(CUresult result, const char *what)
{
	const char *name = "?";

	if (result == CUDA_SUCCESS)
		return;
	cuGetErrorName(result, &name);
	fprintf(stderr, "%s: %s\n", what, name);
	exit(1);
}

static void use_memory(CUmemoryPool pool)
{
	CUdeviceptr device, pitched, managed, async, pooled;
	void *host, *mapped;
	size_t pitch;

	must(cuMemAlloc(&device, 32 * MIB), "cuMemAlloc");
	must(cuMemAllocPitch(&pitched, &pitch, 1000, 1000, 4), "cuMemAllocPitch");
	must(cuMemAllocManaged(&managed, 4 * MIB, CU_MEM_ATTACH_GLOBAL), "cuMemAllocManaged");
	must(cuMemAllocHost(&host, 2 * MIB), "cuMemAllocHost");
	must(cuMemHostAlloc(&mapped, 1 * MIB, CU_MEMHOSTALLOC_DEVICEMAP), "cuMemHostAlloc");
	must(cuMemAllocAsync(&async, 2 * MIB, NULL), "cuMemAllocAsync");
	must(cuMemAllocFromPoolAsync(&pooled, 3 * MIB, pool, NULL), "cuMemAllocFromPoolAsync");
	must(cuStreamSynchronize(NULL), "cuStreamSynchronize");
	must(cuMemFreeAsync(pooled, NULL), "cuMemFreeAsync");
	must(cuMemFreeAsync(async, NULL), "cuMemFreeAsync");
	must(cuMemFreeHost(mapped), "cuMemFreeHost");
	must(cuMemFreeHost(host), "cuMemFreeHost");
	must(cuMemFree(managed), "cuMemFree");
	must(cuMemFree(pitched), "cuMemFree");
	must(cuMemFree(device), "cuMemFree");
	must(cuStreamSynchronize(NULL), "cuStreamSynchronize");
}

int main(void)
{
	CUmemoryPool pool;
	CUcontext context;
	CUdevice device;

	must(cuInit(0), "cuInit");
	must(cuDeviceGet(&device, 0), "cuDeviceGet");
	must(cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
	must(cuCtxSetCurrent(context), "cuCtxSetCurrent");
	must(cuDeviceGetDefaultMemPool(&pool, device), "cuDeviceGetDefaultMemPool");
	use_memory(pool);
	must(cuDevicePrimaryCtxRelease(device), "cuDevicePrimaryCtxRelease");
	printf("{\"program\":\"driver\",\"allocs\":7,\"frees\":7}\n");
	return 0;
}
