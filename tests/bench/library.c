/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every function of probes.def as a few instructions, so that what a probe costs is not lost in what a call does. One source, two
 * libraries: LAYER_DRIVER gives libcuda.so.1, LAYER_RUNTIME libcudart.so.13, whose calls go to the driver's as the real ones do.
 * Built so that each function begins with push %rbp and keeps its frame: so do NVIDIA's, and the kernel is fast for no other.
 */
#include <stddef.h>
#include <stdint.h>

/* Whoever holds blocks in different places gets different addresses, which lie as far apart as a card's. */
#define ADDRESS_FOR(out) ((void *)((uintptr_t)(out) << 9))

/* A function that asks for its frame gets one, also where it calls nothing. */
#define FRAME __asm__ volatile("" : : "r"(__builtin_frame_address(0)))

int cuMemAlloc_v2(void **out, size_t size);
int cuMemFree_v2(void *address);

#ifdef LAYER_DRIVER
int cuMemAlloc_v2(void **out, size_t size)
{
	FRAME;
	*out = ADDRESS_FOR(out);
	return size == 0;
}

int cuMemFree_v2(void *address)
{
	FRAME;
	return address == NULL;
}
#else
int cudaMalloc(void **out, size_t size);
int cudaFree(void *address);

int cudaMalloc(void **out, size_t size)
{
	FRAME;
	return cuMemAlloc_v2(out, size);
}

int cudaFree(void *address)
{
	FRAME;
	return cuMemFree_v2(address);
}
#endif

/* The others do nothing, and do it well. The comma makes the layer of those above the third argument, and WRITTEN the second. */
#define IS_cuMemAlloc_v2 , WRITTEN
#define IS_cuMemFree_v2 , WRITTEN
#define IS_cudaMalloc , WRITTEN
#define IS_cudaFree , WRITTEN
#define SECOND(first, second, ...) second
#define CHOOSE(...) SECOND(__VA_ARGS__)

#define WRITTEN(symbol)
#define NOTHING(symbol)                                                                                                \
	int symbol(void);                                                                                              \
	int symbol(void)                                                                                               \
	{                                                                                                              \
		FRAME;                                                                                                 \
		return 0;                                                                                              \
	}
#ifdef LAYER_DRIVER
#define DRIVER(symbol) NOTHING(symbol)
#define RUNTIME(symbol)
#else
#define DRIVER(symbol)
#define RUNTIME(symbol) NOTHING(symbol)
#endif

#define PROBE(symbol, layer, shape, op, kind) CHOOSE(IS_##symbol, layer, )(symbol)
#include "vramtrace/probes.def"
