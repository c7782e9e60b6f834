/* SPDX-License-Identifier: Apache-2.0 */
#include "symbol/told.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "symbol/strings.h"

#define TOLD_BYTES_MAX (256u << 20)

struct told {
	struct strings places; /* all parts of a caller in one string -> struct caller in `data` */
	struct strings texts;
	struct strings names; /* by_caller keys; their ids are the callers' ids, from 1 */
	struct buf key;
	struct caller unknown;
	char unknown_name[2];
};

int told_new(struct told **ret_told)
{
	struct told *told = calloc(1, sizeof(*told));

	if (!told)
		return -ENOMEM;
	strings_init(&told->places, TOLD_BYTES_MAX, 1);
	strings_init(&told->texts, TOLD_BYTES_MAX, 1);
	strings_init(&told->names, TOLD_BYTES_MAX, 1);
	told->unknown_name[0] = '?';
	told->unknown.name = told->unknown_name;
	*ret_told = told;
	return 0;
}

void told_free(struct told *told)
{
	struct map_slot *slot;

	if (!told)
		return;
	for (size_t i = 0; (slot = map_next(&told->places.map, &i));)
		for (const struct string *string = slot->value; string; string = string->next)
			free(string->data);
	strings_fini(&told->places);
	strings_fini(&told->texts);
	strings_fini(&told->names);
	buf_fini(&told->key);
	free(told);
}

/* NULL and "" differ, and no part can run into the next: each ends with its NUL. */
static void add_part(struct buf *key, const char *part)
{
	buf_char(key, part ? '+' : '-');
	if (part)
		buf_add(key, part, strlen(part) + 1);
}

static const char *keep(struct strings *strings, const char *text)
{
	const struct string *string = text ? strings_get(strings, text, strlen(text)) : NULL;

	return string ? string->text : NULL;
}

static struct caller *make(struct told *told, const struct item_caller *item)
{
	struct string *name = strings_get(&told->names, item->name, strlen(item->name));
	struct caller *caller = name ? calloc(1, sizeof(*caller)) : NULL;

	if (!caller)
		return NULL;
	caller->module = keep(&told->texts, item->module);
	caller->symbol = keep(&told->texts, item->symbol);
	caller->demangled = keep(&told->texts, item->demangled);
	caller->offset = item->offset;
	caller->name = name->text;
	caller->id = name->id;
	return caller;
}

const struct caller *told_caller(struct told *told, const struct item_caller *item)
{
	struct string *place;

	if (!item || !item->name || (!item->module && !strcmp(item->name, "?")))
		return &told->unknown;
	buf_clear(&told->key);
	add_part(&told->key, item->module);
	add_part(&told->key, item->symbol);
	add_part(&told->key, item->demangled);
	add_part(&told->key, item->name);
	buf_add(&told->key, &item->offset, sizeof(item->offset));
	place = told->key.failed ? NULL : strings_get(&told->places, told->key.data, told->key.length);
	if (!place)
		return &told->unknown;
	if (!place->data)
		place->data = make(told, item);
	return place->data ? place->data : &told->unknown;
}
