// SPDX-License-Identifier: Apache-2.0
/*
 * external
 * Memory of another interface, for which a descriptor of our own stands in: imported, a buffer of it mapped, freed and given back.
 * The import takes no memory of its own. The descriptor is the driver's from the import on.
 */
#include "prog.h"
#include "prog_cuda.h"

#define BLOCK (32 * MIB)
#define DESCRIPTOR_US 2500000 /* a tracer looks at descriptors once a second */

static int export_block(CUmemGenericAllocationHandle *ret_handle)
{
	CUmemAllocationProp prop = device_memory(0);
	int descriptor;

	must_cu(cuMemCreate(ret_handle, BLOCK, &prop, 0), "cuMemCreate");
	must_cu(cuMemExportToShareableHandle(&descriptor, *ret_handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
		"cuMemExportToShareableHandle");
	return descriptor;
}

int main(void)
{
	struct cudaExternalMemoryHandleDesc memory_desc;
	struct cudaExternalMemoryBufferDesc buffer_desc;
	CUmemGenericAllocationHandle handle;
	cudaExternalMemory_t memory;
	void *buffer;

	must(cudaFree(NULL), "cudaFree(NULL)"); /* a context */
	memset(&memory_desc, 0, sizeof(memory_desc));
	memory_desc.type = cudaExternalMemoryHandleTypeOpaqueFd;
	memory_desc.handle.fd = export_block(&handle);
	memory_desc.size = BLOCK;
	must(cudaImportExternalMemory(&memory, &memory_desc), "cudaImportExternalMemory");
	memset(&buffer_desc, 0, sizeof(buffer_desc));
	buffer_desc.size = BLOCK;
	must(cudaExternalMemoryGetMappedBuffer(&buffer, memory, &buffer_desc), "cudaExternalMemoryGetMappedBuffer");
	must(cudaFree(buffer), "cudaFree of a mapped buffer");
	must(cudaDestroyExternalMemory(memory), "cudaDestroyExternalMemory");
	must_cu(cuMemRelease(handle), "cuMemRelease");
	usleep(DESCRIPTOR_US);
	return 0;
}
