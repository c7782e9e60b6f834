/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_SUMS_H
#define LEDGER_SUMS_H

#include "base/map.h"
#include "ledger/ledger.h"

/* How the sums of a process are found and counted. A hostile program can make up callers: their number is bounded. */

#define SUMS_CALLERS_MAX 65536 /* by_caller; whoever comes then is "(other)" */
#define SUMS_CELLS_MAX 65536   /* cells; from then on new ones are of the library "(other)": places, kinds stay apart */
#define SUMS_LIBRARIES_MAX 1024u /* names of libraries */

struct sums {
	struct map callers; /* caller id + 1 -> 1 + index into by_caller, as a pointer */
	size_t caller_capacity;
	uint16_t *library_of; /* by_caller[i]'s: index into libraries */
	const char **libraries;
	size_t library_count;
	struct map cells; /* what tells a cell from others -> 1 + index into cells, as a pointer */
	size_t cell_capacity;
};

void sums_init(struct sums *sums);
void sums_fini(struct sums *sums); /* safe on a zeroed object; what the process shows of them stays */

/* Finds or makes the sums of a caller. *ret_caller: 1 + index into by_caller; 0 for NULL. 0 or -ENOMEM. */
int sums_caller(struct process *process, struct sums *sums, const struct caller *caller, uint32_t *ret_caller);
/* The same of the cell that the block of that caller belongs to. *ret_cell: index into cells. */
int sums_cell(struct process *process, struct sums *sums, const struct block *block, uint32_t caller,
	      uint32_t *ret_cell);

/* The slices that a block counts in; NULL: in none of that sort. Valid until another one is made. */
enum {
	SUMS_TOTAL,
	SUMS_KIND,
	SUMS_CALLER,
	SUMS_CELL,
	SUMS_PLACE,
	SUMS_COUNT
};
struct counted {
	struct slice *slices[SUMS_COUNT];
};
struct counted sums_of(struct process *process, const struct block *block, uint32_t caller, uint32_t cell);

void slice_add(struct slice *slice, uint64_t bytes);
void slice_sub(struct slice *slice, uint64_t bytes);
void slice_resize(struct slice *slice, uint64_t old_bytes, uint64_t bytes); /* of one that is in it */
void slice_hold(struct slice *slice, uint64_t bytes);			    /* into at_exit */
void slice_request(struct slice *slice, uint64_t bytes);		    /* into allocated, and nothing else */

#endif
