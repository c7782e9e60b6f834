// SPDX-License-Identifier: Apache-2.0
/*
 * The runtime's calls that allocate and free: each is one call of the driver, except where the
 * runtime answers by itself. Which those are was measured on an H100 (driver 580, runtime 13.0),
 * call by call.
 */
#include <stdbool.h>

#include "cudart_call.h"

/* The size of an element that the runtime asks a pitched row to be aligned for. */
#define PITCH_ELEMENT 4

static cudaError_t begin(struct truth *truth, size_t bytes)
{
	truth->bytes = bytes;
	return call_begin(truth);
}

/* Stream-ordered calls go to the driver first, and see to a context only when it says that there is none. */
static cudaError_t begin_async(struct truth *truth, size_t bytes)
{
	truth->bytes = bytes;
	return call_open(truth);
}

/* True: the driver had no context and has one now, the call is to be repeated. */
static bool again(CUresult result, cudaError_t *error)
{
	if (result != CUDA_ERROR_INVALID_CONTEXT)
		return false;
	*error = driver_ready();
	return !*error;
}

/* Nothing was asked for and nothing is had: a success with no call of the driver. */
static cudaError_t nothing(void **ptr)
{
	*ptr = NULL;
	return cudaSuccess;
}

/* What the driver said. It was given the caller's own variable, as by the real runtime. */
static cudaError_t answer(struct truth *truth, void **ptr, CUresult result)
{
	if (!result)
		truth->addr = (uintptr_t)*ptr;
	return (cudaError_t)result;
}

/* A driver's call writes addresses as numbers; of 64 bits, both. */
static CUdeviceptr *as_number(void **ptr)
{
	return (CUdeviceptr *)ptr;
}

static cudaError_t alloc_device(struct truth *truth, void **ptr, size_t size)
{
	if (!ptr)
		return cudaErrorInvalidValue;
	if (!size)
		return nothing(ptr);
	return answer(truth, ptr, driver.mem_alloc(as_number(ptr), size));
}

/* The runtime at work for itself: see VRAMSIM_NEST. */
static cudaError_t nest(void)
{
	void *extra;
	cudaError_t error = cudaMalloc(&extra, 4096);

	fault_nest_end();
	return error;
}

SIM_EXPORT cudaError_t cudaMalloc(void **ptr, size_t size)
{
	struct truth truth = truth_enter("cudaMalloc");
	cudaError_t error = begin(&truth, size);

	if (!error && fault_nest())
		error = nest();
	if (!error)
		error = alloc_device(&truth, ptr, size);
	return call_end(&truth, error);
}

static cudaError_t alloc_pitch(struct truth *truth, void **ptr, size_t *pitch, size_t width, size_t height)
{
	CUresult result;

	if (!ptr || !pitch)
		return cudaErrorInvalidValue;
	if (!width || !height) {
		*pitch = 0;
		return nothing(ptr);
	}
	result = driver.mem_alloc_pitch(as_number(ptr), pitch, width, height, PITCH_ELEMENT);
	if (!result) {
		truth->pitch = *pitch;
		truth->bytes = *pitch * height;
	}
	return answer(truth, ptr, result);
}

SIM_EXPORT cudaError_t cudaMallocPitch(void **ptr, size_t *pitch, size_t width, size_t height)
{
	struct truth truth = truth_enter("cudaMallocPitch");
	cudaError_t error = begin(&truth, width * height);

	if (!error)
		error = alloc_pitch(&truth, ptr, pitch, width, height);
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaMalloc3D(struct cudaPitchedPtr *pitched, struct cudaExtent extent)
{
	struct truth truth = truth_enter("cudaMalloc3D");
	size_t rows = extent.height * extent.depth, pitch = 0;
	cudaError_t error = begin(&truth, extent.width * rows);
	void *ptr = NULL;

	if (!error && !pitched)
		error = cudaErrorInvalidValue;
	if (!error)
		error = alloc_pitch(&truth, &ptr, &pitch, extent.width, rows);
	if (!error)
		*pitched = (struct cudaPitchedPtr) { ptr, pitch, extent.width, extent.height };
	return call_end(&truth, error);
}

static cudaError_t alloc_managed(struct truth *truth, void **ptr, size_t size, unsigned int flags)
{
	if (!ptr)
		return cudaErrorInvalidValue;
	if (!size)
		return nothing(ptr);
	return answer(truth, ptr, driver.mem_alloc_managed(as_number(ptr), size, flags));
}

SIM_EXPORT cudaError_t cudaMallocManaged(void **ptr, size_t size, unsigned int flags)
{
	struct truth truth = truth_enter("cudaMallocManaged");
	cudaError_t error = begin(&truth, size);

	if (!error)
		error = alloc_managed(&truth, ptr, size, flags);
	return call_end(&truth, error);
}

static cudaError_t alloc_host(struct truth *truth, void **ptr, size_t size, unsigned int flags)
{
	if (ptr && !size)
		return nothing(ptr);
	return answer(truth, ptr, driver.mem_host_alloc(ptr, size, flags));
}

SIM_EXPORT cudaError_t cudaMallocHost(void **ptr, size_t size)
{
	struct truth truth = truth_enter("cudaMallocHost");
	cudaError_t error = begin(&truth, size);

	if (!error)
		error = alloc_host(&truth, ptr, size, 0);
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaHostAlloc(void **ptr, size_t size, unsigned int flags)
{
	struct truth truth = truth_enter("cudaHostAlloc");
	cudaError_t error = begin(&truth, size);

	if (!error)
		error = alloc_host(&truth, ptr, size, flags);
	return call_end(&truth, error);
}

/* What is to be freed, NULL too, is the driver's to judge. */
SIM_EXPORT cudaError_t cudaFree(void *ptr)
{
	struct truth truth = truth_enter("cudaFree");
	cudaError_t error = begin(&truth, 0);

	truth.addr = (uintptr_t)ptr;
	if (!error)
		error = (cudaError_t)driver.mem_free(truth.addr);
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaFreeHost(void *ptr)
{
	struct truth truth = truth_enter("cudaFreeHost");
	cudaError_t error = begin(&truth, 0);

	truth.addr = (uintptr_t)ptr;
	if (!error)
		error = (cudaError_t)driver.mem_free_host(ptr);
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaMallocAsync(void **ptr, size_t size, cudaStream_t stream)
{
	struct truth truth = truth_enter("cudaMallocAsync");
	cudaError_t error = begin_async(&truth, size);

	if (!error)
		error = answer(&truth, ptr, driver.mem_alloc_async(as_number(ptr), size, stream));
	if (again((CUresult)error, &error))
		error = answer(&truth, ptr, driver.mem_alloc_async(as_number(ptr), size, stream));
	return call_end(&truth, error);
}

cudaError_t cudaMallocAsync_ptsz(void **ptr, size_t size, cudaStream_t stream);

SIM_EXPORT cudaError_t cudaMallocAsync_ptsz(void **ptr, size_t size, cudaStream_t stream)
{
	struct truth truth = truth_enter("cudaMallocAsync_ptsz");
	cudaError_t error = begin_async(&truth, size);

	if (!error)
		error = answer(&truth, ptr, driver.mem_alloc_async_ptsz(as_number(ptr), size, stream));
	if (again((CUresult)error, &error))
		error = answer(&truth, ptr, driver.mem_alloc_async_ptsz(as_number(ptr), size, stream));
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaMallocFromPoolAsync(void **ptr, size_t size, cudaMemPool_t pool, cudaStream_t stream)
{
	struct truth truth = truth_enter("cudaMallocFromPoolAsync");
	cudaError_t error = begin_async(&truth, size);
	CUdeviceptr *addr = as_number(ptr);

	if (!error)
		error = answer(&truth, ptr, driver.mem_alloc_from_pool(addr, size, pool, stream));
	if (again((CUresult)error, &error))
		error = answer(&truth, ptr, driver.mem_alloc_from_pool(addr, size, pool, stream));
	return call_end(&truth, error);
}

cudaError_t cudaMallocFromPoolAsync_ptsz(void **ptr, size_t size, cudaMemPool_t pool, cudaStream_t stream);

SIM_EXPORT cudaError_t cudaMallocFromPoolAsync_ptsz(void **ptr, size_t size, cudaMemPool_t pool, cudaStream_t stream)
{
	struct truth truth = truth_enter("cudaMallocFromPoolAsync_ptsz");
	cudaError_t error = begin_async(&truth, size);
	CUdeviceptr *addr = as_number(ptr);

	if (!error)
		error = answer(&truth, ptr, driver.mem_alloc_from_pool_ptsz(addr, size, pool, stream));
	if (again((CUresult)error, &error))
		error = answer(&truth, ptr, driver.mem_alloc_from_pool_ptsz(addr, size, pool, stream));
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaFreeAsync(void *ptr, cudaStream_t stream)
{
	struct truth truth = truth_enter("cudaFreeAsync");
	cudaError_t error = begin_async(&truth, 0);

	truth.addr = (uintptr_t)ptr;
	if (!error)
		error = (cudaError_t)driver.mem_free_async(truth.addr, stream);
	if (again((CUresult)error, &error))
		error = (cudaError_t)driver.mem_free_async(truth.addr, stream);
	return call_end(&truth, error);
}

cudaError_t cudaFreeAsync_ptsz(void *ptr, cudaStream_t stream);

SIM_EXPORT cudaError_t cudaFreeAsync_ptsz(void *ptr, cudaStream_t stream)
{
	struct truth truth = truth_enter("cudaFreeAsync_ptsz");
	cudaError_t error = begin_async(&truth, 0);

	truth.addr = (uintptr_t)ptr;
	if (!error)
		error = (cudaError_t)driver.mem_free_async_ptsz(truth.addr, stream);
	if (again((CUresult)error, &error))
		error = (cudaError_t)driver.mem_free_async_ptsz(truth.addr, stream);
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaHostRegister(void *ptr, size_t size, unsigned int flags)
{
	struct truth truth = truth_enter("cudaHostRegister");
	cudaError_t error = begin(&truth, size);

	truth.addr = (uintptr_t)ptr;
	return call_end(&truth, error ?: (cudaError_t)driver.mem_host_register(ptr, size, flags));
}

SIM_EXPORT cudaError_t cudaHostUnregister(void *ptr)
{
	struct truth truth = truth_enter("cudaHostUnregister");
	cudaError_t error = begin(&truth, 0);

	truth.addr = (uintptr_t)ptr;
	return call_end(&truth, error ?: (cudaError_t)driver.mem_host_unregister(ptr));
}

SIM_EXPORT cudaError_t cudaMemset(void *ptr, int value, size_t count)
{
	return driver_last_error(driver_ready()
					 ?: (cudaError_t)driver.mem_set((uintptr_t)ptr, (unsigned char)value, count));
}
