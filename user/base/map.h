/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

/*
 * Hash map from a 64-bit key to a non-NULL pointer: open addressing, backward-shift deletion, no tombstones. Keys may be
 * chosen by a hostile program (addresses): the hash is seeded at random per map. Values belong to the caller.
 */
struct map {
	struct map_slot *slots;
	size_t capacity; /* power of two, or 0 */
	size_t count;
	struct hash hash;
};

struct map_slot {
	uint64_t key;
	void *value; /* NULL: empty */
};

void map_init(struct map *map);
void map_fini(struct map *map); /* frees the slots, not the values; safe on a zeroed object */
void map_clear(struct map *map);
void *map_get(const struct map *map, uint64_t key);			 /* NULL if absent */
int map_put(struct map *map, uint64_t key, void *value, void **ret_old); /* 0 or -ENOMEM; ret_old may be NULL */
void *map_del(struct map *map, uint64_t key);				 /* the removed value or NULL */

/* Iterate: for (size_t i = 0; (slot = map_next(map, &i)); ). The map must not change meanwhile. */
struct map_slot *map_next(const struct map *map, size_t *cursor);

#endif
