/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_SIM_H
#define VRAMSIM_SIM_H

/*
 * Simulated CUDA: a libcuda, a libcudart (shared and static) and a libnvidia-ml that hand out
 * addresses and keep books, and compute nothing. They are a test double for a tracer: names,
 * versions, nesting, error codes and first instructions are those of the real libraries (which call
 * of the runtime reaches which of the driver, and what each answers to nonsense, was measured on an
 * H100); what a program did is written to a log of its own, which the tests compare with.
 *
 *   card.c      the card: one shared-memory file, so that processes share it and NVML can read it
 *   arena.c     device addresses: a reserved range in which freed addresses come back at once
 *   block.c     the blocks of this process by address
 *   truth.c     the truth log
 *   fault.c     failures on request
 *   cuda_*.c    libcuda.so.1: the driver's calls
 *   cudart_*.c  libcudart.so.13 and libcudart_static.a: the runtime's calls
 *   nvml.c      libnvidia-ml.so.1
 *
 * Environment (sizes take K, M, G or T, steps of 1024):
 *   VRAMSIM_BYTES          size of the card, 8G for a new one. Set, it changes a card on which no
 *                          process has a context; the card then keeps it
 *   VRAMSIM_CARD           the card's file, default /dev/shm/vramsim-UID. Removing it makes a new card
 *   VRAMSIM_CONTEXT_BYTES  what a context takes, default 518M
 *   VRAMSIM_LOG            the truth log: one JSON object a line, in one write, as a call returns:
 *                          {"seq","mono_ns","enter_ns","pid","tid","call","layer","addr","size",
 *                          "result"[,"pitch"]}. seq counts on a card from 1 without a gap, in the
 *                          order of the returns. A driver's free carries the block's size, a
 *                          runtime's 0. Logged are the calls of probes.def, and the driver's
 *                          cuDevicePrimaryCtxReset, _v2 and Release_v2 if they freed anything (size:
 *                          how many bytes; addr 0)
 *   VRAMSIM_FAIL           NAME:N[+][:CODE],...: the Nth call of NAME in a process (with +: and every
 *                          later one) does nothing and returns CODE, default 2. NAME is of either
 *                          layer; of the runtime's, the driver is then not called
 *   VRAMSIM_FREE_DELAY_US  a free of the driver waits so long after the address was given back,
 *                          before it returns
 *   VRAMSIM_HIDE           N: the page that the Nth allocation of the driver in a process has written
 *                          its result to is taken away (PROT_NONE) as it returns
 *   VRAMSIM_NEST           N: a cudaMalloc makes another one of 4 KiB first, within that another, and
 *                          so on, N deep
 *   VRAMSIM_NO_DRIVER      set: the runtime finds no driver, every call returns 35
 *
 * Not simulated: time (a stream-ordered free is done at once), several cards, data on the device,
 * cudaDeviceSynchronize's way into the driver (the real one calls nothing that is exported).
 */
#include <stdint.h>

#ifdef VRAMSIM_STATIC
#define SIM_EXPORT
#else
#define SIM_EXPORT __attribute__((visibility("default")))
#endif

/* The mark by which a tracer knows that what it sees is simulated. */
SIM_EXPORT extern const char vramtrace_simulated_cuda[];

/* Value of a size variable such as 512M; @fallback if it is unset or not a size. */
uint64_t sim_env_bytes(const char *name, uint64_t fallback);

#endif
