/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/schema.h"

/* The path is relative to the top of the source tree, where make runs the compiler. */
__asm__(".pushsection .rodata\n"
	"sink_schema_begin:\n"
	".incbin \"user/sink/json-schema.json\"\n"
	"sink_schema_end:\n"
	".byte 0\n"
	".popsection\n");

extern const char sink_schema_begin[];
extern const char sink_schema_end[];

const char *sink_json_schema(size_t *ret_length)
{
	*ret_length = (size_t)(sink_schema_end - sink_schema_begin);
	return sink_schema_begin;
}
