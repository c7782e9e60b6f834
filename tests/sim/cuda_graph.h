/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CUDA_GRAPH_H
#define VRAMSIM_CUDA_GRAPH_H

/*
 * Graphs of memory nodes. An allocation in a graph is an address; memory is had at a launch, in chunks of 32 MiB, is kept while
 * the instance lives, and goes back to the GPU when that is trimmed. Thread-safe.
 */
#include <stdint.h>

#include "cuda.h"

/* NULL: no memory. */
CUgraph graph_new(void);
void graph_end(CUgraph graph);

/* Nodes, as a stream in capture makes them. -ENOMEM; free: -EINVAL: not an address of a graph, or freed in it already. */
int graph_add_alloc(CUgraph graph, int gpu, uint64_t bytes, uint64_t *ret_addr);
int graph_add_free(CUgraph graph, uint64_t addr);

/* What an address means outside of graphs. */
struct graph_block {
	uint64_t addr;
	uint64_t bytes;
	int gpu;
};

/* The allocation in which @addr lies. -ENOENT. */
int graph_find(uint64_t addr, struct graph_block *ret_block);

/*
 * Frees what a launch has made. -ENOENT: not an address of a graph. -EINVAL: it is no memory, for its graph was not launched or
 * frees it by itself.
 */
int graph_free(uint64_t addr, struct graph_block *ret_block);

#endif
