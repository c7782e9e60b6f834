// SPDX-License-Identifier: Apache-2.0
/*
 * registered
 * Memory of the program's own that it makes known to the GPU, and takes back; registered twice; an overlap, an interior address and
 * an unknown one refused; a block whose pages are reused for another registration.
 */
#include "prog.h"

#define BYTES (8 * MIB)

static void *pages(void)
{
	void *block = aligned_alloc(4096, BYTES);

	if (!block)
		exit(1);
	memset(block, 0, BYTES);
	return block;
}

static void refused(cudaError_t got, cudaError_t wanted, const char *what)
{
	if (got == wanted)
		return;
	fprintf(stderr, "%s: %d, not %d\n", what, got, wanted);
	exit(1);
}

int main(void)
{
	char *block = pages(), *second = pages();

	must(cudaHostRegister(block, BYTES, cudaHostRegisterDefault), "cudaHostRegister");
	refused(cudaHostRegister(block, BYTES, cudaHostRegisterDefault), cudaErrorHostMemoryAlreadyRegistered, "twice");
	refused(cudaHostRegister(block + 4096, 4096, cudaHostRegisterDefault), cudaErrorHostMemoryAlreadyRegistered,
		"an overlap");
	must(cudaHostRegister(second, 12288, cudaHostRegisterMapped), "cudaHostRegister");
	refused(cudaHostUnregister(block + 4096), cudaErrorInvalidValue, "an interior address");
	refused(cudaFreeHost(block), cudaErrorInvalidValue, "cudaFreeHost");
	refused(cudaHostRegister(NULL, 4096, cudaHostRegisterDefault), cudaErrorInvalidValue, "NULL");
	must(cudaHostUnregister(block), "cudaHostUnregister");
	refused(cudaHostUnregister(block), cudaErrorHostMemoryNotRegistered, "twice undone");
	must(cudaHostRegister(block, 2 * MIB, cudaHostRegisterDefault), "cudaHostRegister again");
	must(cudaHostUnregister(block), "cudaHostUnregister");
	must(cudaHostUnregister(second), "cudaHostUnregister");
	free(second);
	free(block);
	return 0;
}
