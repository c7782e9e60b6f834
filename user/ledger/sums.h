/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_SUMS_H
#define LEDGER_SUMS_H

#include <stdbool.h>

#include "base/map.h"
#include "ledger/ledger.h"

/* How the sums of a process are found and counted. A hostile program can make up callers: their number is bounded. */

#define SUMS_CALLERS_MAX 65536 /* by_caller; whoever comes then is "(other)" */
#define SUMS_CELLS_MAX 65536   /* cells; from then on new ones are of the library "(other)": places, kinds stay apart */
#define SUMS_LIBRARIES_MAX 1024u /* names of libraries */

/*
 * Looked up for each block: whoever calls is one of a few, and mostly wants what it wanted before. Two caches, the one by the caller's id and
 * the other by its place in by_caller. What they name stays.
 */
struct sums_recent {
	uint32_t caller_id;
	uint32_t caller; /* 1 + index into by_caller; 0: nothing stands here */
	uint64_t cell_key;
	uint32_t cell; /* 1 + index into cells; 0: nothing stands here */
};
#define SUMS_RECENT 16 /* one for some callers each: a power of two */

struct sums {
	struct map callers; /* caller id + 1 -> 1 + index into by_caller, as a pointer */
	size_t caller_capacity;
	uint16_t *library_of; /* by_caller[i]'s: index into libraries */
	const char **libraries;
	size_t library_count;
	struct map cells; /* what tells a cell from others -> 1 + index into cells, as a pointer */
	size_t cell_capacity;
	struct sums_recent recent[SUMS_RECENT];
};

void sums_init(struct sums *sums);
void sums_fini(struct sums *sums); /* safe on a zeroed object; what the process shows of them stays */

/* Finds or makes the sums of a caller. *ret_caller: 1 + index into by_caller; 0 for NULL. 0 or -ENOMEM. */
int sums_caller(struct process *process, struct sums *sums, const struct caller *caller, uint32_t *ret_caller);
/* The same of the cell that the block of that caller belongs to. *ret_cell: index into cells. */
int sums_cell(struct process *process, struct sums *sums, const struct block *block, uint32_t caller,
	      uint32_t *ret_cell);

/* A block enters all sums that it counts in: total, kind, caller, cell, place. Of all these it leaves again, when `held` into at_exit. */
void sums_enter(struct process *process, const struct block *block, uint32_t caller, uint32_t cell);
void sums_leave(struct process *process, const struct block *block, uint32_t caller, uint32_t cell, bool held);
/* The block, which was in old_cell as `old`, is in `cell` as `block`. */
void sums_change(struct process *process, const struct block *old, uint32_t old_cell, const struct block *block,
		 uint32_t cell, uint32_t caller);
void slice_request(struct slice *slice, uint64_t bytes); /* into allocated, and nothing else */

#endif
