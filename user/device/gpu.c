/* SPDX-License-Identifier: Apache-2.0 */
#include "device/gpu.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/child.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "device/nvml_child.h"

#define QUERY_LIMIT_NS 5000000000ull
#define NS_PER_MS 1000000ull

static void write_all(int fd, const void *data, size_t length)
{
	const char *next = data;

	while (length > 0) {
		ssize_t written = write(fd, next, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return;
		next += written;
		length -= (size_t)written;
	}
}

/* The child keeps nothing of the tracer but the pipe: what NVML prints, opens or breaks stays here. */
static _Noreturn void child_main(int reply_fd, pid_t parent)
{
	static struct nvml_reply reply;
	sigset_t none;
	int null_fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* In this order neither descriptor can be the other's number. */
	if (dup2(reply_fd, STDERR_FILENO + 1) < 0)
		_exit(1);
	null_fd = open("/dev/null", O_RDWR);
	if (null_fd < 0)
		_exit(1);
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null_fd, fd);
	close_range(STDERR_FILENO + 2, ~0u, 0);
	nvml_child_ask(&reply);
	write_all(STDERR_FILENO + 1, &reply, sizeof(reply));
	_exit(0);
}

/* Reads until the whole reply is there. 0, -EIO (the child ended before), -ETIMEDOUT. */
static int read_reply(int fd, struct nvml_reply *reply)
{
	uint64_t deadline_ns = clock_mono_ns() + QUERY_LIMIT_NS;
	size_t have = 0;

	while (have < sizeof(*reply)) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		uint64_t now_ns = clock_mono_ns();
		ssize_t got;

		if (now_ns >= deadline_ns)
			return -ETIMEDOUT;
		if (poll(&ready, 1, (int)((deadline_ns - now_ns) / NS_PER_MS) + 1) <= 0)
			continue; /* a signal or the limit: the clock decides */
		got = read(fd, (char *)reply + have, sizeof(*reply) - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -EIO;
		have += (size_t)got;
	}
	return 0;
}

static int run_child(struct nvml_reply *reply, struct diag *diag)
{
	pid_t parent = getpid();
	int ends[2];
	pid_t child;
	int err;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return diag_err(diag, -errno, "NVML: no pipe: %s", strerror(errno));
	child = fork();
	if (child == 0)
		child_main(ends[1], parent);
	err = child < 0 ? -errno : 0;
	close(ends[1]);
	if (child > 0) {
		err = read_reply(ends[0], reply);
		child_end(child);
	}
	close(ends[0]);
	if (child < 0)
		return diag_err(diag, err, "NVML: no process to ask it in: %s", strerror(-err));
	if (err == -ETIMEDOUT)
		return diag_err(diag, err, "NVML gave no answer within 5 s");
	if (err)
		return diag_err(diag, err, "NVML: the process asking it ended without an answer");
	return 0;
}

/* Foreign code wrote the reply: counts within bounds, strings ended. */
static bool reply_is_sound(struct nvml_reply *reply)
{
	struct gpus *gpus = &reply->gpus;

	if (reply->status != 0 && reply->status != -ENOENT && reply->status != -EIO)
		return false;
	if (gpus->count > GPU_MAX || gpus->process_count > GPU_PROCESS_MAX)
		return false;
	reply->text[sizeof(reply->text) - 1] = '\0';
	gpus->driver_version[sizeof(gpus->driver_version) - 1] = '\0';
	for (uint32_t i = 0; i < gpus->count; i++) {
		gpus->gpu[i].uuid[sizeof(gpus->gpu[i].uuid) - 1] = '\0';
		gpus->gpu[i].name[sizeof(gpus->gpu[i].name) - 1] = '\0';
	}
	for (uint32_t i = 0; i < gpus->process_count; i++) {
		if (gpus->process[i].gpu >= gpus->count)
			return false;
	}
	return true;
}

int gpus_query(struct gpus *ret_gpus, struct diag *diag)
{
	CLEANUP_FREE struct nvml_reply *reply = calloc(1, sizeof(*reply));
	int err;

	if (!reply)
		return diag_err(diag, -ENOMEM, "NVML: out of memory");
	err = run_child(reply, diag);
	if (err)
		return err;
	if (!reply_is_sound(reply))
		return diag_err(diag, -EIO, "NVML: an answer that makes no sense");
	if (reply->status != 0)
		return diag_err(diag, reply->status, "%s", reply->text);
	*ret_gpus = reply->gpus;
	return 0;
}

int gpus_used_by(const struct gpus *gpus, uint32_t pid, uint64_t *ret_bytes)
{
	bool found = false;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < gpus->process_count; i++) {
		const struct gpu_process *process = &gpus->process[i];

		if (process->pid != pid)
			continue;
		found = true;
		if (__builtin_add_overflow(sum, process->used_bytes, &sum) || process->used_bytes == UINT64_MAX)
			sum = UINT64_MAX;
		if (sum == UINT64_MAX)
			break;
	}
	if (!found)
		return -ENOENT;
	*ret_bytes = sum;
	return 0;
}
