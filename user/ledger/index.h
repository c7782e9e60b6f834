/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_INDEX_H
#define LEDGER_INDEX_H

#include <stddef.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/slabs.h"

/*
 * A map that grows by a bucket at a time (linear hashing): where a program has 100,000 of something, the one that is too many must not
 * hold up the pipe while all others move. A bucket is a cache line, and never moves. Values belong to the caller.
 */
struct index {
	struct bucket **segments;
	size_t segment_count;
	size_t segment_capacity;
	size_t bucket_count;
	size_t count;
	struct slabs further; /* buckets, of what does not fit into its own */
	struct hash hash;
};

void index_init(struct index *index);
void index_fini(struct index *index); /* safe on a zeroed object */
void *index_get(const struct index *index, uint64_t key);
/* Whatever the key had before. 0 or -ENOMEM: unchanged; where the key has a value, it cannot fail. */
int index_put(struct index *index, uint64_t key, void *value);
void *index_del(struct index *index, uint64_t key); /* the removed value or NULL */

/* Iterate: for (size_t i = 0; (slot = index_next(index, &i)); ). The index must not change meanwhile. */
struct map_slot *index_next(const struct index *index, size_t *cursor);

#endif
