// SPDX-License-Identifier: Apache-2.0
/* Pools: each call is one of the driver. */
#include <string.h>

#include "cudart_call.h"

_Static_assert(sizeof(struct cudaMemPoolProps) == sizeof(CUmemPoolProps), "handed to the driver as it is");
_Static_assert(sizeof(struct cudaMemPoolPtrExportData) == sizeof(CUmemPoolPtrExportData), "the same");
_Static_assert(sizeof(struct cudaMemAccessDesc) == sizeof(CUmemAccessDesc), "the same");

SIM_EXPORT cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int device)
{
	return driver_last_error(driver_open() ?: (cudaError_t)driver.device_get_default_pool(pool, device));
}

SIM_EXPORT cudaError_t cudaDeviceGetMemPool(cudaMemPool_t *pool, int device)
{
	return driver_last_error(driver_open() ?: (cudaError_t)driver.device_get_pool(pool, device));
}

SIM_EXPORT cudaError_t cudaDeviceSetMemPool(int device, cudaMemPool_t pool)
{
	return driver_last_error(driver_open() ?: (cudaError_t)driver.device_set_pool(device, pool));
}

SIM_EXPORT cudaError_t cudaMemPoolCreate(cudaMemPool_t *pool, const struct cudaMemPoolProps *props)
{
	struct truth truth = truth_enter("cudaMemPoolCreate");
	cudaError_t error = call_open(&truth);
	CUmemPoolProps copy;

	if (!error && !props)
		error = cudaErrorInvalidValue;
	if (!error) {
		memcpy(&copy, props, sizeof(copy));
		error = call_answer(&truth, pool, driver.pool_create(pool, &copy));
	}
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool)
{
	struct truth truth = truth_enter("cudaMemPoolDestroy");
	cudaError_t error = call_open(&truth);

	truth.addr = (uintptr_t)pool;
	return call_end(&truth, error ?: (cudaError_t)driver.pool_destroy(pool));
}

SIM_EXPORT cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t keep)
{
	struct truth truth = truth_enter("cudaMemPoolTrimTo");
	cudaError_t error = call_open(&truth);

	truth.addr = (uintptr_t)pool;
	truth.bytes = keep;
	return call_end(&truth, error ?: (cudaError_t)driver.pool_trim(pool, keep));
}

SIM_EXPORT cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr attribute, void *value)
{
	cudaError_t error = driver_open();

	if (!error)
		error = (cudaError_t)driver.pool_set_attribute(pool, (CUmemPool_attribute)attribute, value);
	return driver_last_error(error);
}

SIM_EXPORT cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr attribute, void *value)
{
	cudaError_t error = driver_open();

	if (!error)
		error = (cudaError_t)driver.pool_get_attribute(pool, (CUmemPool_attribute)attribute, value);
	return driver_last_error(error);
}

SIM_EXPORT cudaError_t cudaMemPoolSetAccess(cudaMemPool_t pool, const struct cudaMemAccessDesc *map, size_t count)
{
	cudaError_t error = driver_open();

	if (!error)
		error = (cudaError_t)driver.pool_set_access(pool, (const CUmemAccessDesc *)map, count);
	return driver_last_error(error);
}

SIM_EXPORT cudaError_t cudaMemPoolExportToShareableHandle(void *handle, cudaMemPool_t pool,
							  enum cudaMemAllocationHandleType type, unsigned int flags)
{
	struct truth truth = truth_enter("cudaMemPoolExportToShareableHandle");
	cudaError_t error = call_open(&truth);

	truth.addr = (uintptr_t)pool;
	if (!error)
		error = (cudaError_t)driver.pool_export(handle, pool, (CUmemAllocationHandleType)type, flags);
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaMemPoolImportFromShareableHandle(cudaMemPool_t *pool, void *handle,
							    enum cudaMemAllocationHandleType type, unsigned int flags)
{
	struct truth truth = truth_enter("cudaMemPoolImportFromShareableHandle");
	cudaError_t error = call_open(&truth);

	if (!error)
		error = call_answer(&truth, pool,
				    driver.pool_import(pool, handle, (CUmemAllocationHandleType)type, flags));
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaMemPoolExportPointer(struct cudaMemPoolPtrExportData *data, void *ptr)
{
	struct truth truth = truth_enter("cudaMemPoolExportPointer");
	cudaError_t error = call_open(&truth);

	truth.addr = (uintptr_t)ptr;
	if (!error)
		error = (cudaError_t)driver.pool_export_pointer((CUmemPoolPtrExportData *)data, truth.addr);
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaMemPoolImportPointer(void **ptr, cudaMemPool_t pool, struct cudaMemPoolPtrExportData *data)
{
	struct truth truth = truth_enter("cudaMemPoolImportPointer");
	cudaError_t error = call_open(&truth);
	CUmemPoolPtrExportData *same = (CUmemPoolPtrExportData *)data;

	if (!error)
		error = call_answer(&truth, ptr, driver.pool_import_pointer((CUdeviceptr *)ptr, pool, same));
	return call_end(&truth, error);
}
