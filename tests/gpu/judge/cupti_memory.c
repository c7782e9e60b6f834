/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judge: CUPTI's own memory records of a run. A library for CUDA_INJECTION64_PATH, which libcuda loads in cuInit. Writes
 * to $CUPTI_MEMORY_DIR/cupti.PID, one record a line:
 *
 *   memory OPERATION KIND ADDRESS BYTES ASYNC PID DEVICE TIMESTAMP     numbers as in cupti_activity.h, address in hex
 *   dropped N                                                          records that CUPTI itself lost
 *   start MONO_NS | flushed MONO_NS                                    CLOCK_MONOTONIC: between the two it saw everything
 *
 *   gcc -shared -fPIC -I/usr/local/cuda/include cupti_memory.c -L/usr/local/cuda/lib64 -lcupti -o cupti_memory.so
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cupti.h>

#define BUFFER_BYTES (4u << 20)
#define BUFFER_ALIGN 8

static FILE *output;
static pid_t owner;

int InitializeInjection(void);

static unsigned long long mono_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec;
}

static void CUPTIAPI give_buffer(uint8_t **ret_buffer, size_t *ret_size, size_t *ret_max_records)
{
	*ret_buffer = aligned_alloc(BUFFER_ALIGN, BUFFER_BYTES);
	*ret_size = *ret_buffer ? BUFFER_BYTES : 0;
	*ret_max_records = 0; /* as many as fit */
}

static void write_record(const CUpti_Activity *record)
{
	const CUpti_ActivityMemory4 *memory = (const CUpti_ActivityMemory4 *)record;

	if (record->kind != CUPTI_ACTIVITY_KIND_MEMORY2)
		return;
	fprintf(output, "memory %d %d 0x%" PRIx64 " %" PRIu64 " %u %u %u %" PRIu64 "\n",
		(int)memory->memoryOperationType, (int)memory->memoryKind, memory->address, memory->bytes,
		memory->isAsync, memory->processId, memory->deviceId, memory->timestamp);
}

static void CUPTIAPI take_buffer(CUcontext context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid)
{
	CUpti_Activity *record = NULL;
	size_t dropped = 0;

	(void)size;
	while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS)
		write_record(record);
	if (cuptiActivityGetNumDroppedRecords(context, stream, &dropped) == CUPTI_SUCCESS && dropped)
		fprintf(output, "dropped %zu\n", dropped);
	free(buffer);
}

/* A forked child has the handler but not the records. */
static void flush_at_exit(void)
{
	if (!output || getpid() != owner)
		return;
	fprintf(output, "flushed %llu\n", mono_ns());
	cuptiActivityFlushAll(1);
	fflush(output);
}

int InitializeInjection(void)
{
	const char *folder = getenv("CUPTI_MEMORY_DIR");
	char path[4096];
	CUptiResult result;

	if (output && getpid() == owner)
		return 1;
	snprintf(path, sizeof(path), "%s/cupti.%d", folder ? folder : ".", (int)getpid());
	output = fopen(path, "we");
	owner = getpid();
	if (!output)
		return 0;
	result = cuptiActivityRegisterCallbacks(give_buffer, take_buffer);
	if (result == CUPTI_SUCCESS)
		result = cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMORY2);
	if (result != CUPTI_SUCCESS)
		fprintf(output, "error %d\n", (int)result);
	fprintf(output, "start %llu\n", mono_ns());
	fflush(output);
	atexit(flush_at_exit);
	return result == CUPTI_SUCCESS;
}
