/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/index.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/chunks.h"

#define BUCKET_SLOTS 4
#define BUCKET_LOAD 3	 /* entries for each, on average */
#define CHAIN_MAX 65536u /* no chain of entries is as long: the keys are scattered by secrets */

/*
 * Filled from the first slot on, the first empty one is the end. In place of its last entry it may have a link: what follows stands in
 * the bucket that its key points to, which then has two entries or more.
 */
struct bucket {
	struct map_slot slots[BUCKET_SLOTS];
} __attribute__((aligned(64)));
static char link_mark; /* its address is no caller's value */

/* Segments of buckets: two of FIRST_BUCKETS, each then twice the one before, from SEGMENT_BUCKETS on each a chunk. */
#define FIRST_BUCKETS 16u
#define SEGMENT_BUCKETS (CHUNK_BYTES / sizeof(struct bucket))
#define SMALL_SEGMENTS 7u
_Static_assert(FIRST_BUCKETS << (SMALL_SEGMENTS - 1) == SEGMENT_BUCKETS, "the small ones end where the others begin");

/* The greatest power of two that is not above n, which is not 0. */
static size_t floor_power(size_t n)
{
	return (size_t)1 << (63 - __builtin_clzll(n));
}

static size_t segment_of(size_t number, size_t *ret_first)
{
	if (number < SEGMENT_BUCKETS) {
		*ret_first = number < FIRST_BUCKETS ? 0 : floor_power(number);
		return *ret_first ? (size_t)__builtin_ctzll(*ret_first / FIRST_BUCKETS) + 1 : 0;
	}
	*ret_first = number - number % SEGMENT_BUCKETS;
	return SMALL_SEGMENTS + number / SEGMENT_BUCKETS - 1;
}

static struct bucket *bucket_at(const struct index *index, size_t number)
{
	size_t first, segment = segment_of(number, &first);

	return &index->segments[segment][number - first];
}

/* By as many bits of the hash as there are buckets for. */
static struct bucket *bucket_of(const struct index *index, uint64_t key)
{
	uint64_t hash = hash_of(&index->hash, key);
	size_t power = floor_power(index->bucket_count);
	size_t number = hash & (2 * power - 1);

	return bucket_at(index, number < index->bucket_count ? number : number & (power - 1));
}

static bool is_link(const struct map_slot *slot)
{
	return slot->value == &link_mark;
}

/* NULL: it is the last of its chain. */
static struct bucket *next_of(const struct bucket *bucket)
{
	const struct map_slot *last = &bucket->slots[BUCKET_SLOTS - 1];

	return is_link(last) ? (struct bucket *)(uintptr_t)last->key : NULL;
}

/* NULL: it is not there. */
static struct map_slot *find(struct bucket *bucket, uint64_t key)
{
	for (size_t i = 0; i < BUCKET_SLOTS && bucket->slots[i].value; i++) {
		struct map_slot *slot = &bucket->slots[i];

		if (is_link(slot)) {
			bucket = next_of(bucket);
			i = (size_t)-1; /* from its first slot */
		} else if (slot->key == key) {
			return slot;
		}
	}
	return NULL;
}

/* 0 or -ENOMEM: unchanged. */
static int append(struct index *index, struct bucket *bucket, const struct map_slot *slot)
{
	struct bucket *further;

	while ((further = next_of(bucket)))
		bucket = further;
	for (size_t i = 0; i < BUCKET_SLOTS; i++) {
		if (!bucket->slots[i].value) {
			bucket->slots[i] = *slot;
			return 0;
		}
	}
	further = slabs_take(&index->further, sizeof(*further));
	if (!further)
		return -ENOMEM;
	*further = (struct bucket) { .slots = { bucket->slots[BUCKET_SLOTS - 1], *slot } };
	bucket->slots[BUCKET_SLOTS - 1] = (struct map_slot) { (uintptr_t)further, &link_mark };
	return 0;
}

/* The last entry closes the gap; the bucket it leaves behind goes, where only one entry were left. */
static void remove_slot(struct index *index, struct bucket *bucket, struct map_slot *slot)
{
	struct map_slot *before = NULL;
	struct bucket *further;
	size_t last = BUCKET_SLOTS - 1;

	while ((further = next_of(bucket))) {
		before = &bucket->slots[BUCKET_SLOTS - 1];
		bucket = further;
	}
	while (!bucket->slots[last].value)
		last--;
	*slot = bucket->slots[last];
	bucket->slots[last].value = NULL;
	if (!before || last > 1)
		return;
	*before = bucket->slots[0];
	slabs_give(&index->further, bucket);
}

static int add_segment(struct index *index)
{
	size_t segment = index->segment_count, larger = segment ? 2 * segment : SMALL_SEGMENTS;
	struct bucket **grown, *buckets;

	if (segment == index->segment_capacity) {
		grown = reallocarray(index->segments, larger, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		index->segments = grown;
		index->segment_capacity = larger;
	}
	if (segment >= SMALL_SEGMENTS)
		buckets = chunk_take();
	else
		buckets = aligned_alloc(sizeof(*buckets),
					sizeof(*buckets) * FIRST_BUCKETS << (segment ? segment - 1 : 0));
	if (!buckets)
		return -ENOMEM;
	index->segments[index->segment_count++] = buckets;
	return 0;
}

/*
 * A new bucket takes over what its elder, which lacks its highest bit, has of it. It cannot fail any more then: two chains need no more
 * further buckets than the one did, and what is used again was given back before.
 */
static int add_bucket(struct index *index)
{
	size_t number = index->bucket_count, power = number ? floor_power(number) : 0, first;
	struct bucket *taken, *elder, *further, all;

	if (segment_of(number, &first) == index->segment_count && add_segment(index) < 0)
		return -ENOMEM;
	index->bucket_count++;
	taken = bucket_at(index, number);
	*taken = (struct bucket) { 0 };
	if (!number)
		return 0;
	elder = bucket_at(index, number - power);
	all = *elder;
	*elder = (struct bucket) { 0 };
	do {
		further = next_of(&all);
		for (size_t i = 0; i < BUCKET_SLOTS && all.slots[i].value && !is_link(&all.slots[i]); i++) {
			bool goes = hash_of(&index->hash, all.slots[i].key) & power;

			append(index, goes ? taken : elder, &all.slots[i]);
		}
		if (further)
			all = *further;
		slabs_give(&index->further, further);
	} while (further);
	return 0;
}

void index_init(struct index *index)
{
	*index = (struct index) { 0 };
	hash_init(&index->hash);
}

void index_fini(struct index *index)
{
	struct bucket *bucket, *further;

	for (size_t i = 0; i < index->bucket_count; i++) {
		for (bucket = next_of(bucket_at(index, i)); bucket; bucket = further) {
			further = next_of(bucket);
			slabs_give(&index->further, bucket);
		}
	}
	for (size_t i = 0; i < index->segment_count; i++) {
		if (i < SMALL_SEGMENTS)
			free(index->segments[i]);
		else
			chunk_give(index->segments[i]);
	}
	slabs_fini(&index->further);
	free(index->segments);
	*index = (struct index) { 0 };
}

void *index_get(const struct index *index, uint64_t key)
{
	struct map_slot *slot = index->count ? find(bucket_of(index, key), key) : NULL;

	return slot ? slot->value : NULL;
}

int index_put(struct index *index, uint64_t key, void *value)
{
	struct map_slot *slot = index->count ? find(bucket_of(index, key), key) : NULL;

	if (slot) {
		slot->value = value;
		return 0;
	}
	/* With fewer buckets the chains are longer: only the first one cannot be missed. */
	if (index->count >= BUCKET_LOAD * index->bucket_count && add_bucket(index) < 0 && !index->bucket_count)
		return -ENOMEM;
	if (append(index, bucket_of(index, key), &(struct map_slot) { key, value }) < 0)
		return -ENOMEM;
	index->count++;
	return 0;
}

void *index_del(struct index *index, uint64_t key)
{
	struct bucket *bucket = index->count ? bucket_of(index, key) : NULL;
	struct map_slot *slot = bucket ? find(bucket, key) : NULL;
	void *value = slot ? slot->value : NULL;

	if (slot) {
		remove_slot(index, bucket, slot);
		index->count--;
	}
	return value;
}

/* The bucket's number, and where in its chain we are. */
struct map_slot *index_next(const struct index *index, size_t *cursor)
{
	while (*cursor / CHAIN_MAX < index->bucket_count) {
		struct bucket *bucket = bucket_at(index, *cursor / CHAIN_MAX);
		size_t at = *cursor % CHAIN_MAX;

		for (; bucket && at >= BUCKET_SLOTS - 1 && next_of(bucket); at -= BUCKET_SLOTS - 1)
			bucket = next_of(bucket);
		if (at < BUCKET_SLOTS && bucket->slots[at].value) {
			++*cursor;
			return &bucket->slots[at];
		}
		*cursor += CHAIN_MAX - *cursor % CHAIN_MAX;
	}
	return NULL;
}
