// SPDX-License-Identifier: Apache-2.0
/*
 * External memory, by descriptor. The driver owns the descriptor from the import on; it is kept open until the memory is let go of,
 * so that a tracer that looks at the call's return still finds it.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "block.h"
#include "card.h"
#include "cuda_context.h"
#include "sim.h"

/* The open descriptor is what holds the object. */
struct CUextMemory_st {
	int fd;
	uint64_t bytes;
	int gpu;
	uint64_t object;
	struct CUextMemory_st *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct CUextMemory_st *memories;

static struct CUextMemory_st **find_link(CUexternalMemory memory)
{
	struct CUextMemory_st **link = &memories;

	while (*link && *link != memory)
		link = &(*link)->next;
	return link;
}

static CUresult import(struct truth *truth, CUexternalMemory *ret_memory,
		       const CUDA_EXTERNAL_MEMORY_HANDLE_DESC *descriptor)
{
	CUresult result = cuda_begin_current(truth);
	struct card_object object;
	CUexternalMemory memory;

	if (result)
		return result;
	if (!ret_memory || !descriptor || descriptor->type != CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD ||
	    !descriptor->size)
		return CUDA_ERROR_INVALID_VALUE;
	truth->bytes = descriptor->size;
	truth->fd = descriptor->handle.fd;
	if (card_of_descriptor(descriptor->handle.fd, &object) || object.kind != CARD_PHYSICAL)
		return CUDA_ERROR_INVALID_VALUE;
	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memory->fd = descriptor->handle.fd;
	memory->bytes = descriptor->size;
	memory->gpu = object.gpu;
	memory->object = object.id;
	pthread_mutex_lock(&lock);
	memory->next = memories;
	memories = memory;
	pthread_mutex_unlock(&lock);
	*ret_memory = memory;
	truth->addr = (uintptr_t)memory;
	truth->object = object.id;
	cuda_tell_memory(truth, "imported", object.gpu);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuImportExternalMemory(CUexternalMemory *memory, const CUDA_EXTERNAL_MEMORY_HANDLE_DESC *descriptor)
{
	struct truth truth = truth_enter("cuImportExternalMemory");

	return cuda_leave(&truth, import(&truth, memory, descriptor));
}

static int find(CUexternalMemory handle, struct CUextMemory_st *ret_memory)
{
	CUexternalMemory memory;

	pthread_mutex_lock(&lock);
	memory = *find_link(handle);
	if (memory)
		*ret_memory = *memory;
	pthread_mutex_unlock(&lock);
	return memory ? 0 : -1;
}

static CUresult map_buffer(struct truth *truth, CUdeviceptr *dptr, CUexternalMemory handle,
			   const CUDA_EXTERNAL_MEMORY_BUFFER_DESC *descriptor)
{
	CUresult result = cuda_begin_current(truth);
	struct block block = { .kind = BLOCK_VIEW, .context = cuda_context() };
	struct CUextMemory_st memory;

	if (result)
		return result;
	if (!dptr || !descriptor || find(handle, &memory) || !descriptor->size || descriptor->offset > memory.bytes ||
	    descriptor->size > memory.bytes - descriptor->offset)
		return CUDA_ERROR_INVALID_VALUE;
	block.bytes = descriptor->size;
	block.gpu = memory.gpu;
	if (block_make(&block))
		return CUDA_ERROR_OUT_OF_MEMORY;
	*dptr = truth->addr = block.addr;
	truth->bytes = block.bytes;
	cuda_tell_memory(truth, "imported", block.gpu);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuExternalMemoryGetMappedBuffer(CUdeviceptr *dptr, CUexternalMemory memory,
						    const CUDA_EXTERNAL_MEMORY_BUFFER_DESC *descriptor)
{
	struct truth truth = truth_enter("cuExternalMemoryGetMappedBuffer");

	return cuda_leave(&truth, map_buffer(&truth, dptr, memory, descriptor));
}

static CUresult destroy(struct truth *truth, CUexternalMemory handle)
{
	CUresult result = cuda_begin(truth);
	struct CUextMemory_st **link;
	CUexternalMemory memory;

	if (result)
		return result;
	pthread_mutex_lock(&lock);
	link = find_link(handle);
	memory = *link;
	if (memory)
		*link = memory->next;
	pthread_mutex_unlock(&lock);
	if (!memory)
		return CUDA_ERROR_INVALID_VALUE;
	truth->bytes = memory->bytes;
	truth->object = memory->object;
	cuda_tell_memory(truth, "imported", memory->gpu);
	close(memory->fd);
	free(memory);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDestroyExternalMemory(CUexternalMemory memory)
{
	struct truth truth = truth_enter("cuDestroyExternalMemory");

	truth.addr = (uintptr_t)memory;
	return cuda_leave(&truth, destroy(&truth, memory));
}
