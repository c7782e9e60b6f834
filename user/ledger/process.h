/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_PROCESS_H
#define LEDGER_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger/notice.h"

struct tally {
	uint64_t bytes;
	uint64_t count;
};

/* Sums of one slice (a kind, a caller) of a process' memory. */
struct slice {
	struct tally live;	/* now; after the end of the process: 0 */
	struct tally allocated; /* ever; entry-only: what was asked for, saturating */
	uint64_t peak_bytes;	/* of this slice's live bytes */
	struct tally at_exit;	/* what the end of the process took away */
};

struct caller_slice {
	const struct caller *caller;
	struct slice slice;
};

#define KIND_COUNT (VT_KIND_POOL + 1)

#define PROCESS_EXIT_UNKNOWN (-1) /* its end was not told, only noticed; no status of wait(2) */

/*
 * One process image. Identity: tgid and start time; a reused tgid is another process. Read-only for everyone but the ledger.
 * By-caller slices stand in the order of first use.
 */
struct process {
	uint32_t tgid;
	uint32_t ns_tgid;
	uint32_t parent_tgid;
	uint32_t uid;
	uint64_t start_ns; /* CLOCK_BOOTTIME; 0 unknown */
	char comm[17];
	bool ended;
	bool attached_late; /* it ran before the probes: what it held then is unseen */
	int32_t exit_code;  /* ended: as in wait(2), or PROCESS_EXIT_UNKNOWN */
	uint64_t first_ns;  /* of our first news of it, CLOCK_MONOTONIC */
	uint64_t ended_ns;
	uint64_t end_number; /* ended: which end of this run, from 1 */

	struct slice total;
	struct slice by_kind[KIND_COUNT];
	struct caller_slice *by_caller;
	size_t caller_count;

	uint64_t failed; /* failed allocations */
	uint64_t failed_frees;
	uint64_t unmatched_frees;
	uint64_t uncovered;
	uint64_t lost;		/* events lost of this process; those of no known process are only in ledger_lost() */
	uint64_t zero_sized;	/* successful allocations of nothing (NULL pointer) */
	uint64_t calls;		/* all call events */
	uint64_t entered;	/* of these, those that were told as they were entered */
	uint64_t frees_entered; /* of these, frees of an address */
	bool has_cuda;		/* made at least one probed call */
	void *books;		/* the ledger's own */
};

#endif
