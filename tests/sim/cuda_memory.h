/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CUDA_MEMORY_H
#define VRAMSIM_CUDA_MEMORY_H

/* What the files of allocating and freeing calls share. */
#include "block.h"
#include "cuda.h"
#include "truth.h"

/* What cuMemFree and its stream-ordered twin both take. */
#define MEMORY_FREED_BY_ADDRESS (BLOCK_DEVICE | BLOCK_POOL | BLOCK_VIEW)

/* Makes a block: address, kind, placement and GPU go to @truth, the address to the caller's variable. */
CUresult memory_make(struct truth *truth, struct block *block, void *ret_addr);

/* Frees the block at truth->addr, and tells what it was. */
CUresult memory_drop(struct truth *truth, unsigned int kinds);

/* Frees what a graph has made at truth->addr, or MEMORY_NOT_GRAPH. */
#define MEMORY_NOT_GRAPH ((CUresult)-1)
CUresult memory_drop_graph(struct truth *truth);

void memory_tell(struct truth *truth, const struct block *block);
CUresult memory_result(int err);

#endif
