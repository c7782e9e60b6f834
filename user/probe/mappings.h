/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_MAPPINGS_H
#define PROBE_MAPPINGS_H

#include <stdint.h>

#include "base/diag.h"

/*
 * News of executable mappings, forks, execs and exits of all processes on the machine, by an event and without polling: a perf
 * software dummy event per CPU with mmap2, task and comm_exec (perf_event_open(2)). Seen to arrive before dlopen returns.
 * Needs CAP_PERFMON. Lost records are counted by cause (PERF_RECORD_LOST).
 */
enum mapping_kind {
	MAPPING_MAP,  /* an executable file mapping */
	MAPPING_FORK, /* tgid is a new process (not a thread), parent its parent */
	MAPPING_EXEC, /* tgid has a new, so far empty image */
	MAPPING_EXIT, /* the last we hear of process tgid: its main thread ended */
};

struct mapping {
	enum mapping_kind kind;
	uint32_t tgid;
	uint32_t parent;  /* FORK */
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t start;	  /* MAP: address, bytes, offset in the file */
	uint64_t length;
	uint64_t file_offset;
	const char *path; /* MAP: as the kernel names it, for the length of the callback; raw bytes */
};

struct mappings;
typedef void mappings_fn(void *ctx, const struct mapping *mapping);

int mappings_open(struct mappings **ret_mappings, struct diag *diag);
void mappings_free(struct mappings *mappings);
int mappings_fd(const struct mappings *mappings); /* an epoll descriptor: readable when there is news */

/* Hands over all news queued on all CPUs, ordered by time. Returns their number. */
int mappings_drain(struct mappings *mappings, mappings_fn *fn, void *ctx);
uint64_t mappings_lost(const struct mappings *mappings);

#endif
