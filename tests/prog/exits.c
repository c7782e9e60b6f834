// SPDX-License-Identifier: Apache-2.0
/*
 * exits return|exit|_exit|abort|segv|kill|exec|thread|incall [BYTES]
 * Ends in the given way, with memory held. exec: becomes `false`. thread: another thread ends the
 * process. incall: becomes `false` in a signal handler while it waits inside of a cudaFree (set
 * VRAMSIM_FREE_DELAY_US).
 */
#include <pthread.h>
#include <signal.h>

#include "prog.h"

static void *exit_from_thread(void *unused)
{
	(void)unused;
	exit(0);
}

static void become_false(int signal)
{
	(void)signal;
	execl("/bin/false", "false", (char *)NULL);
}

static void exec_inside_free(void)
{
	void *ptr;

	signal(SIGALRM, become_false);
	must(cudaMalloc(&ptr, 4096), "cudaMalloc");
	ualarm(20000, 0);
	cudaFree(ptr);
}

static void leave(const char *how)
{
	pthread_t thread;

	if (!strcmp(how, "exit"))
		exit(0);
	if (!strcmp(how, "_exit"))
		_exit(0);
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "segv"))
		raise(SIGSEGV);
	if (!strcmp(how, "kill"))
		kill(getpid(), SIGKILL);
	if (!strcmp(how, "exec"))
		execlp("false", "false", (char *)NULL);
	if (!strcmp(how, "incall"))
		exec_inside_free();
	if (!strcmp(how, "thread") && !pthread_create(&thread, NULL, exit_from_thread, NULL))
		pause();
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "return";
	size_t bytes = argc > 2 ? bytes_of(argv[2]) : 16 * MIB;
	void *held;

	must(cudaMalloc(&held, bytes), "cudaMalloc");
	printf("{\"program\":\"exits\",\"how\":\"%s\",\"held_bytes\":%zu}\n", how, bytes);
	fflush(stdout);
	leave(how);
	return 0;
}
