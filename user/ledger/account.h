/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_ACCOUNT_H
#define LEDGER_ACCOUNT_H

#include "ledger/blocks.h"
#include "ledger/books.h"
#include "ledger/settling.h"
#include "ledger/sums.h"

/* What books.c keeps of a process, see struct own. */
struct books {
	struct blocks blocks;
	struct sums sums;
	struct settlings settlings;
};

/*
 * At the end of the process, or exec: every block leaves table and sums, and goes into at_exit of these; fn is told each one after that, by
 * id, oldest first. Without memory for that order, in any.
 */
typedef void drained_fn(void *ctx, const struct block *block);
void books_drain(struct process *process, drained_fn *fn, void *ctx);

/* As ledger_expect(). */
void books_expect(const struct process *process, const struct upcoming *upcoming, enum ledger_distance distance);

#endif
