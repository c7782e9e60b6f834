// SPDX-License-Identifier: Apache-2.0
/*
 * freer [N [BYTES [device]]]
 * One thread allocates, another frees. device: the other one calls cudaSetDevice(0) first; without, freeing is all it ever does.
 */
#include <pthread.h>

#include "prog.h"

static int hand_over[2];
static int sets_device;

static void *free_what_comes(void *unused)
{
	void *ptr;

	(void)unused;
	if (sets_device)
		must(cudaSetDevice(0), "cudaSetDevice");
	while (read(hand_over[0], &ptr, sizeof(ptr)) == sizeof(ptr))
		must(cudaFree(ptr), "cudaFree");
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
	size_t bytes = argc > 2 ? bytes_of(argv[2]) : 64 * 1024;
	size_t before, after, total;
	pthread_t thread;
	void *ptr;

	sets_device = argc > 3;
	if (pipe(hand_over) || pthread_create(&thread, NULL, free_what_comes, NULL))
		return 1;
	must(cudaMemGetInfo(&before, &total), "cudaMemGetInfo");
	for (unsigned long i = 0; i < count; i++) {
		must(cudaMalloc(&ptr, bytes), "cudaMalloc");
		if (write(hand_over[1], &ptr, sizeof(ptr)) != sizeof(ptr))
			return 1;
	}
	close(hand_over[1]);
	pthread_join(thread, NULL);
	must(cudaMemGetInfo(&after, &total), "cudaMemGetInfo");
	printf("{\"program\":\"freer\",\"allocs\":%lu,\"frees\":%lu,\"bytes_missing\":%zd}\n", count, count,
	       (ssize_t)(before - after));
	return 0;
}
