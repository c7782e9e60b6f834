/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_REF_H
#define MODEL_REF_H

/* What the reference keeps of a process: lists. A full one is a failure of the test. */
#include "model.h"

enum ref_space {
	BY_ADDRESS,
	BY_ARRAY,
	BY_HANDLE,
	BY_EXTERNAL,
};

enum ref_state {
	REF_LIVE,
	REF_WAITS, /* in no total any more: the call that ends it is still to be told */
	REF_GONE,  /* until the end of the step */
};

/* Where a block was counted at the end of the last step. */
struct ref_counted {
	bool in, borrowed, vram, unsized;
	int cell, place, caller;
	enum vt_kind kind;
	uint64_t bytes;
};

struct ref_block {
	enum ref_state state;
	enum ref_space space;
	uint64_t id, addr, size, alloc_ns, until_ns;
	uint64_t waits;	  /* number of this wait, to tell the oldest */
	uint64_t context; /* that it goes with; 0: none */
	uint64_t opens, joined;
	uint64_t references, descriptors; /* BY_HANDLE; its mappings are in struct ref */
	enum vt_kind kind;
	enum placement placement;
	int where, caller, pool, memory; /* indexes; -1, memory 0: none */
	uint8_t flags;
	bool displaced, learns, held;
	bool was_borrowed; /* as it came, and not any more by the end of that step */
	int place;	   /* the ledger's */
	struct ref_counted was;
};

/* A device, or a context that nobody has told the device of. */
struct ref_where {
	int ordinal, gpu, image, same; /* -1: not known; same: the index of what it turned out to be, or its own */
};

struct ref_context {
	uint64_t handle, made_ns;
	int where;
	bool ordinal_known;
};

struct ref_device {
	int ordinal;
	uint64_t primary, retains, reset_ns;
};

struct ref_pair {
	uint64_t key, value;
};

struct ref_pool {
	struct pool shown; /* live, place: not used */
	int where;
};

struct ref_mapped {
	uint64_t id, since_ns; /* 0: nothing stands there */
};

struct ref_cell {
	const char *library;
	int place;
	enum vt_kind kind;
	enum placement placement;
	bool borrowed, computed, began; /* began: in this step */
	struct slice slice;
	uint64_t since_ns;
	size_t shown; /* index of the ledger's */
};

enum {
	REF_BLOCKS = 512,
	REF_WHERES = 512,
	REF_CONTEXTS = 64,
	REF_PAIRS = 64,
	REF_POOLS = 1024,
	REF_CELLS = 1024,
	REF_PROCESSES = 4096,
	SLOTS = 12, /* of an address space, for mappings */
};
#define SLOT_BYTES (1ull << 26)
#define SLOT_BASE 0x700000000000ull

struct ref {
	uint32_t tgid;
	uint64_t start_ns, first_ns;
	bool ended, has_cuda, late, touched;
	int image;
	struct ref_block blocks[REF_BLOCKS]; /* by id */
	int block_count;
	struct ref_where wheres[REF_WHERES];
	int where_count;
	struct ref_context contexts[REF_CONTEXTS];
	int context_count;
	struct ref_device devices[GPUS];
	int device_count;
	struct ref_pair streams[REF_PAIRS], captures[REF_PAIRS], aliases[REF_PAIRS], descriptors[REF_PAIRS];
	int stream_count, capture_count, alias_count, descriptor_count;
	struct ref_pool pools[REF_POOLS];
	int pool_count;
	struct ref_mapped slots[SLOTS];
	struct slice total, kinds[VT_KIND_COUNT], callers[CALLERS], places[256];
	struct ref_cell cells[REF_CELLS];
	int cell_count, place_count;
	uint64_t unsized; /* blocks that left without */
	uint64_t failed, failed_frees, unmatched, uncovered, lost, maybe_captured, zero_sized, calls;
};

#endif
