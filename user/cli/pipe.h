/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PIPE_H
#define CLI_PIPE_H

#include "decode/decode.h"
#include "ledger/ledger.h"
#include "sink/sink.h"
#include "source/recording.h"
#include "source/source.h"
#include "symbol/caller.h"
#include "symbol/told.h"

/*
 * The stages behind the source, joined: record -> decode -> caller -> ledger -> sink. Each hands down by call. All that reaches them from
 * outside comes through pipe_take(), one item at a time: what a recorder keeps, and what a replay gives again.
 */
struct pipe_line {
	struct decoder decoder;
	struct callers *callers; /* live: finds callers; not owned */
	struct told *told;	 /* replay: callers as the recording tells them; not owned */
	struct ledger *ledger;
	struct sink *sink;
	struct recorder *recorder; /* NULL: none; not owned */
	/*
	 * Live: who lost the records that decode has just noted as lost is told from here, by pipe_lost_of(). With 0 before the end of
	 * a process: what it has lost comes first. NULL: nobody knows.
	 */
	void (*ring_lost)(void *ctx, uint64_t noted_total);
	void *ring_lost_ctx;

	const struct item *item;     /* being taken: a RECORD */
	const struct caller *caller; /* of its event */
	bool simulated;
};

struct pipe_settings {
	struct callers *callers; /* one of both */
	struct told *told;
	struct sink *sink;
	const struct recording_head *head; /* of the run; for the call only */
};

/* ret_pipe takes ownership of sink, also on failure. 0 or -ENOMEM. */
int pipe_init(struct pipe_line *ret_pipe, const struct pipe_settings *settings);
void pipe_fini(struct pipe_line *pipe);

/* Applies the item, then hands it to the recorder. A TABLE is printed, an END is the summary. */
void pipe_take(struct pipe_line *pipe, const struct item *item);

/* A source_fn: ctx is the pipe. */
void pipe_record(void *ctx, const void *data, size_t length);

void pipe_ahead(void *ctx, const void *data, size_t length, int distance); /* a source_ahead_fn: the same */

/* A loss that no record carries, now; tgid 0: of no known process. count may be 0: nothing happens. */
void pipe_lost_of(struct pipe_line *pipe, uint32_t tgid, enum lost_cause cause, uint64_t count);
void pipe_lost(struct pipe_line *pipe, enum lost_cause cause, uint64_t count);

void pipe_simulated(struct pipe_line *pipe); /* from here on, once */

#endif
