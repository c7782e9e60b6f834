// SPDX-License-Identifier: Apache-2.0
/*
 * tworuntimes [LIBRARY]
 * Two runtimes in one process, as with an extension that brings its own: the static one in this
 * program allocates 1 MiB, a shared one opened at run time allocates 2 MiB, and each frees what
 * the other made.
 */
#include <dlfcn.h>

#include "prog.h"

int main(int argc, char **argv)
{
	typeof(cudaMalloc) *allocate_shared;
	typeof(cudaFree) *release_shared;
	void *runtime, *first, *second;

	must(cudaMalloc(&first, 1 * MIB), "cudaMalloc");
	runtime = dlopen(argc > 1 ? argv[1] : "libcudart.so.13", RTLD_NOW | RTLD_LOCAL);
	if (!runtime) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	allocate_shared = (typeof(allocate_shared))dlsym(runtime, "cudaMalloc");
	release_shared = (typeof(release_shared))dlsym(runtime, "cudaFree");
	must(allocate_shared(&second, 2 * MIB), "shared cudaMalloc");
	must(release_shared(first), "shared cudaFree");
	must(cudaFree(second), "cudaFree");
	printf("{\"program\":\"tworuntimes\",\"allocs\":2,\"frees\":2,\"different\":%d}\n",
	       allocate_shared != cudaMalloc);
	return 0;
}
