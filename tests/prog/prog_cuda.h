/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMTRACE_PROG_CUDA_H
#define VRAMTRACE_PROG_CUDA_H

/* What the small programs on the driver's interface share. They print nothing but errors; exit status as in prog.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cuda.h>

#ifndef MIB
#define MIB (1024UL * 1024UL)
#endif

__attribute__((noinline, unused)) static void must_be(CUresult result, CUresult wanted, const char *what)
{
	const char *name = NULL;

	if (result == wanted)
		return;
	cuGetErrorName(result, &name);
	fprintf(stderr, "%s: %d %s, not %d\n", what, result, name ? name : "?", wanted);
	exit(1);
}

__attribute__((noinline, unused)) static void must_cu(CUresult result, const char *what)
{
	must_be(result, CUDA_SUCCESS, what);
}

/* The driver, and the primary context of a device on this thread. */
__attribute__((unused)) static CUcontext use_device(CUdevice device)
{
	CUcontext context;

	must_cu(cuInit(0), "cuInit");
	must_cu(cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
	must_cu(cuCtxSetCurrent(context), "cuCtxSetCurrent");
	return context;
}

/* Memory by handle on a device, that can be exported as a descriptor. */
__attribute__((unused)) static CUmemAllocationProp device_memory(CUdevice device)
{
	CUmemAllocationProp prop;

	memset(&prop, 0, sizeof(prop));
	prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
	prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	prop.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	prop.location.id = device;
	return prop;
}

#endif
