// SPDX-License-Identifier: Apache-2.0
/*
 * quick [BYTES]
 * Allocates and is gone: a tracer has to name the caller of a process that no longer exists.
 */
#include "prog.h"

void *allocate_the_weights(size_t bytes);

__attribute__((noinline)) void *allocate_the_weights(size_t bytes)
{
	void *ptr = NULL;

	must(cudaMalloc(&ptr, bytes), "cudaMalloc");
	return ptr;
}

int main(int argc, char **argv)
{
	void *weights = allocate_the_weights(argc > 1 ? bytes_of(argv[1]) : 32 * MIB);

	printf("{\"program\":\"quick\",\"allocs\":1,\"addr\":\"%p\"}\n", weights);
	return 0;
}
