/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTACH_ATTACH_H
#define ATTACH_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/features.h"
#include "base/diag.h"
#include "probe/library.h"
#include "vramtrace/config.h"
#include "vramtrace/stats.h"

/*
 * The BPF programs in the kernel. Order: attach_new (load) -> attach_add_process* -> attach_library* -> attach_enable ... more
 * libraries at any time ... -> attach_disable -> a last drain of the ring -> attach_detach -> attach_free.
 */
struct attach;

/* What this kernel is taken not to have, so that each way can be tested on any kernel. */
enum attach_without {
	ATTACH_WITHOUT_MULTI = 1,
	ATTACH_WITHOUT_TASK_STORAGE = 2,
	ATTACH_WITHOUT_RETURN_PROBES = 4,
};

struct attach_settings {
	bool listed_only; /* only processes given by attach_add_process() count */
	bool follow;	  /* and what they start */
	uint32_t own_tgid;
	bool runtime_only;    /* libcuda will not be probed */
	size_t ring_bytes;    /* power of two, at least a page */
	unsigned int without; /* enum attach_without */
	uint32_t map_entries; /* of the table of processes and, where threads have one, of theirs; 0: the default */
};

/* How long the reader may leave a record in the ring: it must look again by itself after this time. */
#define ATTACH_WAKE_WINDOW_NS (20ull * 1000 * 1000)

int attach_new(const struct attach_settings *settings, struct attach **ret_attach, struct diag *diag);
void attach_free(struct attach *attach);
int attach_add_process(struct attach *attach, uint32_t tgid); /* -EEXIST: it is one already */
void attach_remove_process(struct attach *attach, uint32_t tgid);
bool attach_has_process(const struct attach *attach, uint32_t tgid);

/*
 * Links on entries and returns, on the open file of the library. 0; -EALREADY: this file is already probed;
 * -errno with a text. The library may be freed afterwards.
 */
int attach_library(struct attach *attach, const struct library *library, struct diag *diag);
uint64_t attach_library_since(const struct attach *attach, dev_t dev,
			      ino_t ino); /* CLOCK_MONOTONIC; 0: it is not probed */

void attach_enable(struct attach *attach);
/* Everything that the programs have told is in the ring when it returns, and nothing will follow: neither calls nor process life. */
void attach_disable(struct attach *attach);

/*
 * Closes every link on libraries: no breakpoint is left when it returns. Single links (no uprobe_multi) take about 0.1 s each: then a
 * child does it, which goes on to the end whatever becomes of us, and whoever wants to say something meanwhile uses the pair
 * begin/wait. wait: 0, or how many are left after timeout_ms (-1: no limit).
 */
void attach_detach(struct attach *attach);
bool attach_detach_is_slow(const struct attach *attach);
void attach_detach_begin(struct attach *attach);
size_t attach_detach_wait(struct attach *attach, int timeout_ms);

/* What was found and chosen by attach_new(). */
const struct features *attach_features(const struct attach *attach);
/* No return probes: every call is told as it is entered (VT_FLAG_ENTRY), of the driver's layer alone where both were asked for. */
bool attach_entry_only(const struct attach *attach);

int attach_ring_fd(const struct attach *attach); /* the ring buffer map; stays attach's */
int attach_read_stats(const struct attach *attach, struct vt_stats *ret_stats); /* sums over CPUs */
/* The same per CPU: ret_stats has room for attach_cpu_count(). */
int attach_cpu_count(void); /* possible ones, or -errno */
int attach_read_cpu_stats(const struct attach *attach, struct vt_stats *ret_stats);

/* What each counted process has lost so far, and those that have ended and left it here. fn must not add or remove any. 0 or -errno. */
typedef void attach_state_fn(void *ctx, uint32_t tgid, const struct vt_process_state *state);
int attach_each_process(const struct attach *attach, attach_state_fn *fn, void *ctx);

#endif
