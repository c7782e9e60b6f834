/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CUDA_ARRAY_H
#define VRAMSIM_CUDA_ARRAY_H

#include <stdint.h>

#include "cuda.h"

/* The handle of the array whose memory begins at @addr. */
uint64_t array_handle_of(uint64_t addr);

/* The arrays of a context have gone with it. */
void array_end_context(CUcontext ctx);

#endif
