/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slabs.h"

#include <stdbool.h>

#include "base/chunks.h"
#include "base/poison.h"

/* A slab is a chunk: where it begins is seen from the address of each item in it. */
#define SLAB_BYTES CHUNK_BYTES

struct unused {
	struct unused *next;
};

struct slab_head {
	struct slab_head *next; /* of those with an unused item */
	struct slab_head *prev;
	struct unused *unused; /* were used, and are not now */
	uint32_t used;
	uint32_t fresh; /* offset from which on none was ever used */
	uint32_t bytes; /* of an item */
};
#define SLAB_FIRST 64u
_Static_assert(sizeof(struct slab_head) <= SLAB_FIRST, "items stand behind the head");

static struct slab_head *slab_of(void *item)
{
	return (struct slab_head *)((uintptr_t)item & ~(uintptr_t)(SLAB_BYTES - 1));
}

static bool is_full(const struct slab_head *slab)
{
	return !slab->unused && slab->fresh + slab->bytes > SLAB_BYTES;
}

static void link_slab(struct slabs *slabs, struct slab_head *slab)
{
	slab->prev = NULL;
	slab->next = slabs->roomy;
	if (slab->next)
		slab->next->prev = slab;
	slabs->roomy = slab;
}

static void unlink_slab(struct slabs *slabs, struct slab_head *slab)
{
	*(slab->prev ? &slab->prev->next : &slabs->roomy) = slab->next;
	if (slab->next)
		slab->next->prev = slab->prev;
}

static struct slab_head *add_slab(struct slabs *slabs, uint32_t bytes)
{
	struct slab_head *slab = slabs->spare ? slabs->spare : chunk_take();

	if (!slab)
		return NULL;
	slabs->spare = NULL;
	*slab = (struct slab_head) { .fresh = SLAB_FIRST, .bytes = bytes };
	POISON((char *)slab + SLAB_FIRST, SLAB_BYTES - SLAB_FIRST);
	link_slab(slabs, slab);
	return slab;
}

void *slabs_take(struct slabs *slabs, uint32_t bytes)
{
	struct slab_head *slab = slabs->roomy ? slabs->roomy : add_slab(slabs, bytes);
	struct unused *item;

	if (!slab)
		return NULL;
	item = slab->unused;
	if (!item) {
		item = (struct unused *)((char *)slab + slab->fresh);
		slab->fresh += bytes;
		UNPOISON(item, bytes);
	} else {
		UNPOISON(item, bytes);
		slab->unused = item->next;
	}
	slab->used++;
	if (is_full(slab))
		unlink_slab(slabs, slab);
	return item;
}

static void free_slab(struct slab_head *slab)
{
	if (!slab)
		return;
	UNPOISON(slab, SLAB_BYTES);
	chunk_give(slab);
}

void slabs_give(struct slabs *slabs, void *item)
{
	struct slab_head *slab = slab_of(item);
	struct unused *unused = item;

	if (!item)
		return;
	chunks_step();
	if (is_full(slab))
		link_slab(slabs, slab);
	unused->next = slab->unused;
	slab->unused = unused;
	POISON(item, slab->bytes);
	if (--slab->used)
		return;
	unlink_slab(slabs, slab);
	free_slab(slabs->spare);
	slabs->spare = slab;
}

void slabs_fini(struct slabs *slabs)
{
	free_slab(slabs->spare);
	slabs->spare = NULL;
}
