// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "arena.h"
#include "card.h"
#include "pool.h"

#define CHUNK (32ULL << 20)	 /* by which a pool grows */
#define POOL_BASE 0x302000000ULL /* where an H100's driver puts the first pool */
#define GRAIN 512

struct pool {
	pthread_mutex_t lock;
	int gpu;
	bool ended;
	uint64_t blocks;
	uint64_t live; /* bytes of chunks in which a block stands */
	struct pool_state state;
	struct arena arena;
};

struct pool *pool_new(int gpu)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pthread_mutex_init(&pool->lock, NULL);
	pool->gpu = gpu;
	return pool;
}

/* Addresses are had with the first block: a program has pools that it never uses. */
static int make_arena(struct pool *pool)
{
	uint64_t total, unused;
	int err;

	if (pool->arena.base)
		return 0;
	err = card_info(0, &total, &unused);
	if (!err)
		err = arena_init(&pool->arena, POOL_BASE, 2 * total, CHUNK, GRAIN);
	if (!err && pool->gpu == CARD_HOST &&
	    mprotect((void *)(uintptr_t)pool->arena.base, 2 * total, PROT_READ | PROT_WRITE))
		err = -ENOMEM;
	return err;
}

/* The lock is held. It stays if there is something in it. */
static void unlock_or_free(struct pool *pool)
{
	bool gone = pool->ended && !pool->blocks;

	pthread_mutex_unlock(&pool->lock);
	if (!gone)
		return;
	card_refund(pool->gpu, pool->state.reserved);
	arena_fini(&pool->arena);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void pool_end(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->ended = true;
	unlock_or_free(pool);
}

int pool_gpu(const struct pool *pool)
{
	return pool->gpu;
}

void pool_get(struct pool *pool, struct pool_state *ret_state)
{
	pthread_mutex_lock(&pool->lock);
	*ret_state = pool->state;
	pthread_mutex_unlock(&pool->lock);
}

void pool_set_threshold(struct pool *pool, uint64_t bytes)
{
	pthread_mutex_lock(&pool->lock);
	pool->state.threshold = bytes;
	pthread_mutex_unlock(&pool->lock);
}

void pool_reset_high(struct pool *pool, bool reserved, bool used)
{
	pthread_mutex_lock(&pool->lock);
	if (reserved)
		pool->state.reserved_high = pool->state.reserved;
	if (used)
		pool->state.used_high = pool->state.used;
	pthread_mutex_unlock(&pool->lock);
}

static void trim_locked(struct pool *pool, uint64_t keep)
{
	uint64_t floor = keep > pool->live ? keep : pool->live;

	if (pool->state.reserved <= floor)
		return;
	card_refund(pool->gpu, pool->state.reserved - floor);
	pool->state.reserved = floor;
}

void pool_trim(struct pool *pool, uint64_t keep)
{
	pthread_mutex_lock(&pool->lock);
	trim_locked(pool, keep);
	pthread_mutex_unlock(&pool->lock);
}

static int take_locked(struct pool *pool, uint64_t bytes, struct extent **ret_extent, uint64_t *ret_addr)
{
	struct pool_state *state = &pool->state;
	uint64_t touched, more;
	int err = make_arena(pool);

	if (err)
		return err;
	*ret_extent = arena_alloc(&pool->arena, bytes, ret_addr, &touched);
	if (!*ret_extent)
		return -ENOMEM;
	more = pool->live + touched > state->reserved ? pool->live + touched - state->reserved : 0;
	err = card_charge(pool->gpu, more);
	if (err) {
		arena_free(&pool->arena, *ret_extent);
		return err;
	}
	pool->blocks++;
	pool->live += touched;
	state->reserved += more;
	state->used += (bytes + GRAIN - 1) / GRAIN * GRAIN;
	if (state->reserved > state->reserved_high)
		state->reserved_high = state->reserved;
	if (state->used > state->used_high)
		state->used_high = state->used;
	return 0;
}

int pool_take(struct pool *pool, uint64_t bytes, struct extent **ret_extent, uint64_t *ret_addr)
{
	int err;

	pthread_mutex_lock(&pool->lock);
	err = take_locked(pool, bytes, ret_extent, ret_addr);
	pthread_mutex_unlock(&pool->lock);
	return err;
}

void pool_give(struct pool *pool, uint64_t bytes, struct extent *extent)
{
	pthread_mutex_lock(&pool->lock);
	pool->blocks--;
	pool->live -= arena_free(&pool->arena, extent);
	pool->state.used -= (bytes + GRAIN - 1) / GRAIN * GRAIN;
	trim_locked(pool, pool->state.threshold);
	unlock_or_free(pool);
}
