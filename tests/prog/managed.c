// SPDX-License-Identifier: Apache-2.0
/*
 * managed
 * Managed memory that the program says where to keep, and sends there: preferred on the device, on the host, nowhere; prefetched to
 * the device and back; two blocks of which one alone is told of, by an address within it.
 */
#include "prog.h"

#define BYTES (16 * MIB)

static const struct cudaMemLocation device = { cudaMemLocationTypeDevice, 0 };
static const struct cudaMemLocation host = { cudaMemLocationTypeHost, 0 };

int main(void)
{
	char *block, *other;

	must(cudaMallocManaged((void **)&block, BYTES, cudaMemAttachGlobal), "cudaMallocManaged");
	must(cudaMallocManaged((void **)&other, 4 * MIB, cudaMemAttachGlobal), "cudaMallocManaged");
	must(cudaMemAdvise(block, BYTES, cudaMemAdviseSetPreferredLocation, device), "cudaMemAdvise");
	must(cudaMemAdvise(other + MIB, MIB, cudaMemAdviseSetPreferredLocation, host), "cudaMemAdvise");
	must(cudaMemPrefetchAsync(block, BYTES, device, 0, NULL), "cudaMemPrefetchAsync");
	must(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
	must(cudaMemPrefetchAsync(block, BYTES / 2, host, 0, NULL), "cudaMemPrefetchAsync");
	must(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
	must(cudaMemAdvise(block, BYTES, cudaMemAdviseSetReadMostly, device), "cudaMemAdvise");
	must(cudaMemAdvise(block, BYTES, cudaMemAdviseUnsetPreferredLocation, device), "cudaMemAdvise");
	must(cudaFree(block), "cudaFree");
	must(cudaFree(other), "cudaFree");
	return 0;
}
