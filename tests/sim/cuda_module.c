// SPDX-License-Identifier: Apache-2.0
/*
 * Code, and access between GPUs: calls that take memory of the card for the driver's own use, of which nothing is simulated but
 * that they can fail.
 */
#include <stdlib.h>

#include "cuda_context.h"
#include "sim.h"

struct CUmod_st {
	int unused;
};

struct CUlib_st {
	int unused;
};

static CUresult load_module(struct truth *truth, CUmodule *module, const void *image)
{
	CUresult result = cuda_begin_current(truth);

	if (!result && (!module || !image))
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	*module = calloc(1, sizeof(**module));
	truth->addr = (uintptr_t)*module;
	return *module ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

SIM_EXPORT CUresult cuModuleLoad(CUmodule *module, const char *path)
{
	struct truth truth = truth_enter("cuModuleLoad");

	return cuda_leave(&truth, load_module(&truth, module, path));
}

SIM_EXPORT CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	struct truth truth = truth_enter("cuModuleLoadData");

	return cuda_leave(&truth, load_module(&truth, module, image));
}

SIM_EXPORT CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int count, CUjit_option *options,
				       void **values)
{
	struct truth truth = truth_enter("cuModuleLoadDataEx");

	(void)count;
	(void)options;
	(void)values;
	return cuda_leave(&truth, load_module(&truth, module, image));
}

SIM_EXPORT CUresult cuModuleLoadFatBinary(CUmodule *module, const void *image)
{
	struct truth truth = truth_enter("cuModuleLoadFatBinary");

	return cuda_leave(&truth, load_module(&truth, module, image));
}

SIM_EXPORT CUresult cuModuleUnload(CUmodule module)
{
	free(module);
	return cuda_initialised();
}

/* A library is loaded into contexts as they come: it needs none. */
static CUresult load_library(struct truth *truth, CUlibrary *library, const void *code)
{
	CUresult result = cuda_begin(truth);

	if (!result && (!library || !code))
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	*library = calloc(1, sizeof(**library));
	truth->addr = (uintptr_t)*library;
	return *library ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

SIM_EXPORT CUresult cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *jit_options,
				      void **jit_values, unsigned int jit_count, CUlibraryOption *options,
				      void **values, unsigned int count)
{
	struct truth truth = truth_enter("cuLibraryLoadData");

	(void)jit_options;
	(void)jit_values;
	(void)jit_count;
	(void)options;
	(void)values;
	(void)count;
	return cuda_leave(&truth, load_library(&truth, library, code));
}

SIM_EXPORT CUresult cuLibraryLoadFromFile(CUlibrary *library, const char *path, CUjit_option *jit_options,
					  void **jit_values, unsigned int jit_count, CUlibraryOption *options,
					  void **values, unsigned int count)
{
	struct truth truth = truth_enter("cuLibraryLoadFromFile");

	(void)jit_options;
	(void)jit_values;
	(void)jit_count;
	(void)options;
	(void)values;
	(void)count;
	return cuda_leave(&truth, load_library(&truth, library, path));
}

SIM_EXPORT CUresult cuLibraryUnload(CUlibrary library)
{
	free(library);
	return cuda_initialised();
}

SIM_EXPORT CUresult cuDeviceCanAccessPeer(int *can, CUdevice device, CUdevice peer)
{
	int gpu, other;
	CUresult result = cuda_gpu_of(device, &gpu);

	if (!result)
		result = cuda_gpu_of(peer, &other);
	if (!result)
		*can = gpu != other;
	return result;
}

SIM_EXPORT CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned int flags)
{
	struct truth truth = truth_enter("cuCtxEnablePeerAccess");
	CUresult result = cuda_begin_current(&truth);

	truth.addr = (uintptr_t)peer;
	if (!result && flags)
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result && (!peer || peer == cuda_context()))
		result = CUDA_ERROR_INVALID_CONTEXT;
	return cuda_leave(&truth, result);
}

SIM_EXPORT CUresult cuCtxDisablePeerAccess(CUcontext peer)
{
	(void)peer;
	return cuda_context_current();
}
