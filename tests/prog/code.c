// SPDX-License-Identifier: Apache-2.0
/*
 * code
 * Calls that take memory of the GPU for the driver's own use, which no call names: a context, modules and libraries of code, a
 * stream, an instance of a graph, another GPU's memory made accessible. Those that cannot have it fail; the program goes on.
 */
#include "prog_cuda.h"

static const char empty_kernel[] =
	".version 7.0\n.target sm_50\n.address_size 64\n.visible .entry nothing() { ret; }\n";

/* Nowhere: only that it fails, and how, is of interest. */
static void load_files(void)
{
	CUlibrary library;
	CUmodule module;

	if (!cuModuleLoad(&module, "/nonexistent.cubin"))
		must_cu(cuModuleUnload(module), "cuModuleUnload");
	if (!cuLibraryLoadFromFile(&library, "/nonexistent.cubin", NULL, NULL, 0, NULL, NULL, 0))
		must_cu(cuLibraryUnload(library), "cuLibraryUnload");
}

static void make_streams(void)
{
	CUstream stream;

	if (!cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING))
		must_cu(cuStreamDestroy(stream), "cuStreamDestroy");
	if (!cuStreamCreateWithPriority(&stream, CU_STREAM_NON_BLOCKING, 0))
		must_cu(cuStreamDestroy(stream), "cuStreamDestroy");
}

static void load_code(void)
{
	CUlibrary library;
	CUmodule module;

	if (!cuModuleLoadData(&module, empty_kernel))
		must_cu(cuModuleUnload(module), "cuModuleUnload");
	if (!cuModuleLoadDataEx(&module, empty_kernel, 0, NULL, NULL))
		must_cu(cuModuleUnload(module), "cuModuleUnload");
	if (!cuLibraryLoadData(&library, empty_kernel, NULL, NULL, 0, NULL, NULL, 0))
		must_cu(cuLibraryUnload(library), "cuLibraryUnload");
}

static void instantiate(void)
{
	CUgraphExec exec;
	CUgraph graph;

	must_cu(cuGraphCreate(&graph, 0), "cuGraphCreate");
	if (!cuGraphInstantiate(&exec, graph, 0))
		must_cu(cuGraphExecDestroy(exec), "cuGraphExecDestroy");
	must_cu(cuGraphDestroy(graph), "cuGraphDestroy");
}

/* As runtimes do, at their start. */
static void ask_who_they_are(int count)
{
	CUuuid uuid;

	for (int device = 0; device < count; device++)
		must_cu(cuDeviceGetUuid(&uuid, device), "cuDeviceGetUuid");
}

static void reach_peer(int count)
{
	CUcontext peer;
	int can = 0;

	if (count > 1)
		must_cu(cuDeviceCanAccessPeer(&can, 0, 1), "cuDeviceCanAccessPeer");
	if (!can || cuDevicePrimaryCtxRetain(&peer, 1))
		return;
	if (!cuCtxEnablePeerAccess(peer, 0))
		must_cu(cuCtxDisablePeerAccess(peer), "cuCtxDisablePeerAccess");
	must_cu(cuDevicePrimaryCtxRelease(1), "cuDevicePrimaryCtxRelease");
}

int main(void)
{
	CUcontext context;
	CUdeviceptr block;
	int count;

	must_cu(cuInit(0), "cuInit");
	must_cu(cuDeviceGetCount(&count), "cuDeviceGetCount");
	ask_who_they_are(count);
	if (cuCtxCreate(&context, NULL, 0, 0))
		context = use_device(0);
	must_cu(cuMemAlloc(&block, MIB), "cuMemAlloc");
	load_code();
	load_files();
	make_streams();
	instantiate();
	reach_peer(count);
	must_cu(cuMemFree(block), "cuMemFree");
	return 0;
}
