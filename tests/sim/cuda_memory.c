// SPDX-License-Identifier: Apache-2.0
/* The driver's calls that allocate and free. What is simulated, and how to steer it: sim.h. */
#include <stddef.h>

#include "block.h"
#include "cuda_context.h"
#include "fault.h"
#include "sim.h"
#include "truth.h"

#define PITCH_BYTES 512

static CUresult check(const struct truth *truth)
{
	CUresult result = fault_code(truth->call);

	return result ? result : cuda_context_current();
}

/*
 * Fills addr and bytes of @truth. As with the real driver the caller's variable is cleared first,
 * whatever comes of it, and nothing of pinned or pool memory is a success with a null pointer,
 * nothing of the other kinds an error.
 */
static CUresult allocate(struct truth *truth, enum block_kind kind, void *ret_addr, size_t bytes)
{
	CUdeviceptr *out = ret_addr;
	CUresult result;
	uint64_t addr;

	truth->bytes = bytes;
	if (out)
		*out = 0;
	result = check(truth);
	if (result)
		return result;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	if (!bytes)
		return kind & (BLOCK_PINNED | BLOCK_POOL) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	if (block_make(kind, bytes, &addr))
		return CUDA_ERROR_OUT_OF_MEMORY;
	truth->addr = addr;
	*out = addr;
	fault_hide(out);
	return CUDA_SUCCESS;
}

/* Fills addr and bytes of @truth. A free of NULL is a success in every one of the calls. */
static CUresult release(struct truth *truth, unsigned int kinds, CUdeviceptr addr)
{
	CUresult result = check(truth);

	truth->addr = addr;
	if (result)
		return result;
	if (!addr)
		return CUDA_SUCCESS;
	if (block_drop(addr, kinds, &truth->bytes))
		return CUDA_ERROR_INVALID_VALUE;
	fault_delay_free();
	return CUDA_SUCCESS;
}

/* Managed memory cannot be freed in stream order, and says so with a code of its own. */
static CUresult release_async(struct truth *truth, CUdeviceptr addr)
{
	struct block block;

	if (addr && !block_find_base(addr, &block) && block.kind == BLOCK_MANAGED) {
		truth->addr = addr;
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	return release(truth, BLOCK_DEVICE | BLOCK_POOL, addr);
}

static CUresult allocate_from(struct truth *truth, CUmemoryPool pool, CUdeviceptr *dptr, size_t bytes)
{
	if (pool)
		return allocate(truth, BLOCK_POOL, dptr, bytes);
	truth->bytes = bytes;
	if (dptr)
		*dptr = 0;
	return CUDA_ERROR_INVALID_VALUE;
}

static CUresult allocate_pitch(struct truth *truth, CUdeviceptr *dptr, size_t *pitch, size_t width, size_t height)
{
	size_t row = (width + PITCH_BYTES - 1) / PITCH_BYTES * PITCH_BYTES, bytes;
	CUresult result;

	if (!pitch || !width || !height || row < width)
		return CUDA_ERROR_INVALID_VALUE;
	*pitch = row;
	if (__builtin_mul_overflow(row, height, &bytes))
		return CUDA_ERROR_INVALID_VALUE;
	result = allocate(truth, BLOCK_DEVICE, dptr, bytes);
	if (!result)
		truth->pitch = row;
	return result;
}

SIM_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytes)
{
	struct truth truth = truth_enter("cuMemAlloc_v2");

	return truth_leave(&truth, allocate(&truth, BLOCK_DEVICE, dptr, bytes));
}

SIM_EXPORT CUresult cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pitch, size_t width, size_t height,
				       unsigned int element)
{
	struct truth truth = truth_enter("cuMemAllocPitch_v2");
	CUresult result = CUDA_ERROR_INVALID_VALUE;

	truth.bytes = width * height;
	if (dptr)
		*dptr = 0;
	if (pitch)
		*pitch = 0;
	if (element == 4 || element == 8 || element == 16)
		result = allocate_pitch(&truth, dptr, pitch, width, height);
	return truth_leave(&truth, result);
}

SIM_EXPORT CUresult cuMemAllocManaged(CUdeviceptr *dptr, size_t bytes, unsigned int flags)
{
	struct truth truth = truth_enter("cuMemAllocManaged");

	if (flags != CU_MEM_ATTACH_GLOBAL && flags != 2) {
		truth.bytes = bytes;
		return truth_leave(&truth, CUDA_ERROR_INVALID_VALUE);
	}
	return truth_leave(&truth, allocate(&truth, BLOCK_MANAGED, dptr, bytes));
}

SIM_EXPORT CUresult cuMemHostAlloc(void **host, size_t bytes, unsigned int flags)
{
	struct truth truth = truth_enter("cuMemHostAlloc");

	if (flags > 7) {
		truth.bytes = bytes;
		return truth_leave(&truth, CUDA_ERROR_INVALID_VALUE);
	}
	return truth_leave(&truth, allocate(&truth, BLOCK_PINNED, host, bytes));
}

SIM_EXPORT CUresult cuMemAllocHost_v2(void **host, size_t bytes)
{
	struct truth truth = truth_enter("cuMemAllocHost_v2");

	return truth_leave(&truth, allocate(&truth, BLOCK_PINNED, host, bytes));
}

SIM_EXPORT CUresult cuMemAllocAsync(CUdeviceptr *dptr, size_t bytes, CUstream stream)
{
	struct truth truth = truth_enter("cuMemAllocAsync");

	(void)stream;
	return truth_leave(&truth, allocate(&truth, BLOCK_POOL, dptr, bytes));
}

CUresult cuMemAllocAsync_ptsz(CUdeviceptr *dptr, size_t bytes, CUstream stream);

SIM_EXPORT CUresult cuMemAllocAsync_ptsz(CUdeviceptr *dptr, size_t bytes, CUstream stream)
{
	struct truth truth = truth_enter("cuMemAllocAsync_ptsz");

	(void)stream;
	return truth_leave(&truth, allocate(&truth, BLOCK_POOL, dptr, bytes));
}

SIM_EXPORT CUresult cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool, CUstream stream)
{
	struct truth truth = truth_enter("cuMemAllocFromPoolAsync");

	(void)stream;
	return truth_leave(&truth, allocate_from(&truth, pool, dptr, bytes));
}

CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool, CUstream stream);

SIM_EXPORT CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool, CUstream stream)
{
	struct truth truth = truth_enter("cuMemAllocFromPoolAsync_ptsz");

	(void)stream;
	return truth_leave(&truth, allocate_from(&truth, pool, dptr, bytes));
}

SIM_EXPORT CUresult cuMemFree_v2(CUdeviceptr dptr)
{
	struct truth truth = truth_enter("cuMemFree_v2");

	return truth_leave(&truth, release(&truth, BLOCK_DEVICE | BLOCK_POOL | BLOCK_MANAGED, dptr));
}

SIM_EXPORT CUresult cuMemFreeHost(void *host)
{
	struct truth truth = truth_enter("cuMemFreeHost");

	return truth_leave(&truth, release(&truth, BLOCK_PINNED, (uintptr_t)host));
}

SIM_EXPORT CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream stream)
{
	struct truth truth = truth_enter("cuMemFreeAsync");

	(void)stream;
	return truth_leave(&truth, release_async(&truth, dptr));
}

CUresult cuMemFreeAsync_ptsz(CUdeviceptr dptr, CUstream stream);

SIM_EXPORT CUresult cuMemFreeAsync_ptsz(CUdeviceptr dptr, CUstream stream)
{
	struct truth truth = truth_enter("cuMemFreeAsync_ptsz");

	(void)stream;
	return truth_leave(&truth, release_async(&truth, dptr));
}
