// SPDX-License-Identifier: Apache-2.0
/*
 * cycles [N [BLOCKS]]
 * N times (100) a model of BLOCKS blocks (64) of several kinds and sizes is loaded and unloaded: after each unloading nothing is held,
 * and the GPU has as much free as after the first one.
 */
#include "prog.h"

#define BLOCKS_MAX 4096

static void *blocks[BLOCKS_MAX];
static int count;
static cudaStream_t stream;

static void load(int cycle)
{
	for (int i = 0; i < count; i++) {
		size_t bytes = (1 + (i * 7 + cycle) % 64) * 16384;

		if (i % 4 == 3)
			must(cudaMallocAsync(&blocks[i], bytes, stream), "cudaMallocAsync");
		else
			must(cudaMalloc(&blocks[i], bytes), "cudaMalloc");
	}
	must(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
}

/* Not in the order of the loading. */
static void unload(void)
{
	for (int k = 0; k < count; k++) {
		int i = k % 2 ? count - 1 - k / 2 : k / 2;

		if (i % 4 == 3)
			must(cudaFreeAsync(blocks[i], stream), "cudaFreeAsync");
		else
			must(cudaFree(blocks[i]), "cudaFree");
	}
	must(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
}

static size_t free_bytes(void)
{
	size_t unused, total;

	must(cudaMemGetInfo(&unused, &total), "cudaMemGetInfo");
	return unused;
}

int main(int argc, char **argv)
{
	int cycles = argc > 1 ? atoi(argv[1]) : 100;
	size_t first;

	count = argc > 2 ? atoi(argv[2]) : 64;
	if (count > BLOCKS_MAX)
		count = BLOCKS_MAX;
	must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
	load(0);
	unload();
	first = free_bytes();
	for (int i = 1; i < cycles; i++) {
		load(i);
		unload();
	}
	must(cudaStreamDestroy(stream), "cudaStreamDestroy");
	if (free_bytes() + 2 * MIB < first) {
		fprintf(stderr, "cycles: %zu bytes are missing\n", first - free_bytes());
		return 1;
	}
	return 0;
}
