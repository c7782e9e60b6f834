/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "probe/demangle.h"
#include "probe/reader_child.h"

#define NOBODY 65534
#define SOCKET 3 /* where the socket lies after reader_confine() */
#define MEMORY_BYTES (2ull << 30)
#define DESCRIPTORS 8 /* 0..2, the socket, the file */

/* The parent's ring buffers are shared memory; a child that was started late must not be able to write to them. */
static int drop_shared_mappings(void)
{
	CLEANUP_FCLOSE FILE *maps = fopen("/proc/self/maps", "re");
	CLEANUP_FREE char *line = NULL;
	size_t capacity = 0;

	if (!maps)
		return -errno;
	while (getline(&line, &capacity, maps) > 0) {
		uint64_t start, end;
		char perms[5];

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, perms) != 3 || perms[3] != 's')
			continue;
		if (munmap((void *)(uintptr_t)start, end - start))
			return -errno;
	}
	return 0;
}

static int only_socket(int socket)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int high = fcntl(socket, F_DUPFD, 4);

	if (null < 0 || high < 0)
		return -errno;
	for (int fd = 0; fd <= 2; fd++) {
		if (dup2(null, fd) < 0)
			return -errno;
	}
	if (dup2(high, SOCKET) < 0)
		return -errno;
	closefrom(SOCKET + 1);
	return 0;
}

/* The parent ends us by closing the socket: a Ctrl-C for the whole group must not take its symbols away before that. */
static int reset_signals(void)
{
	static const int ignored[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE, SIGTSTP };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL); /* fails for some, which have the default anyway */
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) ? -errno : 0;
}

static int limit(int resource, rlim_t value)
{
	struct rlimit limit = { value, value };

	return setrlimit(resource, &limit) ? -errno : 0;
}

static int limit_resources(void)
{
	int err = limit(RLIMIT_CORE, 0);

	if (!err)
		err = limit(RLIMIT_FSIZE, 0);
	if (!err)
		err = limit(RLIMIT_NOFILE, DESCRIPTORS);
#ifndef __SANITIZE_ADDRESS__ /* which reserves terabytes */
	if (!err)
		err = limit(RLIMIT_AS, MEMORY_BYTES);
#endif
	return err;
}

static int drop_privileges(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2];

	memset(none, 0, sizeof(none));
	for (int cap = 0; cap < 64; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	if (geteuid() == 0) {
		if (setgroups(0, NULL) && errno != EPERM)
			return -errno;
		/* EINVAL: a user namespace without nobody. The capabilities go all the same. */
		if (setresgid(NOBODY, NOBODY, NOBODY) && errno != EINVAL)
			return -errno;
		if (setresuid(NOBODY, NOBODY, NOBODY) && errno != EINVAL)
			return -errno;
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, none))
		return -errno;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return 0;
}

/* What libelf, malloc (all that demangling needs) and the loop below call; nothing that takes a path, makes a descriptor or a process. */
static const int allowed[] = {
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(read),
	SCMP_SYS(pread64),
	SCMP_SYS(lseek),
	SCMP_SYS(fstat),
	SCMP_SYS(close),
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(setitimer),
	SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(exit_group),
	SCMP_SYS(exit),
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sigaltstack),
#endif
};

static int add_rules(scmp_filter_ctx filter)
{
	int err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	for (size_t i = 0; !err && i < ARRAY_SIZE(allowed); i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* elf_begin() asks whether the descriptor is one. */
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, F_GETFD, 0));
	/* The C library's fstat(). A path could be given with it; as nobody, and only to ask for its status. */
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
				       SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH, 0));
	return err;
}

static int filter_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err = filter ? add_rules(filter) : -ENOMEM;

	if (!err)
		err = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return err;
}

/* After the privileges: a change of user clears it. The end of the socket ends us too, but only while we read from it. */
static int die_with_parent(int parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

int reader_confine(int socket, int parent, const char **ret_step)
{
	int err;

	*ret_step = "shared memory";
	err = drop_shared_mappings();
	if (err)
		return err;
	*ret_step = "descriptors";
	err = only_socket(socket);
	if (err)
		return err;
	*ret_step = "signals";
	err = reset_signals();
	if (err)
		return err;
	*ret_step = "resource limits";
	err = limit_resources();
	if (err)
		return err;
	*ret_step = "privileges";
	err = drop_privileges();
	if (err)
		return err;
	*ret_step = "parent";
	err = die_with_parent(parent);
	if (err)
		return err;
	*ret_step = "seccomp";
	return filter_calls();
}

/* The request and its descriptor. False at the end of the socket, or when it makes no sense: then there is no parent to serve. */
static bool receive(int socket, struct reader_request *ret_request, int *ret_fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec data = { ret_request, sizeof(*ret_request) };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	ssize_t n;

	do
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	header = n == sizeof(*ret_request) ? CMSG_FIRSTHDR(&message) : NULL;
	if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
		return false;
	memcpy(ret_fd, CMSG_DATA(header), sizeof(int));
	return true;
}

/* SIGPROF ends a request that turns in circles, even when the parent is stopped and cannot. */
static void limit_cpu(int ms)
{
	struct itimerval timer = { .it_value = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 } };

	setitimer(ITIMER_PROF, &timer, NULL);
}

static int answer_place(int fd, uint64_t file_offset, struct elf_place *ret)
{
	int err = elf_read_place(fd, file_offset, ret);

	if (err)
		return err;
	limit_cpu(READER_CPU_DEMANGLE_MS);
	demangle(ret->symbol, ret->demangled, sizeof(ret->demangled));
	return 0;
}

static void answer(const struct reader_request *request, int fd, struct reader_answer *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->op = request->op;
	if (request->op == READER_EXPORTS)
		ret->err = elf_read_exports(fd, (enum vt_layer)request->layer, &ret->exports);
	else if (request->op == READER_PLACE)
		ret->err = answer_place(fd, request->file_offset, &ret->place);
	else
		ret->err = -EINVAL;
}

void reader_child_run(int socket, int parent)
{
	struct reader_request request;
	struct reader_answer reply;
	struct reader_hello hello = { 0 };
	const char *step;
	int fd;

	prctl(PR_SET_NAME, "vramtrace-elf", 0, 0, 0);
	demangle_open();
	hello.err = reader_confine(socket, parent, &step);
	snprintf(hello.step, sizeof(hello.step), "%s", step);
	send(SOCKET, &hello, sizeof(hello), MSG_NOSIGNAL);
	if (hello.err)
		_exit(1);
	while (receive(SOCKET, &request, &fd)) {
		limit_cpu(READER_CPU_MS);
		answer(&request, fd, &reply);
		limit_cpu(0);
		close(fd);
		if (send(SOCKET, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}
