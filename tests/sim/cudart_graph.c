// SPDX-License-Identifier: Apache-2.0
/* Graphs: memory nodes, and what it takes to run them. */
#include "cudart_call.h"

_Static_assert(sizeof(struct cudaMemAllocNodeParams) == sizeof(CUDA_MEM_ALLOC_NODE_PARAMS), "handed to the driver");
_Static_assert(sizeof(struct cudaGraphNodeParams) == sizeof(CUgraphNodeParams), "handed to the driver");

SIM_EXPORT cudaError_t cudaGraphCreate(cudaGraph_t *graph, unsigned int flags)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.graph_create(graph, flags));
}

SIM_EXPORT cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.graph_destroy(graph));
}

SIM_EXPORT cudaError_t cudaGraphAddMemAllocNode(cudaGraphNode_t *node, cudaGraph_t graph,
						const cudaGraphNode_t *dependencies, size_t count,
						struct cudaMemAllocNodeParams *params)
{
	struct truth truth = truth_enter("cudaGraphAddMemAllocNode");
	cudaError_t error = call_begin(&truth);
	CUDA_MEM_ALLOC_NODE_PARAMS *same = (CUDA_MEM_ALLOC_NODE_PARAMS *)params;

	if (!error && !params)
		error = cudaErrorInvalidValue;
	if (!error) {
		truth.bytes = params->bytesize;
		error = call_answer(&truth, &params->dptr,
				    driver.graph_add_alloc(node, graph, dependencies, count, same));
	}
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaGraphAddMemFreeNode(cudaGraphNode_t *node, cudaGraph_t graph,
					       const cudaGraphNode_t *dependencies, size_t count, void *ptr)
{
	struct truth truth = truth_enter("cudaGraphAddMemFreeNode");
	cudaError_t error = call_begin(&truth);

	truth.addr = (uintptr_t)ptr;
	if (!error)
		error = (cudaError_t)driver.graph_add_free(node, graph, dependencies, count, truth.addr);
	return call_end(&truth, error);
}

SIM_EXPORT cudaError_t cudaGraphAddNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,
					const cudaGraphEdgeData *edges, size_t count,
					struct cudaGraphNodeParams *params)
{
	cudaError_t error = driver_ready();

	if (!error)
		error = (cudaError_t)driver.graph_add_node(node, graph, dependencies, (const CUgraphEdgeData *)edges,
							   count, (CUgraphNodeParams *)params);
	return driver_last_error(error);
}

SIM_EXPORT cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.graph_instantiate(exec, graph, flags));
}

SIM_EXPORT cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.graph_launch(exec, stream));
}

cudaError_t cudaGraphLaunch_ptsz(cudaGraphExec_t exec, cudaStream_t stream);

SIM_EXPORT cudaError_t cudaGraphLaunch_ptsz(cudaGraphExec_t exec, cudaStream_t stream)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.graph_launch_ptsz(exec, stream));
}

SIM_EXPORT cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
	return driver_last_error(driver_ready() ?: (cudaError_t)driver.graph_exec_destroy(exec));
}

SIM_EXPORT cudaError_t cudaDeviceGraphMemTrim(int device)
{
	struct truth truth = truth_enter("cudaDeviceGraphMemTrim");
	cudaError_t error = call_begin(&truth);

	truth.addr = (unsigned int)device;
	return call_end(&truth, error ?: (cudaError_t)driver.graph_trim(device));
}

SIM_EXPORT cudaError_t cudaDeviceGetGraphMemAttribute(int device, enum cudaGraphMemAttributeType attribute, void *value)
{
	cudaError_t error = driver_ready();

	if (!error)
		error = (cudaError_t)driver.graph_get_attribute(device, (CUgraphMem_attribute)attribute, value);
	return driver_last_error(error);
}
