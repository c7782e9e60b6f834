/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CUDA_CONTEXT_H
#define VRAMSIM_CUDA_CONTEXT_H

#include "cuda.h"

/* CUDA_SUCCESS after cuInit; not in a child forked later, as with the real driver. */
CUresult cuda_initialised(void);

/* CUDA_SUCCESS when the calling thread has a living context. */
CUresult cuda_context_current(void);

#endif
