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

#define IN_DRIVER_OUT_SIZE(symbol)                                                                                     \
	int symbol(void **out, size_t size);                                                                           \
	int symbol(void **out, size_t size)                                                                            \
	{                                                                                                              \
		FRAME;                                                                                                 \
		*out = ADDRESS_FOR(out);                                                                               \
		return size == 0;                                                                                      \
	}
#define IN_DRIVER_OUT_PITCH(symbol)                                                                                    \
	int symbol(void **out, size_t *pitch, size_t width, size_t height);                                            \
	int symbol(void **out, size_t *pitch, size_t width, size_t height)                                             \
	{                                                                                                              \
		FRAME;                                                                                                 \
		*out = ADDRESS_FOR(out);                                                                               \
		*pitch = width;                                                                                        \
		return height == 0;                                                                                    \
	}
#define IN_DRIVER_ADDR(symbol)                                                                                         \
	int symbol(void *address);                                                                                     \
	int symbol(void *address)                                                                                      \
	{                                                                                                              \
		FRAME;                                                                                                 \
		return address == NULL;                                                                                \
	}
#define IN_RUNTIME_OUT_SIZE(symbol)                                                                                    \
	int symbol(void **out, size_t size);                                                                           \
	int symbol(void **out, size_t size)                                                                            \
	{                                                                                                              \
		FRAME;                                                                                                 \
		return cuMemAlloc_v2(out, size);                                                                       \
	}
#define IN_RUNTIME_OUT_PITCH(symbol)                                                                                   \
	int symbol(void **out, size_t *pitch, size_t width, size_t height);                                            \
	int symbol(void **out, size_t *pitch, size_t width, size_t height)                                             \
	{                                                                                                              \
		FRAME;                                                                                                 \
		*pitch = width;                                                                                        \
		return cuMemAlloc_v2(out, width * height);                                                             \
	}
#define IN_RUNTIME_OUT_PITCHED_PTR(symbol)                                                                             \
	int symbol(void *out);                                                                                         \
	int symbol(void *out)                                                                                          \
	{                                                                                                              \
		FRAME;                                                                                                 \
		return out == NULL;                                                                                    \
	}
#define IN_RUNTIME_ADDR(symbol)                                                                                        \
	int symbol(void *address);                                                                                     \
	int symbol(void *address)                                                                                      \
	{                                                                                                              \
		FRAME;                                                                                                 \
		return cuMemFree_v2(address);                                                                          \
	}

#ifdef LAYER_DRIVER
#define DRIVER(symbol, shape) IN_DRIVER_##shape(symbol)
#define RUNTIME(symbol, shape)
#else
#define DRIVER(symbol, shape)
#define RUNTIME(symbol, shape) IN_RUNTIME_##shape(symbol)
#endif

#define PROBE(symbol, layer, shape, op, kind) layer(symbol, shape)
#include "vramtrace/probes.def"
