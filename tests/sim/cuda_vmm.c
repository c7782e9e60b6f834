// SPDX-License-Identifier: Apache-2.0
/* The driver's calls for physical memory by handle. */
#include <errno.h>

#include "card.h"
#include "cuda_context.h"
#include "sim.h"
#include "vmm.h"

static CUresult result_of(int err)
{
	if (err == -ENOMEM)
		return CUDA_ERROR_OUT_OF_MEMORY;
	return err ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static void tell_block(struct truth *truth, const struct vmm_block *block)
{
	cuda_tell_memory(truth, "vmm", block->gpu);
	truth->object = block->object;
}

static void tell_handle(struct truth *truth, uint64_t handle)
{
	CUmemAllocationProp prop;
	struct vmm_block block;

	if (!vmm_find_handle(handle, &block, &prop))
		tell_block(truth, &block);
}

SIM_EXPORT CUresult cuMemAddressReserve(CUdeviceptr *addr, size_t size, size_t alignment, CUdeviceptr wish,
					unsigned long long flags)
{
	CUresult result = cuda_initialised();
	uint64_t base;

	if (result)
		return result;
	if (!addr || flags)
		return CUDA_ERROR_INVALID_VALUE;
	result = result_of(vmm_reserve(size, alignment, wish, &base));
	if (!result)
		*addr = base;
	return result;
}

SIM_EXPORT CUresult cuMemAddressFree(CUdeviceptr addr, size_t size)
{
	CUresult result = cuda_initialised();

	return result ? result : result_of(vmm_unreserve(addr, size));
}

SIM_EXPORT CUresult cuMemGetAllocationGranularity(size_t *granularity, const CUmemAllocationProp *prop,
						  CUmemAllocationGranularity_flags option)
{
	CUresult result = cuda_initialised();
	int gpu;

	(void)option;
	if (result)
		return result;
	if (!granularity || !prop)
		return CUDA_ERROR_INVALID_VALUE;
	result = cuda_gpu_at(&prop->location, &gpu);
	if (!result)
		*granularity = VMM_GRAIN;
	return result;
}

static CUresult create(struct truth *truth, CUmemGenericAllocationHandle *handle, const CUmemAllocationProp *prop,
		       unsigned long long flags)
{
	CUresult result = cuda_begin(truth);
	uint64_t value;
	int gpu;

	if (result)
		return result;
	if (!handle || !prop || flags || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_INVALID_VALUE;
	if (prop->requestedHandleTypes && prop->location.type == CU_MEM_LOCATION_TYPE_HOST) /* measured */
		return CUDA_ERROR_INVALID_VALUE;
	if (prop->requestedHandleTypes & CU_MEM_HANDLE_TYPE_FABRIC)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = cuda_gpu_at(&prop->location, &gpu);
	if (!result)
		result = result_of(vmm_create(gpu, prop, truth->bytes, &value));
	if (result)
		return result;
	*handle = truth->addr = value;
	cuda_tell_memory(truth, "vmm", gpu);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size, const CUmemAllocationProp *prop,
				unsigned long long flags)
{
	struct truth truth = truth_enter("cuMemCreate");

	truth.bytes = size;
	return cuda_leave(&truth, create(&truth, handle, prop, flags));
}

SIM_EXPORT CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
	struct truth truth = truth_enter("cuMemRelease");
	CUresult result = cuda_begin(&truth);

	truth.addr = handle;
	if (!result) {
		tell_handle(&truth, handle);
		result = result_of(vmm_release(handle, &truth));
	}
	return cuda_leave(&truth, result);
}

static CUresult retain(struct truth *truth, CUmemGenericAllocationHandle *handle)
{
	CUresult result = cuda_begin(truth);
	struct vmm_block block;

	if (result)
		return result;
	if (!handle)
		return CUDA_ERROR_INVALID_VALUE;
	result = result_of(vmm_retain(truth->handle, &block));
	if (result)
		return result;
	*handle = truth->addr = block.handle;
	truth->bytes = block.bytes;
	tell_block(truth, &block);
	return CUDA_SUCCESS;
}

/* In the log `handle` is the address that it was asked for by. */
SIM_EXPORT CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *addr)
{
	struct truth truth = truth_enter("cuMemRetainAllocationHandle");

	truth.handle = (uintptr_t)addr;
	return cuda_leave(&truth, retain(&truth, handle));
}

static CUresult map(struct truth *truth, size_t offset, unsigned long long flags)
{
	CUresult result = cuda_begin(truth);

	if (result)
		return result;
	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (offset)
		return CUDA_ERROR_NOT_SUPPORTED;
	return result_of(vmm_map(truth->addr, truth->bytes, truth->handle));
}

SIM_EXPORT CUresult cuMemMap(CUdeviceptr addr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
			     unsigned long long flags)
{
	struct truth truth = truth_enter("cuMemMap");

	truth.addr = addr;
	truth.bytes = size;
	truth.handle = handle;
	tell_handle(&truth, handle);
	return cuda_leave(&truth, map(&truth, offset, flags));
}

SIM_EXPORT CUresult cuMemUnmap(CUdeviceptr addr, size_t size)
{
	struct truth truth = truth_enter("cuMemUnmap");
	CUresult result = cuda_begin(&truth);

	truth.addr = addr;
	truth.bytes = size;
	truth.kind = "vmm";
	if (!result)
		result = result_of(vmm_unmap(addr, size, &truth));
	return cuda_leave(&truth, result);
}

SIM_EXPORT CUresult cuMemSetAccess(CUdeviceptr addr, size_t size, const CUmemAccessDesc *access, size_t count)
{
	CUresult result = cuda_initialised();

	if (result)
		return result;
	if (!access || !count || !vmm_is_mapped(addr, size))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location, CUdeviceptr addr)
{
	CUresult result = cuda_initialised();

	if (result)
		return result;
	if (!flags || !location || !vmm_is_mapped(addr, 1))
		return CUDA_ERROR_INVALID_VALUE;
	*flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *prop,
							   CUmemGenericAllocationHandle handle)
{
	CUresult result = cuda_initialised();
	struct vmm_block block;

	if (result)
		return result;
	return prop && !vmm_find_handle(handle, &block, prop) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult export(struct truth *truth, void *shareable, CUmemAllocationHandleType type)
{
	CUresult result = cuda_begin(truth);
	int fd;

	if (result)
		return result;
	if (!shareable || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_INVALID_VALUE;
	result = result_of(vmm_export(truth->addr, &fd, &truth->object));
	if (!result)
		*(int *)shareable = truth->fd = fd;
	return result;
}

SIM_EXPORT CUresult cuMemExportToShareableHandle(void *shareable, CUmemGenericAllocationHandle handle,
						 CUmemAllocationHandleType type, unsigned long long flags)
{
	struct truth truth = truth_enter("cuMemExportToShareableHandle");

	truth.addr = handle;
	tell_handle(&truth, handle);
	return cuda_leave(&truth, flags ? CUDA_ERROR_INVALID_VALUE : export(&truth, shareable, type));
}

static CUresult import(struct truth *truth, CUmemGenericAllocationHandle *handle, CUmemAllocationHandleType type)
{
	CUresult result = cuda_begin(truth);
	struct vmm_block block;

	if (result)
		return result;
	if (!handle || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_INVALID_VALUE;
	result = result_of(vmm_import(truth->fd, &block));
	if (result)
		return result;
	*handle = truth->addr = block.handle;
	truth->bytes = block.bytes;
	tell_block(truth, &block);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *shareable,
						   CUmemAllocationHandleType type)
{
	struct truth truth = truth_enter("cuMemImportFromShareableHandle");

	truth.fd = (uintptr_t)shareable;
	return cuda_leave(&truth, import(&truth, handle, type));
}
