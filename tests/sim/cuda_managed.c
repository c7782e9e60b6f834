// SPDX-License-Identifier: Apache-2.0
/* Where managed memory is to be: taken note of in the log, and nowhere else. */
#include "block.h"
#include "card.h"
#include "cuda_context.h"
#include "sim.h"

/* What older versions of the calls name a device by. */
static CUmemLocation location_of(CUdevice device)
{
	CUmemLocation host = { .type = CU_MEM_LOCATION_TYPE_HOST, .id = 0 };
	CUmemLocation gpu = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device };

	return device == CU_DEVICE_CPU ? host : gpu;
}

static CUresult check_range(struct truth *truth)
{
	struct block block;

	if (!truth->bytes || block_find(truth->addr, BLOCK_MANAGED, &block))
		return CUDA_ERROR_INVALID_VALUE;
	if (truth->bytes > block.bytes - (truth->addr - block.addr))
		return CUDA_ERROR_INVALID_VALUE;
	truth->handle = block.addr;
	return CUDA_SUCCESS;
}

/* In the log `handle` is the beginning of the block, `gpu` and `placement` where it is to be. */
static CUresult go(struct truth *truth, const CUmemLocation *location)
{
	CUresult result = cuda_begin_current(truth);
	int gpu;

	if (!result)
		result = check_range(truth);
	if (result)
		return result;
	if (location->type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT) {
		cuda_tell_memory(truth, "managed", CARD_HOST);
		return CUDA_SUCCESS;
	}
	result = cuda_gpu_at(location, &gpu);
	if (!result)
		cuda_tell_memory(truth, "managed", gpu);
	return result;
}

static struct truth enter(const char *call, CUdeviceptr dptr, size_t count)
{
	struct truth truth = truth_enter(call);

	truth.addr = dptr;
	truth.bytes = count;
	return truth;
}

/* The location matters to three of six. */
static CUresult advise(struct truth *truth, CUmem_advise advice, CUmemLocation location)
{
	if (advice < CU_MEM_ADVISE_SET_READ_MOSTLY || advice > CU_MEM_ADVISE_UNSET_ACCESSED_BY)
		return CUDA_ERROR_INVALID_VALUE;
	if (advice <= CU_MEM_ADVISE_UNSET_READ_MOSTLY || advice == CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION)
		location = location_of(CU_DEVICE_CPU);
	truth->advice = advice;
	return go(truth, &location);
}

#undef cuMemAdvise
#undef cuMemPrefetchAsync
CUresult cuMemAdvise(CUdeviceptr dptr, size_t count, CUmem_advise advice, CUdevice device);
CUresult cuMemPrefetchAsync(CUdeviceptr dptr, size_t count, CUdevice device, CUstream stream);
CUresult cuMemPrefetchAsync_ptsz(CUdeviceptr dptr, size_t count, CUdevice device, CUstream stream);
CUresult cuMemPrefetchAsync_v2_ptsz(CUdeviceptr dptr, size_t count, CUmemLocation location, unsigned int flags,
				    CUstream stream);

SIM_EXPORT CUresult cuMemAdvise(CUdeviceptr dptr, size_t count, CUmem_advise advice, CUdevice device)
{
	struct truth truth = enter("cuMemAdvise", dptr, count);

	return cuda_leave(&truth, advise(&truth, advice, location_of(device)));
}

SIM_EXPORT CUresult cuMemAdvise_v2(CUdeviceptr dptr, size_t count, CUmem_advise advice, CUmemLocation location)
{
	struct truth truth = enter("cuMemAdvise_v2", dptr, count);

	return cuda_leave(&truth, advise(&truth, advice, location));
}

static CUresult prefetch(struct truth *truth, CUmemLocation location, unsigned int flags, CUstream stream)
{
	truth->stream = (uintptr_t)stream;
	return flags ? CUDA_ERROR_INVALID_VALUE : go(truth, &location);
}

SIM_EXPORT CUresult cuMemPrefetchAsync(CUdeviceptr dptr, size_t count, CUdevice device, CUstream stream)
{
	struct truth truth = enter("cuMemPrefetchAsync", dptr, count);

	return cuda_leave(&truth, prefetch(&truth, location_of(device), 0, stream));
}

SIM_EXPORT CUresult cuMemPrefetchAsync_ptsz(CUdeviceptr dptr, size_t count, CUdevice device, CUstream stream)
{
	struct truth truth = enter("cuMemPrefetchAsync_ptsz", dptr, count);

	return cuda_leave(&truth, prefetch(&truth, location_of(device), 0, stream));
}

SIM_EXPORT CUresult cuMemPrefetchAsync_v2(CUdeviceptr dptr, size_t count, CUmemLocation location, unsigned int flags,
					  CUstream stream)
{
	struct truth truth = enter("cuMemPrefetchAsync_v2", dptr, count);

	return cuda_leave(&truth, prefetch(&truth, location, flags, stream));
}

SIM_EXPORT CUresult cuMemPrefetchAsync_v2_ptsz(CUdeviceptr dptr, size_t count, CUmemLocation location,
					       unsigned int flags, CUstream stream)
{
	struct truth truth = enter("cuMemPrefetchAsync_v2_ptsz", dptr, count);

	return cuda_leave(&truth, prefetch(&truth, location, flags, stream));
}
