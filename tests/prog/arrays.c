// SPDX-License-Identifier: Apache-2.0
/*
 * arrays
 * Arrays of one, two and three dimensions, layered, compressed and mipmapped, of pixels of several sizes; one that is mapped later and
 * takes nothing.
 */
#include "prog.h"

static const struct cudaChannelFormatDesc one_float = { 32, 0, 0, 0, cudaChannelFormatKindFloat };
static const struct cudaChannelFormatDesc four_bytes = { 8, 8, 8, 8, cudaChannelFormatKindUnsigned };
static const struct cudaChannelFormatDesc two_shorts = { 16, 16, 0, 0, cudaChannelFormatKindSigned };

static void flat(const struct cudaChannelFormatDesc *format, size_t width, size_t height, unsigned int flags)
{
	cudaArray_t array;

	must(cudaMallocArray(&array, format, width, height, flags), "cudaMallocArray");
	must(cudaFreeArray(array), "cudaFreeArray");
}

static void deep(struct cudaExtent extent, unsigned int flags)
{
	cudaArray_t array;

	must(cudaMalloc3DArray(&array, &one_float, extent, flags), "cudaMalloc3DArray");
	must(cudaFreeArray(array), "cudaFreeArray");
}

static void mipmapped(struct cudaExtent extent, unsigned int levels)
{
	cudaMipmappedArray_t array;

	must(cudaMallocMipmappedArray(&array, &one_float, extent, levels, cudaArrayDefault),
	     "cudaMallocMipmappedArray");
	must(cudaFreeMipmappedArray(array), "cudaFreeMipmappedArray");
}

static void fail(void)
{
	cudaArray_t array;

	if (cudaMallocArray(&array, &one_float, 0, 0, cudaArrayDefault) == cudaSuccess)
		fprintf(stderr, "arrays: an empty one was made\n");
	must(cudaFreeArray(NULL), "cudaFreeArray(NULL)");
}

int main(void)
{
	flat(&one_float, 1000, 1000, cudaArrayDefault);
	flat(&four_bytes, 4096, 0, cudaArrayDefault);
	flat(&two_shorts, 640, 480, cudaArraySurfaceLoadStore);
	flat(&one_float, 1024, 1024, cudaArrayDeferredMapping);
	deep((struct cudaExtent) { 128, 64, 32 }, cudaArrayDefault);
	deep((struct cudaExtent) { 256, 256, 6 }, cudaArrayLayered);
	mipmapped((struct cudaExtent) { 2048, 2048, 0 }, 1);
	mipmapped((struct cudaExtent) { 2048, 2048, 0 }, 11);
	fail();
	return 0;
}
