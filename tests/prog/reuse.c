// SPDX-License-Identifier: Apache-2.0
/*
 * reuse [THREADS [N [BYTES]]]
 * Threads allocate and free one size as fast as they can, so that an address given back by one
 * thread goes to another while the first is still inside its free. Counts how often that was seen;
 * VRAMSIM_FREE_DELAY_US makes it the rule.
 */
#include <pthread.h>

#include "prog.h"

#define MAX_THREADS 64

static void *being_freed[MAX_THREADS];
static int thread_count;
static unsigned long pairs, early;
static size_t bytes;

static int is_being_freed(void *ptr)
{
	for (int i = 0; i < thread_count; i++) {
		if (__atomic_load_n(&being_freed[i], __ATOMIC_SEQ_CST) == ptr)
			return 1;
	}
	return 0;
}

static void *hammer(void *slot)
{
	void *ptr;

	for (unsigned long i = 0; i < pairs; i++) {
		must(cudaMalloc(&ptr, bytes), "cudaMalloc");
		if (is_being_freed(ptr))
			__atomic_add_fetch(&early, 1, __ATOMIC_RELAXED);
		__atomic_store_n((void **)slot, ptr, __ATOMIC_SEQ_CST);
		must(cudaFree(ptr), "cudaFree");
		__atomic_store_n((void **)slot, NULL, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[MAX_THREADS];

	thread_count = argc > 1 ? atoi(argv[1]) : 4;
	if (thread_count > MAX_THREADS)
		thread_count = MAX_THREADS;
	pairs = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
	bytes = argc > 3 ? bytes_of(argv[3]) : 64 * 1024;
	for (int i = 0; i < thread_count; i++) {
		if (pthread_create(&threads[i], NULL, hammer, &being_freed[i]))
			return 1;
	}
	for (int i = 0; i < thread_count; i++)
		pthread_join(threads[i], NULL);
	printf("{\"program\":\"reuse\",\"allocs\":%lu,\"frees\":%lu,\"reused_before_return\":%lu}\n",
	       thread_count * pairs, thread_count * pairs, early);
	return 0;
}
