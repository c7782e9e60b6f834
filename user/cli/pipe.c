/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/gpu_list.h"

static void on_notice(void *ctx, const struct notice *notice)
{
	struct pipe_line *pipe = ctx;

	sink_notice(pipe->sink, notice);
}

static bool is_call(const struct event *event)
{
	return event->kind < EVENT_PROCESS;
}

/* A recording names each caller once per frame: what we made of it is remembered there. */
static const struct caller *told_of(struct pipe_line *pipe, const struct item_caller *item)
{
	const struct caller *caller;

	if (item && item->memo && *item->memo)
		return *item->memo;
	caller = told_caller(pipe->told, item);
	if (item && item->memo)
		*item->memo = caller;
	return caller;
}

static const struct caller *caller_of(struct pipe_line *pipe, const struct event *event)
{
	if (!is_call(event))
		return NULL;
	if (pipe->told)
		return told_of(pipe, pipe->item ? pipe->item->record.caller : NULL);
	return callers_resolve(pipe->callers, event);
}

static void on_event(void *ctx, const struct event *event)
{
	struct pipe_line *pipe = ctx;
	const struct caller *caller = caller_of(pipe, event);

	if (event->kind == EVENT_LOST && event->lost_cause == LOST_RING) {
		if (pipe->told)
			return; /* the recording says it, with the process, where it was said */
		if (pipe->ring_lost) {
			pipe->ring_lost(pipe->ring_lost_ctx, pipe->decoder.lost_ring);
			return;
		}
	}
	if (event->kind == EVENT_EXIT && pipe->ring_lost)
		pipe->ring_lost(pipe->ring_lost_ctx, 0);
	if (caller)
		pipe->caller = caller;
	ledger_apply(pipe->ledger, event, caller);
}

int pipe_init(struct pipe_line *ret_pipe, const struct pipe_settings *settings)
{
	struct ledger_settings ledger = {
		.driver_probed = settings->head->driver_probed,
		.entry_only = settings->head->entry_only,
		.fn = on_notice,
		.ctx = ret_pipe,
	};
	struct ledger_gpu *gpus;
	int err;

	*ret_pipe = (struct pipe_line) { .callers = settings->callers, .told = settings->told, .sink = settings->sink };
	decoder_init(&ret_pipe->decoder, on_event, ret_pipe);
	err = gpu_list_parse(settings->head->gpus, &gpus, &ledger.gpu_count);
	if (err)
		return err;
	ledger.gpus = gpus;
	err = ledger_new(&ledger, &ret_pipe->ledger);
	free(gpus);
	return err;
}

void pipe_fini(struct pipe_line *pipe)
{
	ledger_free(pipe->ledger);
	sink_free(pipe->sink);
	decoder_fini(&pipe->decoder);
	*pipe = (struct pipe_line) { 0 };
}

/* The recorder gets the record after decode, for only then its caller is known. */
static void take_record(struct pipe_line *pipe, const struct item *item)
{
	struct item_caller told;
	struct item kept = *item;

	pipe->item = item;
	pipe->caller = NULL;
	decode_record(&pipe->decoder, item->record.data, item->record.length);
	pipe->item = NULL;
	if (!pipe->recorder)
		return;
	if (pipe->caller) {
		told = (struct item_caller) {
			.module = pipe->caller->module,
			.symbol = pipe->caller->symbol,
			.demangled = pipe->caller->demangled,
			.name = pipe->caller->name,
			.offset = pipe->caller->offset,
			.key = pipe->caller,
		};
		kept.record.caller = &told;
	}
	recorder_add(pipe->recorder, &kept);
}

static void take_lost(struct pipe_line *pipe, const struct item *item)
{
	struct event event = {
		.kind = EVENT_LOST,
		.tgid = item->lost.tgid,
		.tid = item->lost.tgid,
		.time_ns = item->time_ns,
		.lost_cause = (enum lost_cause)item->lost.cause,
		.lost_count = item->lost.count,
	};

	ledger_apply(pipe->ledger, &event, NULL);
}

static void take_attached(struct pipe_line *pipe, const struct item *item)
{
	struct sink_attached attached = {
		.tgid = item->process.tgid,
		.ns_tgid = item->process.ns_tgid,
		.comm = item->process.comm,
		.time_ns = item->time_ns,
		.nvml_answers = item->process.nvml_answers,
		.nvml_bytes = item->process.nvml_bytes,
	};

	sink_attached(pipe->sink, &attached);
}

static void take_gone(struct pipe_line *pipe, const struct item *item)
{
	struct event event = {
		.kind = EVENT_EXIT,
		.tgid = item->process.tgid,
		.tid = item->process.tgid,
		.time_ns = item->time_ns,
		.start_ns = item->process.start_ns,
		.uid = item->process.uid,
		.exit_code = PROCESS_EXIT_UNKNOWN,
	};

	ledger_apply(pipe->ledger, &event, NULL);
}

static void take_end(struct pipe_line *pipe, const struct item *item)
{
	struct sink_end end = {
		.exit_reason = item->end.exit_reason,
		.wall_ns = item->end.wall_ns,
		.mappings_lost = item->end.mappings_lost,
		.simulated = pipe->simulated,
		.time_ns = item->time_ns,
	};

	sink_summary(pipe->sink, pipe->ledger, &end);
}

static void take_clock(const struct item *item)
{
	struct clock_model model = { item->clock.wall_minus_mono_ns, item->clock.utc_offset_s };

	clock_set(&model);
}

static void apply(struct pipe_line *pipe, const struct item *item)
{
	switch (item->kind) {
	case ITEM_LOST:
		take_lost(pipe, item);
		break;
	case ITEM_TABLE:
		sink_table(pipe->sink, pipe->ledger, item->time_ns);
		break;
	case ITEM_ATTACHED:
		take_attached(pipe, item);
		break;
	case ITEM_LATE:
		ledger_attach_late(pipe->ledger, item->process.tgid, item->process.ns_tgid, item->process.start_ns,
				   item->process.comm, item->time_ns);
		break;
	case ITEM_GONE:
		take_gone(pipe, item);
		break;
	case ITEM_CLOCK:
		take_clock(item);
		break;
	case ITEM_CLOSED:
		ledger_descriptor_closed(pipe->ledger, item->closed.tgid, item->closed.descriptor, item->time_ns);
		break;
	case ITEM_SIMULATED:
		pipe->simulated = true;
		sink_set_simulated(pipe->sink);
		break;
	case ITEM_END:
		take_end(pipe, item);
		break;
	default: /* a LIBRARY is for the reader of the recording */
		break;
	}
}

void pipe_take(struct pipe_line *pipe, const struct item *item)
{
	if (item->kind == ITEM_RECORD) {
		take_record(pipe, item);
		return;
	}
	apply(pipe, item);
	if (pipe->recorder)
		recorder_add(pipe->recorder, item);
}

void pipe_record(void *ctx, const void *data, size_t length)
{
	struct item item = { .kind = ITEM_RECORD, .record = { .data = data, .length = length } };
	struct vt_header header = { 0 };

	if (length >= sizeof(header))
		memcpy(&header, data, sizeof(header));
	item.time_ns = header.time_ns; /* without it the recorder takes no record for a call, and packs none */
	pipe_take(ctx, &item);
}

/*
 * Memory answers in 0.1 to 0.2 us, less than some records take; and what is asked for in one go it answers together. So each record is told
 * twice, as one of the last and of the middle ones that are seen.
 */
void pipe_ahead(void *ctx, const void *data, size_t length, int distance)
{
	struct pipe_line *pipe = ctx;
	struct upcoming upcoming;

	if (distance >= SOURCE_STEP && decode_peek(data, length, &upcoming))
		ledger_expect(pipe->ledger, &upcoming, distance >= 2 * SOURCE_STEP ? LEDGER_FAR : LEDGER_NEAR);
}

void pipe_lost_of(struct pipe_line *pipe, uint32_t tgid, enum lost_cause cause, uint64_t count)
{
	struct item item = {
		.kind = ITEM_LOST,
		.time_ns = cause == LOST_RING && pipe->decoder.last_ns ? pipe->decoder.last_ns : clock_mono_ns(),
		.lost = { .cause = cause, .cause_name = lost_cause_name(cause), .tgid = tgid, .count = count },
	};

	if (count)
		pipe_take(pipe, &item);
}

void pipe_lost(struct pipe_line *pipe, enum lost_cause cause, uint64_t count)
{
	pipe_lost_of(pipe, 0, cause, count);
}

void pipe_simulated(struct pipe_line *pipe)
{
	struct item item = { .kind = ITEM_SIMULATED, .time_ns = clock_mono_ns() };

	if (!pipe->simulated)
		pipe_take(pipe, &item);
}
