/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_BOOKS_H
#define LEDGER_BOOKS_H

#include "base/map.h"
#include "ledger/ledger.h"

/*
 * The ledger's own: blocks and sums of one process, and what the files of this folder share. A block costs 56 bytes
 * here and one map slot; blocks come from an arena, which keeps what it has until the ledger goes.
 */

struct entry {
	struct block block;
	union {
		uint64_t slice;	    /* 1 + index into by_caller; 0: no caller */
		struct entry *next; /* in the arena's list of free entries */
	};
};

struct arena {
	struct arena_chunk *chunks;
	struct entry *unused;
};

void arena_fini(struct arena *arena);
struct entry *arena_get(struct arena *arena); /* NULL: out of memory */
void arena_put(struct arena *arena, struct entry *entry);

/*
 * A block whose address was handed out again while its free had not been told: it is in no sum any more, and waits for that free,
 * which was entered in [block.alloc_ns, until_ns).
 */
struct settling {
	struct block block;
	uint64_t until_ns;
};

/* More frees than this cannot be under way at once: the oldest one's free was lost, or was none that we probe. */
#define SETTLING_MAX 1024
/* Where events were lost, frees among them leave many that wait in vain: each one is looked at with every unmatched free. */
#define SETTLING_LOSSY_MAX 64

struct books {
	struct map blocks;  /* address -> struct entry */
	struct map callers; /* caller id + 1 -> 1 + index into by_caller, as a pointer */
	size_t caller_capacity;
	struct settling *settling; /* oldest first */
	size_t settling_count;
	size_t settling_capacity;
};

/* Finds or makes the sums of a caller. *ret_slice as in struct entry. 0 or -ENOMEM. */
int books_slice(struct process *process, const struct caller *caller, uint64_t *ret_slice);

void books_add(struct process *process, const struct entry *entry);  /* into the sums */
void books_sub(struct process *process, const struct entry *entry);  /* out of them */
void books_held(struct process *process, const struct entry *entry); /* into at_exit; books_sub is still to follow */

/* A call for memory was entered: into `allocated` of the sums; no block. slice as books_slice() gave it. */
void books_request(struct process *process, enum vt_kind kind, uint64_t slice, uint64_t bytes);

int books_settle(struct process *process, const struct settling *settling); /* 0 or -ENOMEM; room must be made first */
/* The block that a free of addr, entered then, was about. False: there is none. */
bool books_settled(struct process *process, uint64_t addr, uint64_t enter_ns, struct block *ret_block);
void books_settle_oldest(struct process *process, struct block *ret_block); /* takes the oldest; there must be one */

struct books *books_of(const struct process *process);

/* What is needed to find and keep processes. */
struct processes {
	struct map live;	/* tgid -> struct process that has not ended */
	struct process **items; /* in order of appearance */
	size_t count;
	size_t capacity;
	size_t ended;	    /* of items */
	uint64_t forgotten; /* ended ones with CUDA calls that had to be dropped */
};

#define PROCESSES_MAX (4 << 20)	      /* the kernel's own limit of process ids */
#define PROCESSES_ENDED_MAX (1 << 16) /* kept for the summary */

void processes_fini(struct processes *processes);
struct process *processes_find(const struct processes *processes, uint32_t tgid);     /* a live one, or NULL */
struct process *processes_find_any(const struct processes *processes, uint32_t tgid); /* else the last that ended */
struct process *processes_add(struct processes *processes, uint32_t tgid, uint64_t now_ns); /* NULL: out of memory */
/* The blocks must be gone. The pointer is dead afterwards if the process never made a CUDA call and none of it can have been missed. */
void processes_end(struct processes *processes, struct process *process);

struct ledger {
	struct ledger_settings settings;
	struct arena arena;
	struct processes processes;
	uint64_t last_id;
	uint64_t ends; /* of processes */
	uint64_t lost[LOST_CAUSE_COUNT];
	uint64_t lost_global; /* of these, those of no known process */
};

void ledger_tell(struct ledger *ledger, const struct notice *notice);
void ledger_tell_process(struct ledger *ledger, const struct process *process, const struct event *event);
/* process: NULL if it concerns all. */
void ledger_lose(struct ledger *ledger, struct process *process, const struct event *event, enum lost_cause cause,
		 uint64_t count);
void ledger_free_all(struct ledger *ledger, struct process *process, const struct event *event,
		     enum free_reason reason);

void call_apply(struct ledger *ledger, const struct event *event, const struct caller *caller); /* calls.c */
void life_apply(struct ledger *ledger, const struct event *event);				/* life.c */
int life_attach_late(struct ledger *ledger, const struct event *event);				/* 0 or -ENOMEM */
/* The live process of an event, made if need be. NULL: out of memory, told. */
struct process *life_process(struct ledger *ledger, const struct event *event);

#endif
