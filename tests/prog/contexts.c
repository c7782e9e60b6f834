// SPDX-License-Identifier: Apache-2.0
/*
 * contexts destroy|release|reset|nested|pools|runtime
 * Contexts that end while memory is held, and what goes with them.
 *   destroy  a created context and its blocks go; the primary one's stay
 *   release  the primary context goes with its last reference, not with the one before
 *   reset    the primary context goes at once; what is made after it is new
 *   nested   two contexts by turns on one thread: pushed, popped, and a free while the other is current
 *   pools    what two pools gave is there when one of them, and the context, are gone; the other goes with nothing left of it
 *   runtime  cudaDeviceReset, and a second life
 * Each but `nested` and `pools` ends with one block held: of a pool, or by handle, which are no context's.
 */
#include <cuda_runtime_api.h>

#include "prog_cuda.h"

/* Something of every kind, in the current context; nothing is freed. */
static void fill(void)
{
	static char pages[8192] __attribute__((aligned(4096)));
	CUDA_ARRAY_DESCRIPTOR flat = { .Width = 256, .Height = 256, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 };
	CUdeviceptr block;
	CUarray array;
	size_t pitch;
	void *host;

	must_cu(cuMemAlloc(&block, 8 * MIB), "cuMemAlloc");
	must_cu(cuMemAllocPitch(&block, &pitch, 1000, 10, 4), "cuMemAllocPitch");
	must_cu(cuMemAllocManaged(&block, 4 * MIB, CU_MEM_ATTACH_GLOBAL), "cuMemAllocManaged");
	must_cu(cuMemHostAlloc(&host, 2 * MIB, 0), "cuMemHostAlloc");
	must_cu(cuMemHostRegister(pages, sizeof(pages), 0), "cuMemHostRegister");
	must_cu(cuArrayCreate(&array, &flat), "cuArrayCreate");
}

static CUdeviceptr take(size_t bytes)
{
	CUdeviceptr block;

	must_cu(cuMemAlloc(&block, bytes), "cuMemAlloc");
	return block;
}

/* What no context takes with it. */
static void fill_lasting(void)
{
	CUmemAllocationProp prop = device_memory(0);
	CUmemGenericAllocationHandle handle;

	must_cu(cuMemCreate(&handle, 2 * MIB, &prop, 0), "cuMemCreate");
}

static void fill_pool(void)
{
	CUdeviceptr block;

	must_cu(cuMemAllocAsync(&block, MIB, NULL), "cuMemAllocAsync");
	must_cu(cuStreamSynchronize(NULL), "cuStreamSynchronize");
}

static void destroy(void)
{
	CUcontext primary = use_device(0), made;
	CUdeviceptr mine = take(MIB);

	must_cu(cuCtxCreate(&made, NULL, 0, 0), "cuCtxCreate");
	fill();
	fill_lasting();
	must_cu(cuCtxDestroy(made), "cuCtxDestroy");
	must_cu(cuCtxSetCurrent(primary), "cuCtxSetCurrent");
	must_cu(cuMemFree(mine), "cuMemFree");
}

static void release(void)
{
	CUcontext context = use_device(0);

	must_cu(cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
	fill();
	fill_pool();
	must_cu(cuDevicePrimaryCtxRelease(0), "cuDevicePrimaryCtxRelease");
	take(3 * MIB);
	must_cu(cuDevicePrimaryCtxRelease(0), "cuDevicePrimaryCtxRelease, the last");
}

static void reset(void)
{
	CUcontext context = use_device(0);

	fill();
	fill_lasting();
	must_cu(cuDevicePrimaryCtxReset(0), "cuDevicePrimaryCtxReset");
	must_cu(cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
	must_cu(cuMemFree(take(5 * MIB)), "cuMemFree");
}

static void nested(void)
{
	CUcontext first, second, popped;
	CUdeviceptr of_first, of_second;

	must_cu(cuInit(0), "cuInit");
	must_cu(cuCtxCreate(&first, NULL, 0, 0), "cuCtxCreate");
	must_cu(cuCtxPopCurrent(&popped), "cuCtxPopCurrent");
	must_cu(cuCtxCreate(&second, NULL, 0, 0), "cuCtxCreate");
	of_second = take(2 * MIB);
	must_cu(cuCtxPushCurrent(first), "cuCtxPushCurrent");
	of_first = take(MIB);
	take(4 * MIB);
	must_cu(cuMemFree(of_second), "cuMemFree of another context's");
	must_cu(cuCtxPopCurrent(&popped), "cuCtxPopCurrent");
	take(6 * MIB);
	must_cu(cuMemFree(of_first), "cuMemFree of another context's");
	must_cu(cuCtxDestroy(first), "cuCtxDestroy");
	must_cu(cuCtxDestroy(second), "cuCtxDestroy");
}

static CUdeviceptr take_from(CUmemoryPool pool, size_t bytes)
{
	CUdeviceptr block;

	must_cu(cuMemAllocFromPoolAsync(&block, bytes, pool, NULL), "cuMemAllocFromPoolAsync");
	must_cu(cuStreamSynchronize(NULL), "cuStreamSynchronize");
	return block;
}

static void give(CUdeviceptr block)
{
	must_cu(cuMemFreeAsync(block, NULL), "cuMemFreeAsync");
	must_cu(cuStreamSynchronize(NULL), "cuStreamSynchronize");
}

static void pools(void)
{
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				 .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE } };
	CUcontext primary = use_device(0), made;
	CUmemoryPool first, second, usual;
	CUdeviceptr of_first, of_second, of_usual;

	must_cu(cuMemPoolCreate(&first, &props), "cuMemPoolCreate");
	must_cu(cuMemPoolCreate(&second, &props), "cuMemPoolCreate");
	must_cu(cuDeviceGetDefaultMemPool(&usual, 0), "cuDeviceGetDefaultMemPool");
	must_cu(cuCtxCreate(&made, NULL, 0, 0), "cuCtxCreate");
	take(MIB);
	of_first = take_from(first, 2 * MIB);
	of_second = take_from(second, 3 * MIB);
	of_usual = take_from(usual, 4 * MIB);
	must_cu(cuMemPoolDestroy(first), "cuMemPoolDestroy");
	must_cu(cuCtxDestroy(made), "cuCtxDestroy");
	must_cu(cuCtxSetCurrent(primary), "cuCtxSetCurrent");
	give(take_from(second, 5 * MIB));
	give(of_first);
	give(of_second);
	give(of_usual);
	must_cu(cuMemPoolDestroy(second), "cuMemPoolDestroy");
}

static void with_runtime(void)
{
	void *block;

	if (cudaMalloc(&block, 8 * MIB) || cudaMallocManaged(&block, MIB, cudaMemAttachGlobal) ||
	    cudaMallocHost(&block, MIB) || cudaMallocAsync(&block, 2 * MIB, NULL))
		exit(1);
	if (cudaDeviceReset() || cudaMalloc(&block, 3 * MIB) || cudaFree(block)) {
		fprintf(stderr, "contexts: no second life\n");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} modes[] = {
		{ "destroy", destroy }, { "release", release }, { "reset", reset },
		{ "nested", nested },	{ "pools", pools },	{ "runtime", with_runtime },
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (argc > 1 && !strcmp(argv[1], modes[i].name)) {
			modes[i].run();
			return 0;
		}
	}
	return 2;
}
