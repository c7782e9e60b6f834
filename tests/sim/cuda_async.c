// SPDX-License-Identifier: Apache-2.0
/* The driver's calls that allocate and free in the order of a stream. */
#include <errno.h>

#include "block.h"
#include "card.h"
#include "cuda_context.h"
#include "cuda_graph.h"
#include "cuda_memory.h"
#include "cuda_pool.h"
#include "cuda_stream.h"
#include "fault.h"
#include "sim.h"

/* In capture an allocation is a node of the graph: an address, and no memory. */
static CUresult add_to_graph(struct truth *truth, CUgraph graph, int gpu, CUdeviceptr *dptr)
{
	uint64_t addr;
	int err = graph_add_alloc(graph, gpu, truth->bytes, &addr);

	if (err)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*dptr = truth->addr = addr;
	truth->graph = (uintptr_t)graph;
	cuda_tell_memory(truth, "graph", gpu);
	fault_hide(dptr);
	return CUDA_SUCCESS;
}

/* @pool NULL: the one that the device has. Nothing is a success with a null pointer. */
static CUresult allocate(struct truth *truth, CUdeviceptr *dptr, CUmemoryPool pool, CUstream stream)
{
	CUresult result = cuda_begin_current(truth);
	struct block block = { .kind = BLOCK_POOL, .bytes = truth->bytes };
	CUgraph graph;

	if (dptr)
		*dptr = 0;
	if (!result && !dptr)
		result = CUDA_ERROR_INVALID_VALUE;
	if (result || !truth->bytes)
		return result;
	if (!pool)
		pool = pool_current(stream_gpu(stream));
	if (!pool)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!pool->pool)
		return CUDA_ERROR_INVALID_VALUE;
	result = stream_begin_work(stream, &graph);
	if (result)
		return result;
	if (graph)
		return add_to_graph(truth, graph, pool->gpu, dptr);
	truth->pool = (uintptr_t)pool;
	block.pool = pool->pool;
	block.gpu = pool->gpu;
	return memory_make(truth, &block, dptr);
}

static CUresult allocate_from(struct truth *truth, CUdeviceptr *dptr, CUmemoryPool pool, CUstream stream)
{
	if (pool)
		return allocate(truth, dptr, pool, stream);
	if (dptr)
		*dptr = 0;
	return CUDA_ERROR_INVALID_VALUE;
}

static struct truth enter(const char *call, size_t bytes, CUstream stream)
{
	struct truth truth = truth_enter(call);

	truth.bytes = bytes;
	truth.stream = (uintptr_t)stream;
	return truth;
}

CUresult cuMemAllocAsync_ptsz(CUdeviceptr *dptr, size_t bytes, CUstream stream);
CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool, CUstream stream);
CUresult cuMemFreeAsync_ptsz(CUdeviceptr dptr, CUstream stream);

SIM_EXPORT CUresult cuMemAllocAsync(CUdeviceptr *dptr, size_t bytes, CUstream stream)
{
	struct truth truth = enter("cuMemAllocAsync", bytes, stream);

	return cuda_leave(&truth, allocate(&truth, dptr, NULL, stream_of(stream, STREAM_LEGACY_DEFAULT)));
}

SIM_EXPORT CUresult cuMemAllocAsync_ptsz(CUdeviceptr *dptr, size_t bytes, CUstream stream)
{
	struct truth truth = enter("cuMemAllocAsync_ptsz", bytes, stream);

	return cuda_leave(&truth, allocate(&truth, dptr, NULL, stream_of(stream, STREAM_THREAD_DEFAULT)));
}

SIM_EXPORT CUresult cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool, CUstream stream)
{
	struct truth truth = enter("cuMemAllocFromPoolAsync", bytes, stream);

	return cuda_leave(&truth, allocate_from(&truth, dptr, pool, stream_of(stream, STREAM_LEGACY_DEFAULT)));
}

SIM_EXPORT CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool, CUstream stream)
{
	struct truth truth = enter("cuMemAllocFromPoolAsync_ptsz", bytes, stream);

	return cuda_leave(&truth, allocate_from(&truth, dptr, pool, stream_of(stream, STREAM_THREAD_DEFAULT)));
}

CUresult memory_drop_graph(struct truth *truth)
{
	struct graph_block block;
	int err = graph_free(truth->addr, &block);

	if (err == -ENOENT)
		return MEMORY_NOT_GRAPH;
	if (err)
		return CUDA_ERROR_INVALID_VALUE;
	truth->bytes = block.bytes;
	cuda_tell_memory(truth, "graph", block.gpu);
	return CUDA_SUCCESS;
}

/* In capture a free is a node too, and can only be of an address of a graph. */
static CUresult free_in_graph(struct truth *truth, CUgraph graph)
{
	truth->graph = (uintptr_t)graph;
	truth->kind = "graph";
	return graph_add_free(graph, truth->addr) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/* Managed memory cannot be freed in stream order, and says so with a code of its own. */
static CUresult release(struct truth *truth, CUdeviceptr addr, CUstream stream)
{
	CUresult result = cuda_begin_current(truth);
	struct block block;
	CUgraph graph;

	truth->addr = addr;
	if (result || !addr)
		return result;
	if (!block_find_base(addr, &block) && block.kind == BLOCK_MANAGED)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = stream_begin_work(stream, &graph);
	if (result)
		return result;
	if (graph)
		return free_in_graph(truth, graph);
	result = memory_drop_graph(truth);
	return result == MEMORY_NOT_GRAPH ? memory_drop(truth, MEMORY_FREED_BY_ADDRESS) : result;
}

SIM_EXPORT CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream stream)
{
	struct truth truth = enter("cuMemFreeAsync", 0, stream);

	return cuda_leave(&truth, release(&truth, dptr, stream_of(stream, STREAM_LEGACY_DEFAULT)));
}

SIM_EXPORT CUresult cuMemFreeAsync_ptsz(CUdeviceptr dptr, CUstream stream)
{
	struct truth truth = enter("cuMemFreeAsync_ptsz", 0, stream);

	return cuda_leave(&truth, release(&truth, dptr, stream_of(stream, STREAM_THREAD_DEFAULT)));
}
