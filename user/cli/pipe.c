/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pipe.h"

#include "base/clock.h"

static void on_notice(void *ctx, const struct notice *notice)
{
	struct pipe_line *pipe = ctx;

	sink_notice(pipe->sink, notice);
}

static bool is_call(const struct event *event)
{
	return event->kind <= EVENT_FREE_FAILED;
}

static void on_event(void *ctx, const struct event *event)
{
	struct pipe_line *pipe = ctx;
	const struct caller *caller = is_call(event) ? callers_resolve(pipe->callers, event) : NULL;

	ledger_apply(pipe->ledger, event, caller);
}

int pipe_init(struct pipe_line *ret_pipe, struct callers *callers, struct sink *sink, bool driver_probed)
{
	struct ledger_settings settings = { .driver_probed = driver_probed, .fn = on_notice, .ctx = ret_pipe };

	*ret_pipe = (struct pipe_line) { .callers = callers, .sink = sink };
	decoder_init(&ret_pipe->decoder, on_event, ret_pipe);
	return ledger_new(&settings, &ret_pipe->ledger);
}

void pipe_fini(struct pipe_line *pipe)
{
	ledger_free(pipe->ledger);
	sink_free(pipe->sink);
	decoder_fini(&pipe->decoder);
	*pipe = (struct pipe_line) { 0 };
}

void pipe_record(void *ctx, const void *data, size_t length)
{
	struct pipe_line *pipe = ctx;

	decode_record(&pipe->decoder, data, length);
}

void pipe_lost(struct pipe_line *pipe, enum lost_cause cause, uint64_t count)
{
	struct event event = {
		.kind = EVENT_LOST, .time_ns = clock_mono_ns(), .lost_cause = cause, .lost_count = count
	};

	if (count)
		on_event(pipe, &event);
}
