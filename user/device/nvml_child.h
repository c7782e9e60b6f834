/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICE_NVML_CHILD_H
#define DEVICE_NVML_CHILD_H

#include "device/gpu.h"

/* What the child says through the pipe, once. The library it ran is foreign code: the parent checks every field. */
struct nvml_reply {
	int32_t status; /* 0, -ENOENT, -EIO */
	char text[256]; /* for the diag, when status is not 0 */
	struct gpus gpus;
};

/* Opens NVML in this process and asks it everything. For a process that ends right after: the library is not closed. */
void nvml_child_ask(struct nvml_reply *ret_reply);

#endif
