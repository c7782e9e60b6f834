/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocates, gives up every system call but read, write and exit, and allocates again: a return probe that is a system call of its
 * own would kill it there. Linked with a library that makes none (tests/bench/library.c).
 */
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int cuMemAlloc_v2(void **out, size_t size);
int cuMemFree_v2(void *address);

int main(void)
{
	static const char word[] = "survived\n";
	void *first, *second;

	if (cuMemAlloc_v2(&first, 4096) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0))
		return 1;
	if (!cuMemAlloc_v2(&second, 8192) && write(1, word, sizeof(word) - 1) < 0)
		syscall(SYS_exit, 1);
	syscall(SYS_exit, 0); /* exit_group, as the C library's, is not allowed */
	return 1;
}
