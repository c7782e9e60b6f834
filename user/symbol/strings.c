/* SPDX-License-Identifier: Apache-2.0 */
#include "symbol/strings.h"

#include <stdlib.h>
#include <string.h>

void strings_init(struct strings *strings, size_t bytes_max, uint32_t first_id)
{
	*strings = (struct strings) { .bytes_max = bytes_max, .next_id = first_id };
	map_init(&strings->map);
}

void strings_fini(struct strings *strings)
{
	struct map_slot *slot;
	struct string *string, *next;

	for (size_t i = 0; (slot = map_next(&strings->map, &i));) {
		for (string = slot->value; string; string = next) {
			next = string->next;
			free(string);
		}
	}
	map_fini(&strings->map);
}

/* Seeded, so that nobody can choose names that all fall together. */
static uint64_t hash_of_text(const struct strings *strings, const char *text, size_t length)
{
	uint64_t hash = strings->map.hash.secrets[0] ^ length;

	while (length > 0) {
		uint64_t word = 0;
		size_t take = length < 8 ? length : 8;

		memcpy(&word, text, take);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 29;
		text += take;
		length -= take;
	}
	return hash;
}

struct string *strings_get(struct strings *strings, const char *text, size_t length)
{
	uint64_t hash = hash_of_text(strings, text, length);
	struct string *first = map_get(&strings->map, hash);
	struct string *string;

	for (string = first; string; string = string->next) {
		if (string->length != length || memcmp(string->text, text, length) != 0)
			continue;
		string->refs++;
		return string;
	}
	if (strings->bytes + length > strings->bytes_max)
		return NULL;
	string = calloc(1, sizeof(*string) + length + 1);
	if (!string)
		return NULL;
	string->next = first;
	string->hash = hash;
	string->length = length;
	string->refs = 1;
	string->id = strings->next_id;
	memcpy(string->text, text, length);
	if (map_put(&strings->map, hash, string, NULL) < 0) {
		free(string);
		return NULL;
	}
	strings->next_id++;
	strings->bytes += sizeof(*string) + length;
	return string;
}

void strings_put(struct strings *strings, struct string *string)
{
	struct string *first, **link;

	if (!string || --string->refs > 0)
		return;
	first = map_get(&strings->map, string->hash);
	for (link = &first; *link != string; link = &(*link)->next)
		;
	*link = string->next;
	if (first)
		map_put(&strings->map, string->hash, first, NULL); /* replaces: needs no memory */
	else
		map_del(&strings->map, string->hash);
	strings->bytes -= sizeof(*string) + string->length;
	free(string);
}
