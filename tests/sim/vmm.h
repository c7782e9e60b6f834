/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_VMM_H
#define VRAMSIM_VMM_H

/*
 * Physical memory by handle, and address ranges that it is mapped into. A handle counts references; memory lives as long as it has
 * one, or a mapping, or, on the card, a descriptor or a handle in another process. The value of a handle stays what it was while it
 * is mapped, so a retain can bring one back whose references are gone (measured). Thread-safe. Errors are negative errno; -EINVAL
 * where nothing more is said.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cuda.h"
#include "truth.h"

#define VMM_GRAIN (2ULL << 20)

struct vmm_block {
	uint64_t addr; /* of the mapping, or 0 */
	uint64_t bytes;
	uint64_t handle;
	int gpu; /* or CARD_HOST */
	uint64_t object;
};

int vmm_reserve(uint64_t bytes, uint64_t align, uint64_t wish, uint64_t *ret_addr);
int vmm_unreserve(uint64_t addr, uint64_t bytes); /* exactly one that was reserved, with nothing mapped in it */

/* -ENOMEM: the GPU is full. */
int vmm_create(int gpu, const CUmemAllocationProp *prop, uint64_t bytes, uint64_t *ret_handle);
int vmm_retain(uint64_t addr, struct vmm_block *ret_block);

/* @truth is told of the handles that went, and whether somebody holds their memory on. */
int vmm_release(uint64_t handle, struct truth *truth);
int vmm_unmap(uint64_t addr, uint64_t bytes, struct truth *truth); /* whole mappings, any number of them */

int vmm_map(uint64_t addr, uint64_t bytes, uint64_t handle);

/* -ENOENT. */
int vmm_find_handle(uint64_t handle, struct vmm_block *ret_block, CUmemAllocationProp *ret_prop);
int vmm_find(uint64_t addr, struct vmm_block *ret_block);
bool vmm_is_mapped(uint64_t addr, uint64_t bytes); /* without a gap */

/* A new descriptor. -EPERM: it was not made to be exported. */
int vmm_export(uint64_t handle, int *ret_fd, uint64_t *ret_object);
/* Another handle of what the descriptor stands for. */
int vmm_import(int fd, struct vmm_block *ret_block);

#endif
