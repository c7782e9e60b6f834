// SPDX-License-Identifier: Apache-2.0
/*
 * fail
 * Everything that goes wrong, and what looks like it: one allocation larger than any card, frees
 * of an unknown address, of an interior one, of the wrong kind, twice, of NULL, and allocations of
 * nothing. Prints each result.
 */
#include "prog.h"

static void say(const char *what, cudaError_t error)
{
	printf("{\"step\":\"%s\",\"result\":%d,\"name\":\"%s\"}\n", what, error, cudaGetErrorName(error));
}

static void allocations(void)
{
	void *ptr = NULL;
	size_t pitch;

	say("alloc_too_large", cudaMalloc(&ptr, 1UL << 45));
	say("alloc_zero", cudaMalloc(&ptr, 0));
	say("alloc_nowhere", cudaMalloc(NULL, MIB));
	say("pitch_zero", cudaMallocPitch(&ptr, &pitch, 0, 10));
	say("managed_zero", cudaMallocManaged(&ptr, 0, cudaMemAttachGlobal));
	say("host_zero", cudaMallocHost(&ptr, 0));
	say("async_zero", cudaMallocAsync(&ptr, 0, NULL));
	say("async_too_large", cudaMallocAsync(&ptr, 1UL << 45, NULL));
}

static void frees(char *device, void *host)
{
	say("free_unknown", cudaFree((void *)0x7f0000001000));
	say("free_interior", cudaFree(device + 4096));
	say("free_host_of_device", cudaFreeHost(device));
	say("free_of_host", cudaFree(host));
	say("free_null", cudaFree(NULL));
	say("free_host_null", cudaFreeHost(NULL));
	say("free_async_null", cudaFreeAsync(NULL, NULL));
	say("free", cudaFree(device));
	say("free_twice", cudaFree(device));
	say("free_host", cudaFreeHost(host));
	say("free_host_twice", cudaFreeHost(host));
}

int main(void)
{
	void *device, *host;

	must(cudaMalloc(&device, MIB), "cudaMalloc");
	must(cudaMallocHost(&host, MIB), "cudaMallocHost");
	allocations();
	frees(device, host);
	printf("{\"program\":\"fail\",\"last\":%d}\n", cudaGetLastError());
	return 0;
}
