/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "vramtrace/probe.h"

#define SLAB_ENTRIES 1024u
#define SLABS_MAX (UINT32_MAX / SLAB_ENTRIES)
#define SEGMENT_HEADS 4096u
#define HEADS_PER_BLOCK 2

/* An entry is named by a number: 1 + its place in all slabs. 0: none. What is asked for at each step stands apart from the entries. */
struct slab {
	struct entry *entries; /* NULL: given back */
	uint32_t used;
	uint32_t fresh;	 /* from here on none was ever used */
	uint32_t unused; /* number of the first that was, and is not now; chained by entry.next */
	uint32_t next;	 /* 1 + index, of slabs with an unused entry */
	uint32_t prev;
};

void blocks_init(struct blocks *blocks)
{
	*blocks = (struct blocks) { 0 };
	/* Early in boot there may be no entropy yet: then something that an outsider cannot easily know. */
	if (getrandom(blocks->seed, sizeof(blocks->seed), GRND_NONBLOCK) != sizeof(blocks->seed)) {
		blocks->seed[0] = clock_mono_ns();
		blocks->seed[1] = (uint64_t)(uintptr_t)blocks << 16 ^ blocks->seed[0];
	}
}

void blocks_fini(struct blocks *blocks)
{
	for (size_t i = 0; i < blocks->segment_count; i++)
		free(blocks->heads[i]);
	for (size_t i = 0; i < blocks->slab_count; i++)
		free(blocks->slabs[i].entries);
	free(blocks->heads);
	free(blocks->slabs);
	*blocks = (struct blocks) { 0 };
}

/* Both halves of a product with secrets in both factors, then once more for the low bits. */
static uint64_t hash_of(const struct blocks *blocks, uint8_t key, uint64_t addr)
{
	uint64_t mixed = addr ^ blocks->seed[0] ^ (uint64_t)key << 62;
	unsigned __int128 product = (unsigned __int128)mixed * (blocks->seed[1] | 1);

	mixed = ((uint64_t)product ^ (uint64_t)(product >> 64)) * 0x9e3779b97f4a7c15ULL;
	return mixed ^ mixed >> 32;
}

static struct entry *entry_of(const struct blocks *blocks, uint32_t number)
{
	return &blocks->slabs[(number - 1) / SLAB_ENTRIES].entries[(number - 1) % SLAB_ENTRIES];
}

static uint32_t *head_at(const struct blocks *blocks, size_t index)
{
	return &blocks->heads[index / SEGMENT_HEADS][index % SEGMENT_HEADS];
}

/* The greatest power of two that is not above n, which is not 0. */
static size_t floor_power(size_t n)
{
	return (size_t)1 << (63 - __builtin_clzll(n));
}

/* By as many bits of the hash as there are heads for. */
static uint32_t *head_of(const struct blocks *blocks, uint64_t hash)
{
	size_t power = floor_power(blocks->head_count);
	size_t index = hash & (2 * power - 1);

	return head_at(blocks, index < blocks->head_count ? index : index & (power - 1));
}

/* Room for one item more. items: a pointer to the array's pointer. 0 or -ENOMEM. */
static int grow_array(void *items, size_t bytes, size_t count, size_t *capacity)
{
	size_t larger = *capacity ? *capacity * 2 : 8;
	void *grown;

	if (count < *capacity)
		return 0;
	grown = reallocarray(*(void **)items, larger, bytes);
	if (!grown)
		return -ENOMEM;
	*(void **)items = grown;
	*capacity = larger;
	return 0;
}

static int add_segment(struct blocks *blocks)
{
	uint32_t *segment;

	if (grow_array(&blocks->heads, sizeof(*blocks->heads), blocks->segment_count, &blocks->segment_capacity) < 0)
		return -ENOMEM;
	segment = calloc(SEGMENT_HEADS, sizeof(*segment));
	if (!segment)
		return -ENOMEM;
	blocks->heads[blocks->segment_count++] = segment;
	return 0;
}

/* A new head takes over what its elder, which lacks its highest bit, has of it. */
static int add_head(struct blocks *blocks)
{
	size_t index = blocks->head_count, power = index ? floor_power(index) : 0;
	uint32_t *link, *taken, number;

	if (index == blocks->segment_count * SEGMENT_HEADS && add_segment(blocks) < 0)
		return -ENOMEM;
	blocks->head_count++;
	if (!index)
		return 0;
	taken = head_at(blocks, index);
	for (link = head_at(blocks, index - power); (number = *link);) {
		struct entry *entry = entry_of(blocks, number);

		if (!(hash_of(blocks, entry->key, entry->addr) & power)) {
			link = &entry->next;
			continue;
		}
		*link = entry->next;
		entry->next = *taken;
		*taken = number;
	}
	return 0;
}

static void unlink_slab(struct blocks *blocks, const struct slab *slab)
{
	*(slab->prev ? &blocks->slabs[slab->prev - 1].next : &blocks->roomy) = slab->next;
	if (slab->next)
		blocks->slabs[slab->next - 1].prev = slab->prev;
}

static void link_slab(struct blocks *blocks, uint32_t index)
{
	struct slab *slab = &blocks->slabs[index];

	slab->prev = 0;
	slab->next = blocks->roomy;
	if (slab->next)
		blocks->slabs[slab->next - 1].prev = index + 1;
	blocks->roomy = index + 1;
}

static int add_slab(struct blocks *blocks)
{
	struct entry *entries;

	while (blocks->vacant < blocks->slab_count && blocks->slabs[blocks->vacant].entries)
		blocks->vacant++;
	if (blocks->vacant >= SLABS_MAX ||
	    grow_array(&blocks->slabs, sizeof(*blocks->slabs), blocks->slab_count, &blocks->slab_capacity) < 0)
		return -ENOMEM;
	entries = aligned_alloc(sizeof(*entries), SLAB_ENTRIES * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	if (blocks->vacant == blocks->slab_count)
		blocks->slab_count++;
	blocks->slabs[blocks->vacant] = (struct slab) { .entries = entries };
	blocks->empty_count++;
	link_slab(blocks, (uint32_t)blocks->vacant);
	return 0;
}

/* The number of an entry that nobody uses; 0: out of memory. */
static uint32_t take_entry(struct blocks *blocks)
{
	struct slab *slab;
	uint32_t index, number;

	if (!blocks->roomy && add_slab(blocks) < 0)
		return 0;
	index = blocks->roomy - 1;
	slab = &blocks->slabs[index];
	number = slab->unused;
	if (number)
		slab->unused = entry_of(blocks, number)->next;
	else
		number = index * SLAB_ENTRIES + ++slab->fresh;
	if (!slab->used++)
		blocks->empty_count--;
	if (slab->used == SLAB_ENTRIES)
		unlink_slab(blocks, slab);
	return number;
}

static void give_entry(struct blocks *blocks, uint32_t number)
{
	uint32_t index = (number - 1) / SLAB_ENTRIES;
	struct entry *entry = entry_of(blocks, number);
	struct slab *slab = &blocks->slabs[index];

	entry->kind = VT_KIND_ANY;
	entry->next = slab->unused;
	slab->unused = number;
	if (slab->used-- == SLAB_ENTRIES)
		link_slab(blocks, index);
	if (slab->used || !blocks->empty_count++)
		return;
	blocks->empty_count--;
	unlink_slab(blocks, slab);
	free(slab->entries);
	*slab = (struct slab) { 0 };
	if (index < blocks->vacant)
		blocks->vacant = index;
}

/* Where the number of the entry stands: in its head, or in the entry before it. A 0 stands there if there is none. */
static uint32_t *link_of(const struct blocks *blocks, uint8_t key, uint64_t addr)
{
	uint32_t *link = head_of(blocks, hash_of(blocks, key, addr));
	struct entry *entry;

	while (*link) {
		entry = entry_of(blocks, *link);
		if (entry->addr == addr && entry->key == key)
			break;
		link = &entry->next;
	}
	return link;
}

struct entry *blocks_find(const struct blocks *blocks, uint8_t key, uint64_t addr)
{
	uint32_t *link = blocks->count ? link_of(blocks, key, addr) : NULL;

	return link && *link ? entry_of(blocks, *link) : NULL;
}

struct entry *blocks_add(struct blocks *blocks, uint8_t key, uint64_t addr)
{
	uint32_t number, *head;
	struct entry *entry;

	/* With fewer heads the chains are longer: only the first one cannot be missed. */
	for (int i = 0; i < HEADS_PER_BLOCK && blocks->head_count < HEADS_PER_BLOCK * (blocks->count + 1); i++) {
		if (add_head(blocks) < 0)
			break;
	}
	number = blocks->head_count ? take_entry(blocks) : 0;
	if (!number)
		return NULL;
	entry = entry_of(blocks, number);
	head = head_of(blocks, hash_of(blocks, key, addr));
	*entry = (struct entry) { .addr = addr, .key = key, .next = *head };
	*head = number;
	blocks->count++;
	return entry;
}

void blocks_remove(struct blocks *blocks, uint8_t key, uint64_t addr)
{
	uint32_t *link = link_of(blocks, key, addr);
	uint32_t number = *link;

	*link = entry_of(blocks, number)->next;
	give_entry(blocks, number);
	blocks->count--;
}

void blocks_move(struct blocks *blocks, uint8_t key, uint64_t addr, uint64_t new_addr)
{
	uint32_t *link = link_of(blocks, key, addr);
	uint32_t number = *link;
	struct entry *entry = entry_of(blocks, number);

	*link = entry->next;
	entry->addr = new_addr;
	link = head_of(blocks, hash_of(blocks, key, new_addr));
	entry->next = *link;
	*link = number;
}

struct entry *blocks_next(const struct blocks *blocks, size_t *cursor)
{
	while (*cursor < blocks->slab_count * SLAB_ENTRIES) {
		struct slab *slab = &blocks->slabs[*cursor / SLAB_ENTRIES];
		uint32_t i = *cursor % SLAB_ENTRIES;

		if (i >= slab->fresh) {
			*cursor += SLAB_ENTRIES - i;
			continue;
		}
		(*cursor)++;
		if (slab->entries[i].kind != VT_KIND_ANY)
			return &slab->entries[i];
	}
	return NULL;
}
