// SPDX-License-Identifier: Apache-2.0
/* Contexts, primary and created ones, and what goes with them. */
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "block.h"
#include "card.h"
#include "cuda_array.h"
#include "cuda_context.h"
#include "cuda_stream.h"
#include "cuda_visible.h"
#include "sim.h"

/* What a context took on an H200, measured by NVML. */
#define DEFAULT_CONTEXT_BYTES (518ULL << 20)

static struct CUctx_st primaries[CARD_GPUS], *created;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool initialised, forked;
static int visible[CARD_GPUS], visible_count;
static pthread_once_t watch_fork = PTHREAD_ONCE_INIT;

static void in_child(void)
{
	forked = initialised;
}

static void install_watch(void)
{
	pthread_atfork(NULL, NULL, in_child);
	visible_count = visible_read(visible);
	for (int gpu = 0; gpu < CARD_GPUS; gpu++) {
		primaries[gpu].gpu = gpu;
		primaries[gpu].primary = true;
	}
}

SIM_EXPORT CUresult cuInit(unsigned int flags)
{
	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (forked)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (card_open())
		return CUDA_ERROR_NO_DEVICE;
	pthread_once(&watch_fork, install_watch);
	if (!visible_count)
		return CUDA_ERROR_NO_DEVICE;
	initialised = true;
	return CUDA_SUCCESS;
}

CUresult cuda_initialised(void)
{
	return initialised && !forked ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

int cuda_device_count(void)
{
	return visible_count;
}

CUresult cuda_gpu_of(CUdevice device, int *ret_gpu)
{
	CUresult result = cuda_initialised();

	if (result)
		return result;
	if (device < 0 || device >= visible_count)
		return CUDA_ERROR_INVALID_DEVICE;
	*ret_gpu = visible[device];
	return CUDA_SUCCESS;
}

CUdevice cuda_device_of(int gpu)
{
	for (int i = 0; i < visible_count; i++) {
		if (visible[i] == gpu)
			return i;
	}
	return -1;
}

CUresult cuda_gpu_at(const CUmemLocation *location, int *ret_gpu)
{
	switch (location->type) {
	case CU_MEM_LOCATION_TYPE_DEVICE:
		return cuda_gpu_of(location->id, ret_gpu);
	case CU_MEM_LOCATION_TYPE_HOST:
	case CU_MEM_LOCATION_TYPE_HOST_NUMA:
		*ret_gpu = CARD_HOST;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult begin_locked(CUcontext ctx)
{
	ctx->bytes = sim_env_bytes("VRAMSIM_CONTEXT_BYTES", DEFAULT_CONTEXT_BYTES);
	if (card_begin_context(ctx->gpu, ctx->bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	ctx->active = true;
	return CUDA_SUCCESS;
}

static void tell_gone(void *ctx, const struct block *block)
{
	struct truth *truth = ctx;

	truth->bytes += block->bytes;
	truth_gone(truth, block->kind == BLOCK_ARRAY ? array_handle_of(block->addr) : block->addr);
}

/* Pool memory and memory by handle are the process's and stay: measured, for all three ways in which a context ends. */
static void end_locked(CUcontext ctx, struct truth *truth)
{
	if (!ctx->active)
		return;
	ctx->active = false;
	block_drop_context(ctx, tell_gone, truth);
	array_end_context(ctx);
	stream_end_context(ctx);
	card_end_context(ctx->gpu, ctx->bytes);
}

static CUresult retain(struct truth *truth, CUcontext *ctx, CUdevice device)
{
	CUresult result = cuda_begin(truth);
	int gpu;

	if (!result)
		result = cuda_gpu_of(device, &gpu);
	if (result)
		return result;
	pthread_mutex_lock(&lock);
	truth->gpu = gpu;
	if (!primaries[gpu].active)
		result = begin_locked(&primaries[gpu]);
	if (!result) {
		primaries[gpu].retained++;
		*ctx = &primaries[gpu];
		truth->addr = (uintptr_t)*ctx;
	}
	pthread_mutex_unlock(&lock);
	return result;
}

SIM_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *ctx, CUdevice device)
{
	struct truth truth = truth_enter("cuDevicePrimaryCtxRetain");

	return cuda_leave(&truth, ctx ? retain(&truth, ctx, device) : CUDA_ERROR_INVALID_VALUE);
}

static CUresult reset(struct truth *truth, CUdevice device)
{
	CUresult result = cuda_begin(truth);
	int gpu;

	if (!result)
		result = cuda_gpu_of(device, &gpu);
	if (result)
		return result;
	truth->gpu = gpu;
	truth->handle = (uintptr_t)&primaries[gpu];
	pthread_mutex_lock(&lock);
	end_locked(&primaries[gpu], truth);
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

/* Two exported names of one call, as in the real library, where neither is a jump to the other. */
SIM_EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
	struct truth truth = truth_enter("cuDevicePrimaryCtxReset_v2");

	return cuda_leave(&truth, reset(&truth, device));
}

#undef cuDevicePrimaryCtxReset
CUresult cuDevicePrimaryCtxReset(CUdevice device);

SIM_EXPORT CUresult cuDevicePrimaryCtxReset(CUdevice device)
{
	struct truth truth = truth_enter("cuDevicePrimaryCtxReset");

	return cuda_leave(&truth, reset(&truth, device));
}

static CUresult release(struct truth *truth, CUdevice device)
{
	CUresult result = cuda_begin(truth);
	int gpu;

	if (!result)
		result = cuda_gpu_of(device, &gpu);
	if (result)
		return result;
	truth->gpu = gpu;
	truth->handle = (uintptr_t)&primaries[gpu];
	pthread_mutex_lock(&lock);
	if (!primaries[gpu].retained)
		result = CUDA_ERROR_INVALID_CONTEXT;
	else if (--primaries[gpu].retained == 0)
		end_locked(&primaries[gpu], truth);
	pthread_mutex_unlock(&lock);
	return result;
}

SIM_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
	struct truth truth = truth_enter("cuDevicePrimaryCtxRelease_v2");

	return cuda_leave(&truth, release(&truth, device));
}

#undef cuDevicePrimaryCtxRelease
CUresult cuDevicePrimaryCtxRelease(CUdevice device);

SIM_EXPORT CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
	struct truth truth = truth_enter("cuDevicePrimaryCtxRelease");

	return cuda_leave(&truth, release(&truth, device));
}

SIM_EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned int *flags, int *active)
{
	int gpu;
	CUresult result = cuda_gpu_of(device, &gpu);

	if (result)
		return result;
	*flags = 0;
	*active = primaries[gpu].active;
	return CUDA_SUCCESS;
}

/* A created context is never freed: what is asked of one that was destroyed gets an answer. */
static CUresult create(struct truth *truth, CUcontext *ctx, CUdevice device)
{
	CUresult result = cuda_begin(truth);
	CUcontext made;
	int gpu;

	if (!result)
		result = cuda_gpu_of(device, &gpu);
	if (!result && !ctx)
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	truth->gpu = gpu;
	made = calloc(1, sizeof(*made));
	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	made->gpu = gpu;
	pthread_mutex_lock(&lock);
	result = begin_locked(made);
	if (!result) {
		made->next = created;
		created = made;
	}
	pthread_mutex_unlock(&lock);
	if (result) {
		free(made);
		return result;
	}
	*ctx = made;
	truth->addr = (uintptr_t)made;
	return cuda_context_push(made);
}

CUresult cuCtxCreate_v2(CUcontext *ctx, unsigned int flags, CUdevice device);
CUresult cuCtxCreate_v3(CUcontext *ctx, CUexecAffinityParam *params, int count, unsigned int flags, CUdevice device);

SIM_EXPORT CUresult cuCtxCreate_v2(CUcontext *ctx, unsigned int flags, CUdevice device)
{
	struct truth truth = truth_enter("cuCtxCreate_v2");

	(void)flags;
	return cuda_leave(&truth, create(&truth, ctx, device));
}

SIM_EXPORT CUresult cuCtxCreate_v3(CUcontext *ctx, CUexecAffinityParam *params, int count, unsigned int flags,
				   CUdevice device)
{
	struct truth truth = truth_enter("cuCtxCreate_v3");

	(void)params;
	(void)count;
	(void)flags;
	return cuda_leave(&truth, create(&truth, ctx, device));
}

SIM_EXPORT CUresult cuCtxCreate_v4(CUcontext *ctx, CUctxCreateParams *params, unsigned int flags, CUdevice device)
{
	struct truth truth = truth_enter("cuCtxCreate_v4");

	(void)params;
	(void)flags;
	return cuda_leave(&truth, create(&truth, ctx, device));
}

/* Is it one of ours? A stale or wild pointer is the program's fault, here as there, but for the two that cost nothing to see. */
static CUresult destroy(struct truth *truth, CUcontext ctx)
{
	CUresult result = cuda_begin(truth);

	if (result)
		return result;
	if (!ctx || ctx->primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	truth->gpu = ctx->gpu;
	pthread_mutex_lock(&lock);
	if (!ctx->active)
		result = CUDA_ERROR_CONTEXT_IS_DESTROYED;
	else
		end_locked(ctx, truth);
	pthread_mutex_unlock(&lock);
	if (!result && cuda_context() == ctx)
		cuda_context_pop();
	return result;
}

SIM_EXPORT CUresult cuCtxDestroy_v2(CUcontext ctx)
{
	struct truth truth = truth_enter("cuCtxDestroy_v2");

	truth.addr = (uintptr_t)ctx;
	return cuda_leave(&truth, destroy(&truth, ctx));
}

static CUresult primary_handle_of(CUcontext *ctx, CUdevice device)
{
	int gpu;
	CUresult result = cuda_gpu_of(device, &gpu);

	if (!result)
		*ctx = &primaries[gpu];
	return result;
}

static CUresult primary_handle(CUcontext *ctx)
{
	return primary_handle_of(ctx, 0);
}

/*
 * The real runtime makes a context current before it retains it, and gets its handle through a
 * private table of the driver. The order is what a tracer sees, so there is such a table here,
 * with that call, for the first device and for any, and one name.
 */
SIM_EXPORT CUresult cuGetExportTable(const void **table, const CUuuid *id)
{
	static const struct {
		CUresult (*primary)(CUcontext *ctx);
		CUresult (*primary_of)(CUcontext *ctx, CUdevice device);
	} calls = { primary_handle, primary_handle_of };

	(void)id;
	*table = &calls;
	return CUDA_SUCCESS;
}

/* A slot is swept when its lock is gone; leaving at exit only makes the card right at once. */
__attribute__((destructor)) static void at_exit(void)
{
	if (initialised && !forked)
		card_leave();
}
