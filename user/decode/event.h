/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DECODE_EVENT_H
#define DECODE_EVENT_H

#include <stdint.h>

#include "vramtrace/wire.h"

/* What happened, as a plain value: no pointer into the ring, valid as long as its owner keeps it. */

enum event_kind {
	EVENT_ALLOC,	    /* VT_OP_ALLOC, successful */
	EVENT_ALLOC_FAILED, /* result says why */
	EVENT_FREE,	    /* VT_OP_FREE, successful */
	EVENT_FREE_FAILED,
	EVENT_DONE,   /* another call, successful: the op of its row says what it did */
	EVENT_FAILED, /* the same, failed */
	EVENT_ENTERED, /* a call, as it was entered: what it came to is not known; size is what was asked for, addr that of a free */
	EVENT_PROCESS, /* first news of a process */
	EVENT_FORK,
	EVENT_EXEC,
	EVENT_EXIT,
	EVENT_LOST, /* from here on totals are incomplete */
};

enum lost_cause {
	LOST_RING,	 /* the ring buffer was full */
	LOST_NESTED,	 /* calls nested too deep */
	LOST_STATE,	 /* no memory for a thread's state */
	LOST_PROCESS,	 /* the process table was full */
	LOST_RETURN,	 /* a call's return was never seen */
	LOST_READ,	 /* a result could not be read from user memory */
	LOST_BAD_RECORD, /* a record that decode does not accept */
	LOST_MEMORY,	 /* the tracer ran out of memory */
	LOST_OUTPUT,	 /* the reader of our output was too slow */
	LOST_KILLED,	 /* a thread ended within a call and its process went on */
	LOST_RECORDING,	 /* a part of the recording is damaged or missing */
	LOST_LIMIT,	 /* more contexts, pools or streams than are followed */
	LOST_CAUSE_COUNT,
};

struct event {
	enum event_kind kind;
	uint32_t tgid; /* 0: of no known process (LOST) */
	uint32_t tid;
	uint64_t time_ns; /* CLOCK_MONOTONIC; of a call: its return */

	/* calls */
	uint64_t enter_ns;
	uint16_t row; /* valid probe rows, checked by decode */
	uint16_t outer_row;
	uint8_t flags; /* enum vt_record_flag */
	uint8_t frame_count;
	int32_t result;
	uint64_t addr; /* addr, size, context, a, b as in struct vt_call, by the row's shape */
	uint64_t size;
	uint64_t context;
	uint64_t a;
	uint64_t b;
	uint64_t frames[VT_FRAMES_MAX];

	/* PROCESS, FORK, EXEC, EXIT */
	uint64_t start_ns;
	uint32_t parent_tgid;
	uint32_t ns_tgid;
	uint32_t uid;
	int32_t exit_code;
	uint64_t produced; /* EXIT: records made for the process, and those of them that were lost; 0: not told */
	uint64_t lost;
	char comm[17]; /* NUL-terminated, any other bytes */

	/* LOST */
	enum lost_cause lost_cause;
	uint64_t lost_count;
};

/* Of a call that is not decoded yet: what it will most likely be about. Nothing of it is checked, and it may not even come. */
struct upcoming {
	uint32_t tgid;
	uint16_t row; /* a valid one */
	uint64_t addr;
	uint64_t a;
};

const char *lost_cause_name(enum lost_cause cause); /* "ring", "nested", ... as in the JSON */
const char *lost_cause_text(enum lost_cause cause); /* a phrase for people */

#endif
