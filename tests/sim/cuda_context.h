/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CUDA_CONTEXT_H
#define VRAMSIM_CUDA_CONTEXT_H

/* What every call of the driver needs: is it initialised, which context is current, which GPU is a device. */
#include <stdatomic.h>
#include <stdbool.h>

#include "cuda.h"
#include "truth.h"

struct CUctx_st {
	int gpu;
	bool primary;
	int retained; /* primary */
	atomic_bool active;
	uint64_t bytes;	       /* charged for it */
	struct CUctx_st *next; /* created */
};

/* CUDA_SUCCESS after cuInit; not in a child forked later, as with the real driver. */
CUresult cuda_initialised(void);

/* The failure that VRAMSIM_FAIL wants of this call, else cuda_initialised(). */
CUresult cuda_begin(const struct truth *truth);

/* The same, and the calling thread has a living context. */
CUresult cuda_begin_current(const struct truth *truth);

/* CUDA_SUCCESS when the calling thread has a living context. */
CUresult cuda_context_current(void);

/* The calling thread's context, living or not, or NULL. */
CUcontext cuda_context(void);

/* On top of the calling thread's stack, and off it. CUDA_ERROR_INVALID_VALUE: it is full. */
CUresult cuda_context_push(CUcontext ctx);
void cuda_context_pop(void);

/* The GPU of a device of this process. CUDA_ERROR_INVALID_DEVICE. */
CUresult cuda_gpu_of(CUdevice device, int *ret_gpu);
int cuda_device_count(void);

/* The device that a GPU is to this process, -1: it does not see it. */
CUdevice cuda_device_of(int gpu);

/* GPU, or CARD_HOST, of a location. CUDA_ERROR_INVALID_VALUE: it is none that memory can be made at. */
CUresult cuda_gpu_at(const CUmemLocation *location, int *ret_gpu);

/* truth_leave() with the current context. */
CUresult cuda_leave(struct truth *truth, CUresult result);

/* Of memory on @gpu: "vram", or "host" for CARD_HOST. Fills gpu, placement and kind of @truth. */
void cuda_tell_memory(struct truth *truth, const char *kind, int gpu);

#endif
