// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "block.h"
#include "card.h"
#include "pool.h"

#define BUCKETS (1U << 14)
#define PAGE (2ULL << 20)
#define SMALL (1ULL << 20) /* up to here blocks share a page */

struct node {
	struct block block;
	struct extent *extent; /* NULL: memory of the host */
	struct node *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct node *buckets[BUCKETS];
static struct arena small_arenas[CARD_GPUS], large_arenas[CARD_GPUS], view_arena;

/* Everything that a GPU can hold, twice: holes must not make it look full. */
static int make_arena(struct arena *arena, uint64_t align_bytes)
{
	uint64_t total, unused;
	int err;

	if (arena->base)
		return 0;
	err = card_info(0, &total, &unused);
	return err ? err : arena_init(arena, 0, 2 * total, PAGE, align_bytes);
}

static uint64_t block_takes(const struct block *block)
{
	return block->takes ? block->takes : block->bytes;
}

static struct arena *arena_of(const struct block *block)
{
	if (block->kind & (BLOCK_IMPORTED | BLOCK_VIEW))
		return &view_arena;
	return block_takes(block) <= SMALL ? &small_arenas[block->gpu] : &large_arenas[block->gpu];
}

static int make_on_card(struct node *node)
{
	struct block *block = &node->block;
	struct arena *arena = arena_of(block);
	uint64_t charge;
	int err = make_arena(arena, block_takes(block) <= SMALL && arena != &view_arena ? 512 : PAGE);

	if (err)
		return err;
	node->extent = arena_alloc(arena, block_takes(block), &block->addr, &charge);
	if (!node->extent)
		return -ENOMEM;
	err = arena == &view_arena ? 0 : card_charge(block->gpu, charge);
	if (err)
		arena_free(arena, node->extent);
	return err;
}

static uint64_t physical_bytes(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

/* Pinned memory is shared memory, as the real one is: the kernel counts it as RssShmem. */
static int make_on_host(struct node *node)
{
	int pinned = node->block.kind == BLOCK_PINNED;
	int flags = (pinned ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_NORESERVE;
	void *map;

	if (pinned && node->block.bytes > physical_bytes())
		return -ENOMEM;
	map = mmap(NULL, node->block.bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (map == MAP_FAILED)
		return -ENOMEM;
	node->block.addr = (uintptr_t)map;
	return 0;
}

static struct node *find_overlap(uint64_t addr, uint64_t bytes, unsigned int kinds)
{
	for (unsigned int i = 0; i < BUCKETS; i++) {
		for (struct node *node = buckets[i]; node; node = node->next) {
			const struct block *block = &node->block;

			if (block->kind & kinds && block->addr < addr + bytes && addr < block->addr + block->bytes)
				return node;
		}
	}
	return NULL;
}

static int make(struct node *node)
{
	struct block *block = &node->block;

	switch (block->kind) {
	case BLOCK_POOL:
		return pool_take(block->pool, block->bytes, &node->extent, &block->addr);
	case BLOCK_MANAGED:
	case BLOCK_PINNED:
		return make_on_host(node);
	case BLOCK_REGISTERED:
		return find_overlap(block->addr, block->bytes, BLOCK_HOST) ? -EEXIST : 0;
	default:
		return make_on_card(node);
	}
}

static struct node **bucket_of(uint64_t addr)
{
	return &buckets[(addr >> 9) * 0x9e3779b97f4a7c15ULL >> 50];
}

/* The process has it twice: its own, and as another's. */
static int has_twin(uint64_t object)
{
	for (unsigned int i = 0; i < BUCKETS; i++) {
		for (struct node *node = buckets[i]; node; node = node->next) {
			if (node->block.object == object)
				return 1;
		}
	}
	return 0;
}

/* What others have open stays taken: the card moves it to the object before the owner's part is refunded. */
static void release(struct node *node)
{
	struct block *block = &node->block;
	struct arena *arena;
	uint64_t refund;

	if (block->object && !has_twin(block->object))
		card_drop(block->object);
	if (block->kind == BLOCK_POOL) {
		pool_give(block->pool, block->bytes, node->extent);
	} else if (node->extent) {
		arena = arena_of(block);
		refund = arena_free(arena, node->extent);
		if (arena != &view_arena)
			card_refund(block->gpu, refund);
	} else if (block->kind != BLOCK_REGISTERED) {
		munmap((void *)(uintptr_t)block->addr, block->bytes);
	}
	free(node);
}

int block_make(struct block *block)
{
	struct node *node = calloc(1, sizeof(*node)), **bucket;
	int err;

	if (!node)
		return -ENOMEM;
	node->block = *block;
	pthread_mutex_lock(&lock);
	err = make(node);
	if (!err) {
		bucket = bucket_of(node->block.addr);
		node->next = *bucket;
		*bucket = node;
		*block = node->block;
	}
	pthread_mutex_unlock(&lock);
	if (err)
		free(node);
	return err;
}

/* The link that points to the block of one of @kinds that begins at @addr, or to NULL. */
static struct node **find_link(uint64_t addr, unsigned int kinds)
{
	struct node **link = bucket_of(addr);

	while (*link && !((*link)->block.addr == addr && (*link)->block.kind & kinds))
		link = &(*link)->next;
	return link;
}

int block_find_base(uint64_t addr, struct block *ret_block)
{
	struct node *node;

	pthread_mutex_lock(&lock);
	node = *find_link(addr, BLOCK_ANY);
	if (node)
		*ret_block = node->block;
	pthread_mutex_unlock(&lock);
	return node ? 0 : -ENOENT;
}

int block_drop(uint64_t addr, unsigned int kinds, struct block *ret_block)
{
	struct node **link, *node;

	pthread_mutex_lock(&lock);
	link = find_link(addr, kinds);
	node = *link;
	if (node) {
		*link = node->next;
		*ret_block = node->block;
		release(node);
	}
	pthread_mutex_unlock(&lock);
	return node ? 0 : -ENOENT;
}

int block_find(uint64_t addr, unsigned int kinds, struct block *ret_block)
{
	struct node *node;

	pthread_mutex_lock(&lock);
	node = find_overlap(addr, 1, kinds);
	if (node)
		*ret_block = node->block;
	pthread_mutex_unlock(&lock);
	return node ? 0 : -ENOENT;
}

uint64_t block_set_object(uint64_t addr, uint64_t object)
{
	struct node *node;

	pthread_mutex_lock(&lock);
	node = *find_link(addr, BLOCK_DEVICE | BLOCK_POOL);
	if (node && node->block.object)
		object = node->block.object;
	else if (node)
		node->block.object = object;
	else
		object = 0;
	pthread_mutex_unlock(&lock);
	return object;
}

int block_open_again(uint64_t object, struct block *ret_block)
{
	int err = -ENOENT;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < BUCKETS && err; i++) {
		for (struct node *node = buckets[i]; node && err; node = node->next) {
			if (node->block.kind != BLOCK_IMPORTED || node->block.object != object)
				continue;
			node->block.opens++;
			*ret_block = node->block;
			err = 0;
		}
	}
	pthread_mutex_unlock(&lock);
	return err;
}

int block_close(uint64_t addr, struct block *ret_block)
{
	struct node **link, *node;

	pthread_mutex_lock(&lock);
	link = find_link(addr, BLOCK_IMPORTED);
	node = *link;
	if (node) {
		node->block.opens--;
		*ret_block = node->block;
	}
	if (node && !node->block.opens) {
		*link = node->next;
		release(node);
	}
	pthread_mutex_unlock(&lock);
	return node ? 0 : -ENOENT;
}

void block_drop_context(const void *context, block_fn *fn, void *ctx)
{
	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < BUCKETS; i++) {
		struct node **link = &buckets[i], *node;

		while ((node = *link)) {
			if (node->block.context != context) {
				link = &node->next;
				continue;
			}
			*link = node->next;
			fn(ctx, &node->block);
			release(node);
		}
	}
	pthread_mutex_unlock(&lock);
}
