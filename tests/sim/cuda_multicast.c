// SPDX-License-Identifier: Apache-2.0
/*
 * Multicast objects: handles without memory, that memory by handle is bound to (cuda.h; not measured). Nothing is ever sent through
 * one, so what is bound is only looked at.
 */
#include <errno.h>

#include "card.h"
#include "cuda_context.h"
#include "sim.h"
#include "vmm.h"

static CUresult create(struct truth *truth, CUmemGenericAllocationHandle *multicast, const CUmulticastObjectProp *prop)
{
	CUresult result = cuda_begin(truth);
	CUmemAllocationProp as = { .type = CU_MEM_ALLOCATION_TYPE_PINNED };
	uint64_t value;

	if (result)
		return result;
	if (!multicast || !prop || prop->flags || !prop->numDevices || (int)prop->numDevices > cuda_device_count())
		return CUDA_ERROR_INVALID_VALUE;
	as.requestedHandleTypes = (CUmemAllocationHandleType)prop->handleTypes;
	if (vmm_create(CARD_HOST, &as, prop->size, &value))
		return CUDA_ERROR_INVALID_VALUE;
	*multicast = truth->addr = value;
	truth->bytes = prop->size;
	truth->kind = "vmm";
	truth->placement = "unknown";
	if (card_gpus() == 1) /* as all that is on such a machine */
		truth->gpu = 0;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMulticastCreate(CUmemGenericAllocationHandle *multicast, const CUmulticastObjectProp *prop)
{
	struct truth truth = truth_enter("cuMulticastCreate");

	return cuda_leave(&truth, create(&truth, multicast, prop));
}

static CUresult find(CUmemGenericAllocationHandle handle)
{
	CUresult result = cuda_initialised();
	CUmemAllocationProp prop;
	struct vmm_block block;

	if (!result && vmm_find_handle(handle, &block, &prop))
		result = CUDA_ERROR_INVALID_VALUE;
	return result;
}

SIM_EXPORT CUresult cuMulticastAddDevice(CUmemGenericAllocationHandle multicast, CUdevice device)
{
	CUresult result = find(multicast);
	int gpu;

	return result ? result : cuda_gpu_of(device, &gpu);
}

SIM_EXPORT CUresult cuMulticastBindMem(CUmemGenericAllocationHandle multicast, size_t offset,
				       CUmemGenericAllocationHandle memory, size_t memory_offset, size_t size,
				       unsigned long long flags)
{
	CUresult result = find(multicast);

	if (!result)
		result = find(memory);
	if (!result && (flags || (offset | memory_offset | size) % VMM_GRAIN))
		result = CUDA_ERROR_INVALID_VALUE;
	return result;
}

SIM_EXPORT CUresult cuMulticastUnbind(CUmemGenericAllocationHandle multicast, CUdevice device, size_t offset,
				      size_t size)
{
	(void)offset;
	(void)size;
	return cuMulticastAddDevice(multicast, device);
}
