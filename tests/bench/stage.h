/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_STAGE_H
#define BENCH_STAGE_H

/* A ledger with one process in it, whose blocks come and go by ledger_apply(), and what is measured beside it. */
#include <stdbool.h>

#include "ledger/ledger.h"
#include "pauses.h"

#define STAGE_CALLERS 8

struct stage;

/* What one block is: how it comes and goes. soon: its turn is near; NULL: nobody says so. */
struct kind {
	const char *name;
	void (*in)(struct stage *stage, uint64_t addr);
	void (*out)(struct stage *stage, uint64_t addr);
	void (*soon)(struct stage *stage, bool in, uint64_t addr, enum ledger_distance distance);
};

struct stage {
	struct ledger *ledger;
	const struct kind *kind;
	struct caller callers[STAGE_CALLERS];
	struct event event;
	uint64_t *addrs; /* of live blocks, in no order */
	size_t count;
	uint64_t made; /* blocks so far */
	uint64_t notices;
	uint64_t dice;
	struct clocks *clocks; /* of each ledger_apply(); NULL: they are not read */
};

extern const struct kind stage_kinds[]; /* of memory, the last one without a name */

/* Floors. */
extern const struct kind stage_walk;   /* a random block picked and exchanged, nothing else */
extern const struct kind stage_copy;   /* an event copied */
extern const struct kind stage_flat;   /* a table that grows never and pays for nothing but finding: see stage.c */
extern const struct kind stage_blocks; /* the ledger's table alone */
extern const struct kind stage_books;  /* table and sums */

void stage_open(struct stage *stage, const struct kind *kind, uint64_t *addrs, size_t blocks);
void stage_close(struct stage *stage);
void stage_grow(struct stage *stage, size_t count);
void stage_drain(struct stage *stage); /* in random order */
/* Nanoseconds of the thread's own time for one block out, in random order, and one in. waiting: it is known before which they are. */
double stage_exchange(struct stage *stage, size_t pairs, bool waiting);
void stage_exit(struct stage *stage); /* the process ends, with all that it has */

void *stage_shared(size_t bytes); /* zeroed memory, and what another process does to it is seen */

#endif
