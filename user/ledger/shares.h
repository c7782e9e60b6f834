/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_SHARES_H
#define LEDGER_SHARES_H

#include "ledger/books.h"

/* Who has the memory that processes share. share.c keeps it by the calls, shares.c when a block or a process goes. */

/* A block of a process that others have or could have, too. */
struct holder {
	struct memory *memory;
	struct holder *next; /* of the same memory, in the order in which they came: the first one counts */
	struct holder *prev;
	struct holder *mine_next; /* of the same process, the same way */
	struct holder *mine_prev;
	struct process *process;
	uint64_t id;
	uint64_t addr;	    /* in the books */
	uint64_t told_addr; /* as the program knows it */
	uint64_t opens;	    /* of an import: closed as often, it is gone */
	enum key key;
};

/* What several processes have, or one has and could give: lives as long as one of them has it. */
struct memory {
	struct holder *first; /* has it counted to its process; the others have borrowed it */
	struct holder *last;
	struct token *oldest;
	struct token *newest;
	size_t token_count;
	struct block block; /* as it was last seen where it counts */
	int gpu;
};
struct memory *shares_find(const struct ledger *ledger, uint64_t token); /* NULL: not known, as 0 always is */
struct holder *shares_holder(const struct ledger *ledger, uint64_t id);	 /* by its block; NULL: shares nothing */
/* A copy of `as` is the last to have the memory, NULL: a new one. Returns the memory; NULL: out of memory, nothing has changed. */
struct memory *shares_join(struct ledger *ledger, const struct holder *as, struct memory *memory);
/* The token stands for this memory from now on. 0 or -ENOMEM. */
int shares_name(struct ledger *ledger, uint64_t token, struct memory *memory);
void memory_see(const struct ledger *ledger, struct memory *memory); /* its block, as it is now where it counts */

/* The block has another addr in the books: its handle is in use for another one. */
void share_moved(struct ledger *ledger, uint64_t id, uint64_t addr);

#endif
