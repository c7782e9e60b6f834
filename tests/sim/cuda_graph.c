// SPDX-License-Identifier: Apache-2.0
/* The driver's calls for graphs. Of nodes only those of memory mean anything here. */
#include <errno.h>
#include <stdlib.h>

#include "card.h"
#include "cuda_context.h"
#include "cuda_stream.h"
#include "graph.h"
#include "sim.h"

static CUresult result_of(int err)
{
	if (err == -ENOMEM)
		return CUDA_ERROR_OUT_OF_MEMORY;
	return err ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphCreate(CUgraph *graph, unsigned int flags)
{
	CUresult result = cuda_initialised();

	if (result)
		return result;
	if (!graph || flags)
		return CUDA_ERROR_INVALID_VALUE;
	*graph = graph_new();
	return *graph ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

SIM_EXPORT CUresult cuGraphDestroy(CUgraph graph)
{
	CUresult result = cuda_initialised();

	if (result)
		return result;
	if (!graph)
		return CUDA_ERROR_INVALID_VALUE;
	graph_end(graph);
	return CUDA_SUCCESS;
}

static CUresult add_alloc(struct truth *truth, CUgraphNode *node, CUgraph graph, CUDA_MEM_ALLOC_NODE_PARAMS *params)
{
	uint64_t addr;
	int gpu;
	CUresult result;

	truth->bytes = params->bytesize;
	if (!params->bytesize || params->poolProps.location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_INVALID_VALUE;
	result = cuda_gpu_at(&params->poolProps.location, &gpu);
	if (!result)
		result = result_of(graph_add_alloc(graph, gpu, params->bytesize, &addr));
	if (result)
		return result;
	*node = graph_last_node(graph);
	params->dptr = truth->addr = addr;
	cuda_tell_memory(truth, "graph", gpu);
	return CUDA_SUCCESS;
}

static CUresult add_free(struct truth *truth, CUgraphNode *node, CUgraph graph, CUdeviceptr dptr)
{
	CUresult result = result_of(graph_add_free(graph, dptr));

	truth->addr = dptr;
	truth->kind = "graph";
	if (!result)
		*node = graph_last_node(graph);
	return result;
}

static CUresult begin(struct truth *truth, const void *node, CUgraph graph, const void *params)
{
	CUresult result = cuda_begin(truth);

	truth->graph = (uintptr_t)graph;
	if (!result && (!node || !graph || !params))
		result = CUDA_ERROR_INVALID_VALUE;
	return result;
}

SIM_EXPORT CUresult cuGraphAddMemAllocNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
					   size_t count, CUDA_MEM_ALLOC_NODE_PARAMS *params)
{
	struct truth truth = truth_enter("cuGraphAddMemAllocNode");
	CUresult result = begin(&truth, node, graph, params);

	(void)dependencies;
	(void)count;
	return cuda_leave(&truth, result ? result : add_alloc(&truth, node, graph, params));
}

SIM_EXPORT CUresult cuGraphAddMemFreeNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
					  size_t count, CUdeviceptr dptr)
{
	struct truth truth = truth_enter("cuGraphAddMemFreeNode");
	CUresult result = begin(&truth, node, graph, &dptr);

	(void)dependencies;
	(void)count;
	truth.addr = dptr;
	return cuda_leave(&truth, result ? result : add_free(&truth, node, graph, dptr));
}

static CUresult add_node(struct truth *truth, CUgraphNode *node, CUgraph graph, CUgraphNodeParams *params)
{
	CUresult result = begin(truth, node, graph, params);

	if (result)
		return result;
	if (params->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
		return add_alloc(truth, node, graph, &params->alloc);
	if (params->type == CU_GRAPH_NODE_TYPE_MEM_FREE)
		return add_free(truth, node, graph, params->free.dptr);
	result = result_of(graph_add_other(graph));
	if (!result)
		*node = graph_last_node(graph);
	return result;
}

#undef cuGraphAddNode
CUresult cuGraphAddNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
			CUgraphNodeParams *params);

SIM_EXPORT CUresult cuGraphAddNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
				   CUgraphNodeParams *params)
{
	struct truth truth = truth_enter("cuGraphAddNode");

	(void)dependencies;
	(void)count;
	return cuda_leave(&truth, add_node(&truth, node, graph, params));
}

SIM_EXPORT CUresult cuGraphAddNode_v2(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
				      const CUgraphEdgeData *edges, size_t count, CUgraphNodeParams *params)
{
	struct truth truth = truth_enter("cuGraphAddNode_v2");

	(void)dependencies;
	(void)edges;
	(void)count;
	return cuda_leave(&truth, add_node(&truth, node, graph, params));
}

static CUresult instantiate(struct truth *truth, CUgraphExec *exec, CUgraph graph, cuuint64_t flags)
{
	CUresult result = begin(truth, exec, graph, exec);

	if (result)
		return result;
	*exec = exec_new(graph, flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
	return *exec ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* What programs of CUDA 11 call. */
CUresult cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph graph, CUgraphNode *error, char *log, size_t log_bytes);

SIM_EXPORT CUresult cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph graph, CUgraphNode *error, char *log,
					  size_t log_bytes)
{
	struct truth truth = truth_enter("cuGraphInstantiate_v2");

	(void)error;
	(void)log;
	(void)log_bytes;
	return cuda_leave(&truth, instantiate(&truth, exec, graph, 0));
}

SIM_EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
	struct truth truth = truth_enter("cuGraphInstantiateWithFlags");

	return cuda_leave(&truth, instantiate(&truth, exec, graph, flags));
}

static CUresult instantiate_params(struct truth *truth, CUgraphExec *exec, CUgraph graph,
				   CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
	CUresult result = params ? instantiate(truth, exec, graph, params->flags) : CUDA_ERROR_INVALID_VALUE;

	if (params)
		params->result_out = result ? CUDA_GRAPH_INSTANTIATE_ERROR : CUDA_GRAPH_INSTANTIATE_SUCCESS;
	return result;
}

CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec *exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *params);
CUresult cuGraphLaunch_ptsz(CUgraphExec exec, CUstream stream);

SIM_EXPORT CUresult cuGraphInstantiateWithParams(CUgraphExec *exec, CUgraph graph,
						 CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
	struct truth truth = truth_enter("cuGraphInstantiateWithParams");

	return cuda_leave(&truth, instantiate_params(&truth, exec, graph, params));
}

SIM_EXPORT CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec *exec, CUgraph graph,
						      CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
	struct truth truth = truth_enter("cuGraphInstantiateWithParams_ptsz");

	return cuda_leave(&truth, instantiate_params(&truth, exec, graph, params));
}

static CUresult launch(CUgraphExec exec)
{
	CUresult result = cuda_context_current();

	if (result)
		return result;
	return exec ? result_of(exec_launch(exec)) : CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
	(void)stream;
	return launch(exec);
}

SIM_EXPORT CUresult cuGraphLaunch_ptsz(CUgraphExec exec, CUstream stream)
{
	(void)stream;
	return launch(exec);
}

SIM_EXPORT CUresult cuGraphExecDestroy(CUgraphExec exec)
{
	CUresult result = cuda_initialised();

	if (result)
		return result;
	if (!exec)
		return CUDA_ERROR_INVALID_VALUE;
	exec_end(exec);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGraphMemTrim(CUdevice device)
{
	struct truth truth = truth_enter("cuDeviceGraphMemTrim");
	CUresult result = cuda_begin(&truth);

	truth.addr = device;
	if (!result)
		result = cuda_gpu_of(device, &truth.gpu);
	if (!result)
		graph_memory_trim(truth.gpu);
	return cuda_leave(&truth, result);
}

static CUresult answer(const struct graph_memory *memory, CUgraphMem_attribute attribute, uint64_t *value)
{
	switch (attribute) {
	case CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT:
		*value = memory->used;
		return CUDA_SUCCESS;
	case CU_GRAPH_MEM_ATTR_USED_MEM_HIGH:
		*value = memory->used_high;
		return CUDA_SUCCESS;
	case CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT:
		*value = memory->reserved;
		return CUDA_SUCCESS;
	case CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH:
		*value = memory->reserved_high;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

SIM_EXPORT CUresult cuDeviceGetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attribute, void *value)
{
	struct truth truth = truth_enter("cuDeviceGetGraphMemAttribute");
	CUresult result = cuda_begin(&truth);
	struct graph_memory memory;

	truth.addr = device;
	truth.handle = attribute;
	if (!result)
		result = cuda_gpu_of(device, &truth.gpu);
	if (!result && !value)
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result) {
		graph_memory_get(truth.gpu, &memory);
		result = answer(&memory, attribute, value);
	}
	if (!result)
		truth.bytes = *(uint64_t *)value;
	return cuda_leave(&truth, result);
}

/* The high marks can be set, and only to where they begin anew. */
SIM_EXPORT CUresult cuDeviceSetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attribute, void *value)
{
	bool used = attribute == CU_GRAPH_MEM_ATTR_USED_MEM_HIGH;
	bool reserved = attribute == CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH;
	int gpu;
	CUresult result = cuda_gpu_of(device, &gpu);

	if (result)
		return result;
	if (!value || (!used && !reserved) || *(uint64_t *)value)
		return CUDA_ERROR_INVALID_VALUE;
	graph_memory_reset_high(gpu, reserved, used);
	return CUDA_SUCCESS;
}
