/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JUDGE_ACCOUNT_H
#define JUDGE_ACCOUNT_H

/*
 * CUPTI's own account of a run: what is compared with the trace. A library for CUDA_INJECTION64_PATH, which libcuda loads in cuInit.
 * Writes to $CUPTI_MEMORY_DIR/cupti.PID; numbers are CUPTI's and CUDA's, addresses and handles in hex, stamps are cuptiGetTimestamp's:
 *
 *   memory OPERATION KIND ADDRESS BYTES ASYNC PID DEVICE STAMP     a record of CUPTI_ACTIVITY_KIND_MEMORY2
 *   call NAME RESULT TID ENTER EXIT MONO_NS [KEY=VALUE...]         a driver call that returned: MONO_NS is CLOCK_MONOTONIC then
 *   device ID UUID                                                 as CUDA numbers them in this process
 *   dropped N                                                      records that CUPTI itself lost
 *   start MONO_NS | flushed MONO_NS                                between the two it saw everything
 *   error N                                                        CUPTI could not be enabled
 *
 * Calls are written as they return, so they are there after any end of the process; records when CUPTI hands them over.
 *
 *   gcc -shared -fPIC -I/usr/local/cuda/include cupti_memory.c cupti_calls.c -L/usr/local/cuda/lib64 -lcupti -ldl -o cupti_judge.so
 */
#include <cupti.h>

#define ACCOUNT_LINE_BYTES 512

/* One line, by one write. Nothing where the account is another process's: a forked child has the descriptor, too. */
__attribute__((format(printf, 1, 2))) void account_line(const char *format, ...);

unsigned long long account_mono_ns(void);

/* From here on calls are told. */
CUptiResult calls_watch(void);

#endif
