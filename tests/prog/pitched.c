// SPDX-License-Identifier: Apache-2.0
/*
 * pitched
 * Rows that the driver pads: what is taken is pitch times rows, not width times rows. Narrow, exact and wide rows; with depth; nothing
 * at all; too much.
 */
#include "prog.h"

static void flat(size_t width, size_t height)
{
	size_t pitch;
	void *block;

	must(cudaMallocPitch(&block, &pitch, width, height), "cudaMallocPitch");
	if (pitch < width)
		fprintf(stderr, "pitched: a pitch of %zu for %zu\n", pitch, width);
	must(cudaFree(block), "cudaFree");
}

static void deep(size_t width, size_t height, size_t depth)
{
	struct cudaExtent extent = { width, height, depth };
	struct cudaPitchedPtr block;

	must(cudaMalloc3D(&block, extent), "cudaMalloc3D");
	must(cudaFree(block.ptr), "cudaFree");
}

int main(void)
{
	size_t pitch;
	void *block;

	flat(1, 1000);
	flat(512, 1000);
	flat(1000, 1000);
	flat(4097, 33);
	deep(100, 20, 3);
	deep(1000, 100, 10);
	must(cudaMallocPitch(&block, &pitch, 0, 0), "cudaMallocPitch of nothing");
	if (cudaMallocPitch(&block, &pitch, 1UL << 30, 1UL << 20) != cudaErrorMemoryAllocation)
		fprintf(stderr, "pitched: a pebibyte was had\n");
	return 0;
}
