/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "decode/event.h"

static const struct {
	const char *name;
	const char *text;
} causes[LOST_CAUSE_COUNT] = {
	[LOST_RING] = { "ring", "the ring buffer was full" },
	[LOST_NESTED] = { "nested", "calls nested deeper than the tracer follows" },
	[LOST_STATE] = { "state", "no memory for a thread's state" },
	[LOST_PROCESS] = { "process", "the process table was full" },
	[LOST_RETURN] = { "return", "a call's return was never seen" },
	[LOST_READ] = { "read", "a result could not be read from the program's memory" },
	[LOST_BAD_RECORD] = { "bad_record", "a record was malformed" },
	[LOST_MEMORY] = { "memory", "the tracer ran out of memory" },
	[LOST_OUTPUT] = { "output", "the reader of the output was too slow" },
	[LOST_KILLED] = { "killed", "a thread ended within a call" },
	[LOST_RECORDING] = { "recording", "a part of the recording is damaged or missing" },
	[LOST_LIMIT] = { "limit", "more contexts, pools or streams than are followed" },
};

const char *lost_cause_name(enum lost_cause cause)
{
	return (unsigned int)cause < LOST_CAUSE_COUNT ? causes[cause].name : "unknown";
}

const char *lost_cause_text(enum lost_cause cause)
{
	return (unsigned int)cause < LOST_CAUSE_COUNT ? causes[cause].text : "unknown";
}
