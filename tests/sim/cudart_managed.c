// SPDX-License-Identifier: Apache-2.0
/* Where managed memory is to be. In the log, these are the driver's calls alone. */
#include "cudart_call.h"

static CUmemLocation location_of(struct cudaMemLocation location)
{
	return (CUmemLocation) { .type = (CUmemLocationType)location.type, .id = location.id };
}

SIM_EXPORT cudaError_t cudaMemAdvise(const void *ptr, size_t count, enum cudaMemoryAdvise advice,
				     struct cudaMemLocation location)
{
	CUdeviceptr addr = (uintptr_t)ptr;
	cudaError_t error = driver_ready();

	if (!error)
		error = (cudaError_t)driver.mem_advise(addr, count, (CUmem_advise)advice, location_of(location));
	return driver_last_error(error);
}

SIM_EXPORT cudaError_t cudaMemPrefetchAsync(const void *ptr, size_t count, struct cudaMemLocation location,
					    unsigned int flags, cudaStream_t stream)
{
	CUdeviceptr addr = (uintptr_t)ptr;
	cudaError_t error = driver_ready();

	if (!error)
		error = (cudaError_t)driver.mem_prefetch(addr, count, location_of(location), flags, stream);
	return driver_last_error(error);
}

cudaError_t cudaMemPrefetchAsync_ptsz(const void *ptr, size_t count, struct cudaMemLocation location,
				      unsigned int flags, cudaStream_t stream);

SIM_EXPORT cudaError_t cudaMemPrefetchAsync_ptsz(const void *ptr, size_t count, struct cudaMemLocation location,
						 unsigned int flags, cudaStream_t stream)
{
	CUdeviceptr addr = (uintptr_t)ptr;
	cudaError_t error = driver_ready();

	if (!error)
		error = (cudaError_t)driver.mem_prefetch_ptsz(addr, count, location_of(location), flags, stream);
	return driver_last_error(error);
}
