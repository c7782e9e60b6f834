// SPDX-License-Identifier: Apache-2.0
/*
 * dying exit|jump
 * A thread leaves a free (which VRAMSIM_FREE_DELAY_US must hold up) from a signal handler: by ending, or by a jump out of it, after which
 * it allocates once more. The program goes on.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>

#include "prog.h"

static sigjmp_buf outside;
static volatile int is_jump, is_freeing;

static void on_signal(int signal)
{
	(void)signal;
	if (is_jump)
		siglongjmp(outside, 1);
	syscall(SYS_exit, 0); /* this thread alone, with nothing of the C library's between */
}

static void *work(void *unused)
{
	void *ptr;

	(void)unused;
	must(cudaMalloc(&ptr, MIB), "cudaMalloc");
	if (!sigsetjmp(outside, 1)) {
		is_freeing = 1;
		must(cudaFree(ptr), "cudaFree");
		fprintf(stderr, "dying: the free was not held up\n");
		exit(1);
	}
	must(cudaMalloc(&ptr, 2 * MIB), "cudaMalloc");
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t thread;
	void *ptr;

	is_jump = argc > 1 && !strcmp(argv[1], "jump");
	sigaction(SIGUSR1, &action, NULL);
	must(cudaMalloc(&ptr, 4 * MIB), "cudaMalloc");
	if (pthread_create(&thread, NULL, work, NULL))
		return 1;
	while (!is_freeing)
		sleep_ms(1);
	sleep_ms(50);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	must(cudaFree(ptr), "cudaFree");
	printf("{\"program\":\"dying\",\"calls\":%d}\n", is_jump ? 5 : 4);
	return 0;
}
