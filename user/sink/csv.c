/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include <string.h>

#include "base/clock.h"
#include "base/escape.h"
#include "probe/table.h"

/* Events only, one per line after a header line; an empty field where none applies. Tables and the summary are for text and json. */

static const char header[] = "ts,mono_ns,event,pid,tid,comm,api,layer,addr,size,kind,placement,purpose,id,live_bytes,"
			     "age_ns,duration_ns,reason,count,error,error_name,caller,simulated\n";

static void field(struct buf *buf, const char *text)
{
	if (text)
		escape_csv(buf, text, strlen(text));
	buf_char(buf, ',');
}

static void number(struct buf *buf, bool applies, uint64_t value)
{
	if (applies)
		buf_u64(buf, value);
	buf_char(buf, ',');
}

static int csv_open(struct sink *sink)
{
	buf_str(&sink->line, header);
	sink_emit(sink);
	return 0;
}

static void csv_attached(struct sink *sink, const struct sink_attached *attached)
{
	struct buf *buf = &sink->line;
	char ts[CLOCK_RFC3339_BYTES];

	clock_format_rfc3339(clock_wall_of(attached->time_ns), ts);
	field(buf, ts);
	number(buf, true, attached->time_ns);
	field(buf, "attach");
	number(buf, true, attached->tgid);
	buf_char(buf, ',');
	field(buf, attached->comm);
	buf_str(buf, ",,,");
	number(buf, attached->nvml_answers, attached->nvml_bytes); /* size */
	buf_str(buf, ",,,,,,,,,,,,");
	buf_str(buf, sink->settings.simulated ? "true\n" : "false\n");
	sink_emit(sink);
}

static const char *reason_of(const struct notice *notice)
{
	switch (notice->kind) {
	case NOTICE_FREE:
		return free_reason_name(notice->reason);
	case NOTICE_ENTERED:
		return call_op_name(notice);
	case NOTICE_LOST:
		return lost_cause_name(notice->lost_cause);
	case NOTICE_PROCESS:
		return process_event_name(notice);
	default:
		return NULL;
	}
}

static void add_who(struct buf *buf, const struct notice *notice)
{
	char ts[CLOCK_RFC3339_BYTES];

	clock_format_rfc3339(clock_wall_of(notice->time_ns), ts);
	field(buf, ts);
	number(buf, true, notice->time_ns);
	field(buf, notice_event_name(notice));
	number(buf, notice->process, notice->process ? notice->process->tgid : 0);
	number(buf, notice->process, notice->tid);
	field(buf, notice->process ? notice->process->comm : NULL);
}

static void csv_notice(struct sink *sink, const struct notice *notice)
{
	bool block = notice->kind == NOTICE_ALLOC || notice->kind == NOTICE_FREE;
	bool entered = notice->kind == NOTICE_ENTERED;
	bool asked = entered && notice->op == VT_OP_ALLOC;
	bool sized = block || asked || notice->kind == NOTICE_ALLOC_FAILED || notice->kind == NOTICE_UNCOVERED;
	bool freed = (entered && !asked) || notice->kind == NOTICE_FREE_FAILED || notice->kind == NOTICE_FREE_UNMATCHED;
	bool failed = notice->kind == NOTICE_ALLOC_FAILED || notice->kind == NOTICE_FREE_FAILED;
	struct buf *buf = &sink->line;

	add_who(buf, notice);
	field(buf, notice->api);
	field(buf, notice->api ? notice_layer_name(notice->layer) : NULL);
	if (block || freed)
		buf_hex(buf, notice->addr);
	buf_char(buf, ',');
	number(buf, sized, notice->size);
	field(buf, sized ? kind_name(notice->memory_kind) : NULL);
	field(buf, sized ? placement_name(notice->placement) : NULL);
	field(buf, block ? purpose_name(notice->purpose) : NULL);
	number(buf, block, notice->id);
	number(buf, block, notice->live_bytes);
	number(buf, notice->kind == NOTICE_FREE, notice->age_ns);
	number(buf, notice->api && !entered, notice->duration_ns);
	field(buf, reason_of(notice));
	number(buf, notice->kind == NOTICE_LOST, notice->lost_count);
	number(buf, failed, (uint64_t)(uint32_t)notice->error);
	field(buf, failed ? error_name(notice->error_layer, notice->error) : NULL);
	field(buf, notice->caller ? notice->caller->name : NULL);
	buf_str(buf, sink->settings.simulated ? "true\n" : "false\n");
	sink_emit(sink);
}

static void csv_table(struct sink *sink, const struct ledger *ledger, uint64_t time_ns)
{
	(void)sink;
	(void)ledger;
	(void)time_ns;
}

static void csv_summary(struct sink *sink, const struct ledger *ledger, const struct sink_end *end)
{
	(void)sink;
	(void)ledger;
	(void)end;
}

static void csv_close(struct sink *sink)
{
	(void)sink;
}

const struct sink_ops csv_ops = {
	.open = csv_open,
	.attached = csv_attached,
	.notice = csv_notice,
	.table = csv_table,
	.summary = csv_summary,
	.close = csv_close,
};
