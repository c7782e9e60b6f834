/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SINK_SCHEMA_H
#define SINK_SCHEMA_H

#include <stddef.h>

/* The JSON Schema of `-o json` lines (json-schema.json, built into the binary): NUL-terminated; its length without the NUL. */
const char *sink_json_schema(size_t *ret_length);

#endif
