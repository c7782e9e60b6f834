// SPDX-License-Identifier: Apache-2.0
/* Which context a thread has: a stack, of which the calls that set, push and pop see the top. */
#include "card.h"
#include "cuda_context.h"
#include "fault.h"
#include "sim.h"

#define STACK_DEPTH 32
#define API_VERSION 3020

static _Thread_local CUcontext stack[STACK_DEPTH];
static _Thread_local int depth;

CUcontext cuda_context(void)
{
	return depth ? stack[depth - 1] : NULL;
}

CUresult cuda_context_current(void)
{
	CUresult result = cuda_initialised();

	if (result)
		return result;
	if (!cuda_context())
		return CUDA_ERROR_INVALID_CONTEXT;
	return cuda_context()->active ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

CUresult cuda_begin(const struct truth *truth)
{
	CUresult result = fault_code(truth->call);

	return result ? result : cuda_initialised();
}

CUresult cuda_begin_current(const struct truth *truth)
{
	CUresult result = fault_code(truth->call);

	return result ? result : cuda_context_current();
}

CUresult cuda_leave(struct truth *truth, CUresult result)
{
	truth->context = (uintptr_t)cuda_context();
	return truth_leave(truth, result);
}

void cuda_tell_memory(struct truth *truth, const char *kind, int gpu)
{
	truth->kind = kind;
	truth->placement = gpu == CARD_HOST ? "host" : "vram";
	truth->gpu = gpu == CARD_HOST ? TRUTH_NO_GPU : gpu;
}

CUresult cuda_context_push(CUcontext ctx)
{
	if (depth == STACK_DEPTH)
		return CUDA_ERROR_INVALID_VALUE;
	stack[depth++] = ctx;
	return CUDA_SUCCESS;
}

void cuda_context_pop(void)
{
	depth--;
}

static CUresult set(CUcontext ctx)
{
	if (!ctx) {
		depth -= depth > 0;
		return CUDA_SUCCESS;
	}
	if (!depth)
		return cuda_context_push(ctx);
	stack[depth - 1] = ctx;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxSetCurrent(CUcontext ctx)
{
	struct truth truth = truth_enter("cuCtxSetCurrent");
	CUresult result = cuda_begin(&truth);

	truth.addr = (uintptr_t)ctx;
	return cuda_leave(&truth, result ? result : set(ctx));
}

SIM_EXPORT CUresult cuCtxPushCurrent_v2(CUcontext ctx)
{
	struct truth truth = truth_enter("cuCtxPushCurrent_v2");
	CUresult result = cuda_begin(&truth);

	truth.addr = (uintptr_t)ctx;
	if (!result && !ctx)
		result = CUDA_ERROR_INVALID_CONTEXT;
	return cuda_leave(&truth, result ? result : cuda_context_push(ctx));
}

SIM_EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *ctx)
{
	struct truth truth = truth_enter("cuCtxPopCurrent_v2");
	CUresult result = cuda_begin(&truth);

	truth.addr = (uintptr_t)cuda_context();
	if (!result && !depth)
		result = CUDA_ERROR_INVALID_CONTEXT;
	if (!result && ctx)
		*ctx = cuda_context();
	if (!result)
		depth--;
	return cuda_leave(&truth, result);
}

SIM_EXPORT CUresult cuCtxGetCurrent(CUcontext *ctx)
{
	CUresult result = cuda_initialised();

	if (!result)
		*ctx = cuda_context();
	return result;
}

SIM_EXPORT CUresult cuCtxGetDevice(CUdevice *device)
{
	CUresult result = cuda_context_current();

	if (!result)
		*device = cuda_device_of(cuda_context()->gpu);
	return result;
}

SIM_EXPORT CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned int *version)
{
	CUresult result = cuda_initialised();

	(void)ctx;
	if (!result)
		*version = API_VERSION;
	return result;
}

SIM_EXPORT CUresult cuCtxSynchronize(void)
{
	return cuda_context_current();
}
