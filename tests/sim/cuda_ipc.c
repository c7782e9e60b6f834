// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "cuda_context.h"
#include "cuda_ipc.h"
#include "sim.h"

#define PAGE (2ULL << 20)
#define FILL_WORDS 5

struct handle {
	uint64_t magic;
	uint64_t id;
	uint64_t key;
	uint64_t fill[FILL_WORDS]; /* of the key, so that no two handles look alike */
};

#define HANDLE_MAGIC 0x7672616d69706331ULL

_Static_assert(sizeof(struct handle) == CU_IPC_HANDLE_SIZE, "fills the handle");

static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ value >> 27) * 0x94d049bb133111ebULL;
	return value ^ value >> 31;
}

/* The object that the block is, made at its first export. 0: the card has no room for one. */
static uint64_t object_of(const struct block *block)
{
	struct card_object object = {
		.kind = CARD_BLOCK,
		.gpu = block->gpu,
		.addr = block->addr,
		.bytes = block->bytes,
		.takes = (block->bytes + PAGE - 1) / PAGE * PAGE,
	};
	uint64_t id;

	if (block->object)
		return block->object;
	if (card_share(&object))
		return 0;
	id = block_set_object(block->addr, object.id);
	if (id != object.id) /* another thread came first, or freed it */
		card_drop(object.id);
	return id;
}

CUresult ipc_export(struct truth *truth, unsigned int kinds, void *ret_handle)
{
	struct handle handle = { .magic = HANDLE_MAGIC };
	struct card_object object;
	struct block block;

	if (block_find(truth->addr, kinds, &block) || block.gpu == CARD_HOST)
		return CUDA_ERROR_INVALID_VALUE;
	handle.id = object_of(&block);
	if (!handle.id || card_find(handle.id, &object))
		return CUDA_ERROR_OUT_OF_MEMORY;
	handle.key = object.key;
	for (int i = 0; i < FILL_WORDS; i++)
		handle.fill[i] = mix(handle.key + i);
	memcpy(ret_handle, &handle, sizeof(handle));
	truth->bytes = block.bytes;
	truth->object = handle.id;
	truth->handle = block.addr;
	cuda_tell_memory(truth, block.kind == BLOCK_POOL ? "pool" : "device", block.gpu);
	return CUDA_SUCCESS;
}

int ipc_find(const void *bytes, struct card_object *ret_object)
{
	struct handle handle;

	memcpy(&handle, bytes, sizeof(handle));
	if (handle.magic != HANDLE_MAGIC || card_find(handle.id, ret_object))
		return -ENOENT;
	return handle.key == ret_object->key ? 0 : -ENOENT;
}

/* In the log `handle` is the beginning of the block. */
SIM_EXPORT CUresult cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr dptr)
{
	struct truth truth = truth_enter("cuIpcGetMemHandle");
	CUresult result = cuda_begin_current(&truth);

	truth.addr = dptr;
	if (!result && !handle)
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = ipc_export(&truth, BLOCK_DEVICE, handle->reserved);
	return cuda_leave(&truth, result);
}

/* Not in the process whose memory it is: that cannot open its own handle. */
static bool is_own(const struct card_object *object)
{
	struct block block;

	return !block_find_base(object->addr, &block) && block.kind != BLOCK_IMPORTED && block.object == object->id;
}

static CUresult import(const struct card_object *object, struct block *ret_block)
{
	*ret_block = (struct block) {
		.kind = BLOCK_IMPORTED,
		.bytes = object->bytes,
		.gpu = object->gpu,
		.context = cuda_context(),
		.object = object->id,
		.opens = 1,
	};
	return block_make(ret_block) ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

static CUresult open_handle(struct truth *truth, CUdeviceptr *dptr, const CUipcMemHandle *handle, unsigned int flags)
{
	CUresult result = cuda_begin_current(truth);
	struct card_object object;
	struct block block;

	if (result)
		return result;
	if (!dptr || flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS || ipc_find(handle->reserved, &object))
		return CUDA_ERROR_INVALID_VALUE;
	if (is_own(&object))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (block_open_again(object.id, &block)) {
		if (card_hold(object.id, &object))
			return CUDA_ERROR_INVALID_VALUE;
		result = import(&object, &block);
	}
	if (result)
		return result;
	*dptr = truth->addr = block.addr;
	truth->bytes = block.bytes;
	truth->object = object.id;
	truth->held = block.opens;
	cuda_tell_memory(truth, "imported", block.gpu);
	return CUDA_SUCCESS;
}

#undef cuIpcOpenMemHandle
CUresult cuIpcOpenMemHandle(CUdeviceptr *dptr, CUipcMemHandle handle, unsigned int flags);

SIM_EXPORT CUresult cuIpcOpenMemHandle(CUdeviceptr *dptr, CUipcMemHandle handle, unsigned int flags)
{
	struct truth truth = truth_enter("cuIpcOpenMemHandle");

	return cuda_leave(&truth, open_handle(&truth, dptr, &handle, flags));
}

SIM_EXPORT CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *dptr, CUipcMemHandle handle, unsigned int flags)
{
	struct truth truth = truth_enter("cuIpcOpenMemHandle_v2");

	return cuda_leave(&truth, open_handle(&truth, dptr, &handle, flags));
}

static CUresult close_handle(struct truth *truth)
{
	CUresult result = cuda_begin_current(truth);
	struct block block;

	if (result)
		return result;
	if (block_close(truth->addr, &block))
		return CUDA_ERROR_INVALID_VALUE;
	truth->bytes = block.bytes;
	truth->object = block.object;
	truth->held = block.opens;
	cuda_tell_memory(truth, "imported", block.gpu);
	return CUDA_SUCCESS;
}

/* In the log `held` is how often it is still open. */
SIM_EXPORT CUresult cuIpcCloseMemHandle(CUdeviceptr dptr)
{
	struct truth truth = truth_enter("cuIpcCloseMemHandle");

	truth.addr = dptr;
	return cuda_leave(&truth, close_handle(&truth));
}
