/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_NOTICE_H
#define LEDGER_NOTICE_H

#include <stdbool.h>
#include <stdint.h>

#include "decode/event.h"
#include "symbol/caller.h"
#include "vramtrace/probe.h"

struct process;

/* What the ledger has to say about one event: a plain value, valid for the call; everything a sink prints. */

enum notice_kind {
	NOTICE_ALLOC,
	NOTICE_FREE, /* a block left the ledger */
	NOTICE_FREE_FAILED,
	NOTICE_FREE_UNMATCHED, /* a successful free of an address that the ledger does not have */
	NOTICE_ALLOC_FAILED,
	NOTICE_ENTERED,	  /* a call was entered; what it came to is not known (ledger_settings.entry_only) */
	NOTICE_UNCOVERED, /* a runtime call that no driver call stood under, although the driver is probed */
	NOTICE_LOST,
	NOTICE_PROCESS, /* a process appears (first probed call, fork, exec) or ends: see process->ended */
};

enum placement {
	PLACEMENT_VRAM,
	PLACEMENT_HOST,
	PLACEMENT_MIGRATABLE,
	PLACEMENT_UNKNOWN,
	PLACEMENT_COUNT,
};

enum purpose {
	PURPOSE_MODEL_WEIGHTS,
	PURPOSE_KV_CACHE,
	PURPOSE_INTERMEDIATE_BUFFERS,
	PURPOSE_UNKNOWN,
	PURPOSE_COUNT,
};

enum free_reason {
	FREE_CALL,
	FREE_EXIT,
	FREE_EXEC,
};

enum notice_layer {
	NOTICE_LAYER_DRIVER,
	NOTICE_LAYER_RUNTIME,
	NOTICE_LAYER_BOTH,
};

struct notice {
	enum notice_kind kind;
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint32_t tid;
	const struct process *process; /* NULL only for LOST of no known process */

	const char *api; /* outermost call as exported; NULL for exit, exec */
	enum notice_layer layer;
	enum vt_op op;		     /* ENTERED: an allocation, with its size, or a free, with its addr */
	uint64_t duration_ns;	     /* of the call; ENTERED: 0 */
	const struct caller *caller; /* NULL where no call was made */

	/* the block: ALLOC, FREE; addr also of FREE_FAILED, FREE_UNMATCHED and ENTERED; size also of ALLOC_FAILED and ENTERED */
	uint64_t id; /* unique in one run, from 1 */
	uint64_t addr;
	uint64_t size;
	enum vt_kind memory_kind;
	enum placement placement;
	enum purpose purpose;
	uint64_t age_ns;	 /* FREE */
	enum free_reason reason; /* FREE */
	uint64_t live_bytes;	 /* of the process after this event; ALLOC, FREE */

	int error; /* *_FAILED */
	enum vt_layer error_layer;

	enum lost_cause lost_cause; /* LOST */
	uint64_t lost_count;

	enum event_kind process_event; /* PROCESS: EVENT_PROCESS (first news), EVENT_FORK, EVENT_EXEC or EVENT_EXIT */
};

typedef void notice_fn(void *ctx, const struct notice *notice);

const char *placement_name(enum placement placement); /* "vram", ... */
const char *purpose_name(enum purpose purpose);	      /* "model_weights", ... for JSON */
const char *purpose_title(enum purpose purpose);      /* "ModelWeights", ... for people */
const char *free_reason_name(enum free_reason reason);
const char *notice_layer_name(enum notice_layer layer);
enum placement placement_of_kind(enum vt_kind kind);

#endif
