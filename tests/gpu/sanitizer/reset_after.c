/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A main around that of a program of tests/prog (compiled with -Dmain=program_main): when it has returned, every device's primary
 * context is reset. compute-sanitizer looks for what was leaked as a context goes, and at the end of a process none does.
 */
#include <cuda.h>

#undef main

int program_main(); /* with or without arguments */

int main(int argc, char **argv)
{
	int status = program_main(argc, argv), count = 0;

	if (cuInit(0) == CUDA_SUCCESS && cuDeviceGetCount(&count) == CUDA_SUCCESS) {
		for (int device = 0; device < count; device++)
			cuDevicePrimaryCtxReset(device);
	}
	return status;
}
