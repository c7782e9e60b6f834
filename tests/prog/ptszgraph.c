// SPDX-License-Identifier: Apache-2.0
/* ptszgraph [unjoined]: as graph, by the twins of the calls for a default stream per thread. */
#define CUDA_API_PER_THREAD_DEFAULT_STREAM
#include "graph.c"
