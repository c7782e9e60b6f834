// SPDX-License-Identifier: Apache-2.0
/*
 * serve [--tick MS] [BYTES]
 * Allocates BYTES (64M), says "ready", then obeys the lines of stdin until "quit" or their end:
 *   alloc BYTES    allocates; prints the block's number and address
 *   free I         frees block I (the first block is 0)
 *   quit
 * --tick MS: also allocates and frees 1 MiB every MS milliseconds, on another thread.
 */
#include <pthread.h>

#include "prog.h"

#define MAX_BLOCKS 1024

static void *blocks[MAX_BLOCKS];
static int block_count, frees, ticks;
static unsigned long tick_ms;

static void *tick(void *unused)
{
	void *ptr;

	(void)unused;
	for (;;) {
		must(cudaMalloc(&ptr, MIB), "cudaMalloc");
		must(cudaFree(ptr), "cudaFree");
		__atomic_add_fetch(&ticks, 1, __ATOMIC_RELAXED);
		sleep_ms(tick_ms);
	}
	return NULL;
}

static void serve_alloc(size_t bytes)
{
	cudaError_t error;

	if (block_count == MAX_BLOCKS)
		return;
	error = cudaMalloc(&blocks[block_count], bytes);
	printf("{\"block\":%d,\"addr\":\"%p\",\"bytes\":%zu,\"result\":%d}\n", block_count, blocks[block_count], bytes,
	       error);
	if (!error)
		block_count++;
}

static void serve_free(int i)
{
	cudaError_t error = cudaErrorInvalidValue;

	if (i >= 0 && i < block_count)
		error = cudaFree(blocks[i]);
	if (!error)
		frees++;
	printf("{\"freed\":%d,\"result\":%d}\n", i, error);
}

int main(int argc, char **argv)
{
	size_t bytes = 64 * MIB;
	char line[128], word[64];
	pthread_t ticker;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--tick") && i + 1 < argc)
			tick_ms = strtoul(argv[++i], NULL, 10);
		else
			bytes = bytes_of(argv[i]);
	}
	must(cudaMalloc(&blocks[block_count++], bytes), "cudaMalloc");
	if (tick_ms && pthread_create(&ticker, NULL, tick, NULL))
		return 1;
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && strncmp(line, "quit", 4)) {
		if (sscanf(line, "alloc %63s", word) == 1)
			serve_alloc(bytes_of(word));
		else if (sscanf(line, "free %63s", word) == 1)
			serve_free(atoi(word));
		fflush(stdout);
	}
	printf("{\"program\":\"serve\",\"allocs\":%d,\"frees\":%d,\"ticks\":%d}\n", block_count, frees,
	       __atomic_load_n(&ticks, __ATOMIC_RELAXED));
	fflush(stdout);
	_exit(0); /* the ticking thread may be inside a call */
}
