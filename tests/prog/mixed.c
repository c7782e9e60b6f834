// SPDX-License-Identifier: Apache-2.0
/*
 * mixed
 * A bit of everything in one program, by both interfaces, and an end by _exit with a block of every kind held: no destructor, no
 * free, no word to the driver.
 */
#include "prog.h"
#include "prog_cuda.h"

static const struct cudaChannelFormatDesc one_float = { 32, 0, 0, 0, cudaChannelFormatKindFloat };
static void *host_pages;

static void hold_runtime(void)
{
	struct cudaExtent extent = { 1000, 10, 10 };
	struct cudaPitchedPtr volume;
	cudaArray_t array;
	size_t pitch;
	void *block;

	must(cudaMalloc(&block, 8 * MIB), "cudaMalloc");
	must(cudaMallocPitch(&block, &pitch, 1000, 100), "cudaMallocPitch");
	must(cudaMalloc3D(&volume, extent), "cudaMalloc3D");
	must(cudaMallocManaged(&block, 4 * MIB, cudaMemAttachGlobal), "cudaMallocManaged");
	must(cudaMallocHost(&block, 2 * MIB), "cudaMallocHost");
	must(cudaHostAlloc(&block, MIB, cudaHostAllocMapped), "cudaHostAlloc");
	must(cudaHostRegister(host_pages, 65536, cudaHostRegisterDefault), "cudaHostRegister");
	must(cudaMallocAsync(&block, 3 * MIB, NULL), "cudaMallocAsync");
	must(cudaMallocArray(&array, &one_float, 512, 512, cudaArrayDefault), "cudaMallocArray");
	must(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
}

static void hold_driver(void)
{
	CUmemAllocationProp prop = device_memory(0);
	CUmemGenericAllocationHandle handle;
	CUdeviceptr range, block;

	must_cu(cuMemCreate(&handle, 16 * MIB, &prop, 0), "cuMemCreate");
	must_cu(cuMemAddressReserve(&range, 16 * MIB, 0, 0, 0), "cuMemAddressReserve");
	must_cu(cuMemMap(range, 16 * MIB, 0, handle, 0), "cuMemMap");
	must_cu(cuMemRelease(handle), "cuMemRelease");
	must_cu(cuMemAlloc(&block, 5 * MIB), "cuMemAlloc");
}

static void come_and_go(void)
{
	void *block;

	for (int i = 1; i <= 32; i++) {
		must(cudaMalloc(&block, i * 4096), "cudaMalloc");
		must(cudaFree(block), "cudaFree");
	}
}

int main(void)
{
	host_pages = aligned_alloc(4096, 65536);
	if (!host_pages)
		return 1;
	memset(host_pages, 0, 65536);
	come_and_go();
	hold_runtime();
	hold_driver();
	come_and_go();
	_exit(0);
}
