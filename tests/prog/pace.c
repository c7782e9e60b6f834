// SPDX-License-Identifier: Apache-2.0
/*
 * pace N MS
 * N pairs of an allocation and a free, one every MS milliseconds: a quiet program.
 */
#include "prog.h"

int main(int argc, char **argv)
{
	unsigned long count, ms;
	void *ptr;

	if (argc < 3) {
		fprintf(stderr, "usage: pace N MS\n");
		return 2;
	}
	count = strtoul(argv[1], NULL, 10);
	ms = strtoul(argv[2], NULL, 10);
	for (unsigned long i = 0; i < count; i++) {
		must(cudaMalloc(&ptr, 64 * 1024), "cudaMalloc");
		must(cudaFree(ptr), "cudaFree");
		sleep_ms(ms);
	}
	printf("{\"program\":\"pace\",\"allocs\":%lu,\"frees\":%lu,\"calls\":%lu}\n", count, count, 2 * count);
	return 0;
}
