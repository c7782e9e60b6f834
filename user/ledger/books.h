/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_BOOKS_H
#define LEDGER_BOOKS_H

#include "ledger/ledger.h"
#include "ledger/processes.h"

/* The ledger's own: what the files of this folder share. */

/* Name spaces of `addr`: an array's handle can equal an address. */
enum key {
	KEY_ADDRESS,
	KEY_ARRAY,
	KEY_VMM,
	KEY_EXTERNAL,
	KEY_COUNT,
};
enum key key_of_kind(enum vt_kind kind); /* an import has to say it itself */

/* What process->own points to: each file keeps what is its own there, made when it is first needed (NULL until then). */
struct own {
	struct books *books;	   /* books.c */
	struct contexts *contexts; /* context.c */
	struct streams *streams;   /* stream.c */
	struct vmm *vmm;	   /* vmm.c, objects.c, share.c */
};
static inline struct own *own_of(const struct process *process)
{
	return process->own;
}
void books_fini(struct process *process); /* these take NULL members */
void contexts_fini(struct process *process);
void streams_fini(struct process *process);
void vmm_fini(struct process *process);

struct ledger {
	struct ledger_settings settings;
	struct processes processes;
	struct ledger_gpu *gpus; /* device.c */
	size_t gpu_count;
	struct shares *shares; /* share.c: by token, over all processes */
	uint64_t last_id;
	uint64_t ends; /* of processes */
	uint64_t lost[LOST_CAUSE_COUNT];
	uint64_t lost_global; /* of these, those of no known process */
};
void shares_fini(struct ledger *ledger);
int gpus_init(struct ledger *ledger); /* from the settings. 0 or -ENOMEM */
void gpus_fini(struct ledger *ledger);

/*
 * The blocks of a process and all sums of it, kept together: a block is in the table and in every sum (total, kind, caller, cell, place),
 * or in none. By value: how a block is stored is blocks.c's business.
 */
int books_put(struct process *process, enum key key, const struct block *block); /* none has that key; 0 or -ENOMEM */
bool books_get(const struct process *process, enum key key, uint64_t addr, struct block *ret_block);
bool books_take(struct process *process, enum key key, uint64_t addr,
		struct block *ret_block); /* out of table and sums */
/* The same at the end of a process or an exec: it counts in at_exit. */
bool books_take_held(struct process *process, enum key key, uint64_t addr, struct block *ret_block);
/* What has changed of placement, place, size, flags goes from the old sums to the new ones. 0 or -ENOMEM: unchanged. */
int books_change(struct process *process, enum key key, const struct block *block);
/* The block stands at another addr from now on, at which there is none; no sum changes. */
void books_move(struct process *process, enum key key, uint64_t addr, uint64_t new_addr);
/* The blocks that `pick` wants (NULL: all), by id, oldest first. *ret_blocks: the caller frees it. 0 or -ENOMEM. */
struct picked {
	enum key key;
	struct block block;
};
typedef bool pick_fn(void *ctx, enum key key, const struct block *block);
int books_pick(const struct process *process, pick_fn *pick, void *ctx, struct picked **ret_blocks, size_t *ret_count);
/* A call for memory was entered: into `allocated` of the sums; no block. 0 or -ENOMEM. */
int books_request(struct process *process, enum vt_kind kind, const struct caller *caller, uint64_t bytes);

void ledger_tell(struct ledger *ledger, const struct notice *notice);
void ledger_tell_process(struct ledger *ledger, const struct process *process, const struct event *event);
/* process: NULL if it concerns all. */
void ledger_lose(struct ledger *ledger, struct process *process, const struct event *event, enum lost_cause cause,
		 uint64_t count);
/* Every block of the process, its references, mappings, exports and imports: at its end, at exec. */
void ledger_free_all(struct ledger *ledger, struct process *process, const struct event *event,
		     enum free_reason reason);

/* One call event while it is being booked. */
struct call {
	struct ledger *ledger;
	struct process *process;
	const struct event *event;
	const struct caller *caller;
	const struct probe_row *row;
	uint32_t peer_tgid; /* of an import: into its notices, by call_notice() */
	uint64_t peer_id;
};
struct notice call_notice(const struct call *call, enum notice_kind kind);
void notice_add_block(const struct call *call, struct notice *notice, const struct block *block);
/* A block of this call: put and told, with UNCOVERED where that applies. True: it is in the books. */
bool call_alloc(const struct call *call, enum key key, struct block *block);
void call_freed(const struct call *call, const struct block *block, enum free_reason reason); /* taken already: told */
void call_unmatched(const struct call *call);
void call_apply(struct ledger *ledger, const struct event *event, const struct caller *caller); /* calls.c */

/* A block left without any call of its own process: tells it. */
void ledger_tell_gone(struct ledger *ledger, const struct process *process, const struct event *event,
		      const struct block *block, enum free_reason reason);

/* vmm.c: CREATE (ALLOC of kind vmm), RELEASE, RETAIN, MAP, UNMAP; share.c: EXPORT, IMPORT, and a FREE of an import */
void vmm_alloc(const struct call *call, struct block *block);
void vmm_release(const struct call *call);
void vmm_retain(const struct call *call);
void vmm_map(const struct call *call);
void vmm_unmap(const struct call *call);
void share_export(const struct call *call);
void share_import(const struct call *call, struct block *block);
/* A free of the import `block`, in the books: true: it was opened more than once, and that was one closing of it. */
bool share_closed(const struct block *block, const struct call *call);
/* A block was taken out of the books of its process; where others have it open they hold it on. */
void share_freed(struct ledger *ledger, struct process *process, const struct event *event, const struct block *block);
/* At the end of a process, before its blocks go: what it held of physical memory, and what others hold of its. */
void share_ended(struct ledger *ledger, struct process *process, const struct event *event, enum free_reason reason);

/* context.c: contexts, the process' devices, places; device.c: GPUs */
uint16_t place_of_context(const struct call *call, uint64_t context);
uint16_t place_of_ordinal(const struct call *call, int ordinal);
/* Place and placement that a location (type | id << 32) means; type 0 or unknown: PLACEMENT_UNKNOWN. */
void place_of_location(const struct call *call, uint64_t location, struct block *block);
uint16_t context_number(const struct call *call, uint64_t context); /* block.context; 0: none, or told why */
void context_apply(const struct call *call);			    /* CTX_*, PRIMARY_*, DEVICE_UUID */

/* stream.c: pools, streams, capture, graphs */
void stream_apply(const struct call *call); /* POOL_*, STREAM_*, CAPTURE_*, NODE, GRAPH_* */
void stream_place(const struct call *call,
		  struct block *block); /* kind, placement, place, flags of a stream-ordered allocation */
void stream_context_ended(struct process *process, uint64_t context); /* its streams have gone with it */
/* A free that a stream in capture makes of a graph's address, or a node: no memory moves. True: it was one, and is done with. */
bool stream_free(const struct call *call);

/* A block is in the books: the pool that its call named holds more. */
void stream_entered(struct process *process, const struct block *block);
/* It has left them: its pool holds less. */
void stream_left(struct process *process, const struct block *block);

void managed_apply(const struct call *call);	/* managed.c: ADVISE, PREFETCH */
void checkpoint_apply(const struct call *call); /* checkpoint.c: CHECKPOINT, RESTORE */

void life_apply(struct ledger *ledger, const struct event *event);	/* life.c */
int life_attach_late(struct ledger *ledger, const struct event *event); /* 0 or -ENOMEM */
/* The live process of an event, made if need be. NULL: out of memory, told. */
struct process *life_process(struct ledger *ledger, const struct event *event);

#endif
