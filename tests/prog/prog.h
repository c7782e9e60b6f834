/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMTRACE_PROG_H
#define VRAMTRACE_PROG_H

/*
 * What the small programs share. Each compiles against the simulated and against the real runtime,
 * does one thing that a tracer must get right, and prints one line of JSON that says what it did, or nothing.
 * Exit status 0 unless CUDA surprised it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cuda_runtime_api.h>

#define MIB (1024UL * 1024UL)

/*
 * Ends the program if a call that must succeed did not. Not inlined: it would blur the caller's
 * frame.
 */
__attribute__((noinline, unused)) static void must(cudaError_t error, const char *what)
{
	if (error == cudaSuccess)
		return;
	fprintf(stderr, "%s: %s\n", what, cudaGetErrorName(error));
	exit(1);
}

/* 4096, 64K, 16M, 2G */
__attribute__((unused)) static size_t bytes_of(const char *text)
{
	char *end;
	size_t value = strtoull(text, &end, 10);

	if (*end == 'K')
		return value << 10;
	if (*end == 'M')
		return value << 20;
	return *end == 'G' ? value << 30 : value;
}

__attribute__((unused)) static void sleep_ms(unsigned long ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

__attribute__((unused)) static unsigned long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

#endif
