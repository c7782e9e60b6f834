/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_GPU_LIST_H
#define CLI_GPU_LIST_H

#include <stddef.h>

#include "base/buf.h"
#include "device/gpu.h"
#include "ledger/notice.h"

/* The machine's GPUs as the head of a recording has them: "GPU-...,GPU-...", in nvidia-smi's order. */

void gpu_list_add(struct buf *out, const struct gpus *gpus);

/* From any file: at most GPU_MAX; a UUID that is none becomes "". text NULL: none. 0 or -ENOMEM; *ret_gpus is the caller's to free. */
int gpu_list_parse(const char *text, struct ledger_gpu **ret_gpus, size_t *ret_count);

#endif
