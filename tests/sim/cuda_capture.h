/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CUDA_CAPTURE_H
#define VRAMSIM_CUDA_CAPTURE_H

/* What cuda_stream.c and cuda_capture.c share. */
#include <stdbool.h>
#include <stdint.h>

#include "cuda.h"

struct capture {
	uint64_t id;
	CUgraph graph;
	CUstreamCaptureMode mode;
	CUstream origin;
	int thread;
	bool own_graph; /* the program's, not the capture's */
	bool invalid;
	struct capture *next;
};

struct CUstream_st {
	CUcontext ctx; /* NULL: that has ended, or it is a thread's default stream */
	unsigned int flags;
	struct capture *capture; /* that it begins, or has joined */
	bool unjoined;		 /* joined, has work that the origin has not waited for */
	struct CUstream_st *next;
};

/* One lock for streams, events and captures; held for the rest. */
void capture_lock(void);
void capture_unlock(void);

/* NULL: no memory. */
struct capture *capture_add(CUstream origin, CUgraph graph, CUstreamCaptureMode mode);

/* The one that is open and valid by that number, or NULL. */
struct capture *capture_find(uint64_t id);

/* The streams leave it; it is the caller's to free. True: one that had joined was not waited for. */
bool capture_remove(struct capture *capture);

#endif
