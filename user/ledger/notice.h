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
	NOTICE_FREE,  /* a block left the ledger */
	NOTICE_TAKEN, /* an imported block counts here from now on, for its exporter's block is gone */
	NOTICE_MAP,   /* a part of a block of kind vmm stands at an address range */
	NOTICE_UNMAP,
	NOTICE_EXPORT, /* a block can be had by other processes */
	NOTICE_ADVISE, /* a managed block, or a part of it, has a preferred location now */
	NOTICE_PREFETCH,
	NOTICE_CHECKPOINT, /* size bytes of the process' VRAM are in host memory from now on */
	NOTICE_RESTORE,	   /* and in VRAM again */
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
	FREE_CONTEXT,	    /* its context was destroyed, reset or released */
	FREE_EXPORTER_GONE, /* the process that made it goes; importers hold it on (NOTICE_TAKEN) */
	FREE_DESCRIPTOR,    /* the last descriptor of it was closed */
};

enum block_flag {
	BLOCK_BORROWED = 1 << 0, /* imported, and counted to its exporter: in no total of this process */
	BLOCK_VIRTUAL = 1 << 1, /* an address, and so far no memory (graph, sparse or deferred array): counts 0 bytes */
	BLOCK_COMPUTED = 1 << 2,       /* the size is computed from the array's extent; the driver's is not told */
	BLOCK_MAYBE_CAPTURED = 1 << 3, /* made while a stream was in capture: may be a graph's address */
	BLOCK_EXPORTED = 1 << 4,       /* others could have it */
	BLOCK_UNSIZED = 1 << 5,	       /* its size is not known: counts 0 bytes */
	BLOCK_CHECKPOINTED = 1 << 6,   /* memory of a device, in host memory until its process is restored */
};

/* A GPU as nvidia-smi knows it, or one that only a process has told of. */
struct ledger_gpu {
	int index;     /* nvidia-smi's; -1: not among the machine's that we know (or a MIG instance) */
	char uuid[48]; /* "GPU-..." in lower case; "" unknown */
};

/* Where an advice or a prefetch points to. */
enum notice_location {
	NOTICE_AT_NONE, /* advice taken back, or of another sort */
	NOTICE_AT_GPU,	/* see gpu; NULL: not known which */
	NOTICE_AT_HOST,
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
	enum vt_op op;		     /* of the call. ENTERED: an allocation, with its size, or a free, with its addr */
	uint64_t duration_ns;	     /* of the call; ENTERED: 0 */
	const struct caller *caller; /* NULL where no call was made */

	/* the block: all but FREE_FAILED, FREE_UNMATCHED, ENTERED, which have addr, and ALLOC_FAILED, ENTERED, which have size */
	uint64_t id;   /* unique in one run, from 1; MAP, UNMAP, ADVISE, PREFETCH: 0 where the block is not known */
	uint64_t addr; /* of an array, a VMM block or external memory: its handle */
	uint64_t size; /* that it counts; 0 where it is virtual. ALLOC_FAILED of what has no size: 0 */
	uint64_t requested;	      /* virtual: bytes it was made with; else = size */
	uint8_t block_flags;	      /* enum block_flag */
	const struct ledger_gpu *gpu; /* of the block, or of the failed call; NULL: not known, or none */
	enum vt_kind memory_kind;     /* ANY: a failed call that makes no block (a context, code, ...) */
	enum placement placement;
	enum purpose purpose;
	uint64_t age_ns;	 /* FREE */
	enum free_reason reason; /* FREE */
	uint64_t live_bytes;	 /* of the process after this event; ALLOC, FREE, TAKEN */

	uint64_t range_addr; /* MAP, UNMAP, ADVISE, PREFETCH: the range */
	uint64_t range_size;
	uint64_t range_offset;	       /* MAP: in the block */
	enum notice_location location; /* ADVISE, PREFETCH */
	uint32_t
		peer_tgid; /* ALLOC of an import: its exporter. FREE for EXPORTER_GONE: who holds it on. TAKEN: who had it. 0: not known */
	uint64_t peer_id; /* and that one's block */

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
enum placement placement_of_kind(enum vt_kind kind); /* where no location says otherwise */

#endif
