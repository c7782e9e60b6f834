/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CUDART_DRIVER_H
#define VRAMSIM_CUDART_DRIVER_H

/*
 * The driver as the runtime sees it: opened at the first call, every call resolved through
 * cuGetProcAddress_v2.
 */
#include "cuda.h"
#include "cuda_runtime_api.h"

struct driver {
#define CALL(member, symbol, version, flags) typeof(symbol) *member;
#include "cudart_calls.def"
#undef CALL
};

extern struct driver driver;

/* cudaErrorInsufficientDriver when there is none. After it, `driver` may be called. */
cudaError_t driver_open(void);

/*
 * driver_open, and a context on this thread: the one that the program has made current, else the primary one of the thread's device.
 * A primary one is retained once for all threads, and again after a reset.
 */
cudaError_t driver_ready(void);

/* Another device for this thread: its primary context is made current at once, also when it is (measured). */
cudaError_t driver_set_device(int device);
int driver_device(void);

/* The primary context of another device than the thread's. */
cudaError_t driver_ready_peer(int device, CUcontext *ret_ctx);

/* Resets the thread's device; the next driver_ready of any thread makes a new context. */
cudaError_t driver_reset(void);

/* Keeps @error for cudaGetLastError, if it is one. Returns it. */
cudaError_t driver_last_error(cudaError_t error);

#endif
