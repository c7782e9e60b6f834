/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CUDA_POOL_H
#define VRAMSIM_CUDA_POOL_H

#include <stdbool.h>

#include "cuda.h"

struct pool;

struct CUmemPoolHandle_st {
	struct pool *pool; /* NULL: imported; it has no memory of its own */
	CUmemPoolProps props;
	int gpu; /* or CARD_HOST */
	bool by_default;
	uint64_t object; /* on the card: exported, or imported */
};

/* The pool that a device allocates from where none is named. NULL: no memory. */
CUmemoryPool pool_current(int gpu);

#endif
