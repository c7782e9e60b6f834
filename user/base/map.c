/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 16

void map_init(struct map *map)
{
	*map = (struct map) { 0 };
	hash_init(&map->hash);
}

void map_fini(struct map *map)
{
	free(map->slots);
	map->slots = NULL;
	map->capacity = 0;
	map->count = 0;
}

void map_clear(struct map *map)
{
	if (map->slots)
		memset(map->slots, 0, map->capacity * sizeof(*map->slots));
	map->count = 0;
}

static size_t home_of(const struct map *map, uint64_t key)
{
	return (size_t)hash_of(&map->hash, key) & (map->capacity - 1);
}

/* The slot of the key, or the empty one where it would go. There is always an empty slot. */
static size_t find(const struct map *map, uint64_t key)
{
	size_t i = home_of(map, key);

	while (map->slots[i].value && map->slots[i].key != key)
		i = (i + 1) & (map->capacity - 1);
	return i;
}

void *map_get(const struct map *map, uint64_t key)
{
	return map->count ? map->slots[find(map, key)].value : NULL;
}

static int grow(struct map *map)
{
	struct map larger = { .capacity = map->capacity ? map->capacity * 2 : FIRST_SLOTS, .hash = map->hash };

	larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < map->capacity; i++) {
		if (map->slots[i].value)
			larger.slots[find(&larger, map->slots[i].key)] = map->slots[i];
	}
	larger.count = map->count;
	free(map->slots);
	*map = larger;
	return 0;
}

int map_put(struct map *map, uint64_t key, void *value, void **ret_old)
{
	struct map_slot *slot;

	if (map->count + 1 > map->capacity / 4 * 3 && grow(map) < 0)
		return -ENOMEM;
	slot = &map->slots[find(map, key)];
	if (ret_old)
		*ret_old = slot->value;
	if (!slot->value)
		map->count++;
	*slot = (struct map_slot) { .key = key, .value = value };
	return 0;
}

void *map_del(struct map *map, uint64_t key)
{
	size_t mask = map->capacity - 1;
	size_t hole;
	void *value;

	if (!map->count)
		return NULL;
	hole = find(map, key);
	value = map->slots[hole].value;
	if (!value)
		return NULL;

	/* Close the gap: whoever was pushed past the hole by a collision moves back into it. */
	for (size_t i = (hole + 1) & mask; map->slots[i].value; i = (i + 1) & mask) {
		size_t home = home_of(map, map->slots[i].key);

		if (((i - home) & mask) < ((i - hole) & mask))
			continue; /* its home lies behind the hole: it must stay */
		map->slots[hole] = map->slots[i];
		hole = i;
	}
	map->slots[hole].value = NULL;
	map->count--;
	return value;
}

struct map_slot *map_next(const struct map *map, size_t *cursor)
{
	while (*cursor < map->capacity) {
		struct map_slot *slot = &map->slots[(*cursor)++];

		if (slot->value)
			return slot;
	}
	return NULL;
}
