/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CUDART_DRIVER_H
#define VRAMSIM_CUDART_DRIVER_H

/*
 * The driver as the runtime sees it: opened at the first call, every call resolved through
 * cuGetProcAddress_v2.
 */
#include "cuda.h"
#include "cuda_runtime_api.h"

struct driver {
	CUresult (*init)(unsigned int flags);
	CUresult (*driver_get_version)(int *version);
	CUresult (*get_export_table)(const void **table, const CUuuid *id);
	CUresult (*device_get_count)(int *count);
	CUresult (*primary_ctx_retain)(CUcontext *ctx, CUdevice device);
	CUresult (*primary_ctx_reset)(CUdevice device);
	CUresult (*ctx_set_current)(CUcontext ctx);
	CUresult (*ctx_synchronize)(void);
	CUresult (*mem_get_info)(size_t *free, size_t *total);
	CUresult (*mem_alloc)(CUdeviceptr *dptr, size_t bytes);
	CUresult (*mem_alloc_pitch)(CUdeviceptr *dptr, size_t *pitch, size_t width, size_t height,
				    unsigned int element);
	CUresult (*mem_alloc_managed)(CUdeviceptr *dptr, size_t bytes, unsigned int flags);
	CUresult (*mem_host_alloc)(void **host, size_t bytes, unsigned int flags);
	CUresult (*mem_alloc_async)(CUdeviceptr *dptr, size_t bytes, CUstream stream);
	CUresult (*mem_alloc_async_ptsz)(CUdeviceptr *dptr, size_t bytes, CUstream stream);
	CUresult (*mem_alloc_from_pool)(CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool, CUstream stream);
	CUresult (*mem_alloc_from_pool_ptsz)(CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool, CUstream stream);
	CUresult (*mem_free)(CUdeviceptr dptr);
	CUresult (*mem_free_host)(void *host);
	CUresult (*mem_free_async)(CUdeviceptr dptr, CUstream stream);
	CUresult (*mem_free_async_ptsz)(CUdeviceptr dptr, CUstream stream);
	CUresult (*stream_create)(CUstream *stream, unsigned int flags);
	CUresult (*stream_destroy)(CUstream stream);
	CUresult (*stream_synchronize)(CUstream stream);
	CUresult (*stream_synchronize_ptsz)(CUstream stream);
	CUresult (*device_get_default_pool)(CUmemoryPool *pool, CUdevice device);
	CUresult (*pool_create)(CUmemoryPool *pool, const CUmemPoolProps *props);
	CUresult (*pool_destroy)(CUmemoryPool pool);
	CUresult (*pointer_get_attributes)(unsigned int count, CUpointer_attribute *attributes, void **data,
					   CUdeviceptr dptr);
};

extern struct driver driver;

/* cudaErrorInsufficientDriver when there is none. After it, `driver` may be called. */
cudaError_t driver_open(void);

/* driver_open, and the device's primary context current on this thread. */
cudaError_t driver_ready(void);

/* Resets the device; the next driver_ready makes a new context. */
cudaError_t driver_reset(void);

/* Keeps @error for cudaGetLastError, if it is one. Returns it. */
cudaError_t driver_last_error(cudaError_t error);

#endif
