/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
#ifndef VRAMTRACE_CONFIG_H
#define VRAMTRACE_CONFIG_H

#include "vramtrace/types.h"

/* Settings the user side writes into the BPF object before load; constant afterwards. */

struct vt_config {
	__u32 listed_only;    /* 1: only processes in the map `processes` count; 0: every process */
	__u32 follow;	      /* 1: children of a counted process count too (listed_only) */
	__u32 own_tgid;	      /* never counted: the tracer itself */
	__u32 wake_bytes;     /* wake the reader when so many bytes are queued */
	__u64 wake_window_ns; /* and when the last wake-up is older than this */
	__u32 full_bytes;  /* from here on the rest of the ring is kept for quiet threads and the life of processes */
	__u32 entry_only;  /* 1: no return is probed, calls are told as they are entered */
	__u32 thread_hash; /* 1: state of threads in a hash map, for this kernel's uprobes cannot have it task-local */
	__u32 count_layer; /* enum vt_layer: calls that cannot be followed at all are counted where they enter it, each once */
	__u64 token_key[2]; /* random: see tokens in wire.h */
};

/* What the user side tells the programs while they run. */
enum vt_phase {
	VT_PHASE_LIFE = 0, /* links are being made: the life of processes counts, calls that are entered do not yet */
	VT_PHASE_CALLS,	   /* every link is in place */
	VT_PHASE_OVER,	   /* nothing more is done or told */
};

/* Losses of a known process, by cause. */
enum vt_lost {
	VT_LOST_RING,	/* records */
	VT_LOST_NESTED, /* calls, as all below */
	VT_LOST_STATE,
	VT_LOST_RETURN,
	VT_LOST_KILLED,
	VT_LOST_COUNT,
};

/*
 * Value of the map `processes`, key: tgid. The user side inserts {0} for each process to be traced. An entry goes with its process,
 * unless something was lost: then it stays, `ended`, until the user side has read it, or its tgid has a new owner. Every loss is
 * counted here before it is in the totals of stats.h.
 */
struct vt_process_state {
	__u64 start_ns;		   /* CLOCK_BOOTTIME; 0 until the first record */
	__u64 produced;		   /* records; those of living threads come when these end */
	__u64 lost[VT_LOST_COUNT]; /* by enum vt_lost */
	__u32 announced;	   /* a PROCESS, FORK or EXEC record has been delivered */
	__u32 threads;		   /* that have state, and have not ended */
	__u32 ending;		   /* somebody tells of the end */
	__u32 ended;		   /* 1: told; 2: about to be replaced */
};

#endif
