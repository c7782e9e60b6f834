/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYMBOL_STRINGS_H
#define SYMBOL_STRINGS_H

#include <stddef.h>
#include <stdint.h>

#include "base/map.h"

/*
 * One copy of each string: thousands of processes map the same few hundred files. Counted references; the total is bounded,
 * for programs choose their paths. `id` counts from first_id in the order of first use, `tag` and `data` are the owner's.
 */
struct string {
	struct string *next; /* same hash */
	uint64_t hash;
	void *data;
	size_t length;
	uint32_t refs;
	uint32_t id;
	uint32_t tag;
	char text[]; /* NUL-terminated */
};

struct strings {
	struct map map;
	size_t bytes;
	size_t bytes_max;
	uint32_t next_id;
};

void strings_init(struct strings *strings, size_t bytes_max, uint32_t first_id);
void strings_fini(struct strings *strings); /* all of them, whoever refers to them */
struct string *strings_get(struct strings *strings, const char *text,
			   size_t length);			  /* one reference more; NULL: no memory */
void strings_put(struct strings *strings, struct string *string); /* one less; NULL is safe */

#endif
