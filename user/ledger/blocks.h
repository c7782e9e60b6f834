/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_BLOCKS_H
#define LEDGER_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

/*
 * The table of one process' blocks. Addresses are chosen by the program, which may be hostile: the hash has a random key of its own.
 * There is no moment at which everything is moved: the table grows by one bucket with every few blocks (linear hashing), and entries stand
 * in slabs and never move, each in a cache line of its own, as each bucket is. A block that is there costs two lines that are in no
 * cache, one that is not costs one. A slab that is empty is given back, but for one; buckets stay until the end.
 */

struct entry {
	uint64_t addr;
	uint64_t size;
	uint64_t id;
	uint64_t alloc_ns;
	uint32_t next;	 /* the table's own */
	uint32_t hash;	 /* too */
	uint32_t caller; /* 1 + index into by_caller; 0: no caller */
	uint32_t cell;	 /* index into cells */
	uint16_t context;
	uint16_t place;
	uint16_t pool;
	uint8_t kind; /* enum vt_kind; ANY: no block */
	uint8_t placement;
	uint8_t flags;
	uint8_t key; /* enum key */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct entry) == 64, "what a block costs, with 11 bytes of its bucket");

struct slab;
struct bucket;

struct blocks {
	struct hash hash;
	struct bucket **buckets; /* segments of them */
	size_t segment_count;
	size_t segment_capacity;
	size_t bucket_count;
	size_t mask; /* 1 less than twice the greatest power of two that is not above bucket_count */
	struct slab *slabs;
	size_t slab_count;
	size_t slab_capacity;
	size_t vacant;	     /* no slab below it was given back */
	uint32_t roomy;	     /* 1 + index of a slab with an unused entry; 0: none */
	size_t empty_count;  /* of slabs */
	struct entry *found; /* the last one, which is often asked for again at once; NULL: none, or it is gone */
	size_t count;
};

void blocks_init(struct blocks *blocks);
void blocks_fini(struct blocks *blocks); /* safe on a zeroed object */

/* Valid until it is removed. NULL: there is none. */
struct entry *blocks_find(struct blocks *blocks, uint8_t key, uint64_t addr);
/* There must be none. All but key and addr is 0: the caller sets kind, at once. NULL: out of memory. */
struct entry *blocks_add(struct blocks *blocks, uint8_t key, uint64_t addr);
void blocks_remove(struct blocks *blocks, struct entry *entry);
void blocks_move(struct blocks *blocks, struct entry *entry, uint64_t new_addr); /* to where there is none */

/*
 * It will be asked for soon: what that will read is brought into the cache, first the bucket, and when that is there the entry. Nothing
 * waits for it, and any key and addr will do.
 */
void blocks_expect_bucket(const struct blocks *blocks, uint8_t key, uint64_t addr);
void blocks_expect_entry(const struct blocks *blocks, uint8_t key, uint64_t addr);

/* Iterate: for (size_t i = 0; (entry = blocks_next(blocks, &i)); ). The entry may be removed meanwhile; none may be added. */
struct entry *blocks_next(const struct blocks *blocks, size_t *cursor);

#endif
