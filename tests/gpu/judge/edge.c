/* SPDX-License-Identifier: Apache-2.0 */
/* What the driver answers to allocations and frees of nothing, and how many bytes a pitched row really takes. */
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>

static CUresult failed;

static void say(const char *call, CUresult result, CUdeviceptr address)
{
	const char *name = NULL;

	if (cuGetErrorName(result, &name) != CUDA_SUCCESS)
		name = "?";
	printf("%s: %d %s, address 0x%llx\n", call, (int)result, name, address);
}

static void start(void)
{
	CUcontext context;
	CUdevice device;

	failed = cuInit(0);
	if (!failed)
		failed = cuDeviceGet(&device, 0);
	if (!failed)
		failed = cuDevicePrimaryCtxRetain(&context, device);
	if (!failed)
		failed = cuCtxSetCurrent(context);
}

int main(void)
{
	CUdeviceptr address = 0xdead;
	void *host = (void *)0xdead;
	CUresult result;
	size_t pitch = 0;

	start();
	if (failed)
		return fprintf(stderr, "no context: %d\n", (int)failed), 1;
	say("cuMemAlloc_v2(0)", cuMemAlloc(&address, 0), address);
	say("cuMemFree_v2(0)", cuMemFree(0), 0);
	address = 0xdead;
	say("cuMemAllocManaged(0)", cuMemAllocManaged(&address, 0, CU_MEM_ATTACH_GLOBAL), address);
	address = 0xdead;
	say("cuMemAllocAsync(0)", cuMemAllocAsync(&address, 0, NULL), address);
	say("cuMemFreeAsync(0)", cuMemFreeAsync(0, NULL), 0);
	result = cuMemHostAlloc(&host, 0, 0);
	say("cuMemHostAlloc(0)", result, (CUdeviceptr)host);
	say("cuMemFreeHost(NULL)", cuMemFreeHost(NULL), 0);
	result = cuMemAllocPitch(&address, &pitch, 1000, 0, 4);
	say("cuMemAllocPitch_v2(height 0)", result, address);
	result = cuMemAllocPitch(&address, &pitch, 1000, 1000, 4);
	say("cuMemAllocPitch_v2(1000 x 1000)", result, address);
	printf("pitch %zu\n", pitch);
	say("cuMemFree_v2", cuMemFree(address), address);
	say("cuMemFree_v2 again", cuMemFree(address), address);
	say("cuMemFree_v2(1)", cuMemFree(1), 1);
	return 0;
}
