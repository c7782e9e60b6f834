/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "cli/session.h"

struct identity {
	uint32_t tgid;
	uint32_t parent;
	uint32_t ns_tgid;
	char comm[17];
};

/* Of /proc/PID/status; the first line is the name, with the kernel's own escapes for newline and backslash. */
static int read_identity(uint32_t pid, struct identity *ret)
{
	char path[64], line[512];
	CLEANUP_FCLOSE FILE *file = NULL;
	size_t length;

	memset(ret, 0, sizeof(*ret));
	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -ESRCH;
	length = fread(line, 1, sizeof(ret->comm), file);
	if (length > 0 && line[length - 1] == '\n') /* the kernel's; one before it is part of the name */
		length--;
	memcpy(ret->comm, line, length < sizeof(ret->comm) ? length : sizeof(ret->comm) - 1);
	fclose(file);
	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		const char *last = strrchr(line, '\t');

		if (!strncmp(line, "Tgid:", 5))
			ret->tgid = (uint32_t)strtoul(line + 5, NULL, 10);
		else if (!strncmp(line, "PPid:", 5))
			ret->parent = (uint32_t)strtoul(line + 5, NULL, 10);
		else if (!strncmp(line, "NSpid:", 6) && last)
			ret->ns_tgid = (uint32_t)strtoul(last, NULL, 10);
	}
	return ret->tgid ? 0 : -ESRCH;
}

/* What the driver says the process holds, and that we did not see it come: the first thing told of it. */
static void tell_attached(struct session *session, const struct identity *identity)
{
	struct item item = {
		.kind = ITEM_ATTACHED,
		.time_ns = clock_mono_ns(),
		.process = { .tgid = identity->tgid, .ns_tgid = identity->ns_tgid, .comm = identity->comm },
	};

	item.process.nvml_answers = session->gpus != NULL;
	if (!session->gpus || gpus_used_by(session->gpus, identity->tgid, &item.process.nvml_bytes))
		item.process.nvml_bytes = 0;
	if (item.process.nvml_bytes == UINT64_MAX) /* NVML knows it, and does not say how much */
		item.process.nvml_answers = false;
	pipe_take(&session->pipe, &item);
}

void session_came_late(struct session *session, uint32_t tgid, uint32_t ns_tgid, const char *comm)
{
	struct item item = {
		.kind = ITEM_LATE,
		.time_ns = clock_mono_ns(),
		.process = { .tgid = tgid, .ns_tgid = ns_tgid, .comm = comm },
	};

	pipe_take(&session->pipe, &item);
}

/* Probes what the process has mapped. True: it has CUDA in it. */
static bool take_in(struct session *session, const struct identity *identity)
{
	struct candidates candidates = { 0 };
	bool has_cuda;

	search_process((pid_t)identity->tgid, &candidates);
	has_cuda = candidates.count > 0;
	libraries_add_all(&session->libraries, &candidates);
	candidates_fini(&candidates);
	callers_load_process(session->callers, identity->tgid);
	if (has_cuda)
		session_came_late(session, identity->tgid, identity->ns_tgid, identity->comm);
	return has_cuda;
}

typedef bool process_fn(struct session *session, const struct identity *identity, void *ctx);

static void each_process(struct session *session, process_fn *fn, void *ctx)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	struct identity identity;

	while (proc && (entry = readdir(proc))) {
		char *end;
		unsigned long pid = strtoul(entry->d_name, &end, 10);

		if (!*end && pid && pid != (unsigned long)getpid() && !read_identity((uint32_t)pid, &identity))
			fn(session, &identity, ctx);
	}
	if (proc)
		closedir(proc);
}

struct descent {
	bool found;
	bool has_cuda;
};

static bool take_descendant(struct session *session, const struct identity *identity, void *ctx)
{
	struct descent *descent = ctx;

	if (!attach_has_process(session->attach, identity->parent) ||
	    attach_has_process(session->attach, identity->tgid))
		return false;
	if (attach_add_process(session->attach, identity->tgid))
		return false;
	descent->found = true;
	if (take_in(session, identity)) {
		tell_attached(session, identity);
		descent->has_cuda = true;
	}
	return true;
}

static int add_target(struct session *session, pid_t pid, bool *ret_has_cuda, struct diag *diag)
{
	struct identity identity;
	int fd, err;

	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	err = fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
		      ? -errno
		      : read_identity((uint32_t)pid, &identity);
	if (err) {
		cleanup_close(&fd);
		if (err != -ESRCH)
			return diag_err(diag, err, "-p %d: cannot watch it: %s (see ulimit -n)", (int)pid,
					strerror(-err));
		return diag_err(diag, -ESRCH, "-p %d: there is no such process", (int)pid);
	}
	if (fd < 0 || identity.tgid != (uint32_t)pid) {
		cleanup_close(&fd);
		return diag_err(diag, -ESRCH, "-p %d: this is a thread; its process is %" PRIu32, (int)pid,
				identity.tgid);
	}
	session->target_fds[session->target_count++] = fd;
	session->targets_alive++;
	err = attach_add_process(session->attach, identity.tgid);
	if (err && err != -EEXIST)
		return diag_err(diag, err, "-p %d: %s", (int)pid, strerror(-err));
	if (poll(&(struct pollfd) { .fd = fd, .events = POLLIN }, 1, 0) == 1)
		attach_remove_process(session->attach,
				      identity.tgid); /* ended before it was listed: its id is anyone's now */
	tell_attached(session, &identity);
	if (take_in(session, &identity))
		*ret_has_cuda = true;
	return 0;
}

static void say_waiting(const struct session *session)
{
	for (size_t i = 0; i < session->options->pid_count; i++) {
		struct identity identity;
		struct buf comm = BUF_INIT;

		if (read_identity((uint32_t)session->options->pids[i], &identity))
			continue;
		escape_text(&comm, identity.comm, strlen(identity.comm));
		log_info("process %d (%s) has not loaded CUDA: waiting for it", (int)session->options->pids[i],
			 comm.data ? comm.data : "?");
		buf_fini(&comm);
	}
}

int session_add_targets(struct session *session, struct diag *diag)
{
	const struct options *options = session->options;
	struct descent descent = { .found = options->follow };
	bool has_cuda = false;
	int err = 0;

	session->target_fds = calloc(options->pid_count, sizeof(*session->target_fds));
	if (!session->target_fds)
		return diag_err(diag, -ENOMEM, "out of memory");
	for (size_t i = 0; !err && i < options->pid_count; i++)
		err = add_target(session, options->pids[i], &has_cuda, diag);
	/* What they had started before; from here on the kernel side adds children by itself. /proc has no order: until nothing is new. */
	while (!err && descent.found) {
		descent.found = false;
		each_process(session, take_descendant, &descent);
	}
	if (!err && !has_cuda && !descent.has_cuda)
		say_waiting(session);
	return err;
}

void session_forget_targets(struct session *session)
{
	for (size_t i = 0; i < session->target_count; i++)
		cleanup_close(&session->target_fds[i]);
	free(session->target_fds);
}

static bool take_present(struct session *session, const struct identity *identity, void *ctx)
{
	unsigned int *count = ctx;

	if (!take_in(session, identity))
		return false;
	tell_attached(session, identity);
	(*count)++;
	return true;
}

int session_add_present(struct session *session)
{
	struct candidates candidates = { 0 };
	unsigned int count = 0;
	int err;

	each_process(session, take_present, &count);
	err = search_machine(&candidates);
	libraries_add_all(&session->libraries, &candidates);
	candidates_fini(&candidates);
	if (!count && !session->libraries.probed[VT_LAYER_DRIVER] && !session->libraries.probed[VT_LAYER_RUNTIME])
		log_info("no CUDA library is on this machine yet: waiting for a process that maps one");
	return err;
}

static bool look_again(struct session *session, const struct identity *identity, void *ctx)
{
	const uint64_t *begin_ns = ctx;
	struct candidates candidates = { 0 };
	bool missed = false;

	if (session_is_listed(session) && !attach_has_process(session->attach, identity->tgid))
		return false;
	search_process((pid_t)identity->tgid, &candidates);
	for (size_t i = 0; i < candidates.count; i++) {
		uint64_t since_ns;

		if (!libraries_add(&session->libraries, &candidates.items[i], &since_ns) && since_ns >= *begin_ns)
			missed = true;
	}
	candidates_fini(&candidates);
	if (!missed)
		return false;
	log_info("process %" PRIu32
		 " had mapped a CUDA library unnoticed, for the news were lost: its calls until now are unseen",
		 identity->tgid);
	session_came_late(session, identity->tgid, identity->ns_tgid, identity->comm);
	return true;
}

void session_look_again(struct session *session)
{
	uint64_t begin_ns = clock_mono_ns();

	each_process(session, look_again, &begin_ns);
	if (session->libraries.simulated)
		pipe_simulated(&session->pipe);
}
