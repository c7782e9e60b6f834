// SPDX-License-Identifier: Apache-2.0
/*
 * Simulated libnvidia-ml: what the card's file says. Layouts and numbers are those of nvml.h; the
 * header itself is not needed to build, as with the other two.
 */
#include <stdio.h>
#include <string.h>

#include "card.h"
#include "sim.h"

enum {
	NVML_SUCCESS = 0,
	NVML_ERROR_UNINITIALIZED = 1,
	NVML_ERROR_INVALID_ARGUMENT = 2,
	NVML_ERROR_INSUFFICIENT_SIZE = 7,
	NVML_ERROR_UNKNOWN = 999,
};

#define DRIVER_VERSION "580.159.04-simulated"

struct memory {
	unsigned long long total, free, used;
};

struct memory_v2 {
	unsigned int version;
	unsigned long long total, reserved, free, used;
};

#define MEMORY_V2 (sizeof(struct memory_v2) | 2U << 24)

struct process_info {
	unsigned int pid;
	unsigned long long used_gpu_memory;
	unsigned int gpu_instance_id, compute_instance_id;
};

static int users;		/* nvmlInit_v2 less nvmlShutdown */
static char devices[CARD_GPUS]; /* the address of one is its handle */

int nvmlInit_v2(void);
int nvmlInitWithFlags(unsigned int flags);
int nvmlShutdown(void);
const char *nvmlErrorString(int error);
int nvmlSystemGetDriverVersion(char *text, unsigned int length);
int nvmlSystemGetCudaDriverVersion_v2(int *version);
int nvmlDeviceGetCount_v2(unsigned int *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle);
int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle);
int nvmlDeviceGetIndex(void *handle, unsigned int *index);
int nvmlDeviceGetMinorNumber(void *handle, unsigned int *minor);
int nvmlDeviceGetUUID(void *handle, char *text, unsigned int length);
int nvmlDeviceGetName(void *handle, char *text, unsigned int length);
int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory);
int nvmlDeviceGetMemoryInfo_v2(void *handle, struct memory_v2 *memory);
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned int *count, struct process_info *infos);

SIM_EXPORT int nvmlInitWithFlags(unsigned int flags)
{
	(void)flags;
	if (card_open())
		return NVML_ERROR_UNKNOWN;
	__atomic_add_fetch(&users, 1, __ATOMIC_RELAXED);
	return NVML_SUCCESS;
}

SIM_EXPORT int nvmlInit_v2(void)
{
	return nvmlInitWithFlags(0);
}

SIM_EXPORT int nvmlShutdown(void)
{
	if (!users)
		return NVML_ERROR_UNINITIALIZED;
	__atomic_sub_fetch(&users, 1, __ATOMIC_RELAXED);
	return NVML_SUCCESS;
}

SIM_EXPORT const char *nvmlErrorString(int error)
{
	switch (error) {
	case NVML_SUCCESS:
		return "Success";
	case NVML_ERROR_UNINITIALIZED:
		return "Uninitialized";
	case NVML_ERROR_INVALID_ARGUMENT:
		return "Invalid Argument";
	case NVML_ERROR_INSUFFICIENT_SIZE:
		return "Insufficient Size";
	default:
		return "Unknown Error";
	}
}

static int check_users(const void *out)
{
	if (!users)
		return NVML_ERROR_UNINITIALIZED;
	return out ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

/* The GPUs in the order of the bus, whatever a program is made to see. */
static int check(const void *handle, const void *out, int *ret_gpu)
{
	int error = check_users(out);

	if (error)
		return error;
	for (int gpu = 0; gpu < card_gpus(); gpu++) {
		if (handle == &devices[gpu]) {
			*ret_gpu = gpu;
			return NVML_SUCCESS;
		}
	}
	return NVML_ERROR_INVALID_ARGUMENT;
}

static int give_text(const char *from, char *text, unsigned int length)
{
	if (length <= strlen(from))
		return NVML_ERROR_INSUFFICIENT_SIZE;
	strcpy(text, from);
	return NVML_SUCCESS;
}

SIM_EXPORT int nvmlSystemGetDriverVersion(char *text, unsigned int length)
{
	int error = check_users(text);

	return error ? error : give_text(DRIVER_VERSION, text, length);
}

SIM_EXPORT int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
	if (!version)
		return NVML_ERROR_INVALID_ARGUMENT;
	*version = CARD_CUDA_VERSION;
	return NVML_SUCCESS;
}

SIM_EXPORT int nvmlDeviceGetCount_v2(unsigned int *count)
{
	int error = check_users(count);

	if (!error)
		*count = card_gpus();
	return error;
}

SIM_EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle)
{
	int error = check_users(handle);

	if (error)
		return error;
	if (index >= (unsigned int)card_gpus())
		return NVML_ERROR_INVALID_ARGUMENT;
	*handle = &devices[index];
	return NVML_SUCCESS;
}

SIM_EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle)
{
	int error = check_users(handle);
	char text[48];

	if (error)
		return error;
	for (int gpu = 0; uuid && gpu < card_gpus(); gpu++) {
		card_uuid_text(gpu, text);
		if (strcmp(uuid, text))
			continue;
		*handle = &devices[gpu];
		return NVML_SUCCESS;
	}
	return NVML_ERROR_INVALID_ARGUMENT;
}

SIM_EXPORT int nvmlDeviceGetIndex(void *handle, unsigned int *index)
{
	int gpu, error = check(handle, index, &gpu);

	if (!error)
		*index = gpu;
	return error;
}

SIM_EXPORT int nvmlDeviceGetMinorNumber(void *handle, unsigned int *minor)
{
	int gpu, error = check(handle, minor, &gpu);

	if (!error)
		*minor = gpu;
	return error;
}

SIM_EXPORT int nvmlDeviceGetUUID(void *handle, char *text, unsigned int length)
{
	int gpu, error = check(handle, text, &gpu);
	char uuid[48];

	if (error)
		return error;
	card_uuid_text(gpu, uuid);
	return give_text(uuid, text, length);
}

SIM_EXPORT int nvmlDeviceGetName(void *handle, char *text, unsigned int length)
{
	int gpu, error = check(handle, text, &gpu);

	return error ? error : give_text(CARD_NAME, text, length);
}

SIM_EXPORT int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory)
{
	int gpu, error = check(handle, memory, &gpu);
	uint64_t total, unused;

	if (error)
		return error;
	if (card_info(gpu, &total, &unused))
		return NVML_ERROR_UNKNOWN;
	*memory = (struct memory) { .total = total, .free = unused, .used = total - unused };
	return NVML_SUCCESS;
}

SIM_EXPORT int nvmlDeviceGetMemoryInfo_v2(void *handle, struct memory_v2 *memory)
{
	int gpu, error = check(handle, memory, &gpu);
	uint64_t total, unused;

	if (error)
		return error;
	if (memory->version != MEMORY_V2)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (card_info(gpu, &total, &unused))
		return NVML_ERROR_UNKNOWN;
	*memory = (struct memory_v2) { .version = MEMORY_V2, .total = total, .free = unused, .used = total - unused };
	return NVML_SUCCESS;
}

SIM_EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned int *count, struct process_info *infos)
{
	struct card_process entries[CARD_SLOTS];
	int gpu, error = check(handle, count, &gpu), found;
	unsigned int room;

	if (error)
		return error;
	found = card_processes(gpu, entries, CARD_SLOTS);
	if (found < 0)
		return NVML_ERROR_UNKNOWN;
	room = *count;
	*count = found;
	if ((unsigned int)found > room)
		return NVML_ERROR_INSUFFICIENT_SIZE;
	for (int i = 0; i < found; i++) {
		infos[i] = (struct process_info) {
			.pid = entries[i].pid,
			.used_gpu_memory = entries[i].bytes,
			.gpu_instance_id = ~0U,
			.compute_instance_id = ~0U,
		};
	}
	return NVML_SUCCESS;
}
