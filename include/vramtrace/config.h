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
};

/* Value of the map `processes`, key: tgid. The user side inserts {0} for each process to be traced. */
struct vt_process_state {
	__u64 start_ns;	 /* CLOCK_BOOTTIME; 0 until the first record */
	__u32 announced; /* a PROCESS, FORK or EXEC record has been delivered */
	__u32 pad;
};

#endif
