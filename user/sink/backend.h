/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SINK_BACKEND_H
#define SINK_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/size.h"
#include "base/writer.h"
#include "sink/sink.h"

/* What text, json and csv share behind sink.h. Nothing outside user/sink includes this. */

struct trust;

struct sink {
	const struct sink_ops *ops;
	struct sink_settings settings; /* its strings are ours */
	struct writer *writer;	       /* NULL: null */
	struct buf line;	       /* being built; sink_emit() hands it on */
	struct buf fragment;	       /* json: what every line says of this machine, escaped once */
	uint64_t dropped;
	uint64_t dropped_told;
	uint64_t ends_told;  /* json: ends of processes that a `ledger` line has listed, see ledger_ends() */
	bool unbounded;	     /* start and end of a run: sink_emit() goes past the queue's bound */
	bool header_told;    /* text: the columns were named */
	bool simulated_told; /* text: the line that says so was written */
};

extern const struct sink_ops text_ops;
extern const struct sink_ops json_ops;
extern const struct sink_ops csv_ops;
extern const struct sink_ops null_ops;

/* Queues the built line or lines, as one, and starts anew. What does not fit is counted. */
void sink_emit(struct sink *sink);

#define ENTRY_ONLY_TEXT "entry-only: what calls came to is not known"

/* sentence.c: wording that sinks share */
void sentence_add(struct buf *buf, const struct notice *notice); /* `human`; nothing in it comes from outside */
void sentence_attached(struct buf *buf, const struct sink_attached *attached);
void sentence_size(struct buf *buf, uint64_t bytes);	     /* "1024 MB": MB up to 10 GB, then as size_format() */
const char *call_op_name(const struct notice *notice);	     /* "alloc", "free": of ENTERED */
const char *notice_event_name(const struct notice *notice);  /* "alloc", "free_failed", ... */
enum event_kind process_event(const struct notice *notice);  /* EVENT_PROCESS (first call), _FORK, _EXEC, _EXIT */
const char *process_event_name(const struct notice *notice); /* "first_call", "fork", "exec", "exit" */
bool notice_virtual(const struct notice *notice);	     /* an address, and so far no memory */
bool notice_borrowed(const struct notice *notice);
bool notice_moved(const struct notice *notice);	    /* of a whole process: CHECKPOINT, RESTORE */
bool notice_ranged(const struct notice *notice);    /* it is of a range: MAP, UNMAP, ADVISE, PREFETCH */
bool notice_sized(const struct notice *notice);	    /* ALLOC_FAILED: it asked for a number of bytes */
uint64_t notice_bytes(const struct notice *notice); /* that it is about, counted or not */

#define GPU_NAME_BYTES 16
const char *gpu_name(const struct ledger_gpu *gpu, char ret_text[GPU_NAME_BYTES]);     /* "GPU0"; NULL: not known */
const char *location_name(const struct notice *notice, char ret_text[GPU_NAME_BYTES]); /* "GPU0", "host" or NULL */

/* json.c, json_body.c */
void json_body(struct json *json, const struct notice *notice); /* the keys of this kind of event alone */
void json_gpu(struct json *json, const struct ledger_gpu *gpu); /* device, device_uuid */

/* totals.c, breakdown.c, machine.c: the ledger in JSON */
/* Sums, then "processes": [...]: all but those whose end was among the first `ends_told`. */
struct totals_view {
	const struct ledger *ledger;
	uint64_t time_ns; /* CLOCK_MONOTONIC: of ages */
	uint64_t dropped; /* lines of output */
	uint64_t ends_told;
};
void totals_add(struct json *json, const struct totals_view *view);
void totals_human(struct buf *buf, const struct ledger *ledger);    /* one sentence */
void totals_exit(struct json *json, const struct process *process); /* exit_code, exit_signal */
bool totals_complete(
	const struct ledger *ledger); /* every process' totals; lines of output that were dropped change no total */
void json_number(struct json *json, const char *name, bool known, uint64_t value); /* null where it is not known */
void json_trust(struct json *json, const struct trust *trust);			   /* "trust": words */
void breakdown_add_slices(struct json *json, const struct process *process, bool entry_only); /* by_kind, by_... */
void breakdown_add_holders(struct json *json, const struct totals_view *view, const struct process *process);
void machine_add(struct json *json, const struct ledger *ledger); /* top level: by_placement, devices */

/* What a process holds, or held at its end. */
const struct tally *slice_held(const struct process *process, const struct slice *slice);
void tally_add(struct tally *sum, const struct tally *part); /* saturating: what programs ask for is any number */

/* summary.c, table.c, notes.c: text */
void text_summary(struct sink *sink, const struct ledger *ledger, const struct sink_end *end);
void text_table(struct sink *sink, const struct ledger *ledger, uint64_t time_ns);
void text_holders(struct sink *sink, const struct ledger *ledger, uint64_t time_ns); /* the table's body */
/* Pools, graphs, addresses without memory, borrowed memory: a line each, if any. named: begins with the process. */
void text_notes(struct sink *sink, const struct ledger *ledger, const struct process *process, bool named);
bool text_has_notes(const struct process *process);
void text_losses(struct sink *sink, const struct ledger *ledger); /* a line per cause, if any */
void text_size(const struct sink *sink, struct buf *buf, uint64_t bytes,
	       int width);				    /* as --bytes asks, right-aligned */
void text_pad(struct buf *buf, size_t start, size_t width); /* spaces until `width` columns after offset `start` */
void text_color(const struct sink *sink, struct buf *buf, const char *code); /* TEXT_RED, ...; nothing without color */

#define TEXT_RED "\033[31m"
#define TEXT_YELLOW "\033[33m"
#define TEXT_BOLD "\033[1m"
#define TEXT_PLAIN "\033[0m"

#endif
