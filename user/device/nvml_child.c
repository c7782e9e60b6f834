/* SPDX-License-Identifier: Apache-2.0 */
#include "device/nvml_child.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Layouts and numbers of NVIDIA's public nvml.h; unchanged since CUDA 11. */
typedef struct nvml_device_st *nvml_device;

struct nvml_memory {
	unsigned long long total;
	unsigned long long free;
	unsigned long long used;
};

struct nvml_process {
	unsigned int pid;
	unsigned long long used_bytes; /* -1: not available, which is our UINT64_MAX as well */
	unsigned int gpu_instance;
	unsigned int compute_instance;
};

#define NVML_ERROR_FUNCTION_NOT_FOUND 13
#define NVML_DEVICE_UUID_BYTES 96

/* More than we keep, so that a busy GPU is cut at our limit and not refused as a whole. */
#define NVML_PROCESS_ROOM 4096

typedef int nvml_processes_fn(nvml_device, unsigned int *, struct nvml_process *);

struct nvml {
	int (*init)(void);
	int (*count)(unsigned int *);
	int (*handle)(unsigned int, nvml_device *);
	const char *(*error_string)(int);
	int (*uuid)(nvml_device, char *, unsigned int);
	int (*name)(nvml_device, char *, unsigned int);
	int (*memory)(nvml_device, struct nvml_memory *);
	nvml_processes_fn *compute;
	nvml_processes_fn *graphics;
	int (*driver_version)(char *, unsigned int);
};

/* The loader's own search comes first; then where containers and WSL put the driver without telling the loader. */
static const char *const library_names[] = {
	"libnvidia-ml.so.1",
	"/usr/local/nvidia/lib64/libnvidia-ml.so.1",
	"/usr/local/nvidia/lib/libnvidia-ml.so.1",
	"/usr/lib/wsl/lib/libnvidia-ml.so.1",
};

static void say(struct nvml_reply *reply, int status, const char *what, const char *detail)
{
	reply->status = status;
	snprintf(reply->text, sizeof(reply->text), "%s: %s", what, detail);
}

static void *open_library(struct nvml_reply *reply)
{
	for (size_t i = 0; i < ARRAY_SIZE(library_names); i++) {
		void *library = dlopen(library_names[i], RTLD_NOW | RTLD_LOCAL);
		const char *error = library ? NULL : dlerror();

		if (library)
			return library;
		if (i == 0)
			say(reply, -ENOENT, "no NVML library", error ? error : "not found");
	}
	return NULL;
}

static void *find(void *library, const char *newer, const char *older)
{
	void *symbol = dlsym(library, newer);

	return symbol || !older ? symbol : dlsym(library, older);
}

/* Only init, count and handle must be there; the rest depends on the driver's age. */
static bool find_functions(struct nvml *nvml, void *library)
{
	nvml->init = find(library, "nvmlInit_v2", "nvmlInit");
	nvml->count = find(library, "nvmlDeviceGetCount_v2", "nvmlDeviceGetCount");
	nvml->handle = find(library, "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex");
	nvml->error_string = find(library, "nvmlErrorString", NULL);
	nvml->uuid = find(library, "nvmlDeviceGetUUID", NULL);
	nvml->name = find(library, "nvmlDeviceGetName", NULL);
	nvml->memory = find(library, "nvmlDeviceGetMemoryInfo", NULL);
	/* _v1 has another layout; _v2 and _v3 share this one. */
	nvml->compute =
		find(library, "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2");
	nvml->graphics =
		find(library, "nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2");
	nvml->driver_version = find(library, "nvmlSystemGetDriverVersion", NULL);
	return nvml->init && nvml->count && nvml->handle;
}

static bool failed(const struct nvml *nvml, int result, const char *what, struct nvml_reply *reply)
{
	char number[24];
	const char *text = NULL;

	if (result == 0)
		return false;
	if (nvml->error_string)
		text = nvml->error_string(result);
	snprintf(number, sizeof(number), "error %d", result);
	say(reply, -EIO, what, text ? text : number);
	return true;
}

static void add_process(struct gpus *gpus, uint32_t gpu, const struct nvml_process *from)
{
	struct gpu_process *process;

	if (gpus->process_count == GPU_PROCESS_MAX)
		return;
	process = &gpus->process[gpus->process_count++];
	process->pid = from->pid;
	process->gpu = gpu;
	process->used_bytes = from->used_bytes;
}

static bool has_process(const struct gpus *gpus, uint32_t first, uint32_t end, uint32_t pid)
{
	for (uint32_t i = first; i < end; i++) {
		if (gpus->process[i].pid == pid)
			return true;
	}
	return false;
}

/* A process that computes and draws stands in both lists with the same figure: the first one counts. */
static void ask_processes(const struct nvml *nvml, nvml_device device, uint32_t gpu, struct gpus *gpus)
{
	nvml_processes_fn *const lists[] = { nvml->compute, nvml->graphics };
	uint32_t first = gpus->process_count;
	CLEANUP_FREE struct nvml_process *rows = calloc(NVML_PROCESS_ROOM, sizeof(*rows));

	for (size_t i = 0; rows && i < ARRAY_SIZE(lists); i++) {
		unsigned int count = NVML_PROCESS_ROOM;
		uint32_t end = gpus->process_count;

		if (!lists[i] || lists[i](device, &count, rows) != 0)
			continue;
		for (unsigned int row = 0; row < count && row < NVML_PROCESS_ROOM; row++) {
			if (!has_process(gpus, first, end, rows[row].pid) || i == 0)
				add_process(gpus, gpu, &rows[row]);
		}
	}
}

static void ask_device(const struct nvml *nvml, uint32_t index, struct gpus *gpus)
{
	char uuid[NVML_DEVICE_UUID_BYTES] = "";
	struct gpu *gpu = &gpus->gpu[index];
	struct nvml_memory memory = { 0 };
	nvml_device device = NULL;

	/* A GPU that has fallen off the bus or is not ours to see keeps its index, with nothing known. */
	if (nvml->handle(index, &device) != 0)
		return;
	if (nvml->uuid && nvml->uuid(device, uuid, sizeof(uuid)) == 0)
		snprintf(gpu->uuid, sizeof(gpu->uuid), "%.*s", (int)sizeof(gpu->uuid) - 1, uuid);
	if (nvml->name && nvml->name(device, gpu->name, sizeof(gpu->name)) != 0)
		gpu->name[0] = '\0';
	if (nvml->memory && nvml->memory(device, &memory) == 0) {
		gpu->total_bytes = memory.total;
		gpu->used_bytes = memory.used;
	}
	ask_processes(nvml, device, index, gpus);
}

void nvml_child_ask(struct nvml_reply *ret_reply)
{
	struct gpus *gpus = &ret_reply->gpus;
	struct nvml nvml = { 0 };
	unsigned int count = 0;
	void *library;

	memset(ret_reply, 0, sizeof(*ret_reply));
	library = open_library(ret_reply);
	if (!library)
		return;
	if (!find_functions(&nvml, library)) {
		failed(&nvml, NVML_ERROR_FUNCTION_NOT_FOUND, "the NVML library lacks its basic functions", ret_reply);
		return;
	}
	ret_reply->text[0] = '\0';
	ret_reply->status = 0;
	if (failed(&nvml, nvml.init(), "NVML cannot be initialised", ret_reply))
		return;
	if (failed(&nvml, nvml.count(&count), "NVML cannot count the GPUs", ret_reply))
		return;
	gpus->count = count < GPU_MAX ? count : GPU_MAX;
	if (!nvml.driver_version || nvml.driver_version(gpus->driver_version, sizeof(gpus->driver_version)) != 0)
		gpus->driver_version[0] = '\0';
	for (uint32_t i = 0; i < gpus->count; i++)
		ask_device(&nvml, i, gpus);
}
