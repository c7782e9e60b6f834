// SPDX-License-Identifier: Apache-2.0
/*
 * loop [N [BYTES]] [--async]
 * N pairs of an allocation and a free in a tight loop, and what one call cost. For benchmarks.
 */
#include "prog.h"

static void pairs(unsigned long count, size_t bytes)
{
	void *ptr;

	for (unsigned long i = 0; i < count; i++) {
		must(cudaMalloc(&ptr, bytes), "cudaMalloc");
		must(cudaFree(ptr), "cudaFree");
	}
}

static void async_pairs(unsigned long count, size_t bytes)
{
	void *ptr;

	for (unsigned long i = 0; i < count; i++) {
		must(cudaMallocAsync(&ptr, bytes, NULL), "cudaMallocAsync");
		must(cudaFreeAsync(ptr, NULL), "cudaFreeAsync");
	}
	must(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

int main(int argc, char **argv)
{
	int async = argc > 1 && !strcmp(argv[argc - 1], "--async");
	unsigned long count;
	unsigned long long begin, ns;
	size_t bytes;

	argc -= async;
	count = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
	bytes = argc > 2 ? bytes_of(argv[2]) : 64 * 1024;
	(async ? async_pairs : pairs)(1, bytes); /* the context is not part of it */
	begin = now_ns();
	(async ? async_pairs : pairs)(count, bytes);
	ns = now_ns() - begin;
	printf("{\"program\":\"loop\",\"allocs\":%lu,\"frees\":%lu,\"ns\":%llu,\"ns_per_call\":%.1f}\n", count + 1,
	       count + 1, ns, (double)ns / (2.0 * count));
	return 0;
}
