// SPDX-License-Identifier: Apache-2.0
/* The driver's calls that say what stands at an address. */
#include "block.h"
#include "card.h"
#include "cuda_context.h"
#include "cuda_graph.h"
#include "sim.h"
#include "vmm.h"

/* What can be pointed to: blocks, mappings, and addresses of graphs. */
static int find(uint64_t addr, struct block *ret_block)
{
	struct vmm_block mapped;
	struct graph_block of_graph;

	if (!block_find(addr, BLOCK_ANY & ~BLOCK_ARRAY, ret_block))
		return 0;
	*ret_block = (struct block) { .kind = BLOCK_POOL };
	if (!vmm_find(addr, &mapped)) {
		ret_block->addr = mapped.addr;
		ret_block->bytes = mapped.bytes;
		ret_block->gpu = mapped.gpu;
		return 0;
	}
	if (graph_find(addr, &of_graph))
		return -1;
	ret_block->addr = of_graph.addr;
	ret_block->bytes = of_graph.bytes;
	ret_block->gpu = of_graph.gpu;
	return 0;
}

static bool is_host(const struct block *block)
{
	return block->gpu == CARD_HOST;
}

/* Memory of the host is said to be the current device's. */
static int device_of(const struct block *block)
{
	if (!is_host(block))
		return cuda_device_of(block->gpu);
	return cuda_context() ? cuda_device_of(cuda_context()->gpu) : 0;
}

SIM_EXPORT CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr dptr)
{
	CUresult result = cuda_context_current();
	struct block block;

	if (result)
		return result;
	if (find(dptr, &block))
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
		*(const void **)data = block->context ? block->context : cuda_context();
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		*(unsigned int *)data = is_host(block) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		*(CUdeviceptr *)data = dptr;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		if (!is_host(block) && block->kind != BLOCK_MANAGED)
			return CUDA_ERROR_INVALID_VALUE;
		*(CUdeviceptr *)data = dptr;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
		*(unsigned int *)data = block->kind == BLOCK_MANAGED; /* four bytes, as on an H100 */
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*(int *)data = device_of(block);
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
	if (!data || find(dptr, &block))
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
	unknown = find(dptr, &block);
	for (unsigned int i = 0; i < count; i++) {
		if (unknown)
			answer_unknown(attributes[i], data[i]);
		else
			answer(&block, attributes[i], dptr, data[i]);
	}
	return CUDA_SUCCESS;
}

/* There is no data: only that the address is of something is looked at. */
SIM_EXPORT CUresult cuMemsetD8_v2(CUdeviceptr dptr, unsigned char value, size_t count)
{
	CUresult result = cuda_context_current();
	struct block block;

	(void)value;
	if (result)
		return result;
	return count && find(dptr, &block) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
