/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTACH_ATTACH_H
#define ATTACH_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "probe/library.h"
#include "vramtrace/stats.h"

/*
 * The BPF programs in the kernel. Order: attach_new (load) -> attach_add_process* -> attach_library* -> attach_enable ... more
 * libraries at any time ... -> attach_disable -> attach_detach -> a last drain of the ring -> attach_free.
 */
struct attach;

struct attach_settings {
	bool listed_only; /* only processes given by attach_add_process() count */
	bool follow;	  /* and what they start */
	uint32_t own_tgid;
	size_t ring_bytes; /* power of two, at least a page */
};

/* How long the reader may leave a record in the ring: it must look again by itself after this time. */
#define ATTACH_WAKE_WINDOW_NS (20ull * 1000 * 1000)

int attach_new(const struct attach_settings *settings, struct attach **ret_attach, struct diag *diag);
void attach_free(struct attach *attach);
int attach_add_process(struct attach *attach, uint32_t tgid); /* -EEXIST: it is one already */
void attach_remove_process(struct attach *attach, uint32_t tgid);
bool attach_has_process(const struct attach *attach, uint32_t tgid);

/*
 * Two uprobe_multi links, entries and returns, on the open file of the library. 0; -EALREADY: this file is already probed;
 * -errno with a text. The library may be freed afterwards.
 */
int attach_library(struct attach *attach, const struct library *library, struct diag *diag);
uint64_t attach_library_since(const struct attach *attach, dev_t dev,
			      ino_t ino); /* CLOCK_MONOTONIC; 0: it is not probed */

void attach_enable(struct attach *attach);
void attach_disable(struct attach *attach);

/* Closes every link on libraries: no breakpoint is left when it returns. Process life is still told until attach_free. */
void attach_detach(struct attach *attach);

int attach_ring_fd(const struct attach *attach); /* the ring buffer map; stays attach's */
int attach_read_stats(const struct attach *attach, struct vt_stats *ret_stats); /* sums over CPUs */

#endif
