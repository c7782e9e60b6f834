/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include "ledger/process.h"

/*
 * What is alive. Events in, notices out (downwards: fn is the next stage). Rules (DESIGN 3, 4):
 * - a free is settled on its successful return and removes only a block whose allocation had returned before the free was entered;
 *   a block whose address is handed out again before its free has returned leaves the totals at once and its FREE notice comes with that free;
 * - memory from before we came is not invented: a successful free of an unknown address is counted and told, a free of NULL is nothing;
 * - an allocation of nothing (success, NULL pointer) is told and counted, and is not a block;
 * - the end of a process and exec free every block, reason told; fork copies nothing;
 * - driver_probed and a successful runtime allocation without driver call below: the block is kept and UNCOVERED told as well;
 * - a call that is told as it was entered is counted, with what it asked for, and makes no block;
 * - physical memory (vmm) is free when no reference, mapping, exported descriptor or import is left anywhere;
 * - an import counts to its exporter, as long as that has it (BLOCK_BORROWED); then to the oldest importer (NOTICE_TAKEN);
 * - the end of a context, a primary context's reset or last release frees exactly the blocks that go with it (context.c);
 * - a block's device is that of its location, pool, or the context it was made in; where that is not known yet it becomes known with
 *   the place, and nothing has to be counted anew;
 * - after a LOST event totals are incomplete, for that process, which may have ended, or, where none is known, for all.
 */
struct ledger;

struct ledger_settings {
	bool driver_probed; /* the driver layer is being traced */
	const struct ledger_gpu
		*gpus; /* the machine's, by index from 0; copied. With exactly one every device is that */
	size_t gpu_count;
	bool entry_only; /* calls are told as they are entered (EVENT_ENTERED): what is live cannot be known */
	notice_fn *fn;
	void *ctx;
};

int ledger_new(const struct ledger_settings *settings, struct ledger **ret_ledger);
void ledger_free(struct ledger *ledger);

/* caller: NULL for events that are no calls. */
void ledger_apply(struct ledger *ledger, const struct event *event, const struct caller *caller);

/*
 * Where a million blocks are alive, most of what an event costs is waiting for memory. Whoever knows what comes says it twice, some events
 * earlier and again shortly before, and that wait is over when it comes. It changes nothing, and need not be true.
 */
enum ledger_distance {
	LEDGER_FAR,
	LEDGER_NEAR,
};
void ledger_expect(struct ledger *ledger, const struct upcoming *upcoming, enum ledger_distance distance);

/* The process was running before the probes were there. Creates it if need be (name and start as /proc says); tells nothing. 0 or -ENOMEM. */
int ledger_attach_late(struct ledger *ledger, uint32_t tgid, uint32_t ns_tgid, uint64_t start_ns, const char *comm,
		       uint64_t time_ns);

/*
 * Descriptors that alone may keep a process' physical memory: fn is called with each. Whoever can look finds out whether the descriptor is
 * still open, and says so with ledger_descriptor_closed(), outside of the loop.
 */
typedef void descriptor_fn(void *ctx, uint32_t tgid, uint32_t descriptor);
void ledger_each_descriptor(const struct ledger *ledger, descriptor_fn *fn, void *ctx);
void ledger_descriptor_closed(struct ledger *ledger, uint32_t tgid, uint32_t descriptor, uint64_t time_ns);

/* Views, valid until the next apply. Processes in order of appearance, ended ones included. */
size_t ledger_process_count(const struct ledger *ledger);
const struct process *ledger_process(const struct ledger *ledger, size_t index);
uint64_t ledger_lost(const struct ledger *ledger);	   /* sum of all LOST counts */
uint64_t ledger_lost_unknown(const struct ledger *ledger); /* of these, those of no known process */
uint64_t ledger_lost_of(const struct ledger *ledger, enum lost_cause cause);
uint64_t
ledger_forgotten(const struct ledger *ledger); /* ended processes dropped from the list, which is bounded (65536) */
/* No loss, nothing uncovered or only entered, not attached late; NULL: no loss at all. Entry-only: never. */
bool ledger_complete(const struct ledger *ledger, const struct process *process);
bool ledger_entry_only(const struct ledger *ledger); /* live totals are not known, `allocated` is what was asked for */

uint64_t ledger_ends(const struct ledger *ledger); /* ends of processes so far: the highest process->end_number */

/* The machine's GPUs, then those that only processes told of. NULL beyond the last. */
const struct ledger_gpu *ledger_gpu(const struct ledger *ledger, size_t index);
/* Index of the GPU of places[place], -1: not known. */
int ledger_gpu_of(const struct ledger *ledger, const struct process *process, uint16_t place);

/* Live blocks of a process, any order, for checks and later stages. */
struct block {
	uint64_t addr; /* or handle */
	uint64_t size; /* also where it counts 0 bytes */
	uint64_t id;
	uint64_t alloc_ns; /* the allocation's return */
	const struct caller *caller;
	enum vt_kind kind;
	enum placement placement;
	uint16_t place;	  /* index into process->places */
	uint16_t context; /* the ledger's own number of the context that it goes with; 0: none */
	uint16_t pool;	  /* 1 + index into process->pools of the one that its call named; 0: none */
	uint8_t flags;	  /* enum block_flag */
};
static inline uint64_t block_bytes(const struct block *block) /* what it counts */
{
	return block->flags & BLOCK_VIRTUAL ? 0 : block->size;
}
typedef void block_fn(void *ctx, const struct block *block);
void ledger_each_block(const struct ledger *ledger, const struct process *process, block_fn *fn, void *ctx);

#endif
