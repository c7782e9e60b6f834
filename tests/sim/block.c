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

#define BUCKETS (1U << 14)
#define PAGE (2ULL << 20)
#define SMALL (1ULL << 20)	 /* up to here blocks share a page */
#define POOL_CHUNK (32ULL << 20) /* by which a pool grows */
#define POOL_BASE 0x302000000ULL /* where an H100's driver puts the first pool */

struct node {
	struct block block;
	struct extent *extent; /* NULL: memory of the host */
	struct node *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct node *buckets[BUCKETS];
static struct arena small_arena, large_arena, pool_arena;

/* Everything that the card can hold, twice: holes must not make a card look full. */
static int make_arenas(void)
{
	uint64_t total, unused;
	int err;

	if (pool_arena.base)
		return 0;
	err = card_info(&total, &unused);
	if (!err && !small_arena.base)
		err = arena_init(&small_arena, 0, 2 * total, PAGE, 512);
	if (!err && !large_arena.base)
		err = arena_init(&large_arena, 0, 2 * total, PAGE, PAGE);
	if (!err)
		err = arena_init(&pool_arena, POOL_BASE, 2 * total, POOL_CHUNK, 512);
	return err;
}

static struct arena *arena_of(enum block_kind kind, uint64_t bytes)
{
	if (kind == BLOCK_POOL)
		return &pool_arena;
	return bytes <= SMALL ? &small_arena : &large_arena;
}

static int make_on_card(struct node *node)
{
	struct arena *arena = arena_of(node->block.kind, node->block.bytes);
	uint64_t charge;
	int err = make_arenas();

	if (err)
		return err;
	node->extent = arena_alloc(arena, node->block.bytes, &node->block.addr, &charge);
	if (!node->extent)
		return -ENOMEM;
	err = card_charge(charge);
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

static struct node **bucket_of(uint64_t addr)
{
	return &buckets[(addr >> 9) * 0x9e3779b97f4a7c15ULL >> 50];
}

static void release(struct node *node)
{
	if (node->extent)
		card_refund(arena_free(arena_of(node->block.kind, node->block.bytes), node->extent));
	else
		munmap((void *)(uintptr_t)node->block.addr, node->block.bytes);
	free(node);
}

int block_make(enum block_kind kind, uint64_t bytes, uint64_t *ret_addr)
{
	struct node *node = calloc(1, sizeof(*node)), **bucket;
	int err;

	if (!node)
		return -ENOMEM;
	node->block.kind = kind;
	node->block.bytes = bytes;
	pthread_mutex_lock(&lock);
	err = kind & (BLOCK_DEVICE | BLOCK_POOL) ? make_on_card(node) : make_on_host(node);
	if (!err) {
		bucket = bucket_of(node->block.addr);
		node->next = *bucket;
		*bucket = node;
		*ret_addr = node->block.addr;
	}
	pthread_mutex_unlock(&lock);
	if (err)
		free(node);
	return err;
}

/* The link that points to the block that begins at @addr, or to NULL. */
static struct node **find_link(uint64_t addr)
{
	struct node **link = bucket_of(addr);

	while (*link && (*link)->block.addr != addr)
		link = &(*link)->next;
	return link;
}

int block_find_base(uint64_t addr, struct block *ret_block)
{
	struct node *node;

	pthread_mutex_lock(&lock);
	node = *find_link(addr);
	if (node)
		*ret_block = node->block;
	pthread_mutex_unlock(&lock);
	return node ? 0 : -ENOENT;
}

int block_drop(uint64_t addr, unsigned int kinds, uint64_t *ret_bytes)
{
	struct node **link, *node;
	int err = -ENOENT;

	pthread_mutex_lock(&lock);
	link = find_link(addr);
	node = *link;
	if (node && node->block.kind & kinds) {
		*link = node->next;
		*ret_bytes = node->block.bytes;
		release(node);
		err = 0;
	}
	pthread_mutex_unlock(&lock);
	return err;
}

int block_find(uint64_t addr, struct block *ret_block)
{
	int err = -ENOENT;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < BUCKETS && err; i++) {
		for (struct node *node = buckets[i]; node; node = node->next) {
			if (addr - node->block.addr >= node->block.bytes)
				continue;
			*ret_block = node->block;
			err = 0;
		}
	}
	pthread_mutex_unlock(&lock);
	return err;
}

uint64_t block_drop_all(void)
{
	uint64_t bytes = 0;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < BUCKETS; i++) {
		while (buckets[i]) {
			struct node *node = buckets[i];

			buckets[i] = node->next;
			bytes += node->block.bytes;
			release(node);
		}
	}
	pthread_mutex_unlock(&lock);
	return bytes;
}
