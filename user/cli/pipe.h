/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PIPE_H
#define CLI_PIPE_H

#include "decode/decode.h"
#include "ledger/ledger.h"
#include "sink/sink.h"
#include "symbol/caller.h"

/* The stages behind the source, joined: record -> decode -> caller -> ledger -> sink. Each hands down by call. */
struct pipe_line {
	struct decoder decoder;
	struct callers *callers; /* not owned */
	struct ledger *ledger;
	struct sink *sink;
	uint64_t told_output_lost;
};

/* ret_pipe takes ownership of sink, also on failure. 0 or -ENOMEM. */
int pipe_init(struct pipe_line *ret_pipe, struct callers *callers, struct sink *sink, bool driver_probed);
void pipe_fini(struct pipe_line *pipe);

/* A source_fn: ctx is the pipe. */
void pipe_record(void *ctx, const void *data, size_t length);

/* A loss that no record carries. count may be 0: nothing happens. */
void pipe_lost(struct pipe_line *pipe, enum lost_cause cause, uint64_t count);

#endif
