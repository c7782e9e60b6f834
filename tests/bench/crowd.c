/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crowd driver|runtime THREADS SECONDS RATE FILE: threads that allocate and free as fast as they can, or, with a RATE of calls a
 * second, all together so fast. Writes `CALLS SECONDS CPU_NS_PER_CALL` to FILE: the calls made, the time they took, and what a call
 * took of a thread's CPU time.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX 256
#define HELD 8	 /* blocks of each thread that are alive at a time */
#define BURST 64 /* calls between two looks at the clock */

int cuMemAlloc_v2(void **out, size_t size);
int cuMemFree_v2(void *address);
int cudaMalloc(void **out, size_t size);
int cudaFree(void *address);

static int is_runtime;
static double run_seconds, calls_per_second; /* of one thread; 0: no limit */

struct worker {
	pthread_t thread;
	unsigned long calls;
	double cpu_seconds;
	int failed;
};

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Held blocks have addresses of their own: the library makes them of its argument's. */
static int burst(void *held[HELD])
{
	int failed = 0;

	for (int i = 0; i < BURST / 2; i++) {
		void **block = &held[i % HELD];
		size_t size = (size_t)(i * 37 % 64 + 1) << 16;

		if (*block)
			failed |= is_runtime ? cudaFree(*block) : cuMemFree_v2(*block);
		failed |= is_runtime ? cudaMalloc(block, size) : cuMemAlloc_v2(block, size);
	}
	return failed;
}

static void wait_for_turn(const struct worker *worker, double start)
{
	double ahead = (double)worker->calls / calls_per_second - (seconds(CLOCK_MONOTONIC) - start);
	struct timespec pause = { .tv_nsec = (long)(ahead * 1e9) };

	if (ahead > 0 && ahead < 1)
		nanosleep(&pause, NULL);
}

static void *work(void *argument)
{
	double start = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
	struct worker *worker = argument;
	void *held[HELD] = { NULL };

	worker->failed = burst(held);
	worker->calls = BURST - HELD;
	while (seconds(CLOCK_MONOTONIC) - start < run_seconds) {
		worker->failed |= burst(held);
		worker->calls += BURST;
		if (calls_per_second > 0)
			wait_for_turn(worker, start);
	}
	worker->cpu_seconds = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
	return NULL;
}

static int write_result(const char *path, const struct worker *workers, int count, double took)
{
	FILE *file = fopen(path, "w");
	unsigned long calls = 0;
	double cpu = 0;
	int failed = 0;

	for (int i = 0; i < count; i++) {
		calls += workers[i].calls;
		cpu += workers[i].cpu_seconds;
		failed |= workers[i].failed;
	}
	if (!file || failed || !calls)
		return 1;
	fprintf(file, "%lu %.6f %.2f\n", calls, took, cpu * 1e9 / (double)calls);
	return fclose(file) != 0;
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS_MAX];
	double start;
	int count;

	if (argc != 6)
		return 2;
	is_runtime = strcmp(argv[1], "runtime") == 0;
	count = atoi(argv[2]);
	if (count < 1 || count > THREADS_MAX)
		return 2;
	run_seconds = strtod(argv[3], NULL);
	calls_per_second = strtod(argv[4], NULL) / count;
	start = seconds(CLOCK_MONOTONIC);
	for (int i = 0; i < count; i++) {
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 1;
	}
	for (int i = 0; i < count; i++)
		pthread_join(workers[i].thread, NULL);
	return write_result(argv[5], workers, count, seconds(CLOCK_MONOTONIC) - start);
}
