/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_CALLS_H
#define LEDGER_CALLS_H

/* For the tests of shared and physical memory: calls as events. */
#include "ledger_heard.h"

#define ON_GPU(ordinal) (VT_LOCATION_DEVICE | (uint64_t)(ordinal) << 32)

/* A call of a process: kind, row and what its arguments were. The times are set here, unless the test has set them. */
static inline void call_of(uint32_t tgid, enum event_kind kind, int row, struct event event)
{
	event.kind = kind;
	event.tgid = event.tid = tgid;
	event.row = event.outer_row = (uint16_t)row;
	if (!event.time_ns) {
		now += 10;
		event.enter_ns = now - 5;
		event.time_ns = now;
	}
	heard_count = 0;
	ledger_apply(ledger, &event, &a_caller);
}

#define CALL(tgid, kind, symbol, ...)                                                                                  \
	call_of(tgid, EVENT_##kind, VT_PROBE_##symbol, (struct event) { .uid = 0, __VA_ARGS__ })

static inline void life(enum event_kind kind, uint32_t tgid)
{
	struct event event = { .kind = kind, .tgid = tgid, .tid = tgid, .start_ns = tgid, .time_ns = now += 10 };

	memcpy(event.comm, "prog", 4);
	heard_count = 0;
	ledger_apply(ledger, &event, NULL);
}

static inline void create(uint32_t tgid, uint64_t handle, uint64_t size)
{
	CALL(tgid, ALLOC, cuMemCreate, .addr = handle, .size = size, .a = ON_GPU(0));
}

static inline void release(uint32_t tgid, uint64_t handle)
{
	CALL(tgid, DONE, cuMemRelease, .addr = handle);
}

static inline void map_at(uint32_t tgid, uint64_t addr, uint64_t size, uint64_t handle)
{
	CALL(tgid, DONE, cuMemMap, .addr = addr, .size = size, .a = handle);
}

static inline void unmap(uint32_t tgid, uint64_t addr, uint64_t size)
{
	CALL(tgid, DONE, cuMemUnmap, .addr = addr, .size = size);
}

static inline void retain(uint32_t tgid, uint64_t handle, uint64_t addr)
{
	CALL(tgid, DONE, cuMemRetainAllocationHandle, .addr = handle, .a = addr);
}

static inline void export_fd(uint32_t tgid, uint64_t handle, uint64_t token, uint32_t descriptor)
{
	CALL(tgid, DONE, cuMemExportToShareableHandle, .addr = handle, .a = token,
	     .b = VT_HANDLE_TYPE_FD | (uint64_t)descriptor << 32);
}

static inline void import_fd(uint32_t tgid, uint64_t handle, uint64_t token)
{
	CALL(tgid, DONE, cuMemImportFromShareableHandle, .addr = handle, .a = token, .b = VT_HANDLE_TYPE_FD);
}

static inline void close_fd(uint32_t tgid, uint32_t descriptor)
{
	heard_count = 0;
	ledger_descriptor_closed(ledger, tgid, descriptor, now += 10);
}

static inline void ipc_export(uint32_t tgid, uint64_t addr, uint64_t token)
{
	CALL(tgid, DONE, cuIpcGetMemHandle, .addr = addr, .a = token);
}

static inline void ipc_open(uint32_t tgid, uint64_t addr, uint64_t token)
{
	CALL(tgid, DONE, cuIpcOpenMemHandle_v2, .addr = addr, .a = token);
}

static inline void ipc_close(uint32_t tgid, uint64_t addr)
{
	CALL(tgid, FREE, cuIpcCloseMemHandle, .addr = addr);
}

static inline void alloc(uint32_t tgid, uint64_t addr, uint64_t size)
{
	CALL(tgid, ALLOC, cuMemAlloc_v2, .addr = addr, .size = size);
}

static inline void mem_free(uint32_t tgid, uint64_t addr)
{
	CALL(tgid, FREE, cuMemFree_v2, .addr = addr);
}

/* Descriptors of process 10 that alone may keep memory. */
static uint32_t told_descriptors[8];
static size_t told_descriptor_count;

static inline void tell_descriptor(void *ctx, uint32_t tgid, uint32_t descriptor)
{
	(void)ctx;
	assert_int_equal(tgid, 10);
	assert_true(told_descriptor_count < 8);
	told_descriptors[told_descriptor_count++] = descriptor;
}

static inline size_t count_descriptors(void)
{
	told_descriptor_count = 0;
	ledger_each_descriptor(ledger, tell_descriptor, NULL);
	return told_descriptor_count;
}

#endif
