// SPDX-License-Identifier: Apache-2.0
/*
 * instance
 * A block before and a block after the program asks, by the newer of the two calls, for the UUID of its device: that is another one
 * than the GPU's where the GPU is divided (MIG).
 */
#include "prog.h"
#include "prog_cuda.h"

int main(void)
{
	void *before, *after;
	CUuuid uuid;

	must(cudaMalloc(&before, MIB), "cudaMalloc");
	must_cu(cuDeviceGetUuid_v2(&uuid, 0), "cuDeviceGetUuid_v2");
	must(cudaMalloc(&after, 2 * MIB), "cudaMalloc");
	must(cudaFree(before), "cudaFree");
	must(cudaFree(after), "cudaFree");
	return 0;
}
