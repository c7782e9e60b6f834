// SPDX-License-Identifier: Apache-2.0
/*
 * failures
 * Frees that fail, of every kind, and leave the block where it is: by an address within it, by the wrong call, twice, of what was
 * never allocated; and allocations that fail. At the end everything is freed rightly, so nothing is held.
 */
#include "prog.h"
#include "prog_cuda.h"

#define UNKNOWN ((char *)0x7f0000001000)

static void refused(cudaError_t got, cudaError_t wanted, const char *what)
{
	if (got == wanted)
		return;
	fprintf(stderr, "%s: %d, not %d\n", what, got, wanted);
	exit(1);
}

static void device_memory_fails(void)
{
	char *block;

	must(cudaMalloc((void **)&block, MIB), "cudaMalloc");
	refused(cudaFree(block + 512), cudaErrorInvalidValue, "interior");
	refused(cudaFreeHost(block), cudaErrorInvalidValue, "cudaFreeHost of device memory");
	must(cudaFree(block), "cudaFree");
	refused(cudaFree(block), cudaErrorInvalidValue, "double free");
	refused(cudaFree(UNKNOWN), cudaErrorInvalidValue, "unknown");
	must(cudaFree(NULL), "cudaFree(NULL)");
}

static void host_memory_fails(void)
{
	char *block;

	must(cudaMallocHost((void **)&block, MIB), "cudaMallocHost");
	refused(cudaFree(block), cudaErrorInvalidValue, "cudaFree of pinned memory");
	refused(cudaFreeHost(block + 64), cudaErrorInvalidValue, "interior of pinned memory");
	refused(cudaHostUnregister(block), cudaErrorInvalidValue, "cudaHostUnregister of pinned memory");
	must(cudaFreeHost(block), "cudaFreeHost");
	refused(cudaFreeHost(block), cudaErrorInvalidValue, "double free of pinned memory");
	refused(cudaFreeHost(UNKNOWN), cudaErrorInvalidValue, "cudaFreeHost of the unknown");
}

static void pool_memory_fails(void)
{
	char *block;

	must(cudaMallocAsync((void **)&block, MIB, NULL), "cudaMallocAsync");
	must(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
	refused(cudaFreeAsync(block + 4096, NULL), cudaErrorInvalidValue, "interior of pool memory");
	refused(cudaFreeAsync(UNKNOWN, NULL), cudaErrorInvalidValue, "cudaFreeAsync of the unknown");
	must(cudaFreeAsync(block, NULL), "cudaFreeAsync");
	must(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
}

static void managed_memory_fails(void)
{
	char *block;

	must(cudaMallocManaged((void **)&block, MIB, cudaMemAttachGlobal), "cudaMallocManaged");
	refused(cudaFree(block + 4096), cudaErrorInvalidValue, "interior of managed memory");
	refused(cudaFreeAsync(block, NULL), cudaErrorNotSupported, "cudaFreeAsync of managed memory");
	must(cudaFree(block), "cudaFree");
}

static void too_much(void)
{
	CUmemAllocationProp prop = device_memory(0);
	CUmemGenericAllocationHandle handle;
	void *block;

	refused(cudaMalloc(&block, 1UL << 50), cudaErrorMemoryAllocation, "cudaMalloc of a pebibyte");
	refused(cudaMallocAsync(&block, 1UL << 50, NULL), cudaErrorMemoryAllocation, "cudaMallocAsync of a pebibyte");
	must_be(cuMemCreate(&handle, 1UL << 50, &prop, 0), CUDA_ERROR_OUT_OF_MEMORY, "cuMemCreate of a pebibyte");
}

int main(void)
{
	device_memory_fails();
	host_memory_fails();
	pool_memory_fails();
	managed_memory_fails();
	too_much();
	return 0;
}
