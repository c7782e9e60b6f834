/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_INDEX_H
#define LEDGER_INDEX_H

#include <stdbool.h>

#include "base/map.h"

/*
 * A map that grows a few entries at a time: where a program has 100,000 of something, the one that is too many must not hold up the
 * pipe while all others move. Values belong to the caller.
 */
struct index {
	struct map now;
	struct map old; /* what is still to be moved */
	size_t moved;	/* slots of old that are empty, from the first on */
};

void index_init(struct index *index);
void index_fini(struct index *index); /* safe on a zeroed object */
void *index_get(const struct index *index, uint64_t key);
int index_put(struct index *index, uint64_t key,
	      void *value);			    /* whatever the key had before; 0 or -ENOMEM: unchanged */
void *index_del(struct index *index, uint64_t key); /* the removed value or NULL */

/* Iterate: for (size_t i = 0; (slot = index_next(index, &i)); ). The index must not change meanwhile. */
struct map_slot *index_next(const struct index *index, size_t *cursor);

#endif
