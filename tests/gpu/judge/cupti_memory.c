/* SPDX-License-Identifier: Apache-2.0 */
/* The account (account.h), and the part of it that CUPTI keeps by itself: its memory records. */
#define _GNU_SOURCE
#include "account.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES (4u << 20)
#define BUFFER_ALIGN 8

static int account = -1;
static pid_t owner;

int InitializeInjection(void);

unsigned long long account_mono_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec;
}

void account_line(const char *format, ...)
{
	char line[ACCOUNT_LINE_BYTES];
	va_list arguments;
	int length;

	if (account < 0 || getpid() != owner)
		return;
	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line) - 1, format, arguments);
	va_end(arguments);
	if (length < 0 || length >= (int)sizeof(line) - 1)
		length = snprintf(line, sizeof(line) - 1, "error 0");
	line[length++] = '\n';
	if (write(account, line, (size_t)length) != length)
		abort(); /* no account is better than one with a hole */
}

static void CUPTIAPI give_buffer(uint8_t **ret_buffer, size_t *ret_size, size_t *ret_max_records)
{
	*ret_buffer = aligned_alloc(BUFFER_ALIGN, BUFFER_BYTES);
	*ret_size = *ret_buffer ? BUFFER_BYTES : 0;
	*ret_max_records = 0; /* as many as fit */
}

static void write_memory(const CUpti_ActivityMemory4 *memory)
{
	account_line("memory %d %d 0x%" PRIx64 " %" PRIu64 " %u %u %u %" PRIu64, (int)memory->memoryOperationType,
		     (int)memory->memoryKind, memory->address, memory->bytes, memory->isAsync, memory->processId,
		     memory->deviceId, memory->timestamp);
}

/* As nvidia-smi prints it. */
static void write_device(const CUpti_ActivityDevice5 *device)
{
	const unsigned char *byte = (const unsigned char *)device->uuid.bytes;

	account_line("device %u GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", device->id,
		     byte[0], byte[1], byte[2], byte[3], byte[4], byte[5], byte[6], byte[7], byte[8], byte[9], byte[10],
		     byte[11], byte[12], byte[13], byte[14], byte[15]);
}

static void CUPTIAPI take_buffer(CUcontext context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid)
{
	CUpti_Activity *record = NULL;
	size_t dropped = 0;

	(void)size;
	while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
		if (record->kind == CUPTI_ACTIVITY_KIND_MEMORY2)
			write_memory((const CUpti_ActivityMemory4 *)record);
		else if (record->kind == CUPTI_ACTIVITY_KIND_DEVICE)
			write_device((const CUpti_ActivityDevice5 *)record);
	}
	if (cuptiActivityGetNumDroppedRecords(context, stream, &dropped) == CUPTI_SUCCESS && dropped)
		account_line("dropped %zu", dropped);
	free(buffer);
}

/* A forked child has the handler but not the records. */
static void flush_at_exit(void)
{
	if (getpid() != owner)
		return;
	account_line("flushed %llu", account_mono_ns());
	cuptiActivityFlushAll(1);
}

static CUptiResult records_watch(void)
{
	CUptiResult result = cuptiActivityRegisterCallbacks(give_buffer, take_buffer);

	if (result == CUPTI_SUCCESS)
		result = cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMORY2);
	if (result == CUPTI_SUCCESS)
		result = cuptiActivityEnable(CUPTI_ACTIVITY_KIND_DEVICE);
	return result;
}

int InitializeInjection(void)
{
	const char *folder = getenv("CUPTI_MEMORY_DIR");
	char path[4096];
	CUptiResult result;

	if (account >= 0 && getpid() == owner)
		return 1;
	snprintf(path, sizeof(path), "%s/cupti.%d", folder ? folder : ".", (int)getpid());
	account = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	owner = getpid();
	if (account < 0)
		return 0;
	result = getenv("CUPTI_CALLS_ONLY") ? CUPTI_SUCCESS : records_watch();
	if (result == CUPTI_SUCCESS)
		result = calls_watch();
	if (getenv("CUPTI_CALLS_ONLY"))
		account_line("calls_only");
	if (result != CUPTI_SUCCESS)
		account_line("error %d", (int)result);
	account_line("start %llu", account_mono_ns());
	atexit(flush_at_exit);
	return result == CUPTI_SUCCESS;
}
