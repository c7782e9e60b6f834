/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_WORLD_H
#define MODEL_WORLD_H

/*
 * Programs, and the driver as they see it. Calls that give something back take their time: entered, done by the driver, from when on others
 * can get the same address, and told by then or later.
 */
#include "model.h"

enum {
	ITEMS = 40,
	CONTEXTS = 8, /* the first GPUS are the primary ones, by ordinal */
	STREAMS = 6,  /* the first two are the default ones of the first two threads */
	POOLS = 8,    /* the last GPUS are the default ones, by ordinal */
	DESCRIPTORS = 5,
	WORLD_SLOTS = 12,
	ADDRESSES = 40,
	STREAM_HANDLES = 8,
	NONE = -1,
};
#define MADE_STREAMS 0xd000ull /* every 16 */

enum sort {
	SORT_DEVICE,
	SORT_MANAGED,
	SORT_PINNED,
	SORT_REGISTERED,
	SORT_ARRAY,
	SORT_NODE,
	SORT_POOL,
	SORT_VMM,
	SORT_IPC,	   /* opened */
	SORT_POOL_POINTER, /* imported */
	SORT_EXTERNAL,
	SORT_BUFFER, /* mapped from external memory */
	SORT_COUNT,
};

/* What a program has. */
struct item {
	bool used;
	bool busy; /* a call that takes it is under way */
	bool is_virtual, maybe_captured, is_captured, is_host, is_migratable, is_import, is_checkpointed;
	enum sort sort;
	uint64_t addr, alias, size, opens, joined;
	int memory;  /* the same number: the same memory */
	int context; /* that it goes with */
	int ordinal, pool;
	int references, releasing, mappings, descriptors; /* SORT_VMM */
};

struct world_context {
	bool alive, busy;
	uint64_t handle;
	int ordinal, retains;
};

struct world_stream {
	bool alive, captures;
	int frees; /* under way */
	uint64_t handle;
	int context, thread; /* whose default stream it is */
};

struct world_pool {
	bool alive, busy, is_host, is_migratable, is_import;
	uint64_t handle;
	int ordinal;
};

struct program;
struct thread {
	bool active, taken, fails;
	struct event event;
	enum event_kind failed_kind;
	void (*take)(struct program *program, struct thread *thread);
	void (*undo)(struct program *program, struct thread *thread); /* it has failed */
	int index, count, stream, context;			      /* of the item; NONE */
};

struct program {
	uint32_t tgid;
	uint64_t start_ns;
	uint64_t unmatched;	  /* frees of what nobody had */
	uint64_t overtaken;	  /* frees that what was told before them may have left nothing for */
	struct event past;	  /* one that was told */
	bool is_late, is_blurred; /* the ledger cannot know all that this program has */
	int rotation, thread;	  /* whose step it is */
	bool told[GPUS];
	struct thread threads[THREADS];
	struct item items[ITEMS];
	struct world_context contexts[CONTEXTS];
	struct world_stream streams[STREAMS];
	struct world_pool pools[POOLS];
	int slots[WORLD_SLOTS]; /* 1 + index of the item that is mapped there */
	bool slot_busy[WORLD_SLOTS];
	int descriptors[DESCRIPTORS]; /* 1 + index */
};
extern struct program programs[PROGRAMS];

/* An operation: false: it was not possible now. */
typedef bool operation(struct program *program);
operation world_alloc, world_alloc_async, world_free, world_free_captured, world_advise, world_prefetch, world_zero,
	world_fail, world_unmatched, world_null, world_wrong_free, world_again;
operation world_context_new, world_context_end, world_retain, world_release, world_reset, world_uuid, world_stream_new,
	world_stream_end, world_capture_begin, world_capture_end, world_pool_new, world_pool_of, world_pool_end,
	world_pool_value, world_pool_trim;
operation world_create, world_handle_release, world_handle_retain, world_map, world_unmap, world_export_handle,
	world_import_handle, world_import_foreign, world_close_descriptor, world_ipc_export, world_ipc_open,
	world_pool_share, world_pointer_export, world_pointer_import, world_external, world_multicast, world_buffer,
	world_checkpoint, world_restore;

/* world.c */
bool world_rows(struct event *event, int driver_row, int runtime_row); /* -1: has none. False: not in this round */
void world_tell(struct program *program, struct event *event);
bool world_loses(const struct program *program); /* an event now, and has told so */
bool world_advance(struct program *program);	 /* the thread's call, if it is in one */
void world_settle(struct program *program);	 /* all its calls return */
struct thread *world_enter(struct program *program, const struct event *event, enum event_kind failed_kind);
int world_gpu(const struct program *program, int ordinal);
uint64_t world_address(int number);
void world_context_gone(struct program *program, int context);		     /* and all that goes with it */
bool world_context_quiet(const struct program *program, int context);	     /* nothing is under way in it */
int world_context(const struct program *program);			     /* one that can be used; NONE */
struct item *world_item(struct program *program, const struct event *event); /* a new one; NULL: no room */
struct item *world_pick(struct program *program, unsigned int sorts);	     /* bits; free to be used; NULL */
uint64_t world_unused(const struct program *program, unsigned int sorts); /* an address that none of these sorts has */
bool world_captures(const struct program *program);
bool world_ends_context(const struct program *program); /* such a call is under way */

void world_clear(void);
void world_shares_clear(void);

void world_round_begins(void);
void world_step(void);
void world_compare(void); /* lets all calls return first */
void world_show_counts(void);
void world_check_counts(uint64_t least); /* each operation was possible so often */

#endif
