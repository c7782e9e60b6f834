/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SINK_HOLDERS_H
#define SINK_HOLDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger/ledger.h"

/* Who holds what, in the order in which it is shown. Nothing outside user/sink includes this. */

/* Index of ledger_gpu(), or one of these. */
enum holder_group {
	HOLDER_HOST = -1,
	HOLDER_UNKNOWN = -2, /* the device is not known */
};

/* The cells of one process that look the same from outside: places that turned out to be one device are one. */
struct holder {
	const struct cell *cell; /* one of them: kind, placement, library, borrowed */
	int group;
	bool computed;
	bool peak_known; /* not the peak of a sum of several cells */
	struct tally live;
	struct tally at_exit;
	struct tally allocated;
	uint64_t peak_bytes;
	uint64_t since_ns; /* the oldest; 0: nothing is live */
};

struct holders {
	struct holder *items;
	size_t count;
	struct cell *made; /* what `cell` points into where the process has none: see holders_cells() */
};

/* By group (GPUs, host, unknown), then what holds most, now or at its end, first. 0 or -ENOMEM. */
int holders_find(const struct ledger *ledger, const struct process *process, struct holders *ret_holders);
void holders_fini(struct holders *holders);

/*
 * Calls that are only told as they are entered make no cells: `made` has then what was asked for, by kind. Returns the process' cells or
 * `made`.
 */
const struct cell *holders_cells(const struct process *process, struct cell made[VT_KIND_COUNT], size_t *ret_count);

int holder_group_of(const struct ledger *ledger, const struct process *process, uint16_t place,
		    enum placement placement);
int holder_order(int a, int b); /* of two groups, as qsort() wants it */

/* Of a placement in one group of a process, borrowed memory left out. */
struct holder_sum {
	struct tally live;
	struct tally at_exit;
	struct tally allocated;
	bool peak_known; /* vram only */
	uint64_t peak_bytes;
};
struct holder_sum holders_sum(const struct ledger *ledger, const struct process *process, const struct holders *holders,
			      int group, enum placement placement);

#endif
