/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
#ifndef VRAMTRACE_STATS_H
#define VRAMTRACE_STATS_H

#include "vramtrace/types.h"

/*
 * What the BPF side counts, per CPU, never reset. Two equations hold exactly:
 *   produced = delivered + lost_ring, on each CPU
 *   entered  = returned + missed_return + killed_in_call + still running (entered excludes lost_nested and lost_state)
 * Without return probes nothing is ever seen to return.
 */
#define VT_STATS(STAT)                                                                                                 \
	STAT(entered, "probed calls entered")                                                                          \
	STAT(returned, "probed calls returned")                                                                        \
	STAT(produced, "records made")                                                                                 \
	STAT(lost_ring, "records lost: the ring buffer was full")                                                      \
	STAT(lost_nested, "calls lost: nested deeper than the tracer follows")                                         \
	STAT(lost_state, "calls lost: no memory for the thread's state")                                               \
	STAT(lost_process, "calls lost: the process table was full")                                                   \
	STAT(missed_return, "calls whose return was never seen")                                                       \
	STAT(lost_return, "calls lost: their return was never seen, and nothing else told of them")                    \
	STAT(killed_in_call, "calls unfinished when their thread ended")                                               \
	STAT(lost_killed, "calls lost: their thread ended within them and its process went on")                        \
	STAT(unentered, "returns of calls that were running before the probes")                                        \
	STAT(read_failed, "successful calls whose result could not be read from user memory")                          \
	STAT(kept_ended, "processes that ended after a loss and were kept in the process table")

struct vt_stats {
#define STAT(name, text) __u64 name;
	VT_STATS(STAT)
#undef STAT
};

#endif
