// SPDX-License-Identifier: Apache-2.0
/*
 * basic [--hold] [--leak N] [--sleep MS]
 * One of each kind of allocation, then all freed. --hold: none is freed. --leak N: the first N are
 * not. --sleep: waits between the allocations and the frees.
 */
#include "prog.h"

enum {
	DEVICE,
	VOLUME,
	PITCHED,
	MANAGED,
	PINNED,
	MAPPED,
	ASYNC,
	POOLED,
	BLOCKS
};

static void *blocks[BLOCKS];

static void allocate_all(void)
{
	struct cudaExtent extent = { .width = 1000, .height = 100, .depth = 10 };
	struct cudaPitchedPtr volume;
	cudaMemPool_t pool;
	size_t pitch;

	must(cudaMalloc(&blocks[DEVICE], 64 * MIB), "cudaMalloc");
	must(cudaMalloc3D(&volume, extent), "cudaMalloc3D");
	blocks[VOLUME] = volume.ptr;
	must(cudaMallocPitch(&blocks[PITCHED], &pitch, 1000, 1000), "cudaMallocPitch");
	must(cudaMallocManaged(&blocks[MANAGED], 16 * MIB, cudaMemAttachGlobal), "cudaMallocManaged");
	must(cudaMallocHost(&blocks[PINNED], 8 * MIB), "cudaMallocHost");
	must(cudaHostAlloc(&blocks[MAPPED], 4 * MIB, cudaHostAllocMapped), "cudaHostAlloc");
	must(cudaMallocAsync(&blocks[ASYNC], 2 * MIB, NULL), "cudaMallocAsync");
	must(cudaDeviceGetDefaultMemPool(&pool, 0), "cudaDeviceGetDefaultMemPool");
	must(cudaMallocFromPoolAsync(&blocks[POOLED], 1 * MIB, pool, NULL), "cudaMallocFromPoolAsync");
	must(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

static void free_from(int first)
{
	for (int i = first; i < BLOCKS; i++) {
		if (i == PINNED || i == MAPPED)
			must(cudaFreeHost(blocks[i]), "cudaFreeHost");
		else if (i == ASYNC || i == POOLED)
			must(cudaFreeAsync(blocks[i], NULL), "cudaFreeAsync");
		else
			must(cudaFree(blocks[i]), "cudaFree");
	}
	must(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

int main(int argc, char **argv)
{
	unsigned long sleep = 0;
	int kept = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--hold"))
			kept = BLOCKS;
		else if (!strcmp(argv[i], "--leak") && i + 1 < argc)
			kept = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--sleep") && i + 1 < argc)
			sleep = strtoul(argv[++i], NULL, 10);
	}
	allocate_all();
	sleep_ms(sleep);
	free_from(kept);
	printf("{\"program\":\"basic\",\"allocs\":%d,\"frees\":%d}\n", BLOCKS, BLOCKS - kept);
	return 0;
}
