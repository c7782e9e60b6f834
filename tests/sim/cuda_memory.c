// SPDX-License-Identifier: Apache-2.0
/* The driver's calls that allocate and free. What is simulated, and how to steer it: sim.h. */
#include <errno.h>
#include <stddef.h>

#include "block.h"
#include "card.h"
#include "cuda_context.h"
#include "cuda_memory.h"
#include "cuda_stream.h"
#include "fault.h"
#include "sim.h"

#define PITCH_BYTES 512

void memory_tell(struct truth *truth, const struct block *block)
{
	static const struct {
		enum block_kind kind;
		const char *name, *placement;
	} kinds[] = {
		{ BLOCK_DEVICE, "device", "vram" },	    { BLOCK_POOL, "pool", "vram" },
		{ BLOCK_MANAGED, "managed", "migratable" }, { BLOCK_PINNED, "pinned", "host" },
		{ BLOCK_REGISTERED, "registered", "host" }, { BLOCK_ARRAY, "array", "vram" },
		{ BLOCK_IMPORTED, "imported", "vram" },	    { BLOCK_VIEW, "imported", "vram" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].kind != block->kind)
			continue;
		cuda_tell_memory(truth, kinds[i].name, block->gpu);
		if (block->gpu != CARD_HOST || block->kind & BLOCK_HOST)
			truth->placement = kinds[i].placement;
	}
	truth->object = block->object;
}

CUresult memory_result(int err)
{
	switch (err) {
	case 0:
		return CUDA_SUCCESS;
	case -EEXIST:
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	case -ENOENT:
		return CUDA_ERROR_INVALID_VALUE;
	default:
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
}

CUresult memory_make(struct truth *truth, struct block *block, void *ret_addr)
{
	CUresult result = memory_result(block_make(block));

	if (result)
		return result;
	truth->addr = block->addr;
	memory_tell(truth, block);
	*(CUdeviceptr *)ret_addr = block->addr;
	fault_hide(ret_addr);
	return CUDA_SUCCESS;
}

/*
 * Fills addr and bytes of @truth. As with the real driver the caller's variable is cleared first,
 * whatever comes of it, and nothing of pinned memory is a success with a null pointer, nothing of
 * the other kinds an error.
 */
static CUresult allocate(struct truth *truth, enum block_kind kind, void *ret_addr, size_t bytes)
{
	struct block block = { .kind = kind, .bytes = bytes };
	CUdeviceptr *out = ret_addr;
	CUresult result;

	truth->bytes = bytes;
	if (out)
		*out = 0;
	result = cuda_begin_current(truth);
	if (!result)
		result = stream_begin_unsafe();
	if (result)
		return result;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	if (!bytes)
		return kind == BLOCK_PINNED ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	block.context = cuda_context();
	block.gpu = kind == BLOCK_PINNED ? CARD_HOST : cuda_context()->gpu;
	return memory_make(truth, &block, out);
}

static CUresult allocate_pitch(struct truth *truth, CUdeviceptr *dptr, size_t *pitch, size_t width, size_t height)
{
	size_t row = (width + PITCH_BYTES - 1) / PITCH_BYTES * PITCH_BYTES, bytes;
	CUresult result;

	if (!pitch || !width || !height || row < width)
		return CUDA_ERROR_INVALID_VALUE;
	*pitch = row;
	if (__builtin_mul_overflow(row, height, &bytes))
		return CUDA_ERROR_INVALID_VALUE;
	result = allocate(truth, BLOCK_DEVICE, dptr, bytes);
	if (!result)
		truth->pitch = row;
	return result;
}

SIM_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytes)
{
	struct truth truth = truth_enter("cuMemAlloc_v2");

	return cuda_leave(&truth, allocate(&truth, BLOCK_DEVICE, dptr, bytes));
}

SIM_EXPORT CUresult cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pitch, size_t width, size_t height,
				       unsigned int element)
{
	struct truth truth = truth_enter("cuMemAllocPitch_v2");
	CUresult result = CUDA_ERROR_INVALID_VALUE;

	truth.bytes = width * height;
	if (dptr)
		*dptr = 0;
	if (pitch)
		*pitch = 0;
	if (element == 4 || element == 8 || element == 16)
		result = allocate_pitch(&truth, dptr, pitch, width, height);
	return cuda_leave(&truth, result);
}

SIM_EXPORT CUresult cuMemAllocManaged(CUdeviceptr *dptr, size_t bytes, unsigned int flags)
{
	struct truth truth = truth_enter("cuMemAllocManaged");

	if (flags != CU_MEM_ATTACH_GLOBAL && flags != 2) {
		truth.bytes = bytes;
		return cuda_leave(&truth, CUDA_ERROR_INVALID_VALUE);
	}
	return cuda_leave(&truth, allocate(&truth, BLOCK_MANAGED, dptr, bytes));
}

SIM_EXPORT CUresult cuMemHostAlloc(void **host, size_t bytes, unsigned int flags)
{
	struct truth truth = truth_enter("cuMemHostAlloc");

	if (flags > 7) {
		truth.bytes = bytes;
		return cuda_leave(&truth, CUDA_ERROR_INVALID_VALUE);
	}
	return cuda_leave(&truth, allocate(&truth, BLOCK_PINNED, host, bytes));
}

SIM_EXPORT CUresult cuMemAllocHost_v2(void **host, size_t bytes)
{
	struct truth truth = truth_enter("cuMemAllocHost_v2");

	return cuda_leave(&truth, allocate(&truth, BLOCK_PINNED, host, bytes));
}

/* Other calls of the driver find registered memory with an address of its own: the program's. */
static CUresult register_host(struct truth *truth, void *host, size_t bytes, unsigned int flags)
{
	CUresult result = cuda_begin_current(truth);
	struct block block = { .kind = BLOCK_REGISTERED, .bytes = bytes, .gpu = CARD_HOST };

	if (result)
		return result;
	if (!host || !bytes || flags > 15 || (uintptr_t)host + bytes < bytes)
		return CUDA_ERROR_INVALID_VALUE;
	block.addr = (uintptr_t)host;
	block.context = cuda_context();
	result = memory_result(block_make(&block));
	if (!result)
		memory_tell(truth, &block);
	return result;
}

SIM_EXPORT CUresult cuMemHostRegister_v2(void *host, size_t bytes, unsigned int flags)
{
	struct truth truth = truth_enter("cuMemHostRegister_v2");

	truth.addr = (uintptr_t)host;
	truth.bytes = bytes;
	return cuda_leave(&truth, register_host(&truth, host, bytes, flags));
}

static CUresult unregister_host(struct truth *truth)
{
	CUresult result = cuda_begin_current(truth);
	struct block block;

	if (result)
		return result;
	if (!block_drop(truth->addr, BLOCK_REGISTERED, &block)) {
		truth->bytes = block.bytes;
		memory_tell(truth, &block);
		return CUDA_SUCCESS;
	}
	/* Within something that it knows, the value is wrong; elsewhere there is nothing registered. */
	return block_find(truth->addr, BLOCK_HOST, &block) ? CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED
							   : CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuMemHostUnregister(void *host)
{
	struct truth truth = truth_enter("cuMemHostUnregister");

	truth.addr = (uintptr_t)host;
	return cuda_leave(&truth, unregister_host(&truth));
}

CUresult memory_drop(struct truth *truth, unsigned int kinds)
{
	struct card_object object;
	struct block block;

	if (block_drop(truth->addr, kinds, &block))
		return CUDA_ERROR_INVALID_VALUE;
	truth->bytes = block.bytes;
	memory_tell(truth, &block);
	truth->held = block.object && !card_find(block.object, &object);
	fault_delay_free();
	return CUDA_SUCCESS;
}

/*
 * Fills addr and bytes of @truth. A free of NULL is a success in every one of the calls. No context need be current, and it may be
 * another's.
 */
static CUresult release(struct truth *truth, unsigned int kinds, CUdeviceptr addr)
{
	CUresult result = cuda_begin(truth);

	truth->addr = addr;
	if (!result)
		result = stream_begin_unsafe();
	if (result || !addr)
		return result;
	result = memory_drop_graph(truth);
	return result == MEMORY_NOT_GRAPH ? memory_drop(truth, kinds) : result;
}

SIM_EXPORT CUresult cuMemFree_v2(CUdeviceptr dptr)
{
	struct truth truth = truth_enter("cuMemFree_v2");

	return cuda_leave(&truth, release(&truth, MEMORY_FREED_BY_ADDRESS | BLOCK_MANAGED, dptr));
}

SIM_EXPORT CUresult cuMemFreeHost(void *host)
{
	struct truth truth = truth_enter("cuMemFreeHost");

	return cuda_leave(&truth, release(&truth, BLOCK_PINNED, (uintptr_t)host));
}
