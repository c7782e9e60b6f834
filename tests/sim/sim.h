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
 *   card*.c     the card: one shared-memory file, so that processes share it and NVML can read it
 *   arena.c     device addresses: a reserved range in which freed addresses come back at once
 *   block.c     the blocks of this process by address; pool.c, vmm.c, graph.c: what has more to it than an address
 *   truth.c     the truth log
 *   fault.c     failures on request
 *   cuda_*.c    libcuda.so.1: the driver's calls
 *   cudart_*.c  libcudart.so.13 and libcudart_static.a: the runtime's calls
 *   nvml.c      libnvidia-ml.so.1
 *
 * Environment (sizes take K, M, G or T, steps of 1024):
 *   VRAMSIM_BYTES          size of each GPU, 8G for a new card. Set, it changes a card on which no
 *                          process has a context or memory; the card then keeps it
 *   VRAMSIM_GPUS           how many GPUs, 1 to 4, 1 for a new card: as VRAMSIM_BYTES. Their UUIDs are
 *                          GPU-7672616d-7369-6d00-0000-000000000001 and so on, by place on the bus
 *   VRAMSIM_FASTEST        3,1,0,2: the order of speed, by which devices are numbered unless
 *                          CUDA_DEVICE_ORDER is PCI_BUS_ID; default: that of the bus.
 *                          CUDA_VISIBLE_DEVICES is obeyed (numbers and beginnings of UUIDs)
 *   VRAMSIM_MIG            set: each GPU shows as an instance of it, which has a UUID of its own for
 *                          cuDeviceGetUuid_v2, and its GPU's for cuDeviceGetUuid (cuda.h of 12.4, 13.0)
 *   VRAMSIM_CARD           the card's file, default /dev/shm/vramsim-UID. Removing it makes a new
 *                          card. While something is exported there is FILE-fd beside it
 *   VRAMSIM_CONTEXT_BYTES  what a context takes, default 518M
 *   VRAMSIM_LOG            the truth log: one JSON object a line, in one write, as a call returns.
 *                          See below
 *   VRAMSIM_FAIL           NAME:N[+][:CODE],...: the Nth call of NAME in a process (with +: and every
 *                          later one) does nothing and returns CODE, default 2. NAME is any call of
 *                          the log; of the runtime's, the driver is then not called
 *   VRAMSIM_FREE_DELAY_US  a free of the driver waits so long after the address was given back,
 *                          before it returns
 *   VRAMSIM_HIDE           N: the page that the Nth allocation of the driver in a process has written
 *                          its result to is taken away (PROT_NONE) as it returns
 *   VRAMSIM_NEST           N: a cudaMalloc makes another one of 4 KiB first, within that another, and
 *                          so on, N deep
 *   VRAMSIM_NO_DRIVER      set: the runtime finds no driver, every call returns 35
 *
 * The truth log. Every call of probes.def writes a line:
 *   seq        counts on a card from 1 without a gap, in the order of the returns
 *   mono_ns, enter_ns, pid, tid, call, layer, result
 *   addr       what was made or freed, or is spoken of: address, array, handle, pool, stream, context;
 *              of calls that name a device, its number in the process; 0 if nothing was made
 *   size       of it, as asked for (pitched: as given). A driver's free has it, a runtime's not.
 *              Of the end of a context: the sum of what went with it. Of an attribute: its value
 * The driver's lines say besides, where it applies:
 *   context    current in the thread, at the return
 *   gpu        index as nvidia-smi's: where the memory lies, or of the device or context. Of managed
 *              memory: whose context made it; of a prefetch or advice: where it is to be
 *   kind, placement  what the memory is, in the words of the ledger: an allocation in capture is a
 *              graph's. Both stand in frees too
 *   pitch; takes (arrays: what the driver needs of the GPU; none: it is virtual); advice
 *   stream, pool, graph  that the call names or, pool and graph, comes to: "pool" is where a block is
 *              from, "graph" on an allocation or a free says that it was only captured
 *   handle     cuMemMap: what is mapped. cuMemRetainAllocationHandle: by which address. Exports, advice
 *              and prefetch: the beginning of the block. Attributes: which. Ends of a primary context:
 *              the context
 *   fd         a descriptor that was made or read
 *   object     what can be held by several processes: the same number in all of them
 *   gone       a list of what else ended: at the end of a context, blocks by address (arrays by
 *              handle); at cuMemRelease and cuMemUnmap, handles whose last reference or mapping of
 *              this process that was
 *   held       with `gone`, or of a freed block: somebody, or a descriptor, holds its memory on. Of an
 *              IPC handle: how often it is open now
 * So a list of live blocks is: what allocations have made, less frees, less `gone`; what an object
 * takes, it takes while one process has it alive, or a descriptor of it is open.
 *
 * Not simulated: time (a stream-ordered free is done at once), data on the device (memory of the host
 * can be touched, shared mappings of it do not show each other's), where managed memory is, what code
 * and streams take, cudaDeviceSynchronize's way into the driver (the real one calls nothing that is
 * exported), handles for a fabric, graphics. Not measured, and chosen: a GPU named twice in
 * CUDA_VISIBLE_DEVICES hides all of them.
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
