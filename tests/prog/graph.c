// SPDX-License-Identifier: Apache-2.0
/*
 * graph [unjoined]
 * Addresses of graphs. What is allocated while a stream is in capture is a node of a graph, no memory: on the stream itself, and on
 * one that joined by an event. The same by nodes that are added by hand. Then the graph runs, what it left is freed, and the device
 * is trimmed.
 * unjoined: on another stream, meanwhile, memory is allocated that is none of the graph's (the capture is a relaxed one).
 */
#include <stdbool.h>

#include "prog.h"

static cudaStream_t stream, other;

static void *take(size_t bytes, cudaStream_t from)
{
	void *block;

	must(cudaMallocAsync(&block, bytes, from), "cudaMallocAsync");
	return block;
}

/* A stream that waits for an event of a capture is in it until the capture's stream waits for it. */
static void allocate_joined(void)
{
	cudaEvent_t fork, join;

	must(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming), "cudaEventCreateWithFlags");
	must(cudaEventCreateWithFlags(&join, cudaEventDisableTiming), "cudaEventCreateWithFlags");
	must(cudaEventRecord(fork, stream), "cudaEventRecord");
	must(cudaStreamWaitEvent(other, fork, 0), "cudaStreamWaitEvent");
	must(cudaFreeAsync(take(16 * MIB, other), other), "cudaFreeAsync");
	must(cudaEventRecord(join, other), "cudaEventRecord");
	must(cudaStreamWaitEvent(stream, join, 0), "cudaStreamWaitEvent");
	must(cudaEventDestroy(fork), "cudaEventDestroy");
	must(cudaEventDestroy(join), "cudaEventDestroy");
}

static void run(cudaGraph_t graph)
{
	cudaGraphExec_t exec;

	must(cudaGraphInstantiate(&exec, graph, 0), "cudaGraphInstantiate");
	must(cudaGraphLaunch(exec, stream), "cudaGraphLaunch");
	must(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
	must(cudaGraphExecDestroy(exec), "cudaGraphExecDestroy");
	must(cudaGraphDestroy(graph), "cudaGraphDestroy");
}

static void capture(bool unjoined)
{
	void *kept, *apart = NULL;
	cudaGraph_t graph;

	must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "cudaStreamBeginCapture");
	must(cudaFreeAsync(take(64 * MIB, stream), stream), "cudaFreeAsync");
	kept = take(32 * MIB, stream);
	if (unjoined)
		apart = take(8 * MIB, other);
	else
		allocate_joined();
	must(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
	if (unjoined) {
		must(cudaFreeAsync(apart, other), "cudaFreeAsync");
		must(cudaStreamSynchronize(other), "cudaStreamSynchronize");
	}
	run(graph);
	must(cudaFreeAsync(kept, stream), "cudaFreeAsync of what a graph left");
	must(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
}

static const struct cudaMemPoolProps on_device = {
	.allocType = cudaMemAllocationTypePinned,
	.location = { .type = cudaMemLocationTypeDevice },
};

static void add_nodes(void)
{
	struct cudaMemAllocNodeParams params;
	struct cudaGraphNodeParams node_params;
	cudaGraphNode_t made, freed, any;
	cudaGraph_t graph;

	must(cudaGraphCreate(&graph, 0), "cudaGraphCreate");
	memset(&params, 0, sizeof(params));
	params.poolProps = on_device;
	params.bytesize = 4 * MIB;
	must(cudaGraphAddMemAllocNode(&made, graph, NULL, 0, &params), "cudaGraphAddMemAllocNode");
	must(cudaGraphAddMemFreeNode(&freed, graph, &made, 1, params.dptr), "cudaGraphAddMemFreeNode");
	memset(&node_params, 0, sizeof(node_params));
	node_params.type = cudaGraphNodeTypeMemAlloc;
	node_params.alloc.poolProps = on_device;
	node_params.alloc.bytesize = 2 * MIB;
	must(cudaGraphAddNode(&any, graph, &freed, NULL, 1, &node_params), "cudaGraphAddNode");
	run(graph);
	must(cudaFree(node_params.alloc.dptr), "cudaFree of what a graph left");
}

int main(int argc, char **argv)
{
	unsigned long long used;

	must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
	must(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
	capture(argc > 1 && !strcmp(argv[1], "unjoined"));
	add_nodes();
	must(cudaDeviceGraphMemTrim(0), "cudaDeviceGraphMemTrim");
	must(cudaDeviceGetGraphMemAttribute(0, cudaGraphMemAttrUsedMemCurrent, &used),
	     "cudaDeviceGetGraphMemAttribute");
	if (used)
		fprintf(stderr, "graph: %llu bytes of graphs are in use at the end\n", used);
	must(cudaStreamDestroy(other), "cudaStreamDestroy");
	must(cudaStreamDestroy(stream), "cudaStreamDestroy");
	return used != 0;
}
