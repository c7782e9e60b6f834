/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CUDA_RUNTIME_H
#define VRAMSIM_CUDA_RUNTIME_H
#include "cuda_runtime_api.h"
#endif
