/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/links.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

int links_add(struct links *links, int fd)
{
	int *grown = reallocarray(links->fds, links->count + 1, sizeof(*grown));

	if (!grown) {
		close(fd);
		return -ENOMEM;
	}
	links->fds = grown;
	links->fds[links->count++] = fd;
	return 0;
}

void links_close(struct links *links, size_t keep)
{
	for (size_t i = keep; i < links->count; i++)
		close(links->fds[i]);
	if (links->count > keep)
		links->count = keep;
	if (keep)
		return;
	free(links->fds);
	*links = (struct links) { 0 };
}

int links_take(struct links *links, struct links *from)
{
	int *grown;

	if (!from->count)
		return 0;
	grown = reallocarray(links->fds, links->count + from->count, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memcpy(grown + links->count, from->fds, from->count * sizeof(*grown));
	links->fds = grown;
	links->count += from->count;
	free(from->fds);
	*from = (struct links) { 0 };
	return 0;
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Everything but the links and the pipe: nobody should wait for an end of file because of us. */
static void keep_only(const struct links *links, int pipe_fd)
{
	unsigned int next = 0;
	int *kept = calloc(links->count + 1, sizeof(*kept));

	if (!kept)
		return;
	memcpy(kept, links->fds, links->count * sizeof(*kept));
	kept[links->count] = pipe_fd;
	qsort(kept, links->count + 1, sizeof(*kept), compare);
	for (size_t i = 0; i <= links->count; i++) {
		if ((unsigned int)kept[i] > next)
			syscall(SYS_close_range, next, kept[i] - 1, 0);
		next = (unsigned int)kept[i] + 1;
	}
	syscall(SYS_close_range, next, ~0u, 0);
	free(kept);
}

/*
 * In the child. Signals to our terminal and our group are not for it. The parent must have closed its own descriptors before, for
 * whoever closes last does the work; the end of the pipe says so, or that the parent is gone.
 */
static void __attribute__((noreturn)) close_all(const struct links *links, int pipe_fd, uint32_t *left)
{
	sigset_t all;
	char byte;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	keep_only(links, pipe_fd);
	while (read(pipe_fd, &byte, 1) < 0 && errno == EINTR)
		;
	for (size_t i = 0; i < links->count; i++) {
		close(links->fds[i]);
		__atomic_store_n(left, (uint32_t)(links->count - i - 1), __ATOMIC_RELAXED);
	}
	_exit(0);
}

void closing_begin(struct closing *closing, struct links *links)
{
	int fds[2] = { -1, -1 };
	uint32_t *left;

	if (!links->count || closing->pid)
		return;
	left = mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (left != MAP_FAILED && !pipe2(fds, O_CLOEXEC)) {
		*left = (uint32_t)links->count;
		closing->pid = fork();
		if (closing->pid == 0) {
			close(fds[1]);
			close_all(links, fds[0], left);
		}
	}
	if (closing->pid < 0)
		closing->pid = 0;
	links_close(links, 0);
	cleanup_close(&fds[0]);
	cleanup_close(&fds[1]);
	if (closing->pid)
		closing->left = left;
	else if (left != MAP_FAILED)
		munmap(left, sizeof(*left));
}

size_t closing_wait(struct closing *closing, int timeout_ms)
{
	struct pollfd end = { .events = POLLIN };
	size_t left;

	if (!closing->pid)
		return 0;
	end.fd = (int)syscall(SYS_pidfd_open, closing->pid, 0);
	if (end.fd >= 0) {
		while (poll(&end, 1, timeout_ms) < 0 && errno == EINTR && timeout_ms < 0)
			;
		close(end.fd);
	}
	if (waitpid(closing->pid, NULL, timeout_ms < 0 ? 0 : WNOHANG) == 0) {
		left = __atomic_load_n(closing->left, __ATOMIC_RELAXED);
		return left ? left : 1;
	}
	munmap(closing->left, sizeof(*closing->left));
	*closing = (struct closing) { 0 };
	return 0;
}
