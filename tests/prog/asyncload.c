// SPDX-License-Identifier: Apache-2.0
/*
 * asyncload [THREADS [PAIRS [BYTES]]]
 * Each thread, on a stream of its own, makes PAIRS pairs of cudaMallocAsync and cudaFreeAsync. The
 * cheapest traced calls there are, so the highest rate a program can reach; the count printed is
 * exact.
 */
#include <pthread.h>

#include "prog.h"

#define MAX_THREADS 256
#define SYNC_EVERY 1024 /* lets the stream's queue never grow long */

static unsigned long pairs;
static size_t bytes;
static unsigned long allocs, frees;

static void *load(void *unused)
{
	unsigned long made = 0, freed = 0;
	cudaStream_t stream;
	void *ptr;

	(void)unused;
	must(cudaStreamCreate(&stream), "cudaStreamCreate");
	for (unsigned long i = 0; i < pairs; i++) {
		if (cudaMallocAsync(&ptr, bytes, stream) != cudaSuccess)
			break;
		made++;
		if (cudaFreeAsync(ptr, stream) != cudaSuccess)
			break;
		freed++;
		if (i % SYNC_EVERY == 0)
			must(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
	}
	must(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
	must(cudaStreamDestroy(stream), "cudaStreamDestroy");
	__atomic_add_fetch(&allocs, made, __ATOMIC_RELAXED);
	__atomic_add_fetch(&frees, freed, __ATOMIC_RELAXED);
	return NULL;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 4;
	pthread_t threads[MAX_THREADS];
	unsigned long long begin;

	if (count > MAX_THREADS)
		count = MAX_THREADS;
	pairs = argc > 2 ? strtoul(argv[2], NULL, 10) : 10000;
	bytes = argc > 3 ? bytes_of(argv[3]) : 4096;
	must(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
	begin = now_ns();
	for (int i = 0; i < count; i++) {
		if (pthread_create(&threads[i], NULL, load, NULL))
			return 1;
	}
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	printf("{\"program\":\"asyncload\",\"threads\":%d,\"allocs\":%lu,\"frees\":%lu,\"calls\":%lu,\"ns\":%llu}\n",
	       count, allocs, frees, allocs + frees, now_ns() - begin);
	return allocs != count * pairs || frees != allocs;
}
