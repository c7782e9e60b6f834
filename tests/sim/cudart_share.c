// SPDX-License-Identifier: Apache-2.0
/* Memory of other processes: by a handle, by a descriptor. */
#include <string.h>

#include "cudart_call.h"

_Static_assert(sizeof(cudaIpcMemHandle_t) == sizeof(CUipcMemHandle), "handed to the driver as it is");
_Static_assert(sizeof(struct cudaExternalMemoryHandleDesc) == sizeof(CUDA_EXTERNAL_MEMORY_HANDLE_DESC), "the same");
_Static_assert(sizeof(struct cudaExternalMemoryBufferDesc) == sizeof(CUDA_EXTERNAL_MEMORY_BUFFER_DESC), "the same");

SIM_EXPORT cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t *handle, void *ptr)
{
	struct truth truth = truth_enter("cudaIpcGetMemHandle");
	cudaError_t error = call_begin(&truth);

	truth.addr = (uintptr_t)ptr;
	if (!error)
		error = (cudaError_t)driver.ipc_get_mem_handle((CUipcMemHandle *)handle, truth.addr);
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaIpcOpenMemHandle(void **ptr, cudaIpcMemHandle_t handle, unsigned int flags)
{
	struct truth truth = truth_enter("cudaIpcOpenMemHandle");
	cudaError_t error = call_begin(&truth);
	CUipcMemHandle copy;

	memcpy(&copy, &handle, sizeof(copy));
	if (!error)
		error = call_answer(&truth, ptr, driver.ipc_open_mem_handle((CUdeviceptr *)ptr, copy, flags));
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaIpcCloseMemHandle(void *ptr)
{
	struct truth truth = truth_enter("cudaIpcCloseMemHandle");
	cudaError_t error = call_begin(&truth);

	truth.addr = (uintptr_t)ptr;
	return call_end(&truth, error ?: (cudaError_t)driver.ipc_close_mem_handle(truth.addr));
}

SIM_EXPORT cudaError_t cudaImportExternalMemory(cudaExternalMemory_t *memory,
						const struct cudaExternalMemoryHandleDesc *desc)
{
	struct truth truth = truth_enter("cudaImportExternalMemory");
	cudaError_t error = call_begin(&truth);
	CUDA_EXTERNAL_MEMORY_HANDLE_DESC copy;

	if (!error && (!memory || !desc))
		error = cudaErrorInvalidValue;
	if (!error) {
		memcpy(&copy, desc, sizeof(copy));
		truth.bytes = desc->size;
		error = call_answer(&truth, memory, driver.external_import((CUexternalMemory *)memory, &copy));
	}
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaExternalMemoryGetMappedBuffer(void **ptr, cudaExternalMemory_t memory,
							 const struct cudaExternalMemoryBufferDesc *desc)
{
	struct truth truth = truth_enter("cudaExternalMemoryGetMappedBuffer");
	cudaError_t error = call_begin(&truth);
	CUDA_EXTERNAL_MEMORY_BUFFER_DESC copy;

	if (!error && (!ptr || !desc))
		error = cudaErrorInvalidValue;
	if (!error) {
		memcpy(&copy, desc, sizeof(copy));
		truth.bytes = desc->size;
		error = call_answer(&truth, ptr,
				    driver.external_map((CUdeviceptr *)ptr, (CUexternalMemory)memory, &copy));
	}
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaDestroyExternalMemory(cudaExternalMemory_t memory)
{
	struct truth truth = truth_enter("cudaDestroyExternalMemory");
	cudaError_t error = call_begin(&truth);

	truth.addr = (uintptr_t)memory;
	return call_end(&truth, error ?: (cudaError_t)driver.external_destroy((CUexternalMemory)memory));
}
