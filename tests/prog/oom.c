// SPDX-License-Identifier: Apache-2.0
/*
 * oom [BYTES]
 * Allocates blocks of BYTES (256M) until the card is full, frees the first, and allocates it once
 * more.
 */
#include "prog.h"

#define MAX_BLOCKS 65536

static void *blocks[MAX_BLOCKS];

int main(int argc, char **argv)
{
	size_t bytes = argc > 1 ? bytes_of(argv[1]) : 256 * MIB;
	cudaError_t error = cudaSuccess;
	int count = 0;

	while (count < MAX_BLOCKS) {
		error = cudaMalloc(&blocks[count], bytes);
		if (error)
			break;
		count++;
	}
	if (count) {
		must(cudaFree(blocks[0]), "cudaFree");
		must(cudaMalloc(&blocks[0], bytes), "cudaMalloc");
	}
	printf("{\"program\":\"oom\",\"held\":%d,\"bytes\":%zu,\"result\":%d}\n", count, bytes, error);
	return error != cudaErrorMemoryAllocation;
}
