/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <string.h>

#include "base/escape.h"

#define DEPTH_MAX 64

void json_init(struct json *json, struct buf *buf)
{
	*json = (struct json) { .buf = buf };
}

/* Is a comma due? From now on one is. The outermost level has none: it holds one value. */
static bool is_separated(struct json *json)
{
	uint64_t bit;
	bool due;

	if (json->depth == 0)
		return false;
	bit = 1ULL << (json->depth - 1);
	due = json->has_items & bit;
	json->has_items |= bit;
	return due;
}

/* The comma, if one is due, and the name: one copy, for events come by the million. */
static void begin_item(struct json *json, const char *name)
{
	char text[64] = ",\"";
	bool comma = is_separated(json);
	size_t length = name ? strlen(name) : 0;

	if (!name || length > sizeof(text) - 4) {
		if (comma)
			buf_char(json->buf, ',');
		if (name) {
			buf_char(json->buf, '"');
			buf_add(json->buf, name, length);
			buf_add(json->buf, "\":", 2);
		}
		return;
	}
	memcpy(text + 2, name, length);
	memcpy(text + 2 + length, "\":", 2);
	buf_add(json->buf, comma ? text : text + 1, length + (comma ? 4 : 3));
}

static void open_level(struct json *json, char bracket)
{
	if (json->depth == DEPTH_MAX) {
		json->buf->failed = true; /* a caller's mistake: nothing is better than broken JSON */
		return;
	}
	buf_char(json->buf, bracket);
	json->depth++;
	json->has_items &= ~(1ULL << (json->depth - 1));
}

static void close_level(struct json *json, char bracket)
{
	buf_char(json->buf, bracket);
	if (json->depth > 0)
		json->depth--;
}

void json_object_begin(struct json *json, const char *name)
{
	begin_item(json, name);
	open_level(json, '{');
}

void json_object_end(struct json *json)
{
	close_level(json, '}');
}

void json_array_begin(struct json *json, const char *name)
{
	begin_item(json, name);
	open_level(json, '[');
}

void json_array_end(struct json *json)
{
	close_level(json, ']');
}

void json_string(struct json *json, const char *name, const char *value)
{
	begin_item(json, name);
	if (!value) {
		buf_add(json->buf, "null", 4);
		return;
	}
	buf_char(json->buf, '"');
	escape_json(json->buf, value, strlen(value));
	buf_char(json->buf, '"');
}

void json_u64(struct json *json, const char *name, uint64_t value)
{
	begin_item(json, name);
	buf_u64(json->buf, value);
}

void json_i64(struct json *json, const char *name, int64_t value)
{
	begin_item(json, name);
	if (value < 0)
		buf_char(json->buf, '-');
	buf_u64(json->buf, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void json_bool(struct json *json, const char *name, bool value)
{
	begin_item(json, name);
	buf_str(json->buf, value ? "true" : "false");
}

void json_null(struct json *json, const char *name)
{
	begin_item(json, name);
	buf_add(json->buf, "null", 4);
}

void json_address(struct json *json, const char *name, uint64_t value)
{
	begin_item(json, name);
	buf_char(json->buf, '"');
	buf_hex(json->buf, value);
	buf_char(json->buf, '"');
}

/*
 * Keys from outside must not fall together: a reader keeps one of two equal keys, and bad bytes all look the same in JSON. A key that
 * has some goes as escape_text() makes it, and for the sake of what looks like that, so does every key with a backslash.
 */
static void add_key(struct buf *buf, const char *key, size_t length)
{
	struct buf text = BUF_INIT;

	if (escape_is_utf8(key, length) && !memchr(key, '\\', length)) {
		escape_json(buf, key, length);
		return;
	}
	escape_text(&text, key, length);
	if (text.failed)
		buf->failed = true;
	else
		escape_json(buf, text.data, text.length);
	buf_fini(&text);
}

void json_key_object_begin(struct json *json, const char *key)
{
	if (is_separated(json))
		buf_char(json->buf, ',');
	buf_char(json->buf, '"');
	add_key(json->buf, key, strlen(key));
	buf_add(json->buf, "\":", 2);
	open_level(json, '{');
}
