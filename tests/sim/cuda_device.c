// SPDX-License-Identifier: Apache-2.0
/*
 * The driver's calls that describe the device, its memory and a pointer, and those that only have
 * to exist.
 */
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "card.h"
#include "cuda_context.h"
#include "sim.h"

struct CUstream_st {
	unsigned int flags;
};

struct CUmemPoolHandle_st {
	CUmemPoolProps props;
};

static struct CUmemPoolHandle_st default_pool;

static CUresult check_device(CUdevice device, const void *out)
{
	CUresult result = cuda_initialised();

	if (result)
		return result;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	return device == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

SIM_EXPORT CUresult cuDriverGetVersion(int *version)
{
	*version = CARD_CUDA_VERSION;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetCount(int *count)
{
	CUresult result = cuda_initialised();

	if (!result)
		*count = 1;
	return result;
}

SIM_EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	CUresult result = check_device(ordinal, device);

	if (!result)
		*device = ordinal;
	return result;
}

SIM_EXPORT CUresult cuDeviceGetName(char *name, int len, CUdevice device)
{
	CUresult result = check_device(device, name);

	if (!result && len > 0) {
		strncpy(name, CARD_NAME, len);
		name[len - 1] = '\0';
	}
	return result;
}

SIM_EXPORT CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device)
{
	CUresult result = check_device(device, uuid);

	if (!result)
		memcpy(uuid->bytes, CARD_UUID_BYTES, sizeof(uuid->bytes));
	return result;
}

SIM_EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
	CUresult result = check_device(device, bytes);
	uint64_t total, unused;

	if (result)
		return result;
	if (card_info(&total, &unused))
		return CUDA_ERROR_UNKNOWN;
	*bytes = total;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemGetInfo_v2(size_t *ret_free, size_t *ret_total)
{
	CUresult result = cuda_context_current();
	uint64_t total, unused;

	if (result)
		return result;
	if (card_info(&total, &unused))
		return CUDA_ERROR_UNKNOWN;
	*ret_free = unused;
	*ret_total = total;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr dptr)
{
	CUresult result = cuda_context_current();
	struct block block;

	if (result)
		return result;
	if (block_find(dptr, &block))
		return CUDA_ERROR_NOT_FOUND;
	if (base)
		*base = block.addr;
	if (size)
		*size = block.bytes;
	return CUDA_SUCCESS;
}

static CUresult answer(const struct block *block, CUpointer_attribute attribute, CUdeviceptr dptr, void *data)
{
	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
		return cuCtxGetCurrent(data);
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		*(unsigned int *)data = block->kind == BLOCK_PINNED ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		*(CUdeviceptr *)data = dptr;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		if (block->kind & (BLOCK_DEVICE | BLOCK_POOL))
			return CUDA_ERROR_INVALID_VALUE;
		*(CUdeviceptr *)data = dptr;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
		*(unsigned int *)data = block->kind == BLOCK_MANAGED; /* four bytes, as on an H100 */
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*(int *)data = 0;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
		*(unsigned char *)data = block->kind == BLOCK_DEVICE;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
		*(CUdeviceptr *)data = block->addr;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
		*(size_t *)data = block->bytes;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MAPPED:
		*(unsigned char *)data = 1;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

SIM_EXPORT CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr dptr)
{
	CUresult result = cuda_initialised();
	struct block block;

	if (result)
		return result;
	if (!data || block_find(dptr, &block))
		return CUDA_ERROR_INVALID_VALUE;
	return answer(&block, attribute, dptr, data);
}

/* Of memory that the driver does not know, the two numbers that say so. */
static void answer_unknown(CUpointer_attribute attribute, void *data)
{
	if (attribute == CU_POINTER_ATTRIBUTE_MEMORY_TYPE || attribute == CU_POINTER_ATTRIBUTE_IS_MANAGED)
		*(unsigned int *)data = 0;
	if (attribute == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
		*(int *)data = -2;
}

/* What has no answer is left as the caller set it. */
SIM_EXPORT CUresult cuPointerGetAttributes(unsigned int count, CUpointer_attribute *attributes, void **data,
					   CUdeviceptr dptr)
{
	CUresult result = cuda_initialised();
	struct block block;
	int unknown;

	if (result)
		return result;
	unknown = block_find(dptr, &block);
	for (unsigned int i = 0; i < count; i++) {
		if (unknown)
			answer_unknown(attributes[i], data[i]);
		else
			answer(&block, attributes[i], dptr, data[i]);
	}
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuStreamCreate(CUstream *stream, unsigned int flags)
{
	CUresult result = cuda_context_current();

	if (result)
		return result;
	*stream = malloc(sizeof(**stream));
	if (!*stream)
		return CUDA_ERROR_OUT_OF_MEMORY;
	(*stream)->flags = flags;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuStreamDestroy_v2(CUstream stream)
{
	free(stream);
	return cuda_initialised();
}

SIM_EXPORT CUresult cuStreamSynchronize(CUstream stream)
{
	(void)stream;
	return cuda_context_current();
}

CUresult cuStreamSynchronize_ptsz(CUstream stream);

SIM_EXPORT CUresult cuStreamSynchronize_ptsz(CUstream stream)
{
	(void)stream;
	return cuda_context_current();
}

SIM_EXPORT CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device)
{
	CUresult result = check_device(device, pool);

	if (!result)
		*pool = &default_pool;
	return result;
}

SIM_EXPORT CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *props)
{
	CUresult result = cuda_initialised();

	if (result)
		return result;
	if (!pool || !props || props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_INVALID_VALUE;
	*pool = malloc(sizeof(**pool));
	if (!*pool)
		return CUDA_ERROR_OUT_OF_MEMORY;
	(*pool)->props = *props;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
	if (!pool || pool == &default_pool)
		return CUDA_ERROR_INVALID_VALUE;
	free(pool);
	return cuda_initialised();
}
