// SPDX-License-Identifier: Apache-2.0
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "cudart_driver.h"
#include "sim.h"

struct symbol {
	const char *name;
	int version;
	cuuint64_t flags;
	void *fn; /* the member of `driver` */
};

struct driver driver;

#define PLAIN CU_GET_PROC_ADDRESS_LEGACY_STREAM
#define TWIN CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM

static const struct symbol symbols[] = {
	{ "cuInit", 13000, PLAIN, &driver.init },
	{ "cuDriverGetVersion", 13000, PLAIN, &driver.driver_get_version },
	{ "cuGetExportTable", 13000, PLAIN, &driver.get_export_table },
	{ "cuDeviceGetCount", 13000, PLAIN, &driver.device_get_count },
	{ "cuDevicePrimaryCtxRetain", 13000, PLAIN, &driver.primary_ctx_retain },
	{ "cuDevicePrimaryCtxReset", 7000, PLAIN, &driver.primary_ctx_reset },
	{ "cuCtxSetCurrent", 13000, PLAIN, &driver.ctx_set_current },
	{ "cuCtxSynchronize", 13000, PLAIN, &driver.ctx_synchronize },
	{ "cuMemGetInfo", 13000, PLAIN, &driver.mem_get_info },
	{ "cuMemAlloc", 13000, PLAIN, &driver.mem_alloc },
	{ "cuMemAllocPitch", 13000, PLAIN, &driver.mem_alloc_pitch },
	{ "cuMemAllocManaged", 13000, PLAIN, &driver.mem_alloc_managed },
	{ "cuMemHostAlloc", 13000, PLAIN, &driver.mem_host_alloc },
	{ "cuMemAllocAsync", 13000, PLAIN, &driver.mem_alloc_async },
	{ "cuMemAllocAsync", 13000, TWIN, &driver.mem_alloc_async_ptsz },
	{ "cuMemAllocFromPoolAsync", 13000, PLAIN, &driver.mem_alloc_from_pool },
	{ "cuMemAllocFromPoolAsync", 13000, TWIN, &driver.mem_alloc_from_pool_ptsz },
	{ "cuMemFree", 13000, PLAIN, &driver.mem_free },
	{ "cuMemFreeHost", 13000, PLAIN, &driver.mem_free_host },
	{ "cuMemFreeAsync", 13000, PLAIN, &driver.mem_free_async },
	{ "cuMemFreeAsync", 13000, TWIN, &driver.mem_free_async_ptsz },
	{ "cuStreamCreate", 13000, PLAIN, &driver.stream_create },
	{ "cuStreamDestroy", 13000, PLAIN, &driver.stream_destroy },
	{ "cuStreamSynchronize", 13000, PLAIN, &driver.stream_synchronize },
	{ "cuStreamSynchronize", 13000, TWIN, &driver.stream_synchronize_ptsz },
	{ "cuDeviceGetDefaultMemPool", 13000, PLAIN, &driver.device_get_default_pool },
	{ "cuMemPoolCreate", 13000, PLAIN, &driver.pool_create },
	{ "cuMemPoolDestroy", 13000, PLAIN, &driver.pool_destroy },
	{ "cuPointerGetAttributes", 13000, PLAIN, &driver.pointer_get_attributes },
};

static pthread_once_t opened = PTHREAD_ONCE_INIT;
static cudaError_t open_error = cudaErrorInsufficientDriver;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long generation; /* of the context: counts its makings and its resets */
static bool retained;
static _Thread_local unsigned long thread_generation;
static _Thread_local bool thread_current;
static _Thread_local cudaError_t last_error;

static void open_driver(void)
{
	typeof(cuGetProcAddress_v2) *resolve;
	void *library;

	if (getenv("VRAMSIM_NO_DRIVER"))
		return;
	library = dlopen("libcuda.so.1", RTLD_NOW);
	resolve = library ? (typeof(resolve))dlsym(library, "cuGetProcAddress_v2") : NULL;
	if (!resolve)
		return;
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		const struct symbol *symbol = &symbols[i];

		if (resolve(symbol->name, symbol->fn, symbol->version, symbol->flags, NULL))
			return;
	}
	open_error = (cudaError_t)driver.init(0);
}

static void in_child(void)
{
	open_error = cudaErrorInitializationError;
}

static void open_and_watch(void)
{
	open_driver();
	if (!open_error)
		pthread_atfork(NULL, NULL, in_child);
}

/* A child forked before cuInit inherits nothing; one forked after it is refused, without a call of the driver. */
cudaError_t driver_open(void)
{
	pthread_once(&opened, open_and_watch);
	return open_error;
}

/* A thread keeps the context current over a reset: it is the same handle. */
static CUresult make_current(void)
{
	CUresult (*const *calls)(CUcontext * ctx);
	CUcontext context;
	CUresult result;

	if (thread_current)
		return CUDA_SUCCESS;
	result = driver.get_export_table((const void **)&calls, NULL);
	if (!result)
		result = calls[0](&context);
	if (!result)
		result = driver.ctx_set_current(context);
	thread_current = !result;
	return result;
}

static CUresult retain(void)
{
	CUcontext context;
	CUresult result;

	if (retained)
		return CUDA_SUCCESS;
	result = driver.primary_ctx_retain(&context, 0);
	if (result)
		return result;
	retained = true;
	__atomic_add_fetch(&generation, 1, __ATOMIC_RELEASE);
	return CUDA_SUCCESS;
}

/* The quick way out is a comparison, as every call comes through here. */
cudaError_t driver_ready(void)
{
	cudaError_t error = driver_open();
	unsigned long now = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);

	if (error || (now && thread_generation == now))
		return error;
	pthread_mutex_lock(&lock);
	error = (cudaError_t)make_current();
	if (!error)
		error = (cudaError_t)retain();
	if (!error)
		thread_generation = generation;
	pthread_mutex_unlock(&lock);
	return error;
}

cudaError_t driver_reset(void)
{
	cudaError_t error = driver_open();

	if (error)
		return error;
	pthread_mutex_lock(&lock);
	error = (cudaError_t)driver.primary_ctx_reset(0);
	retained = false;
	thread_generation = 0;
	/* The other threads must come to driver_ready's lock too. */
	__atomic_add_fetch(&generation, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
	return error;
}

cudaError_t driver_last_error(cudaError_t error)
{
	if (error)
		last_error = error;
	return error;
}

SIM_EXPORT cudaError_t cudaGetLastError(void)
{
	cudaError_t error = last_error;

	last_error = cudaSuccess;
	return error;
}

SIM_EXPORT cudaError_t cudaPeekAtLastError(void)
{
	return last_error;
}
