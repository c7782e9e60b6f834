// SPDX-License-Identifier: Apache-2.0
/*
 * dlopen [DELAY_MS [N [INTERVAL_MS [LIBRARY]]]]
 * Linked to no runtime: opens one after a delay, finds its calls by name, then allocates and frees
 * 1 MiB N times.
 */
#include <dlfcn.h>

#include "prog.h"

static unsigned long number(int argc, char **argv, int i, unsigned long fallback)
{
	return argc > i ? strtoul(argv[i], NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
	unsigned long delay = number(argc, argv, 1, 100), count = number(argc, argv, 2, 5);
	unsigned long interval = number(argc, argv, 3, 10), done = 0;
	typeof(cudaMalloc) *allocate;
	typeof(cudaFree) *release;
	void *runtime, *ptr;

	sleep_ms(delay);
	runtime = dlopen(argc > 4 ? argv[4] : "libcudart.so.13", RTLD_NOW);
	if (!runtime) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	allocate = (typeof(allocate))dlsym(runtime, "cudaMalloc");
	release = (typeof(release))dlsym(runtime, "cudaFree");
	for (unsigned long i = 0; i < count; i++) {
		if (allocate(&ptr, MIB) == cudaSuccess && release(ptr) == cudaSuccess)
			done++;
		sleep_ms(interval);
	}
	printf("{\"program\":\"dlopen\",\"allocs\":%lu,\"frees\":%lu}\n", done, done);
	return done != count;
}
