/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_POOL_H
#define VRAMSIM_POOL_H

/*
 * The memory of a stream-ordered pool: chunks of 32 MiB that the GPU is charged for while a block stands in them, and, up to the
 * release threshold, afterwards. Thread-safe. The memory of a pool is that of the process: it outlives contexts.
 */
#include <stdbool.h>
#include <stdint.h>

struct extent;
struct pool;

struct pool_state {
	uint64_t reserved, reserved_high; /* charged */
	uint64_t used, used_high;	  /* by blocks */
	uint64_t threshold;
};

/* gpu: CARD_HOST for memory that the host can touch. NULL: no memory. */
struct pool *pool_new(int gpu);

/* No more blocks will come. It goes with its last block. */
void pool_end(struct pool *pool);

int pool_gpu(const struct pool *pool);
void pool_get(struct pool *pool, struct pool_state *ret_state);
void pool_set_threshold(struct pool *pool, uint64_t bytes);
void pool_reset_high(struct pool *pool, bool reserved, bool used);

/* Gives back what no block needs, down to @keep bytes. */
void pool_trim(struct pool *pool, uint64_t keep);

/* -ENOMEM: the GPU is full. */
int pool_take(struct pool *pool, uint64_t bytes, struct extent **ret_extent, uint64_t *ret_addr);
void pool_give(struct pool *pool, uint64_t bytes, struct extent *extent);

#endif
