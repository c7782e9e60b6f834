/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_SETTLING_H
#define LEDGER_SETTLING_H

#include "ledger/books.h"

/*
 * Blocks whose address was handed out again while their free had not been told: they are in no sum any more, and wait for that free,
 * which was entered in [block.alloc_ns, until_ns).
 */
struct settling {
	struct block block;
	uint64_t until_ns;
	enum key key;
};

/* More frees than this cannot be under way at once: the oldest one's free was lost, or was none that we probe. */
#define SETTLING_MAX 1024
/* Where events were lost, frees among them leave many that wait in vain: each one is looked at with every unmatched free. */
#define SETTLING_LOSSY_MAX 64

struct settlings {
	struct settling *items; /* oldest first */
	size_t count;
	size_t capacity;
};

struct settlings *books_settlings(struct process *process); /* NULL: it never had a block */
void settlings_fini(struct settlings *settlings);
int settlings_add(struct settlings *settlings, const struct settling *settling); /* 0 or -ENOMEM */
/* The block of one of these kinds (bits 1 << kind) that a free of addr, entered then, was about. False: there is none. */
bool settlings_take(struct settlings *settlings, enum key key, unsigned int kinds, const struct event *event,
		    struct block *ret_block);
/* Any of that context that was made by then. False: there is none. */
bool settlings_take_context(struct settlings *settlings, uint16_t context, uint64_t before_ns, struct block *ret_block);
bool settlings_have_context(const struct settlings *settlings, uint16_t context);
bool settlings_take_oldest(struct settlings *settlings, struct block *ret_block);

#endif
