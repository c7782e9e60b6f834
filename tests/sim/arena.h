/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_ARENA_H
#define VRAMSIM_ARENA_H

/*
 * Addresses without memory behind them: a reserved, inaccessible range. The extent freed last is
 * looked at first, so an address comes back with the next request that fits, which is the hard
 * case for a tracer.
 *
 * The card charges in units (2 MiB pages, or a pool's chunks): alloc and free say how many bytes
 * of units were touched for the first time, or left by their last block. Not thread-safe: the
 * caller holds a lock.
 */
#include <stdint.h>

struct extent;

struct arena {
	uint64_t base;
	void *range; /* reserved: base and a little before and behind it */
	uint64_t range_bytes;
	uint64_t unit_bytes;
	uint64_t align_bytes;
	uint32_t *unit_blocks; /* how many blocks touch each unit */
	struct extent *free_first;
};

/* Reserves at least @bytes, near @hint if that is free. -ENOMEM. */
int arena_init(struct arena *arena, uint64_t hint, uint64_t bytes, uint64_t unit_bytes, uint64_t align_bytes);

/* All of its extents are free. Of one that was never made: nothing. */
void arena_fini(struct arena *arena);

/* The extent, and its address and charge; NULL when no free extent is large enough. */
struct extent *arena_alloc(struct arena *arena, uint64_t bytes, uint64_t *ret_addr, uint64_t *ret_charge);

/* Returns the refund. @extent is gone afterwards. */
uint64_t arena_free(struct arena *arena, struct extent *extent);

#endif
