/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICE_GPU_H
#define DEVICE_GPU_H

#include <stdint.h>

#include "base/diag.h"

/*
 * The machine's GPUs and who uses them, as the driver says (NVML, opened at run time in a child that ends with the question, so that
 * the tracer never keeps the driver loaded). Numbers are bytes. The child gives up after 5 s.
 */
#define GPU_MAX 32
#define GPU_PROCESS_MAX 512

struct gpu {
	char uuid[80];
	char name[96];
	uint64_t total_bytes;
	uint64_t used_bytes;
};

struct gpu_process {
	uint32_t pid;
	uint32_t gpu;	     /* index */
	uint64_t used_bytes; /* UINT64_MAX: the driver does not say */
};

struct gpus {
	uint32_t count;
	uint32_t process_count;
	char driver_version[80];
	struct gpu gpu[GPU_MAX];
	struct gpu_process process[GPU_PROCESS_MAX];
};

/* 0; -ENOENT: no NVML library; -EIO: NVML answers with an error; -ETIMEDOUT. The text says which. */
int gpus_query(struct gpus *ret_gpus, struct diag *diag);

/* Sum over GPUs for one process; UINT64_MAX: the driver does not say. 0 or -ENOENT when it knows no such user of a GPU. */
int gpus_used_by(const struct gpus *gpus, uint32_t pid, uint64_t *ret_bytes);

#endif
