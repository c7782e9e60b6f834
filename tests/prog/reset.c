// SPDX-License-Identifier: Apache-2.0
/*
 * reset
 * Holds device and pinned memory, resets the device (all of it is gone without a free), then
 * allocates once more.
 */
#include "prog.h"

int main(void)
{
	void *device, *host, *again;

	must(cudaMalloc(&device, 8 * MIB), "cudaMalloc");
	must(cudaMallocHost(&host, 4 * MIB), "cudaMallocHost");
	must(cudaDeviceReset(), "cudaDeviceReset");
	must(cudaMalloc(&again, 2 * MIB), "cudaMalloc");
	must(cudaFree(again), "cudaFree");
	printf("{\"program\":\"reset\",\"allocs\":3,\"frees\":1}\n");
	return 0;
}
