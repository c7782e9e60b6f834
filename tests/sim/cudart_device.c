// SPDX-License-Identifier: Apache-2.0
/* The rest of the runtime: devices, what a pointer is, the names of errors. */
#include <string.h>

#include "cudart_call.h"

struct error {
	int number;
	const char *name, *text;
};

static const struct error errors[] = {
#define ERROR(number, driver_name, runtime_name, driver_text, runtime_text) { number, runtime_name, runtime_text },
#include "errors.def"
#undef ERROR
};

static const struct error *find_error(int number)
{
	static const struct error unknown = { -1, "unrecognized error code", "unrecognized error code" };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i].number == number)
			return &errors[i];
	}
	return &unknown;
}

SIM_EXPORT const char *cudaGetErrorName(cudaError_t error)
{
	return find_error(error)->name;
}

SIM_EXPORT const char *cudaGetErrorString(cudaError_t error)
{
	return find_error(error)->text;
}

SIM_EXPORT cudaError_t cudaRuntimeGetVersion(int *version)
{
	*version = CUDART_VERSION;
	return cudaSuccess;
}

/* Without a driver the answer is 0, and no error. */
SIM_EXPORT cudaError_t cudaDriverGetVersion(int *version)
{
	*version = 0;
	if (driver_open())
		return cudaSuccess;
	return (cudaError_t)driver.driver_get_version(version);
}

SIM_EXPORT cudaError_t cudaGetDeviceCount(int *count)
{
	cudaError_t error = driver_open();

	if (!error)
		error = (cudaError_t)driver.device_get_count(count);
	return driver_last_error(error);
}

SIM_EXPORT cudaError_t cudaSetDevice(int device)
{
	struct truth truth = truth_enter("cudaSetDevice");
	cudaError_t error = (cudaError_t)fault_code(truth.call);

	truth.addr = (unsigned int)device;
	return call_end(&truth, error ?: driver_set_device(device));
}

SIM_EXPORT cudaError_t cudaGetDevice(int *device)
{
	cudaError_t error = driver_open();

	if (!error)
		*device = driver_device();
	return driver_last_error(error);
}

SIM_EXPORT cudaError_t cudaDeviceSynchronize(void)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.ctx_synchronize());
}

SIM_EXPORT cudaError_t cudaDeviceReset(void)
{
	struct truth truth = truth_enter("cudaDeviceReset");
	cudaError_t error = (cudaError_t)fault_code(truth.call);

	return call_end(&truth, error ?: driver_reset());
}

SIM_EXPORT cudaError_t cudaMemGetInfo(size_t *free, size_t *total)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.mem_get_info(free, total));
}

SIM_EXPORT cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.device_can_access_peer(can, device, peer));
}

SIM_EXPORT cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned int flags)
{
	CUcontext context;
	cudaError_t error = driver_ready_peer(peer, &context);

	return driver_last_error(error ?: (cudaError_t)driver.ctx_enable_peer(context, flags));
}

static cudaError_t describe(struct cudaPointerAttributes *attributes, CUdeviceptr addr)
{
	CUpointer_attribute names[] = {
		CU_POINTER_ATTRIBUTE_CONTEXT,	     CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
		CU_POINTER_ATTRIBUTE_DEVICE_POINTER, CU_POINTER_ATTRIBUTE_HOST_POINTER,
		CU_POINTER_ATTRIBUTE_IS_MANAGED,     CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
	};
	unsigned int type = 0, managed = 0;
	CUcontext context = NULL;
	void *values[] = { &context,	       &type, &attributes->devicePointer, &attributes->hostPointer, &managed,
			   &attributes->device };
	CUresult result = driver.pointer_get_attributes(6, names, values, addr);

	if (managed)
		attributes->type = cudaMemoryTypeManaged;
	else if (type == CU_MEMORYTYPE_DEVICE)
		attributes->type = cudaMemoryTypeDevice;
	else if (type == CU_MEMORYTYPE_HOST)
		attributes->type = cudaMemoryTypeHost;
	else
		attributes->hostPointer = (void *)(uintptr_t)addr; /* ordinary memory of the host */
	return (cudaError_t)result;
}

SIM_EXPORT cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *ptr)
{
	cudaError_t error = driver_ready();

	if (!error && !attributes)
		error = cudaErrorInvalidValue;
	if (!error) {
		memset(attributes, 0, sizeof(*attributes));
		error = describe(attributes, (uintptr_t)ptr);
	}
	return driver_last_error(error);
}
