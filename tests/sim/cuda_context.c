// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "block.h"
#include "card.h"
#include "cuda_context.h"
#include "sim.h"
#include "truth.h"

/* What a context took on an H200, measured by NVML. */
#define DEFAULT_CONTEXT_BYTES (518ULL << 20)

struct CUctx_st {
	int retained;
	bool active;
};

static struct CUctx_st primary;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local CUcontext current;
static bool initialised, forked;
static pthread_once_t watch_fork = PTHREAD_ONCE_INIT;

static void in_child(void)
{
	forked = initialised;
}

static void install_watch(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

SIM_EXPORT CUresult cuInit(unsigned int flags)
{
	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (forked)
		return CUDA_ERROR_NOT_INITIALIZED;
	pthread_once(&watch_fork, install_watch);
	if (card_open())
		return CUDA_ERROR_NO_DEVICE;
	initialised = true;
	return CUDA_SUCCESS;
}

CUresult cuda_initialised(void)
{
	return initialised && !forked ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

CUresult cuda_context_current(void)
{
	CUresult result = cuda_initialised();

	if (result)
		return result;
	if (!current)
		return CUDA_ERROR_INVALID_CONTEXT;
	return current->active ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

static CUresult check_device(CUdevice device)
{
	CUresult result = cuda_initialised();

	if (result)
		return result;
	return device == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

SIM_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *ctx, CUdevice device)
{
	CUresult result = check_device(device);

	if (result)
		return result;
	pthread_mutex_lock(&lock);
	if (!primary.active && card_join(sim_env_bytes("VRAMSIM_CONTEXT_BYTES", DEFAULT_CONTEXT_BYTES)))
		result = CUDA_ERROR_OUT_OF_MEMORY;
	if (!result) {
		primary.active = true;
		primary.retained++;
		*ctx = &primary;
	}
	pthread_mutex_unlock(&lock);
	return result;
}

static uint64_t destroy_locked(void)
{
	uint64_t bytes;

	if (!primary.active)
		return 0;
	primary.active = false;
	bytes = block_drop_all();
	card_leave();
	return bytes;
}

static CUresult reset(CUdevice device, struct truth *truth)
{
	CUresult result = check_device(device);

	if (result)
		return result;
	pthread_mutex_lock(&lock);
	truth->bytes = destroy_locked();
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

static CUresult leave(const struct truth *truth, CUresult result)
{
	if (truth->bytes)
		truth_leave(truth, result);
	return result;
}

/* Two exported names of one call, as in the real library, where neither is a jump to the other. */
SIM_EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
	struct truth truth = truth_enter("cuDevicePrimaryCtxReset_v2");

	return leave(&truth, reset(device, &truth));
}

#undef cuDevicePrimaryCtxReset
CUresult cuDevicePrimaryCtxReset(CUdevice device);

SIM_EXPORT CUresult cuDevicePrimaryCtxReset(CUdevice device)
{
	struct truth truth = truth_enter("cuDevicePrimaryCtxReset");

	return leave(&truth, reset(device, &truth));
}

SIM_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
	struct truth truth = truth_enter("cuDevicePrimaryCtxRelease_v2");
	CUresult result = check_device(device);

	if (result)
		return result;
	pthread_mutex_lock(&lock);
	if (!primary.retained)
		result = CUDA_ERROR_INVALID_CONTEXT;
	else if (--primary.retained == 0)
		truth.bytes = destroy_locked();
	pthread_mutex_unlock(&lock);
	return leave(&truth, result);
}

SIM_EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned int *flags, int *active)
{
	CUresult result = check_device(device);

	if (result)
		return result;
	*flags = 0;
	*active = primary.active;
	return CUDA_SUCCESS;
}

static CUresult primary_handle(CUcontext *ctx)
{
	*ctx = &primary;
	return CUDA_SUCCESS;
}

/*
 * The real runtime makes a context current before it retains it, and gets its handle through a
 * private table of the driver. The order is what a tracer sees, so there is such a table here,
 * with that one call and one name.
 */
SIM_EXPORT CUresult cuGetExportTable(const void **table, const CUuuid *id)
{
	static CUresult (*const calls[])(CUcontext * ctx) = { primary_handle };

	(void)id;
	*table = calls;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxSetCurrent(CUcontext ctx)
{
	CUresult result = cuda_initialised();

	if (!result)
		current = ctx;
	return result;
}

SIM_EXPORT CUresult cuCtxGetCurrent(CUcontext *ctx)
{
	CUresult result = cuda_initialised();

	if (!result)
		*ctx = current;
	return result;
}

SIM_EXPORT CUresult cuCtxGetDevice(CUdevice *device)
{
	CUresult result = cuda_context_current();

	if (!result)
		*device = 0;
	return result;
}

SIM_EXPORT CUresult cuCtxSynchronize(void)
{
	return cuda_context_current();
}

/* A slot is swept when its lock is gone; leaving at exit only makes the card right at once. */
__attribute__((destructor)) static void at_exit(void)
{
	if (initialised && !forked)
		card_leave();
}
