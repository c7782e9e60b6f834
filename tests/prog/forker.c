// SPDX-License-Identifier: Apache-2.0
/*
 * forker [early|late|exec]
 *   early  forks before any use of CUDA; parent and child then allocate 8 MiB and 4 MiB, and free them
 *   late   the parent allocates first: CUDA refuses to work in such a child, its allocation must fail
 *   exec   the parent allocates and holds 8 MiB while a child starts `basic` beside this program
 */
#include <sys/wait.h>

#include "prog.h"

static void use(size_t bytes)
{
	void *ptr;

	must(cudaMalloc(&ptr, bytes), "cudaMalloc");
	must(cudaFree(ptr), "cudaFree");
}

static int child_early(void)
{
	use(4 * MIB);
	return 0;
}

static int child_late(void)
{
	void *ptr;

	return cudaMalloc(&ptr, 4 * MIB) == cudaErrorInitializationError ? 0 : 1;
}

static int child_exec(void)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 16);
	int fixed;

	if (len < 0)
		return 1;
	path[len] = '\0';
	fixed = strstr(path, "-static") != NULL;
	strcpy(strrchr(path, '/') + 1, fixed ? "basic-static" : "basic");
	execl(path, path, (char *)NULL);
	return 1;
}

static int status_of(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "early";
	int (*run_child)(void) = child_early;
	void *held = NULL;
	pid_t child;
	int status;

	if (strcmp(mode, "early")) {
		run_child = strcmp(mode, "exec") ? child_late : child_exec;
		must(cudaMalloc(&held, 8 * MIB), "cudaMalloc");
	}
	child = fork();
	if (child == 0)
		exit(run_child()); /* as programs end: what a library does at exit is done */
	if (!held)
		must(cudaMalloc(&held, 8 * MIB), "cudaMalloc");
	status = status_of(child);
	must(cudaFree(held), "cudaFree");
	printf("{\"program\":\"forker\",\"mode\":\"%s\",\"child\":%d,\"status\":%d}\n", mode, child, status);
	return status != 0;
}
