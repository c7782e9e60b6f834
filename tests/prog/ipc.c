// SPDX-License-Identifier: Apache-2.0
/*
 * ipc exit|free|close|interior
 * cudaMalloc'ed memory in two processes: the child makes 32 MiB and tells the handle, the parent opens it twice, which is one address
 * that needs two closes.
 *   exit   the exporter ends first; the memory stays taken until the importer closes
 *   free   the exporter frees first: a success, and the memory stays taken until the importer closes
 *   close  the importer closes first
 *   interior  the same; the handle was had by an address within the block, and opens the whole
 */
#include "prog.h"
#include "prog_share.h"

static const char *mode;
static size_t offset;

static void export_memory(int peer)
{
	cudaIpcMemHandle_t handle;
	char *block;

	must(cudaMalloc((void **)&block, 32 * MIB), "cudaMalloc");
	must(cudaIpcGetMemHandle(&handle, block + offset), "cudaIpcGetMemHandle");
	send_bytes(peer, &handle, sizeof(handle));
	await_turn(peer); /* it is open */
	if (!strcmp(mode, "exit"))
		_exit(0);
	if (!strcmp(mode, "close"))
		await_turn(peer); /* the importer has closed */
	must(cudaFree(block), "cudaFree");
	send_turn(peer);
	if (!strcmp(mode, "free"))
		await_turn(peer); /* the importer has closed */
	exit(0);
}

static void import_memory(int peer, pid_t child)
{
	cudaIpcMemHandle_t handle;
	void *block, *again;

	receive_bytes(peer, &handle, sizeof(handle));
	must(cudaIpcOpenMemHandle(&block, handle, cudaIpcMemLazyEnablePeerAccess), "cudaIpcOpenMemHandle");
	must(cudaIpcOpenMemHandle(&again, handle, cudaIpcMemLazyEnablePeerAccess), "cudaIpcOpenMemHandle");
	must_say(block == again, "two addresses");
	send_turn(peer);
	if (!strcmp(mode, "exit"))
		must_say(child_status(child) == 0, "the exporter failed");
	if (!strcmp(mode, "free"))
		await_turn(peer); /* the exporter has freed */
	must_say(cudaFree(block) == cudaErrorInvalidValue, "cudaFree of what is another's");
	must(cudaIpcCloseMemHandle(block), "cudaIpcCloseMemHandle");
	usleep(20000);
	must(cudaIpcCloseMemHandle(block), "cudaIpcCloseMemHandle");
	must_say(cudaIpcCloseMemHandle(block) == cudaErrorInvalidValue, "a third close");
	if (!strcmp(mode, "exit"))
		return;
	send_turn(peer);
	if (!strcmp(mode, "close"))
		await_turn(peer);
	must_say(child_status(child) == 0, "the exporter failed");
}

int main(int argc, char **argv)
{
	mode = argc > 1 ? argv[1] : "exit";
	if (!strcmp(mode, "interior")) {
		mode = "close";
		offset = 5 * MIB;
	}
	share(export_memory, import_memory);
	return 0;
}
