// SPDX-License-Identifier: Apache-2.0
/*
 * Arrays. What one takes was measured on an H100: rows are padded to 64 bytes and stand in blocks of up to 128 of them, what has
 * depth in blocks of 16 slices, and levels of a mipmapped one follow each other. In the log `size` is what the numbers of the
 * descriptor come to, `takes` what the driver needs.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "block.h"
#include "card.h"
#include "cuda_array.h"
#include "cuda_context.h"
#include "cuda_memory.h"
#include "cuda_stream.h"
#include "fault.h"
#include "sim.h"

#define ROW_BYTES 64
#define GOB_ROWS 8
#define BLOCK_GOBS 16
#define BLOCK_SLICES 16
#define SLICED_ROWS 16
#define EXTENT_MAX (1U << 20)
#define NO_MEMORY (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING)

/* Of both kinds of handle. */
struct array {
	bool mipmapped;
	bool primary;
	unsigned int flags;
	CUcontext ctx; /* NULL: that has ended */
	int gpu;
	uint64_t addr; /* 0: no memory */
	uint64_t bytes, takes;
	struct array *next;
};

struct size {
	uint64_t bytes, takes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct array *arrays;

/* Bits of a pixel. 0: not a format, or not with that number of channels. */
static unsigned int pixel_bits(CUarray_format format, unsigned int channels)
{
	bool plain = channels == 1 || channels == 2 || channels == 4;

	switch ((unsigned int)format) {
	case CU_AD_FORMAT_UNSIGNED_INT8:
	case CU_AD_FORMAT_SIGNED_INT8:
		return plain ? 8 * channels : 0;
	case CU_AD_FORMAT_UNSIGNED_INT16:
	case CU_AD_FORMAT_SIGNED_INT16:
	case CU_AD_FORMAT_HALF:
		return plain ? 16 * channels : 0;
	case CU_AD_FORMAT_UNSIGNED_INT32:
	case CU_AD_FORMAT_SIGNED_INT32:
	case CU_AD_FORMAT_FLOAT:
		return plain ? 32 * channels : 0;
	case CU_AD_FORMAT_BC1_UNORM:
	case CU_AD_FORMAT_BC1_UNORM_SRGB:
	case CU_AD_FORMAT_BC4_UNORM:
	case CU_AD_FORMAT_BC4_SNORM:
		return 4;
	default: /* the others of this family, BC2 to BC7 */
		return format > CU_AD_FORMAT_BC1_UNORM_SRGB && format <= CU_AD_FORMAT_BC7_UNORM_SRGB ? 8 : 0;
	}
}

static uint64_t round_up(uint64_t value, uint64_t step)
{
	return (value + step - 1) / step * step;
}

static uint64_t block_gobs(uint64_t rows)
{
	uint64_t gobs = 1;

	while (gobs < BLOCK_GOBS && gobs * GOB_ROWS < rows)
		gobs *= 2;
	return gobs;
}

/* Of one level, whose extents are not 0. */
static struct size level_size(uint64_t width, uint64_t rows, uint64_t depth, unsigned int bits, bool layered)
{
	uint64_t row = round_up((width * bits + 7) / 8, ROW_BYTES);
	uint64_t high = round_up(rows, block_gobs(rows) * GOB_ROWS), deep = depth;

	if (depth > 1 && !layered) {
		high = round_up(rows, rows > SLICED_ROWS ? SLICED_ROWS : GOB_ROWS);
		deep = round_up(depth, depth > BLOCK_SLICES / 2 ? BLOCK_SLICES : 1);
	}
	return (struct size) { (width * rows * depth * bits + 7) / 8, row * high * deep };
}

static uint64_t halved(uint64_t extent, unsigned int times)
{
	return extent >> times ? extent >> times : 1;
}

static struct size array_size(const CUDA_ARRAY3D_DESCRIPTOR *is, unsigned int levels, unsigned int bits)
{
	bool layered = is->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);
	uint64_t rows = is->Height ? is->Height : 1, depth = is->Depth ? is->Depth : 1;
	struct size sum = { 0 };

	for (unsigned int i = 0; i < levels; i++) {
		struct size level = level_size(halved(is->Width, i), halved(rows, i),
					       layered ? depth : halved(depth, i), bits, layered);

		sum.bytes += level.bytes;
		sum.takes += level.takes;
	}
	return sum;
}

static bool is_valid(const CUDA_ARRAY3D_DESCRIPTOR *is, unsigned int levels)
{
	uint64_t longest = is->Width > is->Height ? is->Width : is->Height;
	unsigned int most = 1;

	if (is->Depth > longest)
		longest = is->Depth;
	for (; longest > 1; longest /= 2)
		most++;
	return is->Width && is->Width <= EXTENT_MAX && is->Height <= EXTENT_MAX && is->Depth <= EXTENT_MAX && levels &&
	       levels <= most;
}

static void keep(struct array *array)
{
	pthread_mutex_lock(&lock);
	array->next = arrays;
	arrays = array;
	pthread_mutex_unlock(&lock);
}

static CUresult make(struct truth *truth, struct array *array)
{
	struct block block = { .kind = BLOCK_ARRAY, .gpu = array->gpu, .context = array->ctx };
	CUresult result;

	if (array->flags & NO_MEMORY)
		return CUDA_SUCCESS;
	block.bytes = array->bytes;
	block.takes = array->takes;
	result = memory_result(block_make(&block));
	if (result)
		return result;
	array->addr = block.addr;
	truth->takes = array->takes;
	return CUDA_SUCCESS;
}

static CUresult create_of(struct truth *truth, const CUDA_ARRAY3D_DESCRIPTOR *is, struct size size,
			  struct array **ret_array)
{
	struct array *array = calloc(1, sizeof(*array));
	CUresult result;

	if (!array)
		return CUDA_ERROR_OUT_OF_MEMORY;
	array->ctx = cuda_context();
	array->primary = array->ctx->primary;
	array->gpu = array->ctx->gpu;
	array->flags = is->Flags;
	array->bytes = size.bytes;
	array->takes = size.takes;
	result = make(truth, array);
	if (result) {
		free(array);
		return result;
	}
	keep(array);
	truth->addr = (uintptr_t)array;
	cuda_tell_memory(truth, "array", array->gpu);
	*ret_array = array;
	return CUDA_SUCCESS;
}

/* levels 0: not a mipmapped one. */
static CUresult create(struct truth *truth, void *ret_handle, const CUDA_ARRAY3D_DESCRIPTOR *is, unsigned int levels)
{
	CUresult result = cuda_begin_current(truth);
	unsigned int bits;
	struct array *array;
	struct size size;

	if (result)
		return result;
	if (!ret_handle || !is || !is_valid(is, levels ? levels : 1))
		return CUDA_ERROR_INVALID_VALUE;
	bits = pixel_bits(is->Format, is->NumChannels);
	if (!bits)
		return CUDA_ERROR_INVALID_VALUE;
	size = array_size(is, levels ? levels : 1, bits);
	truth->bytes = size.bytes;
	result = stream_begin_unsafe();
	if (!result)
		result = create_of(truth, is, size, &array);
	if (result)
		return result;
	array->mipmapped = levels != 0;
	*(struct array **)ret_handle = array;
	fault_hide(ret_handle);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuArrayCreate_v2(CUarray *array, const CUDA_ARRAY_DESCRIPTOR *is)
{
	struct truth truth = truth_enter("cuArrayCreate_v2");
	CUDA_ARRAY3D_DESCRIPTOR full = { 0 };

	if (!is)
		return cuda_leave(&truth, CUDA_ERROR_INVALID_VALUE);
	full.Width = is->Width;
	full.Height = is->Height;
	full.Format = is->Format;
	full.NumChannels = is->NumChannels;
	return cuda_leave(&truth, create(&truth, array, &full, 0));
}

SIM_EXPORT CUresult cuArray3DCreate_v2(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *is)
{
	struct truth truth = truth_enter("cuArray3DCreate_v2");

	return cuda_leave(&truth, create(&truth, array, is, 0));
}

SIM_EXPORT CUresult cuMipmappedArrayCreate(CUmipmappedArray *array, const CUDA_ARRAY3D_DESCRIPTOR *is,
					   unsigned int levels)
{
	struct truth truth = truth_enter("cuMipmappedArrayCreate");

	return cuda_leave(&truth, levels ? create(&truth, array, is, levels) : CUDA_ERROR_INVALID_VALUE);
}

static struct array **find_link(const void *handle)
{
	struct array **link = &arrays;

	while (*link && *link != handle)
		link = &(*link)->next;
	return link;
}

uint64_t array_handle_of(uint64_t addr)
{
	struct array *array;

	pthread_mutex_lock(&lock);
	for (array = arrays; array && array->addr != addr;)
		array = array->next;
	pthread_mutex_unlock(&lock);
	return (uintptr_t)array;
}

/* The handles stay, so that what is asked of one gets an answer; the real driver may crash instead. */
void array_end_context(CUcontext ctx)
{
	pthread_mutex_lock(&lock);
	for (struct array *array = arrays; array; array = array->next) {
		if (array->ctx != ctx)
			continue;
		array->ctx = NULL;
		array->addr = 0;
	}
	pthread_mutex_unlock(&lock);
}

/* Takes the array out of the list. */
static CUresult take_locked(const void *handle, bool mipmapped, struct array **ret_array)
{
	struct array **link = find_link(handle), *array = *link;

	if (!array || array->mipmapped != mipmapped)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!array->ctx)
		return array->primary ? CUDA_ERROR_INVALID_CONTEXT : CUDA_ERROR_CONTEXT_IS_DESTROYED;
	*link = array->next;
	*ret_array = array;
	return CUDA_SUCCESS;
}

static CUresult destroy(struct truth *truth, const void *handle, bool mipmapped)
{
	CUresult result = cuda_begin(truth);
	struct array *array;
	struct block block;

	truth->addr = (uintptr_t)handle;
	if (result)
		return result;
	pthread_mutex_lock(&lock);
	result = take_locked(handle, mipmapped, &array);
	pthread_mutex_unlock(&lock);
	if (result)
		return result;
	truth->bytes = array->bytes;
	cuda_tell_memory(truth, "array", array->gpu);
	if (array->addr) {
		truth->takes = array->takes;
		block_drop(array->addr, BLOCK_ARRAY, &block);
	}
	free(array);
	fault_delay_free();
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuArrayDestroy(CUarray array)
{
	struct truth truth = truth_enter("cuArrayDestroy");

	return cuda_leave(&truth, destroy(&truth, array, false));
}

SIM_EXPORT CUresult cuMipmappedArrayDestroy(CUmipmappedArray array)
{
	struct truth truth = truth_enter("cuMipmappedArrayDestroy");

	return cuda_leave(&truth, destroy(&truth, array, true));
}

/* Answered for deferred ones only (measured). */
static CUresult get_requirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *requirements, const void *handle)
{
	CUresult result = cuda_initialised();
	struct array *array;

	if (result)
		return result;
	pthread_mutex_lock(&lock);
	array = *find_link(handle);
	if (!requirements || !array || !(array->flags & CUDA_ARRAY3D_DEFERRED_MAPPING))
		result = CUDA_ERROR_INVALID_VALUE;
	else
		*requirements = (CUDA_ARRAY_MEMORY_REQUIREMENTS) { .size = array->takes, .alignment = 65536 };
	pthread_mutex_unlock(&lock);
	return result;
}

SIM_EXPORT CUresult cuArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *requirements, CUarray array,
						 CUdevice device)
{
	(void)device;
	return get_requirements(requirements, array);
}

SIM_EXPORT CUresult cuMipmappedArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *requirements,
							  CUmipmappedArray array, CUdevice device)
{
	(void)device;
	return get_requirements(requirements, array);
}
