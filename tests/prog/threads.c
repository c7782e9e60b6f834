// SPDX-License-Identifier: Apache-2.0
/*
 * threads N M BYTES [--async]
 * N threads make M pairs of an allocation and a free of BYTES each.
 */
#include <pthread.h>

#include "prog.h"

static unsigned long pairs;
static size_t bytes;
static int async;

static void one_pair(void)
{
	void *ptr;

	if (async) {
		must(cudaMallocAsync(&ptr, bytes, NULL), "cudaMallocAsync");
		must(cudaFreeAsync(ptr, NULL), "cudaFreeAsync");
	} else {
		must(cudaMalloc(&ptr, bytes), "cudaMalloc");
		must(cudaFree(ptr), "cudaFree");
	}
}

static void *work(void *unused)
{
	(void)unused;
	for (unsigned long i = 0; i < pairs; i++)
		one_pair();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[256];
	int count;

	if (argc < 4) {
		fprintf(stderr, "usage: threads N M BYTES [--async]\n");
		return 2;
	}
	count = atoi(argv[1]) < 256 ? atoi(argv[1]) : 256;
	pairs = strtoul(argv[2], NULL, 10);
	bytes = bytes_of(argv[3]);
	async = argc > 4 && !strcmp(argv[4], "--async");
	for (int i = 0; i < count; i++) {
		if (pthread_create(&threads[i], NULL, work, NULL))
			return 1;
	}
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	must(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
	printf("{\"program\":\"threads\",\"allocs\":%lu,\"frees\":%lu,\"calls\":%lu,\"bytes\":%zu}\n", count * pairs,
	       count * pairs, 2 * count * pairs, bytes);
	return 0;
}
