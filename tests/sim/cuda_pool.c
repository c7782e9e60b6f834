// SPDX-License-Identifier: Apache-2.0
/* The driver's calls for pools, but those that share them: default, current and created ones, their attributes. */
#include <pthread.h>
#include <stdlib.h>

#include "card.h"
#include "cuda_context.h"
#include "cuda_pool.h"
#include "pool.h"
#include "sim.h"

#define DEFAULTS (CARD_GPUS + 2) /* of each GPU, of the host, and of managed memory */
#define HOST_DEFAULT CARD_GPUS
#define MANAGED_DEFAULT (CARD_GPUS + 1)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static CUmemoryPool defaults[DEFAULTS], currents[DEFAULTS];

static CUmemoryPool make(const CUmemPoolProps *props, int gpu)
{
	CUmemoryPool pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->pool = pool_new(gpu);
	if (!pool->pool) {
		free(pool);
		return NULL;
	}
	pool->props = *props;
	pool->gpu = gpu;
	return pool;
}

/* Made when first asked for. */
static CUmemoryPool default_locked(int which)
{
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				 .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE } };
	int gpu = which < CARD_GPUS ? which : CARD_HOST;

	if (defaults[which])
		return defaults[which];
	if (which == HOST_DEFAULT)
		props.location.type = CU_MEM_LOCATION_TYPE_HOST;
	if (which == MANAGED_DEFAULT)
		props.allocType = CU_MEM_ALLOCATION_TYPE_MANAGED;
	defaults[which] = make(&props, gpu);
	if (defaults[which])
		defaults[which]->by_default = true;
	return defaults[which];
}

static CUmemoryPool default_of(int which)
{
	CUmemoryPool pool;

	pthread_mutex_lock(&lock);
	pool = default_locked(which);
	pthread_mutex_unlock(&lock);
	return pool;
}

static CUmemoryPool current_of(int which)
{
	CUmemoryPool pool;

	pthread_mutex_lock(&lock);
	pool = currents[which] ? currents[which] : default_locked(which);
	pthread_mutex_unlock(&lock);
	return pool;
}

CUmemoryPool pool_current(int gpu)
{
	return current_of(gpu);
}

static CUresult which_at(const CUmemLocation *location, CUmemAllocationType type, int *ret_which)
{
	CUresult result;
	int gpu;

	if (!location)
		return CUDA_ERROR_INVALID_VALUE;
	result = cuda_gpu_at(location, &gpu);
	if (result)
		return result;
	*ret_which = gpu == CARD_HOST ? HOST_DEFAULT : gpu;
	if (type == CU_MEM_ALLOCATION_TYPE_MANAGED)
		*ret_which = MANAGED_DEFAULT;
	return CUDA_SUCCESS;
}

static CUresult give(struct truth *truth, CUmemoryPool *ret_pool, CUmemoryPool pool)
{
	if (!pool)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*ret_pool = pool;
	truth->addr = (uintptr_t)pool;
	cuda_tell_memory(truth, "pool", pool->gpu);
	return CUDA_SUCCESS;
}

static CUresult begin_device(struct truth *truth, const CUmemoryPool *pool, CUdevice device, int *ret_gpu)
{
	CUresult result = cuda_begin(truth);

	if (!result && !pool)
		result = CUDA_ERROR_INVALID_VALUE;
	return result ? result : cuda_gpu_of(device, ret_gpu);
}

SIM_EXPORT CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device)
{
	struct truth truth = truth_enter("cuDeviceGetDefaultMemPool");
	int gpu;
	CUresult result = begin_device(&truth, pool, device, &gpu);

	return cuda_leave(&truth, result ? result : give(&truth, pool, default_of(gpu)));
}

SIM_EXPORT CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice device)
{
	struct truth truth = truth_enter("cuDeviceGetMemPool");
	int gpu;
	CUresult result = begin_device(&truth, pool, device, &gpu);

	return cuda_leave(&truth, result ? result : give(&truth, pool, current_of(gpu)));
}

static void set_current(int which, CUmemoryPool pool)
{
	pthread_mutex_lock(&lock);
	currents[which] = pool;
	pthread_mutex_unlock(&lock);
}

SIM_EXPORT CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool pool)
{
	int gpu;
	CUresult result = cuda_gpu_of(device, &gpu);

	if (result)
		return result;
	if (!pool || pool->gpu != gpu)
		return CUDA_ERROR_INVALID_VALUE;
	set_current(gpu, pool);
	return CUDA_SUCCESS;
}

static CUresult begin_location(struct truth *truth, const CUmemoryPool *pool, const CUmemLocation *location,
			       CUmemAllocationType type, int *ret_which)
{
	CUresult result = cuda_begin(truth);

	if (!result && !pool)
		result = CUDA_ERROR_INVALID_VALUE;
	return result ? result : which_at(location, type, ret_which);
}

SIM_EXPORT CUresult cuMemGetDefaultMemPool(CUmemoryPool *pool, CUmemLocation *location, CUmemAllocationType type)
{
	struct truth truth = truth_enter("cuMemGetDefaultMemPool");
	int which;
	CUresult result = begin_location(&truth, pool, location, type, &which);

	return cuda_leave(&truth, result ? result : give(&truth, pool, default_of(which)));
}

SIM_EXPORT CUresult cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *location, CUmemAllocationType type)
{
	struct truth truth = truth_enter("cuMemGetMemPool");
	int which;
	CUresult result = begin_location(&truth, pool, location, type, &which);

	return cuda_leave(&truth, result ? result : give(&truth, pool, current_of(which)));
}

SIM_EXPORT CUresult cuMemSetMemPool(CUmemLocation *location, CUmemAllocationType type, CUmemoryPool pool)
{
	int which;
	CUresult result = cuda_initialised();

	if (!result)
		result = pool ? which_at(location, type, &which) : CUDA_ERROR_INVALID_VALUE;
	if (!result)
		set_current(which, pool);
	return result;
}

/* Managed memory moves: a pool of it is no GPU's. */
static CUresult create(struct truth *truth, CUmemoryPool *pool, const CUmemPoolProps *props)
{
	CUresult result = cuda_begin(truth);
	int gpu = CARD_HOST;

	if (result)
		return result;
	if (!pool || !props)
		return CUDA_ERROR_INVALID_VALUE;
	if (props->allocType == CU_MEM_ALLOCATION_TYPE_PINNED)
		result = cuda_gpu_at(&props->location, &gpu);
	else if (props->allocType != CU_MEM_ALLOCATION_TYPE_MANAGED)
		result = CUDA_ERROR_INVALID_VALUE;
	return result ? result : give(truth, pool, make(props, gpu));
}

SIM_EXPORT CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *props)
{
	struct truth truth = truth_enter("cuMemPoolCreate");

	return cuda_leave(&truth, create(&truth, pool, props));
}

static void forget_current(CUmemoryPool pool)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < DEFAULTS; i++) {
		if (currents[i] == pool)
			currents[i] = NULL;
	}
	pthread_mutex_unlock(&lock);
}

static CUresult destroy(struct truth *truth, CUmemoryPool pool)
{
	CUresult result = cuda_begin(truth);

	if (result)
		return result;
	if (!pool || pool->by_default)
		return CUDA_ERROR_INVALID_VALUE;
	cuda_tell_memory(truth, "pool", pool->gpu);
	forget_current(pool);
	if (pool->object)
		card_drop(pool->object);
	if (pool->pool)
		pool_end(pool->pool);
	free(pool);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
	struct truth truth = truth_enter("cuMemPoolDestroy");

	truth.addr = (uintptr_t)pool;
	return cuda_leave(&truth, destroy(&truth, pool));
}

SIM_EXPORT CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t keep)
{
	struct truth truth = truth_enter("cuMemPoolTrimTo");
	CUresult result = cuda_begin(&truth);

	truth.addr = (uintptr_t)pool;
	truth.bytes = keep;
	if (!result && (!pool || !pool->pool))
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		pool_trim(pool->pool, keep);
	return cuda_leave(&truth, result);
}

static CUresult answer(const struct pool_state *state, CUmemPool_attribute attribute, void *value)
{
	switch (attribute) {
	case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
		*(int *)value = 1;
		return CUDA_SUCCESS;
	case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
		*(cuuint64_t *)value = state->threshold;
		return CUDA_SUCCESS;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
		*(cuuint64_t *)value = state->reserved;
		return CUDA_SUCCESS;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
		*(cuuint64_t *)value = state->reserved_high;
		return CUDA_SUCCESS;
	case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
		*(cuuint64_t *)value = state->used;
		return CUDA_SUCCESS;
	case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
		*(cuuint64_t *)value = state->used_high;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult get_attribute(struct truth *truth, CUmemoryPool pool, CUmemPool_attribute attribute, void *value)
{
	CUresult result = cuda_begin(truth);
	struct pool_state state;

	if (result)
		return result;
	if (!pool || !pool->pool || !value)
		return CUDA_ERROR_INVALID_VALUE;
	pool_get(pool->pool, &state);
	result = answer(&state, attribute, value);
	if (!result)
		truth->bytes = attribute < CU_MEMPOOL_ATTR_RELEASE_THRESHOLD ? 1 : *(cuuint64_t *)value;
	return result;
}

/* In the log `handle` is the attribute, `size` what it was said to be. */
SIM_EXPORT CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute, void *value)
{
	struct truth truth = truth_enter("cuMemPoolGetAttribute");

	truth.addr = (uintptr_t)pool;
	truth.handle = attribute;
	return cuda_leave(&truth, get_attribute(&truth, pool, attribute, value));
}

SIM_EXPORT CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute, void *value)
{
	CUresult result = cuda_initialised();
	bool used = attribute == CU_MEMPOOL_ATTR_USED_MEM_HIGH;
	bool reserved = attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH;

	if (result)
		return result;
	if (!pool || !pool->pool || !value)
		return CUDA_ERROR_INVALID_VALUE;
	if (attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
		pool_set_threshold(pool->pool, *(cuuint64_t *)value);
	else if ((used || reserved) && !*(cuuint64_t *)value)
		pool_reset_high(pool->pool, reserved, used);
	else if (attribute > CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc *map, size_t count)
{
	CUresult result = cuda_initialised();

	if (result)
		return result;
	return pool && map && count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool pool, CUmemLocation *location)
{
	CUresult result = cuda_initialised();

	if (result)
		return result;
	if (!flags || !pool || !location)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	return CUDA_SUCCESS;
}
