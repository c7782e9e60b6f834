// SPDX-License-Identifier: Apache-2.0
/* Arrays. The runtime has a format for each pixel that the driver has one for; every flat array is a deep one without depth (measured). */
#include <stdbool.h>

#include "cudart_call.h"

/* Of all channels alike. 0: there is none. */
static unsigned int plain_format(enum cudaChannelFormatKind kind, int bits)
{
	static const struct {
		enum cudaChannelFormatKind kind;
		int bits;
		CUarray_format format;
	} formats[] = {
		{ cudaChannelFormatKindUnsigned, 8, CU_AD_FORMAT_UNSIGNED_INT8 },
		{ cudaChannelFormatKindUnsigned, 16, CU_AD_FORMAT_UNSIGNED_INT16 },
		{ cudaChannelFormatKindUnsigned, 32, CU_AD_FORMAT_UNSIGNED_INT32 },
		{ cudaChannelFormatKindSigned, 8, CU_AD_FORMAT_SIGNED_INT8 },
		{ cudaChannelFormatKindSigned, 16, CU_AD_FORMAT_SIGNED_INT16 },
		{ cudaChannelFormatKindSigned, 32, CU_AD_FORMAT_SIGNED_INT32 },
		{ cudaChannelFormatKindFloat, 16, CU_AD_FORMAT_HALF },
		{ cudaChannelFormatKindFloat, 32, CU_AD_FORMAT_FLOAT },
		{ cudaChannelFormatKindUnsignedBlockCompressed1, 8, CU_AD_FORMAT_BC1_UNORM },
		{ cudaChannelFormatKindUnsignedBlockCompressed1SRGB, 8, CU_AD_FORMAT_BC1_UNORM_SRGB },
		{ cudaChannelFormatKindUnsignedBlockCompressed7, 8, CU_AD_FORMAT_BC7_UNORM },
		{ cudaChannelFormatKindUnsignedBlockCompressed7SRGB, 8, CU_AD_FORMAT_BC7_UNORM_SRGB },
	};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (formats[i].kind == kind && formats[i].bits == bits)
			return formats[i].format;
	}
	return 0;
}

/* Channels: as many as have bits, from the first on, and all as many. */
static cudaError_t describe(const struct cudaChannelFormatDesc *is, struct cudaExtent extent, unsigned int flags,
			    CUDA_ARRAY3D_DESCRIPTOR *ret_array)
{
	const int bits[] = { is->x, is->y, is->z, is->w };
	unsigned int channels = 0, format = plain_format(is->f, is->x);

	while (channels < 4 && bits[channels]) {
		if (bits[channels++] != is->x)
			return cudaErrorInvalidChannelDescriptor;
	}
	if (!format || !channels)
		return cudaErrorInvalidChannelDescriptor;
	if (!extent.width)
		return cudaErrorInvalidValue;
	*ret_array = (CUDA_ARRAY3D_DESCRIPTOR) {
		.Width = extent.width,
		.Height = extent.height,
		.Depth = extent.depth,
		.Format = (CUarray_format)format,
		.NumChannels = channels,
		.Flags = flags,
	};
	return cudaSuccess;
}

/* What the numbers come to: all that the runtime's line of the log says of the size. */
static uint64_t bytes_of(const struct cudaChannelFormatDesc *is, struct cudaExtent extent)
{
	uint64_t pixels = extent.width * (extent.height ? extent.height : 1) * (extent.depth ? extent.depth : 1);
	bool half = is->f == cudaChannelFormatKindUnsignedBlockCompressed1 ||
		    is->f == cudaChannelFormatKindUnsignedBlockCompressed1SRGB;
	bool whole = is->f == cudaChannelFormatKindUnsignedBlockCompressed7 ||
		     is->f == cudaChannelFormatKindUnsignedBlockCompressed7SRGB;

	if (half || whole)
		return half ? (pixels + 1) / 2 : pixels;
	return pixels * (is->x + is->y + is->z + is->w) / 8;
}

static cudaError_t make(struct truth *truth, cudaArray_t *array, const struct cudaChannelFormatDesc *format,
			struct cudaExtent extent, unsigned int flags)
{
	cudaError_t error = call_begin(truth);
	CUDA_ARRAY3D_DESCRIPTOR is;

	if (!error && (!array || !format))
		error = cudaErrorInvalidValue;
	if (!error)
		error = describe(format, extent, flags, &is);
	if (error)
		return error;
	truth->bytes = bytes_of(format, extent);
	return call_answer(truth, array, driver.array_3d_create((CUarray *)array, &is));
}

SIM_EXPORT cudaError_t cudaMallocArray(cudaArray_t *array, const struct cudaChannelFormatDesc *desc, size_t width,
				       size_t height, unsigned int flags)
{
	struct truth truth = truth_enter("cudaMallocArray");
	struct cudaExtent extent = { width, height, 0 };

	return call_end(&truth, make(&truth, array, desc, extent, flags));
}

SIM_EXPORT cudaError_t cudaMalloc3DArray(cudaArray_t *array, const struct cudaChannelFormatDesc *desc,
					 struct cudaExtent extent, unsigned int flags)
{
	struct truth truth = truth_enter("cudaMalloc3DArray");

	return call_end(&truth, make(&truth, array, desc, extent, flags));
}

/* All levels together. Layers are not halved. */
static uint64_t bytes_of_levels(const struct cudaChannelFormatDesc *format, struct cudaExtent extent,
				unsigned int levels, unsigned int flags)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < levels && i < 32; i++) {
		bytes += bytes_of(format, extent);
		extent.width = extent.width > 1 ? extent.width / 2 : extent.width;
		extent.height = extent.height > 1 ? extent.height / 2 : extent.height;
		if (!(flags & (cudaArrayLayered | cudaArrayCubemap)))
			extent.depth = extent.depth > 1 ? extent.depth / 2 : extent.depth;
	}
	return bytes;
}

SIM_EXPORT cudaError_t cudaMallocMipmappedArray(cudaMipmappedArray_t *array, const struct cudaChannelFormatDesc *desc,
						struct cudaExtent extent, unsigned int levels, unsigned int flags)
{
	struct truth truth = truth_enter("cudaMallocMipmappedArray");
	cudaError_t error = call_begin(&truth);
	CUDA_ARRAY3D_DESCRIPTOR is;

	if (!error && (!array || !desc))
		error = cudaErrorInvalidValue;
	if (!error)
		error = describe(desc, extent, flags, &is);
	if (!error) {
		truth.bytes = bytes_of_levels(desc, extent, levels, flags);
		error = call_answer(&truth, array, driver.mipmapped_create((CUmipmappedArray *)array, &is, levels));
	}
	return call_end(&truth, error);
}

/* Of NULL nothing is done, by no call of the driver. */
SIM_EXPORT cudaError_t cudaFreeArray(cudaArray_t array)
{
	struct truth truth = truth_enter("cudaFreeArray");
	cudaError_t error = call_begin(&truth);

	truth.addr = (uintptr_t)array;
	if (!error && array)
		error = (cudaError_t)driver.array_destroy((CUarray)array);
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaFreeMipmappedArray(cudaMipmappedArray_t array)
{
	struct truth truth = truth_enter("cudaFreeMipmappedArray");
	cudaError_t error = call_begin(&truth);

	truth.addr = (uintptr_t)array;
	if (!error && array)
		error = (cudaError_t)driver.mipmapped_destroy((CUmipmappedArray)array);
	return call_end(&truth, error);
}
