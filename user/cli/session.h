/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "cli/child.h"
#include "cli/libraries.h"
#include "cli/options.h"
#include "cli/pipe.h"
#include "device/gpu.h"
#include "probe/mappings.h"
#include "source/source.h"

/* Kernel-side losses that are in the ledger already. */
struct losses {
	struct vt_stats told;
	struct map processes; /* tgid -> what was told of it */
	bool is_more;	      /* the table of processes has entries to be let go of */
};

/* Everything one run of the tracer owns. Zeroed fields are not there (descriptors: -1). */
struct session {
	const struct options *options;
	struct reader *reader;
	struct mappings *mappings;
	struct callers *callers;
	struct attach *attach;
	struct source *source;
	struct pipe_line pipe;
	struct libraries libraries;
	struct child_user user;
	struct child child;
	int *target_fds; /* pidfds of -p, -1 when ended */
	size_t target_count;
	size_t targets_alive;
	int output_fd;	     /* -1: stdout */
	struct gpus *gpus;   /* NULL: no answer */
	struct buf gpu_list; /* the same for the head */
	char host[256];
	char kernel[65];
	char boot_id[64];
	struct clock_model clock; /* as set, and recorded */
	struct recording_head head;
	int record_fd;		   /* -1: none */
	struct recorder *recorder; /* NULL: none */
	bool told_record_lost;

	uint64_t begin_ns; /* CLOCK_MONOTONIC: probes enabled */
	struct losses losses;
	struct map descriptors; /* tgid, descriptor -> the file that it was, see descriptors.c */
	uint64_t news_lost;	/* of mappings, when libraries were last looked for because of it */
	const char *exit_reason;
};

/* True if this run traces only some processes. */
bool session_is_listed(const struct session *session);

/* record.c: the facts of this run and machine; the wall clock is set for all output. */
void session_describe(struct session *session);
/* record.c: the file of -w, if any, made before anything is probed; and its recorder, once the head is known. 0 or -errno with a text. */
int session_open_record(struct session *session, struct diag *diag);
int session_begin_record(struct session *session, struct diag *diag);
/* record.c: once a second: a wall clock that was set is noted, what was collected goes to disk. */
void session_keep_record(struct session *session);
/* record.c: waits for the disk. False: the recording is incomplete, which was said. */
bool session_end_record(struct session *session);

/* loop.c: until something ends the run; sets exit_reason. 0 or -errno with a text. */
int session_loop(struct session *session, struct diag *diag);

/* losses.c: what the kernel side counted since the last call and no record carries. final: after the last drain. */
void session_losses(struct session *session, bool final);

/* losses.c: from here on a loss of the ring that decode notes is told of the processes that it happened to. */
void session_watch_losses(struct session *session);
void session_forget_losses(struct session *session);

/* stats.c: the kernel side's counters, and whether they fit what arrived; a difference is a warning, the rest for -v. */
void session_say_stats(const struct session *session, const struct vt_stats *stats);

/* kernel.c: what this kernel does not have, and what that means. */
void session_say_kernel(const struct session *session);
/* kernel.c: takes the probes away: at once, or on older kernels in some seconds, with a word on how far it is. */
void session_detach(struct session *session);

/*
 * losses.c: processes whose end was not told, for its record was lost. Found first; then, after every record of before has been read,
 * those that the ledger still takes for alive are ended in it.
 */
#define SESSION_GONE_MAX 64 /* at a time */

struct session_gone {
	size_t count;
	struct {
		uint32_t tgid;
		uint64_t start_ns;
	} items[SESSION_GONE_MAX];
};
void session_find_gone(const struct session *session, struct session_gone *ret_gone);
void session_end_gone(struct session *session, const struct session_gone *gone);

/* descriptors.c: those that alone keep memory: what was closed is told the ledger. */
void session_look_at_descriptors(struct session *session);

/* late.c: libraries that were mapped since the last call: probes them, says what may be unseen. */
void session_late_libraries(struct session *session);
/* late.c: where news of mappings were lost, the same for what is mapped now. */
void session_missed_libraries(struct session *session);

/* targets.c: the processes of -p, and what they had started; what the driver says they hold is told first. -ESRCH with a text. */
int session_add_targets(struct session *session, struct diag *diag);
void session_forget_targets(struct session *session);
/* targets.c: some calls of that process went by before the probes: its totals are not all. */
void session_came_late(struct session *session, uint32_t tgid, uint32_t ns_tgid, const char *comm);
/* targets.c: whole machine: who uses CUDA already. */
int session_add_present(struct session *session);
/* targets.c: probes what traced processes have mapped and was missed. */
void session_look_again(struct session *session);

#endif
