// SPDX-License-Identifier: Apache-2.0
/* Capture begins and ends; events, by which a stream joins it. */
#include <stdlib.h>
#include <unistd.h>

#include "cuda_capture.h"
#include "cuda_context.h"
#include "cuda_graph.h"
#include "cuda_stream.h"
#include "sim.h"

struct CUevent_st {
	CUstream stream;  /* that it was recorded on while that was in capture */
	uint64_t capture; /* its number, or 0 */
};

static CUresult begin_locked(CUstream stream, CUgraph graph, CUstreamCaptureMode mode)
{
	struct capture *capture;
	CUgraph into = graph ? graph : graph_new();

	if (!into)
		return CUDA_ERROR_OUT_OF_MEMORY;
	capture = capture_add(stream, into, mode);
	if (!capture) {
		if (!graph)
			graph_end(into);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	capture->own_graph = graph != NULL;
	return CUDA_SUCCESS;
}

/* graph: NULL for a new one. */
static CUresult begin(struct truth *truth, CUstream stream, CUgraph graph, CUstreamCaptureMode mode)
{
	CUresult result = cuda_begin_current(truth);

	truth->addr = (uintptr_t)stream;
	if (result)
		return result;
	if (!stream)
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	if ((unsigned int)mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	capture_lock();
	if (stream->capture)
		result = CUDA_ERROR_INVALID_VALUE;
	else
		result = begin_locked(stream, graph, mode);
	if (!result)
		truth->graph = (uintptr_t)stream->capture->graph;
	capture_unlock();
	return result;
}

CUresult cuStreamBeginCapture_v2_ptsz(CUstream stream, CUstreamCaptureMode mode);
CUresult cuStreamBeginCaptureToGraph_ptsz(CUstream stream, CUgraph graph, const CUgraphNode *dependencies,
					  const CUgraphEdgeData *edges, size_t count, CUstreamCaptureMode mode);
CUresult cuStreamEndCapture_ptsz(CUstream stream, CUgraph *graph);
CUresult cuStreamIsCapturing_ptsz(CUstream stream, CUstreamCaptureStatus *status);
CUresult cuStreamWaitEvent_ptsz(CUstream stream, CUevent event, unsigned int flags);
CUresult cuEventRecord_ptsz(CUevent event, CUstream stream);

SIM_EXPORT CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode)
{
	struct truth truth = truth_enter("cuStreamBeginCapture_v2");
	CUstream stream = stream_of(handle, STREAM_LEGACY_DEFAULT);

	return cuda_leave(&truth, begin(&truth, stream, NULL, mode));
}

/* The log has what the program gave: of a thread's default stream that is no address. */
SIM_EXPORT CUresult cuStreamBeginCapture_v2_ptsz(CUstream handle, CUstreamCaptureMode mode)
{
	struct truth truth = truth_enter("cuStreamBeginCapture_v2_ptsz");
	CUresult result = begin(&truth, stream_of(handle, STREAM_THREAD_DEFAULT), NULL, mode);

	truth.addr = (uintptr_t)handle;
	return cuda_leave(&truth, result);
}

SIM_EXPORT CUresult cuStreamBeginCaptureToGraph(CUstream handle, CUgraph graph, const CUgraphNode *dependencies,
						const CUgraphEdgeData *edges, size_t count, CUstreamCaptureMode mode)
{
	struct truth truth = truth_enter("cuStreamBeginCaptureToGraph");
	CUstream stream = stream_of(handle, STREAM_LEGACY_DEFAULT);
	CUresult result = CUDA_ERROR_INVALID_VALUE;

	(void)dependencies;
	(void)edges;
	(void)count;
	if (graph)
		result = begin(&truth, stream, graph, mode);
	return cuda_leave(&truth, result);
}

SIM_EXPORT CUresult cuStreamBeginCaptureToGraph_ptsz(CUstream handle, CUgraph graph, const CUgraphNode *dependencies,
						     const CUgraphEdgeData *edges, size_t count,
						     CUstreamCaptureMode mode)
{
	struct truth truth = truth_enter("cuStreamBeginCaptureToGraph_ptsz");
	CUresult result = CUDA_ERROR_INVALID_VALUE;

	(void)dependencies;
	(void)edges;
	(void)count;
	if (graph)
		result = begin(&truth, stream_of(handle, STREAM_THREAD_DEFAULT), graph, mode);
	truth.addr = (uintptr_t)handle;
	return cuda_leave(&truth, result);
}

/* Whatever comes of it, but for a call from the wrong place, the capture is over. */
static CUresult finish(struct capture *capture, CUgraph *ret_graph)
{
	bool unjoined = capture_remove(capture);
	CUresult result = CUDA_SUCCESS;

	if (capture->invalid)
		result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	else if (unjoined)
		result = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
	*ret_graph = result ? NULL : capture->graph;
	if (result && !capture->own_graph)
		graph_end(capture->graph);
	free(capture);
	return result;
}

static CUresult end(struct truth *truth, CUstream stream, CUgraph *ret_graph)
{
	CUresult result = cuda_begin_current(truth);
	struct capture *capture;

	truth->addr = (uintptr_t)stream;
	if (result)
		return result;
	if (!ret_graph)
		return CUDA_ERROR_INVALID_VALUE;
	capture_lock();
	capture = stream ? stream->capture : NULL;
	if (!capture)
		result = CUDA_ERROR_INVALID_VALUE;
	else if (capture->origin != stream)
		result = CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
	else if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread != gettid())
		result = CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
	else
		result = finish(capture, ret_graph);
	capture_unlock();
	if (!result)
		truth->graph = (uintptr_t)*ret_graph;
	return result;
}

SIM_EXPORT CUresult cuStreamEndCapture(CUstream handle, CUgraph *graph)
{
	struct truth truth = truth_enter("cuStreamEndCapture");

	return cuda_leave(&truth, end(&truth, stream_of(handle, STREAM_LEGACY_DEFAULT), graph));
}

SIM_EXPORT CUresult cuStreamEndCapture_ptsz(CUstream handle, CUgraph *graph)
{
	struct truth truth = truth_enter("cuStreamEndCapture_ptsz");
	CUresult result = end(&truth, stream_of(handle, STREAM_THREAD_DEFAULT), graph);

	truth.addr = (uintptr_t)handle;
	return cuda_leave(&truth, result);
}

static CUresult is_capturing(CUstream stream, CUstreamCaptureStatus *status)
{
	CUresult result = cuda_context_current();

	if (result)
		return result;
	capture_lock();
	if (!stream || !stream->capture)
		*status = CU_STREAM_CAPTURE_STATUS_NONE;
	else if (stream->capture->invalid)
		*status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
	else
		*status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
	capture_unlock();
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus *status)
{
	return is_capturing(stream_of(handle, STREAM_LEGACY_DEFAULT), status);
}

SIM_EXPORT CUresult cuStreamIsCapturing_ptsz(CUstream handle, CUstreamCaptureStatus *status)
{
	return is_capturing(stream_of(handle, STREAM_THREAD_DEFAULT), status);
}

SIM_EXPORT CUresult cuEventCreate(CUevent *event, unsigned int flags)
{
	CUresult result = cuda_context_current();

	(void)flags;
	if (result)
		return result;
	*event = calloc(1, sizeof(**event));
	return *event ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

SIM_EXPORT CUresult cuEventDestroy_v2(CUevent event)
{
	CUresult result = cuda_initialised();

	if (!result)
		free(event);
	return result;
}

static CUresult record(CUevent event, CUstream stream)
{
	CUresult result = cuda_context_current();

	if (result)
		return result;
	capture_lock();
	event->capture = stream && stream->capture ? stream->capture->id : 0;
	event->stream = stream;
	capture_unlock();
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuEventRecord(CUevent event, CUstream handle)
{
	return record(event, stream_of(handle, STREAM_LEGACY_DEFAULT));
}

SIM_EXPORT CUresult cuEventRecord_ptsz(CUevent event, CUstream handle)
{
	return record(event, stream_of(handle, STREAM_THREAD_DEFAULT));
}

static CUresult join(CUstream stream, const struct CUevent_st *event, struct capture *capture)
{
	if (!stream) {
		capture->invalid = true;
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	}
	if (stream->capture && stream->capture != capture) {
		stream->capture->invalid = capture->invalid = true;
		return CUDA_ERROR_STREAM_CAPTURE_MERGE;
	}
	event->stream->unjoined = false;
	if (!stream->capture) {
		stream->capture = capture;
		stream->unjoined = true;
	}
	return CUDA_SUCCESS;
}

/* The stream that waits joins the event's capture; where both are in it, the one waited for has been joined again. */
static CUresult wait_event(CUstream stream, CUevent event)
{
	CUresult result = cuda_context_current();
	struct capture *capture;

	if (result)
		return result;
	capture_lock();
	capture = event->capture ? capture_find(event->capture) : NULL;
	if (capture)
		result = join(stream, event, capture);
	capture_unlock();
	return result;
}

SIM_EXPORT CUresult cuStreamWaitEvent(CUstream handle, CUevent event, unsigned int flags)
{
	(void)flags;
	return wait_event(stream_of(handle, STREAM_LEGACY_DEFAULT), event);
}

SIM_EXPORT CUresult cuStreamWaitEvent_ptsz(CUstream handle, CUevent event, unsigned int flags)
{
	(void)flags;
	return wait_event(stream_of(handle, STREAM_THREAD_DEFAULT), event);
}

SIM_EXPORT CUresult cuEventSynchronize(CUevent event)
{
	(void)event;
	return cuda_context_current();
}
