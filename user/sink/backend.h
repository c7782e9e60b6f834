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
void sentence_add(struct buf *buf, const struct notice *notice,
		  const char *device); /* `human`; names in it escaped as text */
void sentence_attached(struct buf *buf, const struct sink_attached *attached); /* nothing in it comes from outside */
void sentence_size(struct buf *buf, uint64_t bytes); /* "1024 MB": MB up to 10 GB, then as size_format() */
void sentence_trust(struct buf *buf, const struct ledger *ledger,
		    const struct process *process);	     /* complete, or why not */
const char *call_op_name(const struct notice *notice);	     /* "alloc", "free": of ENTERED */
const char *notice_event_name(const struct notice *notice);  /* "alloc", "free_failed", ... */
enum event_kind process_event(const struct notice *notice);  /* EVENT_PROCESS (first call), _FORK, _EXEC, _EXIT */
const char *process_event_name(const struct notice *notice); /* "first_call", "fork", "exec", "exit" */
const char *memory_title(enum vt_kind kind);		     /* "VRAM", "managed memory", "pinned host memory" */
const char *notice_device(const struct notice *notice,
			  const char *device); /* device where the block lies on it, else NULL */

/* totals.c: the ledger in JSON */
/* Sums, then "processes": [...]: all but those whose end was among the first `ends_told`. */
void totals_add(struct json *json, const struct ledger *ledger, uint64_t dropped, uint64_t ends_told);
void totals_human(struct buf *buf, const struct ledger *ledger);    /* one sentence */
void totals_exit(struct json *json, const struct process *process); /* exit_code, exit_signal */
bool totals_complete(
	const struct ledger *ledger); /* every process' totals; lines of output that were dropped change no total */

/* What a process holds, or held at its end. */
const struct tally *slice_held(const struct process *process, const struct slice *slice);

/* summary.c, table.c: text */
void text_summary(struct sink *sink, const struct ledger *ledger, const struct sink_end *end);
void text_table(struct sink *sink, const struct ledger *ledger, uint64_t time_ns);
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
