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

/*
 * A row of "who holds this GPU": the blocks of one place, kind, placement and calling library. Borrowed ones stand in rows of their own, and
 * in no other sum.
 */
struct cell {
	const char *library; /* base name of the caller's module, raw bytes; "?" unknown */
	uint16_t place;	     /* index into places */
	uint8_t kind;	     /* enum vt_kind */
	uint8_t placement;   /* enum placement */
	bool borrowed;
	bool computed; /* a size in it is or was computed */
	struct slice slice;
	uint64_t since_ns; /* CLOCK_MONOTONIC: since then something has been live here without a break; 0: nothing is */
};

/* A device of the process, as far as it is known, see ledger_gpu_of(). places[0] is memory of no known device, and of no device. */
struct place {
	int32_t ordinal;	 /* the process' own number of the device; -1: not known */
	int32_t gpu;		 /* index of ledger_gpu(); -1: not known */
	uint16_t same;		 /* index of the place that this one turned out to be; its own: none */
	struct slice vram;	 /* of placement vram */
	uint64_t graph_reserved; /* as the program was last told, if graph_known */
	bool graph_known;
};

/* A memory pool, reserved and used as the program was last told: no call of the driver tells us. */
struct pool {
	uint64_t handle;
	uint64_t made_ns; /* or first told */
	uint16_t place;
	uint8_t placement;
	bool ended;
	bool reserved_known;
	bool used_known;
	uint64_t reserved;
	uint64_t used;
	struct tally live; /* our own count: what the program was given from it, where the call named it */
};

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
	struct slice by_kind[VT_KIND_COUNT];
	struct caller_slice *by_caller;
	size_t caller_count;
	struct cell *cells; /* in the order of first use */
	size_t cell_count;
	struct place *places;
	size_t place_count; /* at least 1 */
	struct pool *pools;
	size_t pool_count;
	struct tally borrowed; /* live imports that count to their exporters */
	struct tally virtual;  /* live addresses without memory: bytes they were made with */
	struct tally computed; /* live blocks whose size is computed */

	uint64_t failed; /* failed allocations */
	uint64_t failed_frees;
	uint64_t unmatched_frees;
	uint64_t uncovered;
	uint64_t lost;		 /* events lost of this process; those of no known process are only in ledger_lost() */
	uint64_t maybe_captured; /* allocations made while a stream was in capture that may be a graph's: no memory */
	uint64_t unsized;    /* blocks counted here whose size was never known: all totals are at least what they say */
	uint64_t zero_sized; /* successful allocations of nothing (NULL pointer) */
	uint64_t calls;	     /* all call events */
	uint64_t entered;    /* of these, those that were told as they were entered */
	uint64_t frees_entered; /* of these, frees of an address */
	bool has_cuda;		/* made at least one probed call */
	void *own;		/* the ledger's */
};

#endif
