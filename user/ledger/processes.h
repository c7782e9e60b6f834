/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_PROCESSES_H
#define LEDGER_PROCESSES_H

#include "base/map.h"
#include "ledger/process.h"

/* What is needed to find and keep processes. */
struct processes {
	struct map live;	/* tgid -> struct process that has not ended */
	struct process *last;	/* of these, found last; NULL: none */
	struct process **items; /* in order of appearance */
	size_t count;
	size_t capacity;
	size_t ended;	    /* of items */
	uint64_t forgotten; /* ended ones with CUDA calls that had to be dropped */
};

#define PROCESSES_MAX (4 << 20)	      /* the kernel's own limit of process ids */
#define PROCESSES_ENDED_MAX (1 << 16) /* kept for the summary */

void processes_fini(struct processes *processes);
struct process *processes_find(struct processes *processes, uint32_t tgid);	/* a live one, or NULL */
struct process *processes_find_any(struct processes *processes, uint32_t tgid); /* else the last that ended */
/* With places[0]. NULL: out of memory. */
struct process *processes_add(struct processes *processes, uint32_t tgid, uint64_t now_ns);
/*
 * The blocks must be gone; what struct own points to goes, the sums stay. The pointer is dead afterwards if the process never made a CUDA
 * call and none of it can have been missed.
 */
void processes_end(struct processes *processes, struct process *process);

#endif
