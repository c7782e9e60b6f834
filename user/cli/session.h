/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <sys/types.h>

#include "cli/child.h"
#include "cli/libraries.h"
#include "cli/options.h"
#include "cli/pipe.h"
#include "device/gpu.h"
#include "probe/mappings.h"
#include "source/source.h"

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
	int output_fd;	   /* -1: stdout */
	struct gpus *gpus; /* NULL: no answer */
	char host[256];

	uint64_t begin_ns;    /* CLOCK_MONOTONIC: probes enabled */
	struct vt_stats told; /* kernel-side losses that are in the ledger already */
	uint64_t news_lost;   /* of mappings, when libraries were last looked for because of it */
	const char *exit_reason;
};

/* True if this run traces only some processes. */
bool session_is_listed(const struct session *session);

/* loop.c: until something ends the run; sets exit_reason. 0 or -errno with a text. */
int session_loop(struct session *session, struct diag *diag);

/* losses.c: what the kernel side counted since the last call and no record carries. final: after the last drain. */
void session_losses(struct session *session, bool final);

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

/* late.c: libraries that were mapped since the last call: probes them, says what may be unseen. */
void session_late_libraries(struct session *session);
/* late.c: where news of mappings were lost, the same for what is mapped now. */
void session_missed_libraries(struct session *session);

/* targets.c: the processes of -p, and what they had started; what the driver says they hold is told first. -ESRCH with a text. */
int session_add_targets(struct session *session, struct diag *diag);
void session_forget_targets(struct session *session);
/* targets.c: whole machine: who uses CUDA already. */
int session_add_present(struct session *session);
/* targets.c: probes what traced processes have mapped and was missed. */
void session_look_again(struct session *session);

#endif
