// SPDX-License-Identifier: Apache-2.0
/*
 * vmmshare exit|release|kept
 * Memory by handle in two processes: the child creates 64 MiB and hands them over as a descriptor, the parent imports and maps them.
 *   exit     the exporter ends first, holding its handle: the memory stays with the importer until that lets it go
 *   release  the exporter lets go of everything but lives on; then the importer does
 *   kept     the importer lets go first
 */
#include "prog_cuda.h"
#include "prog_share.h"

#define BLOCK (64 * MIB)
#define DESCRIPTOR_US                                                                                                  \
	1500000 /* a tracer that looks at descriptors once a second has seen by then that ours is closed */

static const char *mode;

static void export_memory(int peer)
{
	CUmemAllocationProp prop;
	CUmemGenericAllocationHandle handle;
	int descriptor;

	use_device(0);
	prop = device_memory(0);
	must_cu(cuMemCreate(&handle, BLOCK, &prop, 0), "cuMemCreate");
	must_cu(cuMemExportToShareableHandle(&descriptor, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
		"cuMemExportToShareableHandle");
	send_descriptor(peer, descriptor);
	close(descriptor);
	await_turn(peer); /* it is imported */
	if (!strcmp(mode, "exit"))
		_exit(0);
	if (!strcmp(mode, "kept"))
		await_turn(peer); /* the importer has let go */
	must_cu(cuMemRelease(handle), "cuMemRelease");
	usleep(DESCRIPTOR_US);
	send_turn(peer);
	if (!strcmp(mode, "release"))
		await_turn(peer); /* the importer has let go */
	exit(0);
}

static void let_go(CUdeviceptr range)
{
	must_cu(cuMemUnmap(range, BLOCK), "cuMemUnmap");
	must_cu(cuMemAddressFree(range, BLOCK), "cuMemAddressFree");
}

static void import_memory(int peer, pid_t child)
{
	CUmemGenericAllocationHandle handle;
	CUdeviceptr range;
	int descriptor = receive_descriptor(peer);

	use_device(0);
	must_cu(cuMemImportFromShareableHandle(&handle, (void *)(long)descriptor,
					       CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
		"cuMemImportFromShareableHandle");
	close(descriptor);
	must_cu(cuMemAddressReserve(&range, BLOCK, 0, 0, 0), "cuMemAddressReserve");
	must_cu(cuMemMap(range, BLOCK, 0, handle, 0), "cuMemMap");
	must_cu(cuMemRelease(handle), "cuMemRelease");
	send_turn(peer);
	if (!strcmp(mode, "exit"))
		must_say(child_status(child) == 0, "the exporter failed");
	if (!strcmp(mode, "release"))
		await_turn(peer); /* the exporter has let go */
	usleep(20000);
	let_go(range);
	if (!strcmp(mode, "exit"))
		return;
	send_turn(peer);
	if (!strcmp(mode, "kept"))
		await_turn(peer);
	must_say(child_status(child) == 0, "the exporter failed");
}

int main(int argc, char **argv)
{
	mode = argc > 1 ? argv[1] : "exit";
	share(export_memory, import_memory);
	return 0;
}
