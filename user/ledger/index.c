/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/index.h"

#include <errno.h>
#include <stdlib.h>

#include "base/pages.h"

#define SLOTS_MIN 1024	  /* smaller ones grow at once */
#define SLOTS_PER_STEP 16 /* of 4 that one insertion must move, for all to be gone before the new ones are in use */
#define SLOTS_PER_GIVING 16384 /* 256 KiB: the pages of old that are done with go by so many, not all of them with it */

void index_init(struct index *index)
{
	map_init(&index->now);
	index->old = (struct map) { 0 };
	index->moved = 0;
}

void index_fini(struct index *index)
{
	map_fini(&index->now);
	map_fini(&index->old);
}

/* A search that begins where all is moved ends there: its page, which may have been given back, is not to come into memory again. */
static bool may_be_old(const struct index *index, uint64_t key)
{
	return index->old.count && map_home(&index->old, key) >= index->moved;
}

void *index_get(const struct index *index, uint64_t key)
{
	void *value = map_get(&index->now, key);

	return value || !may_be_old(index, key) ? value : map_get(&index->old, key);
}

/* A slot that is empty stays so, and reads as a page that was given back does. */
static void give_back(const struct index *index)
{
	if (index->moved && index->moved % SLOTS_PER_GIVING == 0)
		pages_give_back(&index->old.slots[index->moved - SLOTS_PER_GIVING],
				SLOTS_PER_GIVING * sizeof(*index->old.slots));
}

/* An entry that goes lets later ones close up to it, so a slot is done with when it is empty. */
static void step(struct index *index)
{
	struct map_slot slot;

	for (size_t i = 0; i < SLOTS_PER_STEP && index->old.count; i++) {
		slot = index->old.slots[index->moved];
		if (!slot.value) {
			index->moved = (index->moved + 1) & (index->old.capacity - 1);
			give_back(index);
			continue;
		}
		if (map_put(&index->now, slot.key, slot.value, NULL) < 0)
			return; /* the next time */
		map_del(&index->old, slot.key);
	}
	if (!index->old.count)
		map_fini(&index->old);
}

static int grow(struct index *index)
{
	struct map larger = { .capacity = index->now.capacity * 2, .seed = index->now.seed };

	larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	index->old = index->now;
	index->now = larger;
	index->moved = 0;
	return 0;
}

int index_put(struct index *index, uint64_t key, void *value)
{
	/* As map_put() would, but not all at once. */
	if (!index->old.slots && index->now.capacity >= SLOTS_MIN &&
	    index->now.count + 1 > index->now.capacity / 4 * 3 && grow(index) < 0)
		return -ENOMEM;
	if (map_put(&index->now, key, value, NULL) < 0)
		return -ENOMEM;
	if (index->old.slots) {
		if (may_be_old(index, key))
			map_del(&index->old, key);
		step(index);
	}
	return 0;
}

void *index_del(struct index *index, uint64_t key)
{
	void *value = map_del(&index->now, key);

	return value || !may_be_old(index, key) ? value : map_del(&index->old, key);
}

struct map_slot *index_next(const struct index *index, size_t *cursor)
{
	struct map_slot *slot = map_next(&index->now, cursor);
	size_t rest;

	if (slot || !index->old.slots)
		return slot;
	rest = *cursor - index->now.capacity;
	slot = map_next(&index->old, &rest);
	*cursor = index->now.capacity + rest;
	return slot;
}
