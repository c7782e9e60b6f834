// SPDX-License-Identifier: Apache-2.0
/*
 * ptsz
 * Compiled for per-thread default streams, where the same names stand for other symbols (the _ptsz
 * twins).
 */
#define CUDA_API_PER_THREAD_DEFAULT_STREAM
#include "prog.h"

int main(void)
{
	cudaMemPool_t pool;
	void *first, *second;

	must(cudaDeviceGetDefaultMemPool(&pool, 0), "cudaDeviceGetDefaultMemPool");
	must(cudaMallocAsync(&first, 2 * MIB, NULL), "cudaMallocAsync");
	must(cudaMallocFromPoolAsync(&second, 3 * MIB, pool, NULL), "cudaMallocFromPoolAsync");
	must(cudaFreeAsync(second, NULL), "cudaFreeAsync");
	must(cudaFreeAsync(first, NULL), "cudaFreeAsync");
	must(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
	printf("{\"program\":\"ptsz\",\"allocs\":2,\"frees\":2}\n");
	return 0;
}
