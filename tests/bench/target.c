/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target driver|runtime PAIRS FILE: calls allocate and free in a loop and writes the nanoseconds per call to FILE. They are
 * the thread's own CPU time: probes are paid there, and what other programs take of the machine is not in it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int cuMemAlloc_v2(void **out, size_t size);
int cuMemFree_v2(void *address);
int cudaMalloc(void **out, size_t size);
int cudaFree(void *address);

typedef int alloc_fn(void **, size_t);
typedef int free_fn(void *);

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int loop(alloc_fn *alloc, free_fn *release, long pairs)
{
	int failed = 0;

	for (long i = 0; i < pairs; i++) {
		void *address = NULL;

		failed |= alloc(&address, 1 << 20);
		failed |= release(address);
	}
	return failed;
}

int main(int argc, char **argv)
{
	int runtime, failed;
	double start, took;
	long pairs;
	FILE *file;

	if (argc != 4)
		return 2;
	runtime = strcmp(argv[1], "runtime") == 0;
	pairs = strtol(argv[2], NULL, 10);
	loop(runtime ? cudaMalloc : cuMemAlloc_v2, runtime ? cudaFree : cuMemFree_v2, 100);
	start = seconds();
	failed = loop(runtime ? cudaMalloc : cuMemAlloc_v2, runtime ? cudaFree : cuMemFree_v2, pairs);
	took = seconds() - start;
	file = fopen(argv[3], "w");
	if (!file || failed)
		return 1;
	fprintf(file, "%.2f\n", took * 1e9 / (2.0 * (double)pairs));
	return fclose(file) != 0;
}
