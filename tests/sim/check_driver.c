// SPDX-License-Identifier: Apache-2.0
/*
 * What no program of tests/prog can see of the simulated driver, for it needs several processes that are killed, or knows what a GPU
 * must say: memory comes back exactly when the last that holds it has gone, however that goes; which GPU a device is. Run by `make
 * sim`, on a card of its own with 4 GPUs of 8G. This process asks NVML only: a child of one that uses the driver could not use it.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cuda.h>

#define MIB (1ULL << 20)
#define CONTEXT 518 /* MiB */

struct memory {
	unsigned long long total, free, used;
};

struct process_info {
	unsigned int pid;
	unsigned long long bytes;
	unsigned int gpu_instance, compute_instance;
};

int nvmlInit_v2(void);
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle);
int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory);
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned int *count, struct process_info *infos);

static int failures;

__attribute__((format(printf, 2, 3))) static void expect(int holds, const char *format, ...)
{
	va_list args;

	if (holds)
		return;
	failures++;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static void must(CUresult result, const char *what)
{
	if (!result)
		return;
	fprintf(stderr, "%s: %d\n", what, result);
	_exit(2);
}
#define MUST(call) must(call, #call)

static void use(int device)
{
	CUcontext context;

	MUST(cuInit(0));
	MUST(cuDevicePrimaryCtxRetain(&context, device));
	MUST(cuCtxSetCurrent(context));
}

/* MiB of a GPU. */
static unsigned long long taken(unsigned int gpu)
{
	struct memory memory = { 0 };
	void *handle;

	if (nvmlInit_v2() || nvmlDeviceGetHandleByIndex_v2(gpu, &handle) || nvmlDeviceGetMemoryInfo(handle, &memory))
		exit(2);
	return memory.used / MIB;
}

static void expect_taken(unsigned int gpu, unsigned long long want, const char *when)
{
	unsigned long long is = taken(gpu);

	expect(is == want, "GPU %u, %s: %llu MiB, not %llu", gpu, when, is, want);
}

static void expect_process(pid_t pid, unsigned long long want, const char *when)
{
	struct process_info infos[8];
	unsigned int count = 8;
	unsigned long long is = 0;
	void *handle;

	if (nvmlDeviceGetHandleByIndex_v2(0, &handle) || nvmlDeviceGetComputeRunningProcesses_v3(handle, &count, infos))
		exit(2);
	for (unsigned int i = 0; i < count; i++) {
		if (infos[i].pid == (unsigned int)pid)
			is = infos[i].bytes / MIB;
	}
	expect(is == want, "process, %s: %llu MiB, not %llu", when, is, want);
}

static int uuid_of(int device)
{
	CUuuid uuid;

	MUST(cuDeviceGetUuid(&uuid, device));
	return uuid.bytes[15] - 1;
}

/* A child that does @role with its end of a pair of sockets and then waits to be killed. */
struct child {
	pid_t pid;
	int socket;
};
typedef void role_fn(int socket);

static struct child start(role_fn *role)
{
	struct child child;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		exit(2);
	child.pid = fork();
	if (!child.pid) {
		close(pair[0]);
		role(pair[1]);
		for (;;)
			pause();
	}
	close(pair[1]);
	child.socket = pair[0];
	return child;
}

static void end(struct child *child)
{
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	close(child->socket);
}

static void say(int socket, const void *data, size_t len)
{
	if (write(socket, data, len) != (ssize_t)len)
		_exit(2);
}

static void hear(int socket, void *data, size_t len)
{
	if (read(socket, data, len) != (ssize_t)len)
		_exit(2);
}

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static void send_fd(int socket, int fd)
{
	union control control = { { 0 } };
	char byte = 0;
	struct iovec part = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	if (sendmsg(socket, &message, 0) != 1)
		_exit(2);
}

static int receive_fd(int socket)
{
	union control control;
	char byte;
	struct iovec part = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
	};
	int fd;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message))
		_exit(2);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static void export_memory(int socket)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
				     .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUmemGenericAllocationHandle handle;
	int fd;

	use(0);
	MUST(cuMemCreate(&handle, 64 * MIB, &prop, 0));
	MUST(cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	send_fd(socket, fd);
}

static void import_memory(int socket)
{
	CUmemGenericAllocationHandle handle;
	int fd = receive_fd(socket);

	use(0);
	MUST(cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
	close(fd);
	say(socket, "", 1);
}

static void import_physical(struct child *exporter)
{
	int fd = receive_fd(exporter->socket);
	struct child importer = start(import_memory);
	char byte;

	send_fd(importer.socket, fd);
	hear(importer.socket, &byte, 1);
	expect_taken(0, 64 + 2 * CONTEXT, "memory imported");
	expect_process(exporter->pid, 64 + CONTEXT, "exporter");
	expect_process(importer.pid, CONTEXT, "importer");
	end(exporter);
	expect_taken(0, 64 + CONTEXT, "exporter killed");
	expect_process(importer.pid, 64 + CONTEXT, "importer that is left");
	close(fd);
	expect_taken(0, 64 + CONTEXT, "descriptor closed");
	end(&importer);
	expect_taken(0, 0, "importer killed");
}

/* Memory by handle is held by whoever has it, and by a descriptor wherever that is. */
static void check_physical(void)
{
	struct child exporter = start(export_memory);
	int fd;

	import_physical(&exporter);
	exporter = start(export_memory);
	fd = receive_fd(exporter.socket);
	end(&exporter);
	expect_taken(0, 64, "only a descriptor is left");
	close(fd);
	expect_taken(0, 0, "it is closed");
}

static void export_block(int socket)
{
	CUipcMemHandle handle;
	CUdeviceptr block;
	char byte;

	use(0);
	MUST(cuMemAlloc(&block, 64 * MIB));
	MUST(cuIpcGetMemHandle(&handle, block));
	say(socket, &handle, sizeof(handle));
	hear(socket, &byte, 1);
	MUST(cuMemFree(block));
	say(socket, "", 1);
}

static void import_block(int socket)
{
	CUipcMemHandle handle;
	CUdeviceptr block, again;

	use(0);
	hear(socket, &handle, sizeof(handle));
	MUST(cuIpcOpenMemHandle(&block, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	MUST(cuIpcOpenMemHandle(&again, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	say(socket, "", 1);
}

static void open_stale(int socket)
{
	CUipcMemHandle handle;
	CUdeviceptr block;
	char wrong;

	use(0);
	hear(socket, &handle, sizeof(handle));
	wrong = cuIpcOpenMemHandle(&block, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) != CUDA_ERROR_INVALID_VALUE;
	say(socket, &wrong, 1);
}

static void check_stale(const CUipcMemHandle *handle)
{
	struct child child = start(open_stale);
	char wrong;

	say(child.socket, handle, sizeof(*handle));
	hear(child.socket, &wrong, 1);
	expect(!wrong, "a handle of nothing was opened");
	end(&child);
}

/* A block that another process has open stays, whether its owner frees it or is killed. */
static void check_ipc(int freed)
{
	struct child owner = start(export_block), importer = start(import_block);
	CUipcMemHandle handle;
	char byte;

	hear(owner.socket, &handle, sizeof(handle));
	say(importer.socket, &handle, sizeof(handle));
	hear(importer.socket, &byte, 1);
	expect_taken(0, 64 + 2 * CONTEXT, "block opened twice");
	if (freed) {
		say(owner.socket, "", 1);
		hear(owner.socket, &byte, 1);
		expect_taken(0, 64 + 2 * CONTEXT, "block freed by its owner");
	}
	end(&owner);
	expect_taken(0, 64 + CONTEXT, "owner killed");
	end(&importer);
	expect_taken(0, 0, "importer killed");
	check_stale(&handle);
}

static void take_all(int socket)
{
	CUdeviceptr block;

	for (int device = 0; device < 4; device++) {
		use(device);
		MUST(cuMemAlloc(&block, (device + 1) * 64 * MIB));
	}
	say(socket, "", 1);
}

/* Each GPU has its own books. */
static void check_gpus(void)
{
	struct child child = start(take_all);
	char byte;

	hear(child.socket, &byte, 1);
	for (unsigned int gpu = 0; gpu < 4; gpu++)
		expect_taken(gpu, CONTEXT + (gpu + 1) * 64, "in use");
	end(&child);
	for (unsigned int gpu = 0; gpu < 4; gpu++)
		expect_taken(gpu, 0, "user killed");
}

/* A process that is killed within a call, many times over, leaves nothing. */
static void churn(int socket)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
				     .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUmemGenericAllocationHandle handle;
	CUdeviceptr block;
	int fd;

	use(0);
	say(socket, "", 1);
	for (;;) {
		MUST(cuMemAlloc(&block, 4 * MIB));
		MUST(cuMemCreate(&handle, 2 * MIB, &prop, 0));
		MUST(cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
		MUST(cuMemRelease(handle));
		close(fd);
		MUST(cuMemFree(block));
	}
}

static void check_kill(void)
{
	for (int i = 0; i < 50; i++) {
		struct child child = start(churn);
		char byte;

		hear(child.socket, &byte, 1);
		usleep(1000 + 37 * i);
		end(&child);
	}
	expect_taken(0, 0, "50 were killed at work");
}

/* A child sees @list in @order as the GPUs of @want, by index: digits, "" for none at all. */
static void check_visible(const char *list, const char *order, const char *want)
{
	pid_t pid = fork();
	int status, count = 0;

	if (!pid) {
		if (list)
			setenv("CUDA_VISIBLE_DEVICES", list, 1);
		setenv("CUDA_DEVICE_ORDER", order, 1);
		if (cuInit(0))
			_exit(want[0] != '\0');
		MUST(cuDeviceGetCount(&count));
		for (int device = 0; device < count; device++) {
			if (uuid_of(device) != want[device] - '0')
				_exit(1);
		}
		_exit(count != (int)strlen(want));
	}
	waitpid(pid, &status, 0);
	expect(status == 0, "CUDA_VISIBLE_DEVICES=%s in %s: not %s", list ? list : "(none)", order, want);
}

static void check_all_visible(void)
{
	static const char *const by_bus = "PCI_BUS_ID", *const by_speed = "FASTEST_FIRST";

	check_visible(NULL, by_bus, "0123");
	check_visible(NULL, by_speed, "3102");
	check_visible("2,0", by_bus, "20");
	check_visible("2,0", by_speed, "03");
	check_visible("1,9,2", by_bus, "1");
	check_visible("1,-1,2", by_bus, "1");
	check_visible("", by_bus, "");
	check_visible("no", by_bus, "");
	check_visible("0,0", by_bus, "");
	check_visible("GPU-7672616d-7369-6d00-0000-000000000003", by_speed, "2");
	check_visible("gpu-7672616d", by_bus, "");
	check_visible("GPU-7672616d", by_bus, ""); /* four begin so */
}

int main(void)
{
	check_all_visible();
	setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1);
	check_gpus();
	check_physical();
	check_ipc(0);
	check_ipc(1);
	check_kill();
	return failures != 0;
}
