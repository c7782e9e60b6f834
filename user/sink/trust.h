/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SINK_TRUST_H
#define SINK_TRUST_H

#include "base/buf.h"
#include "ledger/ledger.h"

/* How far a total can be trusted. Nothing outside user/sink includes this. */

struct trust {
	bool complete; /* as ledger_complete(), of all */
	bool entry_only;
	uint64_t lost;	       /* events, those of no known process included */
	uint64_t unknown_lost; /* of these, those of no known process */
	uint64_t uncovered;
	uint64_t unmatched;
	uint64_t maybe_captured;
	uint64_t unsized;
	uint64_t late;	   /* processes that ran before the probes */
	uint64_t computed; /* live blocks whose size is computed */
};

struct trust trust_none(const struct ledger *ledger); /* of no process: what may be anyone's loss */
struct trust trust_of(const struct ledger *ledger, const struct process *process);
void trust_add(struct trust *sum, const struct trust *part); /* to a sum that began as trust_none() */

/* "complete", "incomplete: 3 lost, attached late", and what else is to be known: "; computed sizes". */
void trust_words(struct buf *buf, const struct trust *trust);
/* The same for one process, as a sentence. */
void trust_sentence(struct buf *buf, const struct trust *trust);

#endif
