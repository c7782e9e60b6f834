// SPDX-License-Identifier: Apache-2.0
/*
 * multicast
 * A multicast object that memory by handle is bound to: created, mapped, unbound, released. Only on the simulated card: on a real one
 * it would need a fabric of its own.
 */
#include <dlfcn.h>

#include "prog_cuda.h"

#define BLOCK (32 * MIB)

int main(void)
{
	CUmulticastObjectProp prop = { .numDevices = 1, .size = BLOCK };
	CUmemAllocationProp memory_prop = device_memory(0);
	CUmemGenericAllocationHandle object, memory;
	CUdeviceptr range;

	if (!dlsym(RTLD_DEFAULT, "vramtrace_simulated_cuda")) {
		fprintf(stderr, "multicast: this is no simulated card\n");
		return 77;
	}
	use_device(0);
	must_cu(cuMulticastCreate(&object, &prop), "cuMulticastCreate");
	must_cu(cuMulticastAddDevice(object, 0), "cuMulticastAddDevice");
	must_cu(cuMemCreate(&memory, BLOCK, &memory_prop, 0), "cuMemCreate");
	must_cu(cuMulticastBindMem(object, 0, memory, 0, BLOCK, 0), "cuMulticastBindMem");
	must_cu(cuMemAddressReserve(&range, BLOCK, 0, 0, 0), "cuMemAddressReserve");
	must_cu(cuMemMap(range, BLOCK, 0, object, 0), "cuMemMap");
	must_cu(cuMemUnmap(range, BLOCK), "cuMemUnmap");
	must_cu(cuMemAddressFree(range, BLOCK), "cuMemAddressFree");
	must_cu(cuMulticastUnbind(object, 0, 0, BLOCK), "cuMulticastUnbind");
	must_cu(cuMemRelease(memory), "cuMemRelease");
	must_cu(cuMemRelease(object), "cuMemRelease");
	return 0;
}
