/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CUDA_VISIBLE_H
#define VRAMSIM_CUDA_VISIBLE_H

#include "card.h"

/*
 * Which GPUs the process sees, by ordinal, as CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER say: read when cuInit is called. Returns
 * how many.
 */
int visible_read(int ret_gpus[CARD_GPUS]);

#endif
