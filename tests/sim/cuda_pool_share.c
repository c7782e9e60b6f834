// SPDX-License-Identifier: Apache-2.0
/* Pools, and blocks of pools, of one process in another. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "card.h"
#include "cuda_context.h"
#include "cuda_ipc.h"
#include "cuda_pool.h"
#include "sim.h"

static int share_pool(CUmemoryPool pool)
{
	struct card_object object = { .kind = CARD_POOL, .gpu = pool->gpu, .addr = (uintptr_t)pool };
	int err;

	if (pool->object)
		return 0;
	if (!(pool->props.handleTypes & CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR))
		return -EPERM;
	err = card_share(&object);
	pool->object = err ? 0 : object.id;
	return err;
}

static CUresult export_pool(struct truth *truth, void *handle, CUmemoryPool pool, CUmemAllocationHandleType type)
{
	CUresult result = cuda_begin(truth);
	int fd;

	if (result)
		return result;
	if (!handle || !pool || !pool->pool || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR || share_pool(pool))
		return CUDA_ERROR_INVALID_VALUE;
	fd = card_descriptor(pool->object);
	if (fd < 0)
		return CUDA_ERROR_INVALID_VALUE;
	*(int *)handle = fd;
	truth->fd = fd;
	truth->object = pool->object;
	cuda_tell_memory(truth, "pool", pool->gpu);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemPoolExportToShareableHandle(void *handle, CUmemoryPool pool, CUmemAllocationHandleType type,
						     unsigned long long flags)
{
	struct truth truth = truth_enter("cuMemPoolExportToShareableHandle");

	truth.addr = (uintptr_t)pool;
	return cuda_leave(&truth, flags ? CUDA_ERROR_INVALID_VALUE : export_pool(&truth, handle, pool, type));
}

static CUresult import_pool(struct truth *truth, CUmemoryPool *ret_pool, CUmemAllocationHandleType type)
{
	CUresult result = cuda_begin(truth);
	struct card_object object;
	CUmemoryPool pool;

	if (result)
		return result;
	if (!ret_pool || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_INVALID_VALUE;
	if (card_of_descriptor(truth->fd, &object) || object.kind != CARD_POOL)
		return CUDA_ERROR_INVALID_VALUE;
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pool->gpu = object.gpu;
	/* In the process that made it there is a pool that holds it already, and another that lets go would take that with it. */
	if (card_hold(object.id, &object)) {
		free(pool);
		return CUDA_ERROR_INVALID_VALUE;
	}
	*ret_pool = pool;
	truth->addr = (uintptr_t)pool;
	truth->object = object.id;
	cuda_tell_memory(truth, "pool", pool->gpu);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool *pool, void *handle, CUmemAllocationHandleType type,
						       unsigned long long flags)
{
	struct truth truth = truth_enter("cuMemPoolImportFromShareableHandle");

	truth.fd = (uintptr_t)handle;
	return cuda_leave(&truth, flags ? CUDA_ERROR_INVALID_VALUE : import_pool(&truth, pool, type));
}

SIM_EXPORT CUresult cuMemPoolExportPointer(CUmemPoolPtrExportData *data, CUdeviceptr dptr)
{
	struct truth truth = truth_enter("cuMemPoolExportPointer");
	CUresult result = cuda_begin(&truth);

	truth.addr = dptr;
	if (!result && !data)
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = ipc_export(&truth, BLOCK_POOL, data->reserved);
	return cuda_leave(&truth, result);
}

static CUresult import_pointer(struct truth *truth, CUdeviceptr *dptr, CUmemoryPool pool,
			       const CUmemPoolPtrExportData *data)
{
	CUresult result = cuda_begin(truth);
	struct block block = { .kind = BLOCK_VIEW };
	struct card_object object;

	if (result)
		return result;
	if (!dptr || !pool || !data || ipc_find(data->reserved, &object) || card_hold(object.id, &object))
		return CUDA_ERROR_INVALID_VALUE;
	block.bytes = object.bytes;
	block.gpu = object.gpu;
	block.object = object.id;
	if (block_make(&block))
		return CUDA_ERROR_OUT_OF_MEMORY;
	*dptr = truth->addr = block.addr;
	truth->bytes = block.bytes;
	truth->object = object.id;
	cuda_tell_memory(truth, "imported", block.gpu);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemPoolImportPointer(CUdeviceptr *dptr, CUmemoryPool pool, CUmemPoolPtrExportData *data)
{
	struct truth truth = truth_enter("cuMemPoolImportPointer");

	truth.pool = (uintptr_t)pool;
	return cuda_leave(&truth, import_pointer(&truth, dptr, pool, data));
}
