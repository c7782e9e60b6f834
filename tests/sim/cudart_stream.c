// SPDX-License-Identifier: Apache-2.0
/* Streams, events and capture. In the log are beginnings and ends of captures alone: of streams the driver has what is to be known. */
#include "cudart_call.h"

cudaError_t cudaStreamSynchronize_ptsz(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent_ptsz(cudaStream_t stream, cudaEvent_t event, unsigned int flags);
cudaError_t cudaEventRecord_ptsz(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaStreamBeginCapture_ptsz(cudaStream_t stream, enum cudaStreamCaptureMode mode);
cudaError_t cudaStreamBeginCaptureToGraph_ptsz(cudaStream_t stream, cudaGraph_t graph,
					       const cudaGraphNode_t *dependencies, const cudaGraphEdgeData *edges,
					       size_t count, enum cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture_ptsz(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaStreamIsCapturing_ptsz(cudaStream_t stream, enum cudaStreamCaptureStatus *status);

SIM_EXPORT cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.stream_create(stream, 0));
}

SIM_EXPORT cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.stream_create(stream, flags));
}

SIM_EXPORT cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned int flags, int priority)
{
	return driver_last_error(driver_ready()
					 ?: (cudaError_t)driver.stream_create_with_priority(stream, flags, priority));
}

SIM_EXPORT cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.stream_destroy(stream));
}

SIM_EXPORT cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.stream_synchronize(stream));
}

SIM_EXPORT cudaError_t cudaStreamSynchronize_ptsz(cudaStream_t stream)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.stream_synchronize_ptsz(stream));
}

SIM_EXPORT cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.stream_wait_event(stream, event, flags));
}

SIM_EXPORT cudaError_t cudaStreamWaitEvent_ptsz(cudaStream_t stream, cudaEvent_t event, unsigned int flags)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.stream_wait_event_ptsz(stream, event, flags));
}

SIM_EXPORT cudaError_t cudaEventCreate(cudaEvent_t *event)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.event_create(event, CU_EVENT_DEFAULT));
}

SIM_EXPORT cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.event_create(event, flags));
}

SIM_EXPORT cudaError_t cudaEventDestroy(cudaEvent_t event)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.event_destroy(event));
}

SIM_EXPORT cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.event_record(event, stream));
}

SIM_EXPORT cudaError_t cudaEventRecord_ptsz(cudaEvent_t event, cudaStream_t stream)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.event_record_ptsz(event, stream));
}

SIM_EXPORT cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.event_synchronize(event));
}

/* The log has the stream as the program gave it. */
SIM_EXPORT cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
	struct truth truth = truth_enter("cudaStreamBeginCapture");
	cudaError_t error = call_begin(&truth);

	truth.addr = (uintptr_t)stream;
	return call_end(&truth, error ?: (cudaError_t)driver.capture_begin(stream, (CUstreamCaptureMode)mode));
}

SIM_EXPORT cudaError_t cudaStreamBeginCapture_ptsz(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
	struct truth truth = truth_enter("cudaStreamBeginCapture_ptsz");
	cudaError_t error = call_begin(&truth);

	truth.addr = (uintptr_t)stream;
	return call_end(&truth, error ?: (cudaError_t)driver.capture_begin_ptsz(stream, (CUstreamCaptureMode)mode));
}

SIM_EXPORT cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t stream, cudaGraph_t graph,
						     const cudaGraphNode_t *dependencies,
						     const cudaGraphEdgeData *edges, size_t count,
						     enum cudaStreamCaptureMode mode)
{
	struct truth truth = truth_enter("cudaStreamBeginCaptureToGraph");
	cudaError_t error = call_begin(&truth);

	truth.addr = (uintptr_t)stream;
	if (!error)
		error = (cudaError_t)driver.capture_begin_to(
			stream, graph, dependencies, (const CUgraphEdgeData *)edges, count, (CUstreamCaptureMode)mode);
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaStreamBeginCaptureToGraph_ptsz(cudaStream_t stream, cudaGraph_t graph,
							  const cudaGraphNode_t *dependencies,
							  const cudaGraphEdgeData *edges, size_t count,
							  enum cudaStreamCaptureMode mode)
{
	struct truth truth = truth_enter("cudaStreamBeginCaptureToGraph_ptsz");
	cudaError_t error = call_begin(&truth);

	truth.addr = (uintptr_t)stream;
	if (!error)
		error = (cudaError_t)driver.capture_begin_to_ptsz(
			stream, graph, dependencies, (const CUgraphEdgeData *)edges, count, (CUstreamCaptureMode)mode);
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
	struct truth truth = truth_enter("cudaStreamEndCapture");
	cudaError_t error = call_begin(&truth);

	truth.addr = (uintptr_t)stream;
	return call_end(&truth, error ?: (cudaError_t)driver.capture_end(stream, graph));
}

SIM_EXPORT cudaError_t cudaStreamEndCapture_ptsz(cudaStream_t stream, cudaGraph_t *graph)
{
	struct truth truth = truth_enter("cudaStreamEndCapture_ptsz");
	cudaError_t error = call_begin(&truth);

	truth.addr = (uintptr_t)stream;
	return call_end(&truth, error ?: (cudaError_t)driver.capture_end_ptsz(stream, graph));
}

SIM_EXPORT cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
	cudaError_t error = driver_ready();

	if (!error)
		error = (cudaError_t)driver.capture_status(stream, (CUstreamCaptureStatus *)status);
	return driver_last_error(error);
}

SIM_EXPORT cudaError_t cudaStreamIsCapturing_ptsz(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
	cudaError_t error = driver_ready();

	if (!error)
		error = (cudaError_t)driver.capture_status_ptsz(stream, (CUstreamCaptureStatus *)status);
	return driver_last_error(error);
}
