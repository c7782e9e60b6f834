/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTEXT_REFERENCE_H
#define CONTEXT_REFERENCE_H

/* What test_ledger_context_model.c's programs hold, by plain arrays and loops. The comparison with the ledger: context_checks.h. */
#include "ledger_calls.h"

enum {
	PROCESSES = 2, /* the second one was attached in the middle */
	DEVICES = 3,
	CONTEXTS = 6, /* the first three are the primary ones */
	STREAMS = 5,  /* the first two are the default ones of two threads */
	POOLS = 3,
	BLOCKS = 40,
	ON_HOST = -1,
	GPUS = 3,
};

#define HANDLES_MADE 0xc000

struct ref_context {
	bool alive;
	bool known;	   /* which device it is on */
	uint64_t reset_ns; /* it was reset before that was known */
	uint64_t handle;
	uint64_t retains;
	int device;
};

struct ref_stream {
	bool alive;
	bool captures;
	uint32_t tid; /* of the thread that has it; 0: it was made */
	uint64_t handle;
	int context;
};

struct ref_pool {
	bool alive;
	uint64_t handle;
	int device;
};

struct ref_block {
	bool used;
	bool is_virtual;
	bool maybe;
	bool sure; /* what device its context is on was known as it was made */
	enum vt_kind kind;
	uint64_t addr;
	uint64_t size;
	uint64_t made_ns;
	int device;
	int context; /* that it goes with; -1: none */
	int via;     /* that its device is known by; -1: by location or pool */
	int pool;
};

static struct ref {
	bool is_late;
	bool told[DEVICES];
	struct ref_context contexts[CONTEXTS];
	struct ref_stream streams[STREAMS];
	struct ref_pool pools[POOLS];
	struct ref_block blocks[BLOCKS];
	uint64_t maybe;
} refs[PROCESSES];

static unsigned long step;

/* By ledger_gpu(); the third is not among the machine's. */
static const uint64_t gpu_bytes[GPUS] = { 0x2222222222222222, 0x1111111111111111, 0x3333333333333333 };

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			fail_msg("step %lu: %s", step, #condition);                                                    \
	} while (0)

static inline int gpu_of(const struct ref *ref, int device)
{
	return (int)(ref - refs + device) % GPUS;
}

static inline void ref_clear(struct ref *ref)
{
	memset(ref->told, 0, sizeof(ref->told));
	for (int i = 0; i < CONTEXTS; i++)
		ref->contexts[i] = (struct ref_context) { .handle = 0xb000 + 16 * (uint64_t)i, .device = i };
	for (int i = 0; i < STREAMS; i++)
		ref->streams[i] = (struct ref_stream) { .alive = i < 2,
							.tid = i < 2 ? 20 + (uint32_t)i : 0,
							.handle = i < 2 ? 2 : 0xd000 + 16 * (uint64_t)i };
	for (int i = 0; i < POOLS; i++)
		ref->pools[i] = (struct ref_pool) { .handle = 0xe000 + 16 * (uint64_t)i };
	memset(ref->blocks, 0, sizeof(ref->blocks));
}

/* The late one uses its primary contexts before anybody has told which device they are of. */
static inline void ref_start(void)
{
	memset(refs, 0, sizeof(refs));
	for (int i = 0; i < PROCESSES; i++)
		ref_clear(&refs[i]);
	life(EVENT_PROCESS, 10);
	CALL(10, DONE, cuDeviceGetUuid, .addr = 2, .a = gpu_bytes[2], .b = gpu_bytes[2]);
	refs[0].told[2] = true;
	ledger_attach_late(ledger, 11, 11, 11, "late", 1000);
	refs[1].is_late = true;
	for (int i = 0; i < DEVICES; i++)
		refs[1].contexts[i].alive = true;
}

static inline const struct ref_context *ref_alive(const struct ref *ref, int i)
{
	return ref->contexts[i].alive ? &ref->contexts[i] : NULL;
}

static inline struct ref_stream *ref_stream(struct ref *ref, int i)
{
	return i < STREAMS && ref->streams[i].alive ? &ref->streams[i] : NULL;
}

static inline const struct ref_pool *ref_pool(const struct ref *ref, int i)
{
	return i < POOLS && ref->pools[i].alive ? &ref->pools[i] : NULL;
}

/* A new block at the address of that slot; NULL: one is there. */
static inline struct ref_block *ref_room(struct ref *ref, int i)
{
	struct ref_block *block = &ref->blocks[i];

	if (block->used)
		return NULL;
	*block = (struct ref_block) { .used = true, .addr = 0x7f0000000000 + 4096 * (uint64_t)i, .via = -1 };
	block->context = block->pool = -1;
	block->made_ns = now + 10;
	return block;
}

#endif
