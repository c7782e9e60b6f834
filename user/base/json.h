/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Streaming JSON into a buf: commas and escaping are its business, order and nesting the caller's. name is NULL inside an
 * array. Nesting up to 64.
 */
struct json {
	struct buf *buf;
	uint64_t has_items; /* one bit per open level */
	unsigned int depth;
};

void json_init(struct json *json, struct buf *buf);
void json_object_begin(struct json *json, const char *name);
void json_object_end(struct json *json);
void json_array_begin(struct json *json, const char *name);
void json_array_end(struct json *json);
void json_string(struct json *json, const char *name, const char *value); /* NULL gives null */
void json_u64(struct json *json, const char *name, uint64_t value);
void json_i64(struct json *json, const char *name, int64_t value);
void json_bool(struct json *json, const char *name, bool value);
void json_null(struct json *json, const char *name);
void json_address(struct json *json, const char *name, uint64_t value); /* "0x..." */

/* As object_begin, with a key from outside: escaped, and different keys stay different. */
void json_key_object_begin(struct json *json, const char *key);

#endif
