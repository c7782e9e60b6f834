/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_GRAPH_H
#define VRAMSIM_GRAPH_H

/* What graph.c keeps and cuda_graph.c asks for besides cuda_graph.h. Errors are negative errno. */
#include <stdbool.h>

#include "cuda_graph.h"

struct graph_memory {
	uint64_t used, used_high; /* mapped by instances, or left by them */
	uint64_t reserved, reserved_high;
};

/* The node made last. */
CUgraphNode graph_last_node(CUgraph graph);
int graph_add_other(CUgraph graph);

/* auto_free: a launch frees what the one before has left. NULL: no memory. */
CUgraphExec exec_new(CUgraph graph, bool auto_free);
void exec_end(CUgraphExec exec);

/* -ENOMEM: the GPU is full. -EINVAL: what an earlier launch has made was not freed. */
int exec_launch(CUgraphExec exec);

void graph_memory_get(int gpu, struct graph_memory *ret_memory);
void graph_memory_reset_high(int gpu, bool reserved, bool used);
void graph_memory_trim(int gpu);

#endif
