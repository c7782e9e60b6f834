// SPDX-License-Identifier: Apache-2.0
/*
 * many N
 * N children that are all there before the first of them makes a pair of an allocation and a free.
 */
#include <sys/wait.h>

#include "prog.h"

static int child(int go_fd)
{
	void *ptr;
	char byte;

	if (read(go_fd, &byte, 1) != 0)
		return 1;
	must(cudaMalloc(&ptr, MIB), "cudaMalloc");
	must(cudaFree(ptr), "cudaFree");
	return 0;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1, bad = 0, status, fds[2];

	if (pipe(fds))
		return 1;
	for (int i = 0; i < count; i++) {
		if (fork() == 0) {
			close(fds[1]);
			exit(child(fds[0]));
		}
	}
	close(fds[1]);
	while (wait(&status) > 0)
		bad += status != 0;
	printf("{\"program\":\"many\",\"children\":%d,\"bad\":%d}\n", count, bad);
	return bad != 0;
}
