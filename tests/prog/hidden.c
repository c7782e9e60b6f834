// SPDX-License-Identifier: Apache-2.0
/*
 * hidden N
 * N allocations of the driver, whose result goes to a page of its own: VRAMSIM_HIDE takes it away before a tracer can read it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cuda.h>

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1;
	CUdeviceptr *out = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CUcontext context;
	CUdevice device;

	if (out == MAP_FAILED || cuInit(0) || cuDeviceGet(&device, 0) || cuDevicePrimaryCtxRetain(&context, device) ||
	    cuCtxSetCurrent(context))
		return 1;
	for (int i = 0; i < count; i++) {
		if (cuMemAlloc(out, 1 << 20) || mprotect(out, 4096, PROT_READ | PROT_WRITE) || !*out)
			return 1;
	}
	printf("{\"program\":\"hidden\",\"allocs\":%d,\"calls\":%d}\n", count, count);
	return 0;
}
