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

#define DEVICES_MAX 16 /* more than any simulated machine has */

#define PLAIN CU_GET_PROC_ADDRESS_LEGACY_STREAM
#define TWIN CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM

/* The name is the symbol as written, not what a macro of cuda.h makes of it. */
static const struct symbol symbols[] = {
#define CALL(member, symbol, version, flags) { #symbol, version, flags, &driver.member },
#include "cudart_calls.def"
#undef CALL
};

/* Of the driver's private table, see cuda_context.c. */
struct private_calls {
	CUresult (*primary)(CUcontext *ctx);
	CUresult (*primary_of)(CUcontext *ctx, CUdevice device);
};

struct device {
	CUcontext primary;
	bool retained;
};

static pthread_once_t opened = PTHREAD_ONCE_INIT;
static cudaError_t open_error = cudaErrorInsufficientDriver;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct device devices[DEVICES_MAX];
static int device_count;
static unsigned long generation = 1; /* counts the resets */
static _Thread_local int thread_device;
static _Thread_local CUcontext thread_context; /* current, when the thread was last found ready */
static _Thread_local unsigned long thread_generation;
static _Thread_local cudaError_t last_error;

/* The runtime asks each device who it is, before anything else. */
static CUresult look_at_devices(void)
{
	const struct private_calls *calls;
	CUresult result = driver.get_export_table((const void **)&calls, NULL);
	CUuuid uuid;
	int count;

	if (!result)
		result = driver.device_get_count(&count);
	if (result)
		return result;
	device_count = count < DEVICES_MAX ? count : DEVICES_MAX;
	for (int i = 0; i < device_count && !result; i++) {
		driver.device_get_uuid(&uuid, i);
		result = calls->primary_of(&devices[i].primary, i);
	}
	return result;
}

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
	if (!open_error)
		open_error = (cudaError_t)look_at_devices();
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

/* With the lock. */
static CUresult retain(struct device *device)
{
	CUcontext context;
	CUresult result;

	if (device->retained)
		return CUDA_SUCCESS;
	result = driver.primary_ctx_retain(&context, device - devices);
	device->retained = !result;
	return result;
}

/* A context is made current before it is retained (measured). */
static CUresult make_current(CUcontext *ret_context)
{
	unsigned int version;

	*ret_context = devices[thread_device].primary;
	if (devices[thread_device].retained)
		driver.ctx_get_api_version(*ret_context, &version);
	return driver.ctx_set_current(*ret_context);
}

static struct device *find_device(CUcontext context)
{
	for (int i = 0; i < device_count; i++) {
		if (devices[i].primary == context)
			return &devices[i];
	}
	return NULL; /* a context that the program made itself */
}

static CUresult get_ready(CUcontext context)
{
	struct device *device;
	CUresult result = CUDA_SUCCESS;

	if (!context)
		result = make_current(&context);
	device = find_device(context);
	if (!result && device)
		result = retain(device);
	if (result)
		return result;
	thread_context = context;
	thread_generation = generation;
	return CUDA_SUCCESS;
}

/* The quick way out is two comparisons, as every call comes through here. A thread keeps its context over a reset: it is the same handle. */
cudaError_t driver_ready(void)
{
	cudaError_t error = driver_open();
	CUcontext current;

	if (error)
		return error;
	error = (cudaError_t)driver.ctx_get_current(&current);
	if (error || (current && current == thread_context &&
		      thread_generation == __atomic_load_n(&generation, __ATOMIC_ACQUIRE)))
		return error;
	pthread_mutex_lock(&lock);
	error = (cudaError_t)get_ready(current);
	pthread_mutex_unlock(&lock);
	return error;
}

int driver_device(void)
{
	CUdevice device;

	return driver.ctx_get_device(&device) ? thread_device : device;
}

cudaError_t driver_set_device(int device)
{
	cudaError_t error = driver_open();

	if (!error && (device < 0 || device >= device_count))
		error = cudaErrorInvalidDevice;
	if (error)
		return error;
	thread_device = device;
	pthread_mutex_lock(&lock);
	error = (cudaError_t)get_ready(NULL);
	pthread_mutex_unlock(&lock);
	return error;
}

cudaError_t driver_ready_peer(int device, CUcontext *ret_ctx)
{
	cudaError_t error = driver_ready();

	if (!error && (device < 0 || device >= device_count))
		error = cudaErrorInvalidDevice;
	if (error)
		return error;
	*ret_ctx = devices[device].primary;
	pthread_mutex_lock(&lock);
	error = (cudaError_t)retain(&devices[device]);
	pthread_mutex_unlock(&lock);
	return error;
}

cudaError_t driver_reset(void)
{
	cudaError_t error = driver_open();
	unsigned int version;
	int device;

	if (error)
		return error;
	device = driver_device();
	pthread_mutex_lock(&lock);
	if (devices[device].retained)
		driver.ctx_get_api_version(devices[device].primary, &version);
	error = (cudaError_t)driver.primary_ctx_reset(device);
	devices[device].retained = false;
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
