/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_REFERENCE_H
#define MODEL_REFERENCE_H

/*
 * What the ledger promises (ledger.h, DESIGN 4), the naive way: one list of blocks a process, searched from end to end for each question,
 * and sums made anew by walking it after each event (books.c).
 */
#include "ref.h"

/* All processes that the ledger shows, in order of appearance. */
extern struct refs {
	struct ref *items[REF_PROCESSES];
	size_t count;
	uint64_t last_id, last_wait, last_memory, lost_global;
	uint64_t lost[LOST_CAUSE_COUNT];
} refs;

void refs_clear(void);
void ref_apply(const struct event *event, int caller);
void ref_attach_late(uint32_t tgid, uint64_t start_ns);
void ref_close_descriptor(uint32_t tgid, uint32_t descriptor);
struct ref *ref_live(uint32_t tgid); /* NULL: there is none */

/* What the ledger has to tell in this step. */
struct ref_told {
	enum notice_kind kind;
	uint64_t id; /* of the block; 0: told of none, or not compared */
	enum free_reason reason;
};
void ref_expect(enum notice_kind kind, uint64_t id, enum free_reason reason);
size_t ref_expected(const struct ref_told **ret_told);
void ref_step_ends(void); /* nothing is expected any more, what is gone is dropped */

/* The sums of a process, made anew; block->place of its live blocks must be what the ledger says. */
void ref_sum(struct ref *ref);
struct ref_tallies {
	struct tally borrowed, virtual, computed;
	uint64_t unsized; /* blocks so far whose size was not known while they counted */
};
struct ref_tallies ref_tallies(const struct ref *ref);

int ref_gpu(const struct ref *ref, int where); /* index of ledger_gpu(), -1: not known */
uint64_t ref_bytes(const struct ref_block *block);

#endif
