/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/blocks.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/chunks.h"
#include "vramtrace/probe.h"

#define SLAB_ENTRIES ((uint32_t)(CHUNK_BYTES / sizeof(struct entry)))
#define SLABS_MAX (UINT32_MAX / SLAB_ENTRIES)
#define SEGMENT_BUCKETS (CHUNK_BYTES / sizeof(struct bucket))
#define BUCKET_SLOTS 11u
#define BLOCKS_PER_BUCKET 6

/*
 * Numbers of entries, `count` of them, and of each its tag, which tells most that are not looked for from the one that is. Only where all
 * slots are taken others are chained by entry.next.
 */
struct bucket {
	uint8_t tags[BUCKET_SLOTS];
	uint8_t count;
	uint32_t more; /* number of the first of these; 0: none */
	uint32_t numbers[BUCKET_SLOTS];
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct bucket) == 64, "one cache line");

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
	hash_init(&blocks->hash);
}

void blocks_fini(struct blocks *blocks)
{
	for (size_t i = 0; i < blocks->segment_count; i++)
		chunk_give(blocks->buckets[i]);
	for (size_t i = 0; i < blocks->slab_count; i++)
		chunk_give(blocks->slabs[i].entries);
	free(blocks->buckets);
	free(blocks->slabs);
	*blocks = (struct blocks) { 0 };
}

static uint32_t hash_of_block(const struct blocks *blocks, uint8_t key, uint64_t addr)
{
	return (uint32_t)(hash_of(&blocks->hash, addr ^ (uint64_t)key << 62) >> 32);
}

/* The bits that choose the bucket are others, up to 16 million of them. */
static uint8_t tag_of(uint32_t hash)
{
	return (uint8_t)(hash >> 24);
}

static struct entry *entry_of(const struct blocks *blocks, uint32_t number)
{
	return &blocks->slabs[(number - 1) / SLAB_ENTRIES].entries[(number - 1) % SLAB_ENTRIES];
}

static struct bucket *bucket_at(const struct blocks *blocks, size_t index)
{
	return &blocks->buckets[index / SEGMENT_BUCKETS][index % SEGMENT_BUCKETS];
}

/* By as many bits of the hash as there are buckets for. */
static inline struct bucket *bucket_of(const struct blocks *blocks, uint32_t hash)
{
	size_t index = hash & blocks->mask;

	return bucket_at(blocks, index < blocks->bucket_count ? index : index & blocks->mask >> 1);
}

/* Bit 7 of each byte that is equal, and nothing else. */
static uint64_t equal_bytes(uint64_t bytes, uint8_t byte)
{
	const uint64_t low = 0x7f7f7f7f7f7f7f7f;
	uint64_t differ = bytes ^ byte * 0x0101010101010101ULL;

	return ~(((differ & low) + low) | differ | low);
}

/* One bit for each slot that is in use and has that tag. */
static inline uint32_t slots_of(const struct bucket *bucket, uint8_t tag)
{
	uint64_t words[2];
	uint32_t slots;

	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest one");
	memcpy(words, bucket, sizeof(words));
	/* The highest bits of eight bytes, as the eight highest ones of a product. */
	slots = (uint32_t)((equal_bytes(words[0], tag) >> 7) * 0x0102040810204080 >> 56) |
		(uint32_t)((equal_bytes(words[1], tag) >> 7) * 0x0102040810204080 >> 56) << 8;
	return slots & ((1u << bucket->count) - 1);
}

static bool is_of(const struct entry *entry, uint8_t key, uint64_t addr)
{
	return entry->addr == addr && entry->key == key;
}

static struct entry *search(const struct blocks *blocks, uint32_t hash, uint8_t key, uint64_t addr)
{
	const struct bucket *bucket = bucket_of(blocks, hash);
	struct entry *entry;

	for (uint32_t slots = slots_of(bucket, tag_of(hash)); slots; slots &= slots - 1) {
		entry = entry_of(blocks, bucket->numbers[__builtin_ctz(slots)]);
		if (is_of(entry, key, addr))
			return entry;
	}
	for (uint32_t number = bucket->more; number; number = entry->next) {
		entry = entry_of(blocks, number);
		if (is_of(entry, key, addr))
			return entry;
	}
	return NULL;
}

static void bucket_put(struct bucket *bucket, uint32_t number, struct entry *entry)
{
	if (bucket->count < BUCKET_SLOTS) {
		bucket->tags[bucket->count] = tag_of(entry->hash);
		bucket->numbers[bucket->count++] = number;
	} else {
		entry->next = bucket->more;
		bucket->more = number;
	}
}

/* The slot goes to the last one, and what that had to one that found none. */
static void vacate(const struct blocks *blocks, struct bucket *bucket, uint32_t slot)
{
	uint32_t number = bucket->more;
	struct entry *entry;

	bucket->count--;
	bucket->tags[slot] = bucket->tags[bucket->count];
	bucket->numbers[slot] = bucket->numbers[bucket->count];
	if (!number)
		return;
	entry = entry_of(blocks, number);
	bucket->more = entry->next;
	bucket_put(bucket, number, entry);
}

/* Its number: it is in its bucket. */
static uint32_t bucket_take(const struct blocks *blocks, const struct entry *entry)
{
	struct bucket *bucket = bucket_of(blocks, entry->hash);
	uint32_t *link, number;

	for (uint32_t slots = slots_of(bucket, tag_of(entry->hash)); slots; slots &= slots - 1) {
		uint32_t slot = (uint32_t)__builtin_ctz(slots);

		number = bucket->numbers[slot];
		if (entry_of(blocks, number) == entry) {
			vacate(blocks, bucket, slot);
			return number;
		}
	}
	for (link = &bucket->more; entry_of(blocks, *link) != entry;)
		link = &entry_of(blocks, *link)->next;
	number = *link;
	*link = entry->next;
	return number;
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
	struct bucket *segment;

	if (grow_array(&blocks->buckets, sizeof(*blocks->buckets), blocks->segment_count, &blocks->segment_capacity) <
	    0)
		return -ENOMEM;
	segment = chunk_take();
	if (!segment)
		return -ENOMEM;
	blocks->buckets[blocks->segment_count++] = segment;
	return 0;
}

/* A new bucket takes over what its elder, which lacks its highest bit, has of it. */
static int add_bucket(struct blocks *blocks)
{
	size_t index = blocks->bucket_count, power = (blocks->mask + 1) / 2;
	struct bucket *elder, *new, old;

	if (index == blocks->segment_count * SEGMENT_BUCKETS && add_segment(blocks) < 0)
		return -ENOMEM;
	blocks->bucket_count++;
	if (!(blocks->bucket_count & index))
		blocks->mask = 2 * blocks->bucket_count - 1;
	new = bucket_at(blocks, index);
	*new = (struct bucket) { 0 };
	if (!index)
		return 0;
	elder = bucket_at(blocks, index - power);
	old = *elder;
	*elder = (struct bucket) { 0 };
	for (uint32_t i = 0; i < old.count; i++)
		__builtin_prefetch(entry_of(blocks, old.numbers[i]));
	for (uint32_t i = 0; i < old.count; i++) {
		struct entry *entry = entry_of(blocks, old.numbers[i]);

		bucket_put(entry->hash & power ? new : elder, old.numbers[i], entry);
	}
	for (uint32_t number = old.more, next; number; number = next) {
		struct entry *entry = entry_of(blocks, number);

		next = entry->next;
		bucket_put(entry->hash & power ? new : elder, number, entry);
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
	entries = chunk_take();
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

	chunks_step();
	entry->kind = VT_KIND_ANY;
	entry->next = slab->unused;
	slab->unused = number;
	if (slab->used-- == SLAB_ENTRIES)
		link_slab(blocks, index);
	if (slab->used || !blocks->empty_count++)
		return;
	blocks->empty_count--;
	unlink_slab(blocks, slab);
	chunk_give(slab->entries);
	*slab = (struct slab) { 0 };
	if (index < blocks->vacant)
		blocks->vacant = index;
}

struct entry *blocks_find(struct blocks *blocks, uint8_t key, uint64_t addr)
{
	struct entry *found = blocks->found;

	if (found && is_of(found, key, addr))
		return found;
	found = blocks->count ? search(blocks, hash_of_block(blocks, key, addr), key, addr) : NULL;
	if (found)
		blocks->found = found;
	return found;
}

struct entry *blocks_add(struct blocks *blocks, uint8_t key, uint64_t addr)
{
	struct entry *entry;
	uint32_t number;

	/* With fewer buckets there are more in each: only the first one cannot be missed. */
	if (blocks->bucket_count * BLOCKS_PER_BUCKET < blocks->count + 1)
		(void)add_bucket(blocks);
	number = blocks->bucket_count ? take_entry(blocks) : 0;
	if (!number)
		return NULL;
	entry = entry_of(blocks, number);
	*entry = (struct entry) { .addr = addr, .key = key, .hash = hash_of_block(blocks, key, addr) };
	bucket_put(bucket_of(blocks, entry->hash), number, entry);
	blocks->count++;
	return entry;
}

void blocks_remove(struct blocks *blocks, struct entry *entry)
{
	if (blocks->found == entry)
		blocks->found = NULL;
	give_entry(blocks, bucket_take(blocks, entry));
	blocks->count--;
}

void blocks_move(struct blocks *blocks, struct entry *entry, uint64_t new_addr)
{
	uint32_t number = bucket_take(blocks, entry);

	entry->addr = new_addr;
	entry->hash = hash_of_block(blocks, entry->key, new_addr);
	bucket_put(bucket_of(blocks, entry->hash), number, entry);
}

void blocks_expect_bucket(const struct blocks *blocks, uint8_t key, uint64_t addr)
{
	if (blocks->bucket_count)
		__builtin_prefetch(bucket_of(blocks, hash_of_block(blocks, key, addr)), 1);
}

void blocks_expect_entry(const struct blocks *blocks, uint8_t key, uint64_t addr)
{
	const struct bucket *bucket;
	uint32_t hash, slots;

	if (!blocks->bucket_count)
		return;
	hash = hash_of_block(blocks, key, addr);
	bucket = bucket_of(blocks, hash);
	slots = slots_of(bucket, tag_of(hash));
	if (slots)
		__builtin_prefetch(entry_of(blocks, bucket->numbers[__builtin_ctz(slots)]), 1);
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
