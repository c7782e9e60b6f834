/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the account that is the program's own: each driver call about memory as CUPTI's callbacks show it, with its result. */
#define _GNU_SOURCE
#include "account.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

struct text {
	char bytes[ACCOUNT_LINE_BYTES / 2];
	size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text->bytes + text->length, sizeof(text->bytes) - text->length, format, arguments);
	va_end(arguments);
	if (length > 0 && text->length + (size_t)length < sizeof(text->bytes))
		text->length += (size_t)length;
}

/* Results are read through pointers only where the call succeeded: is_done. */
typedef void tell_fn(struct text *text, const void *params, int is_done);

/* cuMemAllocManaged, cuMemHostAlloc and cuMemAllocHost have the same two in front. */
static void tell_block(struct text *text, const void *params, int is_done)
{
	const cuMemAlloc_v2_params *call = params;

	add(text, " size=%zu", call->bytesize);
	if (is_done)
		add(text, " addr=0x%llx", *call->dptr);
}

static void tell_pitched(struct text *text, const void *params, int is_done)
{
	const cuMemAllocPitch_v2_params *call = params;

	add(text, " size=%zu", (is_done ? *call->pPitch : call->WidthInBytes) * call->Height);
	if (is_done)
		add(text, " addr=0x%llx", *call->dptr);
}

/* Asked of the driver itself: an address that is given out in a capture is a graph's. */
static void add_capturing(struct text *text, CUstream stream, int is_per_thread)
{
	static CUresult (*ask)(CUstream, CUstreamCaptureStatus *);
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	void *driver;

	if (!ask) {
		driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
		ask = driver ? (CUresult(*)(CUstream, CUstreamCaptureStatus *))dlsym(driver, "cuStreamIsCapturing")
			     : NULL;
	}
	if (!stream && is_per_thread)
		stream = CU_STREAM_PER_THREAD;
	if (ask && ask(stream, &status) == CUDA_SUCCESS && status != CU_STREAM_CAPTURE_STATUS_NONE)
		add(text, " capturing=1");
}

static void add_pool_block(struct text *text, const void *params, int is_done, int is_per_thread)
{
	const cuMemAllocAsync_ptsz_params *call = params;

	tell_block(text, params, is_done && call->bytesize);
	if (is_done)
		add_capturing(text, call->hStream, is_per_thread);
}

static void tell_async(struct text *text, const void *params, int is_done)
{
	add_pool_block(text, params, is_done, 0);
}

static void tell_async_ptsz(struct text *text, const void *params, int is_done)
{
	add_pool_block(text, params, is_done, 1);
}

static void add_from_pool(struct text *text, const void *params, int is_done, int is_per_thread)
{
	const cuMemAllocFromPoolAsync_ptsz_params *call = params;

	tell_block(text, params, is_done && call->bytesize);
	if (is_done)
		add_capturing(text, call->hStream, is_per_thread);
}

static void tell_from_pool(struct text *text, const void *params, int is_done)
{
	add_from_pool(text, params, is_done, 0);
}

static void tell_from_pool_ptsz(struct text *text, const void *params, int is_done)
{
	add_from_pool(text, params, is_done, 1);
}

/* All that take an address or a handle alone. */
static void tell_addr(struct text *text, const void *params, int is_done)
{
	const cuMemFree_v2_params *call = params;

	(void)is_done;
	add(text, " addr=0x%llx", call->dptr);
}

static void add_free_async(struct text *text, const void *params, int is_done, int is_per_thread)
{
	const cuMemFreeAsync_ptsz_params *call = params;

	add(text, " addr=0x%llx", call->dptr);
	if (is_done)
		add_capturing(text, call->hStream, is_per_thread);
}

static void tell_free_async(struct text *text, const void *params, int is_done)
{
	add_free_async(text, params, is_done, 0);
}

static void tell_free_async_ptsz(struct text *text, const void *params, int is_done)
{
	add_free_async(text, params, is_done, 1);
}

static void tell_register(struct text *text, const void *params, int is_done)
{
	const cuMemHostRegister_v2_params *call = params;

	(void)is_done;
	add(text, " size=%zu addr=%p", call->bytesize, call->p);
}

static void tell_array(struct text *text, const void *params, int is_done)
{
	const cuArrayCreate_v2_params *call = params;
	const CUDA_ARRAY_DESCRIPTOR *array = call->pAllocateArray;

	add(text, " width=%zu height=%zu depth=0 format=%d channels=%u flags=0 levels=1", array->Width, array->Height,
	    (int)array->Format, array->NumChannels);
	if (is_done)
		add(text, " addr=%p", (void *)*call->pHandle);
}

static void add_array(struct text *text, const CUDA_ARRAY3D_DESCRIPTOR *array, unsigned int levels)
{
	add(text, " width=%zu height=%zu depth=%zu format=%d channels=%u flags=%u levels=%u", array->Width,
	    array->Height, array->Depth, (int)array->Format, array->NumChannels, array->Flags, levels);
}

static void tell_array3d(struct text *text, const void *params, int is_done)
{
	const cuArray3DCreate_v2_params *call = params;

	add_array(text, call->pAllocateArray, 1);
	if (is_done)
		add(text, " addr=%p", (void *)*call->pHandle);
}

static void tell_mipmap(struct text *text, const void *params, int is_done)
{
	const cuMipmappedArrayCreate_params *call = params;

	add_array(text, call->pMipmappedArrayDesc, call->numMipmapLevels);
	if (is_done)
		add(text, " addr=%p", (void *)*call->pHandle);
}

static void tell_create(struct text *text, const void *params, int is_done)
{
	const cuMemCreate_params *call = params;

	add(text, " size=%zu location=%d at=%d", call->size, (int)call->prop->location.type, call->prop->location.id);
	if (is_done)
		add(text, " addr=0x%llx", *call->handle);
}

static void tell_map(struct text *text, const void *params, int is_done)
{
	const cuMemMap_params *call = params;

	(void)is_done;
	add(text, " addr=0x%llx size=%zu offset=%zu handle=0x%llx", call->ptr, call->size, call->offset, call->handle);
}

static void tell_unmap(struct text *text, const void *params, int is_done)
{
	const cuMemUnmap_params *call = params;

	(void)is_done;
	add(text, " addr=0x%llx size=%zu", call->ptr, call->size);
}

static void tell_retain(struct text *text, const void *params, int is_done)
{
	const cuMemRetainAllocationHandle_params *call = params;

	add(text, " of=%p", call->addr);
	if (is_done)
		add(text, " addr=0x%llx", *call->handle);
}

static void tell_export(struct text *text, const void *params, int is_done)
{
	const cuMemExportToShareableHandle_params *call = params;

	(void)is_done;
	add(text, " addr=0x%llx type=%d", call->handle, (int)call->handleType);
}

static void tell_import(struct text *text, const void *params, int is_done)
{
	const cuMemImportFromShareableHandle_params *call = params;

	if (is_done)
		add(text, " addr=0x%llx", *call->handle);
}

/* The token of an IPC call or of a pool's pointer is a secret: it is in no line. */
static void tell_ipc_get(struct text *text, const void *params, int is_done)
{
	const cuIpcGetMemHandle_params *call = params;

	(void)is_done;
	add(text, " addr=0x%llx", call->dptr);
}

static void tell_pool_pointer(struct text *text, const void *params, int is_done)
{
	const cuMemPoolExportPointer_params *call = params;

	(void)is_done;
	add(text, " addr=0x%llx", call->ptr);
}

/* Also cuMemPoolImportPointer. */
static void tell_opened(struct text *text, const void *params, int is_done)
{
	const cuIpcOpenMemHandle_v2_params *call = params;

	if (is_done)
		add(text, " addr=0x%llx", *call->pdptr);
}

static void tell_external(struct text *text, const void *params, int is_done)
{
	const cuImportExternalMemory_params *call = params;

	if (is_done)
		add(text, " addr=%p", (void *)*call->extMem_out);
}

static void tell_external_buffer(struct text *text, const void *params, int is_done)
{
	const cuExternalMemoryGetMappedBuffer_params *call = params;

	add(text, " size=%llu", call->bufferDesc->size);
	if (is_done)
		add(text, " addr=0x%llx", *call->devPtr);
}

static void tell_pool_destroy(struct text *text, const void *params, int is_done)
{
	const cuMemPoolDestroy_params *call = params;

	(void)is_done;
	add(text, " addr=%p", (void *)call->pool);
}

static void tell_node_alloc(struct text *text, const void *params, int is_done)
{
	const cuGraphAddMemAllocNode_params *call = params;

	add(text, " size=%zu", call->nodeParams->bytesize);
	if (is_done)
		add(text, " addr=0x%llx", call->nodeParams->dptr);
}

static void add_node(struct text *text, const CUgraphNodeParams *node, int is_done)
{
	if (node->type != CU_GRAPH_NODE_TYPE_MEM_ALLOC)
		return;
	add(text, " size=%zu", node->alloc.bytesize);
	if (is_done)
		add(text, " addr=0x%llx", node->alloc.dptr);
}

static void tell_node(struct text *text, const void *params, int is_done)
{
	const cuGraphAddNode_params *call = params;

	add_node(text, call->nodeParams, is_done);
}

static void tell_node_v2(struct text *text, const void *params, int is_done)
{
	const cuGraphAddNode_v2_params *call = params;

	add_node(text, call->nodeParams, is_done);
}

static void tell_nothing(struct text *text, const void *params, int is_done)
{
	(void)text;
	(void)params;
	(void)is_done;
}

#define CALL(name, tell)                                                                                               \
	{                                                                                                              \
		CUPTI_DRIVER_TRACE_CBID_##name, #name, tell                                                            \
	}

static const struct watched {
	CUpti_CallbackId id;
	const char *name;
	tell_fn *tell;
} watched[] = {
	CALL(cuMemAlloc_v2, tell_block),
	CALL(cuMemAllocPitch_v2, tell_pitched),
	CALL(cuMemAllocManaged, tell_block),
	CALL(cuMemHostAlloc, tell_block),
	CALL(cuMemAllocHost_v2, tell_block),
	CALL(cuMemHostRegister_v2, tell_register),
	CALL(cuMemHostUnregister, tell_addr),
	CALL(cuMemAllocAsync, tell_async),
	CALL(cuMemAllocAsync_ptsz, tell_async_ptsz),
	CALL(cuMemAllocFromPoolAsync, tell_from_pool),
	CALL(cuMemAllocFromPoolAsync_ptsz, tell_from_pool_ptsz),
	CALL(cuMemFree_v2, tell_addr),
	CALL(cuMemFreeHost, tell_addr),
	CALL(cuMemFreeAsync, tell_free_async),
	CALL(cuMemFreeAsync_ptsz, tell_free_async_ptsz),
	CALL(cuArrayCreate_v2, tell_array),
	CALL(cuArray3DCreate_v2, tell_array3d),
	CALL(cuArrayDestroy, tell_addr),
	CALL(cuMipmappedArrayCreate, tell_mipmap),
	CALL(cuMipmappedArrayDestroy, tell_addr),
	CALL(cuMemCreate, tell_create),
	CALL(cuMemRelease, tell_addr),
	CALL(cuMemRetainAllocationHandle, tell_retain),
	CALL(cuMemMap, tell_map),
	CALL(cuMemUnmap, tell_unmap),
	CALL(cuMemExportToShareableHandle, tell_export),
	CALL(cuMemImportFromShareableHandle, tell_import),
	CALL(cuIpcGetMemHandle, tell_ipc_get),
	CALL(cuIpcOpenMemHandle, tell_opened),
	CALL(cuIpcOpenMemHandle_v2, tell_opened),
	CALL(cuIpcCloseMemHandle, tell_addr),
	CALL(cuImportExternalMemory, tell_external),
	CALL(cuExternalMemoryGetMappedBuffer, tell_external_buffer),
	CALL(cuDestroyExternalMemory, tell_addr),
	CALL(cuMemPoolCreate, tell_nothing),
	CALL(cuMemPoolDestroy, tell_pool_destroy),
	CALL(cuMemPoolExportPointer, tell_pool_pointer),
	CALL(cuMemPoolImportPointer, tell_opened),
	CALL(cuGraphAddMemAllocNode, tell_node_alloc),
	CALL(cuGraphAddNode, tell_node),
	CALL(cuGraphAddNode_v2, tell_node_v2),
	CALL(cuCtxDestroy_v2, tell_addr),
	CALL(cuDevicePrimaryCtxRelease, tell_nothing),
	CALL(cuDevicePrimaryCtxRelease_v2, tell_nothing),
	CALL(cuDevicePrimaryCtxReset, tell_nothing),
	CALL(cuDevicePrimaryCtxReset_v2, tell_nothing),
};

#define WATCHED_COUNT (sizeof(watched) / sizeof(watched[0]))

static const struct watched *find(CUpti_CallbackId id)
{
	for (size_t i = 0; i < WATCHED_COUNT; i++) {
		if (watched[i].id == id)
			return &watched[i];
	}
	return NULL;
}

static uint64_t stamp(void)
{
	uint64_t now = 0;

	cuptiGetTimestamp(&now);
	return now;
}

static void write_call(const struct watched *call, const CUpti_CallbackData *data)
{
	CUresult result = *(const CUresult *)data->functionReturnValue;
	struct text text = { .length = 0 };
	uint32_t device;

	call->tell(&text, data->functionParams, result == CUDA_SUCCESS);
	/* Only of what was made: after the end of a context there is none to ask about. */
	if (result == CUDA_SUCCESS && call->tell != tell_nothing && call->tell != tell_addr && data->context &&
	    cuptiGetDeviceId(data->context, &device) == CUPTI_SUCCESS)
		add(&text, " device=%u", device);
	account_line("call %s %d %ld %llu %llu %llu%s", call->name, (int)result, syscall(SYS_gettid),
		     (unsigned long long)*data->correlationData, (unsigned long long)stamp(), account_mono_ns(),
		     text.length ? text.bytes : "");
}

static void CUPTIAPI on_call(void *unused, CUpti_CallbackDomain domain, CUpti_CallbackId id, const void *what)
{
	const struct watched *call = domain == CUPTI_CB_DOMAIN_DRIVER_API ? find(id) : NULL;
	const CUpti_CallbackData *data = what;

	(void)unused;
	if (!call)
		return;
	if (data->callbackSite == CUPTI_API_ENTER)
		*data->correlationData = stamp();
	else
		write_call(call, data);
}

CUptiResult calls_watch(void)
{
	CUpti_SubscriberHandle subscriber;
	CUptiResult result = cuptiSubscribe(&subscriber, on_call, NULL);

	for (size_t i = 0; i < WATCHED_COUNT && result == CUPTI_SUCCESS; i++)
		result = cuptiEnableCallback(1, subscriber, CUPTI_CB_DOMAIN_DRIVER_API, watched[i].id);
	return result;
}
