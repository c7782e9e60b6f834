/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/selftest.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/link.h"
#include "base/cleanup.h"
#include "base/self.h"

/* Not inlined and not cloned: its return is probed. The barrier keeps the calls. */
static int __attribute__((noinline, noclone)) probed(int value)
{
	__asm__ volatile("" : "+r"(value) : : "memory");
	return value + 1;
}

static void enter_strict(void)
{
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
}

/* As a sandbox has it: what the program needs, and death for the rest. */
static void enter_filter(void)
{
	static struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	static const struct sock_fprog program = { .len = ARRAY_SIZE(filter), .filter = filter };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

/* The child leaves with 1 by a call that both filters allow; killed, it leaves no core behind. */
static pid_t start(void (*enter)(void))
{
	const struct rlimit none = { 0, 0 };
	pid_t pid = fork();

	if (pid)
		return pid;
	setrlimit(RLIMIT_CORE, &none);
	enter();
	for (;;)
		syscall(SYS_exit, probed(0));
}

static int wait_for(pid_t pid)
{
	int status = -1;

	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

/* "" if both came through. */
static const char *try_both(int hits_fd)
{
	pid_t strict = start(enter_strict), filtered = start(enter_filter);
	int strict_status = wait_for(strict), filtered_status = wait_for(filtered);
	uint32_t zero = 0;
	uint64_t hits = 0;

	if (strict < 0 || filtered < 0)
		return "the self-test could not start a child";
	if (WIFSIGNALED(strict_status))
		return "on this kernel a return probe kills programs under strict seccomp";
	if (WIFSIGNALED(filtered_status))
		return "on this kernel a return probe kills programs under a seccomp filter";
	if (!WIFEXITED(strict_status) || WEXITSTATUS(strict_status) != 1 || !WIFEXITED(filtered_status) ||
	    WEXITSTATUS(filtered_status) != 1)
		return "the self-test's children ended in another way than they should";
	if (bpf_map_lookup_elem(hits_fd, &zero, &hits) || hits < 2)
		return "a return probe of our own function was not hit";
	return "";
}

static int make_link(const struct features *features, int hits_fd)
{
	const uint64_t cookie = 0;
	uint64_t offset;
	char path[64];
	struct link_multi link = {
		.path = path, .offsets = &offset, .cookies = &cookie, .count = 1, .is_return = true
	};
	int self_fd, fd = self_open((uintptr_t)probed, &self_fd, &offset);

	if (fd)
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self_fd);
	link.prog_fd = link_count_program(features->uprobe_multi ? LINK_ATTACH_TYPE_UPROBE_MULTI : 0, hits_fd);
	fd = link.prog_fd;
	if (fd >= 0) {
		fd = features->uprobe_multi ? link_multi_create(&link) : link_perf_create(&link, 0);
		close(link.prog_fd);
	}
	close(self_fd);
	return fd;
}

int selftest_run(unsigned int without, struct features *features)
{
	int hits_fd, link_fd;

	features->return_probes = false;
	features->return_probes_why = "switched off";
	if (without & ATTACH_WITHOUT_RETURN_PROBES)
		return -1;
	features->return_probes_why = "the self-test could not be set up";
	hits_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "vramtrace", sizeof(uint32_t), sizeof(uint64_t), 1, NULL);
	if (hits_fd < 0)
		return -1;
	link_fd = make_link(features, hits_fd);
	if (link_fd == -ESTALE)
		features->return_probes_why = "started through the dynamic linker: the self-test has no file to probe";
	if (link_fd >= 0) {
		features->return_probes_why = try_both(hits_fd);
		features->return_probes = !features->return_probes_why[0];
	}
	close(hits_fd);
	return link_fd < 0 ? -1 : link_fd;
}
