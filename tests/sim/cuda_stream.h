/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CUDA_STREAM_H
#define VRAMSIM_CUDA_STREAM_H

/*
 * Streams, and their capture. Nothing is queued: what a stream is asked to do is done at once, or, in capture, becomes a node of a
 * graph.
 */
#include <stdbool.h>

#include "cuda.h"

/* The default stream of each thread, where a call's _ptsz twin is given none. */
enum stream_default {
	STREAM_LEGACY_DEFAULT,
	STREAM_THREAD_DEFAULT
};

/* The stream that a handle means; NULL: the legacy default stream. */
CUstream stream_of(CUstream handle, enum stream_default by_default);

/* The GPU of a stream's context, of the current one for the default streams; -1: neither. */
int stream_gpu(CUstream stream);

/*
 * Something is to be done in order on a stream: the graph that it is captured into, or NULL. CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
 * where it may not be done while another stream is in capture (which is then invalid), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED.
 */
CUresult stream_begin_work(CUstream stream, CUgraph *ret_graph);

/* A call that may not be made while a stream is in capture, unless that is relaxed: the same. */
CUresult stream_begin_unsafe(void);

void stream_end_context(CUcontext ctx);

#endif
