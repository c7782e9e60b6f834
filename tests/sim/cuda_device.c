// SPDX-License-Identifier: Apache-2.0
/* The driver's calls that describe the devices and their memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"
#include "cuda_context.h"
#include "sim.h"

static CUresult check_device(CUdevice device, const void *out, int *ret_gpu)
{
	CUresult result = cuda_initialised();

	if (result)
		return result;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	return cuda_gpu_of(device, ret_gpu);
}

SIM_EXPORT CUresult cuDriverGetVersion(int *version)
{
	*version = CARD_CUDA_VERSION;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetCount(int *count)
{
	CUresult result = cuda_initialised();

	if (!result)
		*count = cuda_device_count();
	return result;
}

SIM_EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	int gpu;
	CUresult result = check_device(ordinal, device, &gpu);

	if (!result)
		*device = ordinal;
	return result;
}

SIM_EXPORT CUresult cuDeviceGetName(char *name, int len, CUdevice device)
{
	int gpu;
	CUresult result = check_device(device, name, &gpu);

	if (!result && len > 0) {
		strncpy(name, CARD_NAME, len);
		name[len - 1] = '\0';
	}
	return result;
}

SIM_EXPORT CUresult cuDeviceGetPCIBusId(char *text, int len, CUdevice device)
{
	int gpu;
	CUresult result = check_device(device, text, &gpu);

	if (!result && len > 0)
		snprintf(text, len, "0000:%02x:00.0", gpu + 1);
	return result;
}

/* Of the instance that a GPU of several (MIG) shows: no other GPU's, and none that NVML lists. */
static void of_instance(CUuuid *uuid)
{
	uuid->bytes[0] = 'm';
}

/* In the log `addr` is the device: what the program calls the GPU by. */
static CUresult get_uuid(struct truth *truth, CUuuid *uuid, CUdevice device)
{
	CUresult result = cuda_begin(truth);
	int gpu;

	truth->addr = device;
	if (!result)
		result = check_device(device, uuid, &gpu);
	if (result)
		return result;
	truth->gpu = gpu;
	card_uuid(gpu, (unsigned char *)uuid->bytes);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device)
{
	struct truth truth = truth_enter("cuDeviceGetUuid_v2");

	CUresult result = get_uuid(&truth, uuid, device);

	if (!result && getenv("VRAMSIM_MIG"))
		of_instance(uuid);
	return cuda_leave(&truth, result);
}

#undef cuDeviceGetUuid
CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device);

SIM_EXPORT CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device)
{
	struct truth truth = truth_enter("cuDeviceGetUuid");

	return cuda_leave(&truth, get_uuid(&truth, uuid, device));
}

SIM_EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
	uint64_t total, unused;
	int gpu;
	CUresult result = check_device(device, bytes, &gpu);

	if (result)
		return result;
	if (card_info(gpu, &total, &unused))
		return CUDA_ERROR_UNKNOWN;
	*bytes = total;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemGetInfo_v2(size_t *ret_free, size_t *ret_total)
{
	CUresult result = cuda_context_current();
	uint64_t total, unused;

	if (result)
		return result;
	if (card_info(cuda_context()->gpu, &total, &unused))
		return CUDA_ERROR_UNKNOWN;
	*ret_free = unused;
	*ret_total = total;
	return CUDA_SUCCESS;
}
