/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_LIBRARY_USER_H
#define UNIT_LIBRARY_USER_H

/* A library of two driver calls, and a child that has it loaded and calls them when it is told to. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOO_MUCH (1ull << 40) /* bytes that the library refuses with 2 */

/* Without a place to write to, the allocation succeeds and leaves nothing to read. */
static const char library_source[] = "int cuMemAlloc_v2(unsigned long *out, unsigned long size)\n"
				     "{\n"
				     "	if (size >> 40)\n"
				     "		return 2;\n"
				     "	if (out)\n"
				     "		*out = 0x7f0000000000 + size;\n"
				     "	return 0;\n"
				     "}\n"
				     "int cuMemFree_v2(unsigned long addr) { return addr & 1 ? 1 : 0; }\n";

/* False: there is no compiler that makes it. */
static inline bool library_make(const char *source_path, const char *library_path)
{
	FILE *file = fopen(source_path, "we");
	int status = -1;
	pid_t pid;

	if (!file || fputs(library_source, file) < 0 || fclose(file))
		return false;
	pid = fork();
	if (pid == 0) {
		/* -O0 and no endbr64: functions begin with push %rbp, as CUDA's do. */
		execlp("cc", "cc", "-O0", "-fno-omit-frame-pointer", "-fcf-protection=none", "-shared", "-fPIC", "-o",
		       library_path, source_path, (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* The child that uses the library. */
struct order {
	uint64_t value;
	char what; /* 'a'llocate, 'n'owhere to write the address to, 'f'ree, 'w'here is the function */
};

struct user {
	pid_t pid;
	int fd;
};

static inline int serve_one(void *library, const struct order *order, uint64_t *ret_value)
{
	int (*alloc)(uint64_t *, uint64_t) = (int (*)(uint64_t *, uint64_t))dlsym(library, "cuMemAlloc_v2");
	int (*release)(uint64_t) = (int (*)(uint64_t))dlsym(library, "cuMemFree_v2");

	switch (order->what) {
	case 'a':
		return alloc(ret_value, order->value);
	case 'n':
		return alloc(NULL, order->value);
	case 'f':
		return release(order->value);
	default:
		*ret_value = (uintptr_t)alloc;
		return 0;
	}
}

static inline void __attribute__((noreturn)) serve(const char *library_path, int fd)
{
	void *library = dlopen(library_path, RTLD_NOW);
	struct order order;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (library && read(fd, &order, sizeof(order)) == sizeof(order)) {
		uint64_t answer[2] = { 0 };

		answer[0] = (uint64_t)serve_one(library, &order, &answer[1]);
		if (write(fd, answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

static inline struct user user_start(const char *library_path)
{
	struct user user;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	user.fd = fds[0];
	user.pid = fork();
	assert_true(user.pid >= 0);
	if (user.pid == 0) {
		close(fds[0]);
		serve(library_path, fds[1]);
	}
	close(fds[1]);
	return user;
}

static inline uint64_t user_call(const struct user *user, char what, uint64_t value, int result)
{
	struct order order = { .value = value, .what = what };
	uint64_t answer[2];

	assert_int_equal(write(user->fd, &order, sizeof(order)), sizeof(order));
	assert_int_equal(read(user->fd, answer, sizeof(answer)), sizeof(answer));
	assert_int_equal((int)answer[0], result);
	return answer[1];
}

static inline void user_end(struct user *user)
{
	kill(user->pid, SIGKILL);
	assert_int_equal(waitpid(user->pid, NULL, 0), user->pid);
	close(user->fd);
}

#endif
