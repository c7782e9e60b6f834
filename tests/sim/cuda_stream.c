// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "cuda_capture.h"
#include "cuda_context.h"
#include "cuda_graph.h"
#include "cuda_stream.h"
#include "sim.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct CUstream_st *streams;
static struct capture *captures;
static uint64_t last_capture;
static int capture_count; /* read without the lock: most programs have none */
static _Thread_local struct CUstream_st of_thread;

void capture_lock(void)
{
	pthread_mutex_lock(&lock);
}

void capture_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

CUstream stream_of(CUstream handle, enum stream_default by_default)
{
	if (handle == CU_STREAM_PER_THREAD || (!handle && by_default == STREAM_THREAD_DEFAULT))
		return &of_thread;
	return handle == CU_STREAM_LEGACY ? NULL : handle;
}

int stream_gpu(CUstream stream)
{
	if (stream && stream->ctx)
		return stream->ctx->gpu;
	return cuda_context() ? cuda_context()->gpu : -1;
}

struct capture *capture_add(CUstream origin, CUgraph graph, CUstreamCaptureMode mode)
{
	struct capture *capture = calloc(1, sizeof(*capture));

	if (!capture)
		return NULL;
	*capture = (struct capture) {
		.id = ++last_capture,
		.graph = graph,
		.mode = mode,
		.origin = origin,
		.thread = gettid(),
		.next = captures,
	};
	captures = capture;
	origin->capture = capture;
	__atomic_add_fetch(&capture_count, 1, __ATOMIC_RELAXED);
	return capture;
}

struct capture *capture_find(uint64_t id)
{
	struct capture *capture = captures;

	while (capture && capture->id != id)
		capture = capture->next;
	return capture && !capture->invalid ? capture : NULL;
}

static void leave_stream(CUstream stream, const struct capture *capture, bool *ret_unjoined)
{
	if (stream->capture != capture)
		return;
	if (stream != capture->origin && stream->unjoined)
		*ret_unjoined = true;
	stream->capture = NULL;
	stream->unjoined = false;
}

bool capture_remove(struct capture *capture)
{
	struct capture **link = &captures;
	bool unjoined = false;

	leave_stream(capture->origin, capture, &unjoined);
	leave_stream(&of_thread, capture, &unjoined);
	for (CUstream stream = streams; stream; stream = stream->next)
		leave_stream(stream, capture, &unjoined);
	while (*link && *link != capture)
		link = &(*link)->next;
	if (*link)
		*link = capture->next;
	__atomic_sub_fetch(&capture_count, 1, __ATOMIC_RELAXED);
	return unjoined;
}

static bool forbids(const struct capture *capture)
{
	return capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL ||
	       (capture->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && capture->thread == gettid());
}

static CUresult begin_unsafe_locked(void)
{
	CUresult result = CUDA_SUCCESS;

	for (struct capture *capture = captures; capture; capture = capture->next) {
		if (!forbids(capture))
			continue;
		capture->invalid = true;
		result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	}
	return result;
}

CUresult stream_begin_unsafe(void)
{
	CUresult result;

	if (!__atomic_load_n(&capture_count, __ATOMIC_RELAXED))
		return CUDA_SUCCESS;
	capture_lock();
	result = begin_unsafe_locked();
	capture_unlock();
	return result;
}

CUresult stream_begin_work(CUstream stream, CUgraph *ret_graph)
{
	CUresult result = CUDA_SUCCESS;

	*ret_graph = NULL;
	if (!__atomic_load_n(&capture_count, __ATOMIC_RELAXED))
		return CUDA_SUCCESS;
	capture_lock();
	if (!stream || !stream->capture) {
		result = begin_unsafe_locked();
	} else if (stream->capture->invalid) {
		result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	} else {
		stream->unjoined = true;
		*ret_graph = stream->capture->graph;
	}
	capture_unlock();
	return result;
}

static CUresult create(struct truth *truth, CUstream *stream, unsigned int flags)
{
	CUresult result = cuda_begin_current(truth);

	if (!result && !stream)
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	*stream = calloc(1, sizeof(**stream));
	if (!*stream)
		return CUDA_ERROR_OUT_OF_MEMORY;
	(*stream)->flags = flags;
	(*stream)->ctx = cuda_context();
	capture_lock();
	(*stream)->next = streams;
	streams = *stream;
	capture_unlock();
	truth->addr = (uintptr_t)*stream;
	truth->gpu = cuda_context()->gpu;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuStreamCreate(CUstream *stream, unsigned int flags)
{
	struct truth truth = truth_enter("cuStreamCreate");

	return cuda_leave(&truth, create(&truth, stream, flags));
}

SIM_EXPORT CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned int flags, int priority)
{
	struct truth truth = truth_enter("cuStreamCreateWithPriority");

	(void)priority;
	return cuda_leave(&truth, create(&truth, stream, flags));
}

static struct CUstream_st **find_link(CUstream stream)
{
	struct CUstream_st **link = &streams;

	while (*link && *link != stream)
		link = &(*link)->next;
	return link;
}

/* A stream that ends in capture takes the capture with it, or spoils it. */
static void leave_capture(CUstream stream)
{
	struct capture *capture = stream->capture;

	if (!capture)
		return;
	capture->invalid = true;
	if (capture->origin != stream)
		return;
	capture_remove(capture);
	if (!capture->own_graph)
		graph_end(capture->graph);
	free(capture);
}

static CUresult destroy(struct truth *truth, CUstream stream)
{
	CUresult result = cuda_begin(truth);
	struct CUstream_st **link;

	if (result)
		return result;
	capture_lock();
	link = find_link(stream);
	if (*link) {
		leave_capture(stream);
		*link = stream->next;
		free(stream);
	} else {
		result = CUDA_ERROR_INVALID_HANDLE;
	}
	capture_unlock();
	return result;
}

SIM_EXPORT CUresult cuStreamDestroy_v2(CUstream stream)
{
	struct truth truth = truth_enter("cuStreamDestroy_v2");

	truth.addr = (uintptr_t)stream;
	return cuda_leave(&truth, destroy(&truth, stream));
}

/* A stream outlives its context as a handle: what is asked of it then goes to the current one. */
void stream_end_context(CUcontext ctx)
{
	capture_lock();
	for (CUstream stream = streams; stream; stream = stream->next) {
		if (stream->ctx == ctx)
			stream->ctx = NULL;
	}
	capture_unlock();
}

SIM_EXPORT CUresult cuStreamSynchronize(CUstream stream)
{
	(void)stream;
	return cuda_context_current();
}

CUresult cuStreamSynchronize_ptsz(CUstream stream);

SIM_EXPORT CUresult cuStreamSynchronize_ptsz(CUstream stream)
{
	(void)stream;
	return cuda_context_current();
}

SIM_EXPORT CUresult cuStreamQuery(CUstream stream)
{
	(void)stream;
	return cuda_context_current();
}
