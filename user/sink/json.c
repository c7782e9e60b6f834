/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/escape.h"

/*
 * One JSON object per line; json-schema.json is the contract. The common lines are put together from ready pieces: an
 * event costs about a microsecond, and the thread that formats is the one that drains the ring.
 */

#define SCHEMA_VERSION 1

static int json_open(struct sink *sink)
{
	struct buf *buf = &sink->fragment;

	buf_str(buf, ",\"host\":\"");
	escape_json(buf, sink->settings.host ? sink->settings.host : "",
		    strlen(sink->settings.host ? sink->settings.host : ""));
	buf_char(buf, '"');
	return buf->failed ? -1 : 0;
}

static const char *notice_action(const struct notice *notice)
{
	static const char *const actions[] = {
		[NOTICE_ALLOC] = "vram_allocate",
		[NOTICE_FREE] = "vram_deallocate",
		[NOTICE_TAKEN] = "vram_take",
		[NOTICE_MAP] = "vram_map",
		[NOTICE_UNMAP] = "vram_unmap",
		[NOTICE_EXPORT] = "vram_export",
		[NOTICE_ADVISE] = "vram_advise",
		[NOTICE_PREFETCH] = "vram_prefetch",
		[NOTICE_CHECKPOINT] = "vram_checkpoint",
		[NOTICE_RESTORE] = "vram_restore",
		[NOTICE_FREE_FAILED] = "vram_deallocate_failed",
		[NOTICE_FREE_UNMATCHED] = "vram_deallocate_unmatched",
		[NOTICE_ALLOC_FAILED] = "vram_allocate_failed",
		[NOTICE_ENTERED] = "vram_call",
		[NOTICE_UNCOVERED] = "vram_uncovered",
		[NOTICE_LOST] = "vram_events_lost",
	};

	if (notice->kind != NOTICE_PROCESS)
		return actions[notice->kind];
	switch (process_event(notice)) {
	case EVENT_FORK:
		return "process_fork";
	case EVENT_EXEC:
		return "process_exec";
	case EVENT_EXIT:
		return "process_exit";
	default:
		return "process_start";
	}
}

static const char *notice_level(const struct notice *notice)
{
	switch (notice->kind) {
	case NOTICE_ALLOC_FAILED:
		return "error";
	case NOTICE_FREE_FAILED:
	case NOTICE_FREE_UNMATCHED:
	case NOTICE_UNCOVERED:
	case NOTICE_LOST:
		return "warning";
	default:
		return "info";
	}
}

void json_gpu(struct json *json, const struct ledger_gpu *gpu)
{
	char text[GPU_NAME_BYTES];

	json_string(json, "device", gpu_name(gpu, text));
	json_string(json, "device_uuid", gpu && gpu->uuid[0] ? gpu->uuid : NULL);
}

/* Of lines that are of no block: the machine's only GPU. */
static const struct ledger_gpu *only_gpu(const struct sink *sink)
{
	return sink->settings.gpu_count == 1 ? &sink->settings.gpus[0] : NULL;
}

/* The keys that every line has, up to `human`. */
struct head {
	const char *event;
	const char *action;
	const char *level;
	const struct ledger_gpu *gpu;
	uint64_t time_ns;
	const struct process *process;
	uint32_t tid;
};

static void add_process_keys(struct json *json, const struct head *head)
{
	const struct process *process = head->process;

	if (!process) {
		buf_str(json->buf, ",\"pid\":null,\"tid\":null,\"ns_pid\":null,\"comm\":null");
		return;
	}
	json_u64(json, "pid", process->tgid);
	if (head->tid)
		json_u64(json, "tid", head->tid);
	else
		json_null(json, "tid");
	if (process->ns_tgid)
		json_u64(json, "ns_pid", process->ns_tgid);
	else
		json_null(json, "ns_pid");
	json_string(json, "comm", process->comm);
}

static void begin_line(struct sink *sink, struct json *json, const struct head *head)
{
	struct buf *buf = &sink->line;
	char ts[CLOCK_RFC3339_BYTES];

	clock_format_rfc3339(clock_wall_of(head->time_ns), ts);
	json_init(json, buf);
	json_object_begin(json, NULL);
	json_u64(json, "schema", SCHEMA_VERSION);
	json_string(json, "event", head->event);
	json_string(json, "ts", ts);
	json_u64(json, "mono_ns", head->time_ns);
	buf_add(buf, sink->fragment.data, sink->fragment.length);
	add_process_keys(json, head);
	buf_str(buf, ",\"actor\":\"vram-residency\"");
	json_string(json, "action", head->action);
	json_string(json, "level", head->level);
	json_gpu(json, head->gpu);
	if (sink->settings.simulated)
		json_bool(json, "simulated", true);
}

static void end_line(struct sink *sink, struct json *json)
{
	json_object_end(json);
	buf_char(json->buf, '\n');
	sink_emit(sink);
}

static void json_notice(struct sink *sink, const struct notice *notice)
{
	struct head head = {
		.event = notice_event_name(notice),
		.action = notice_action(notice),
		.level = notice_level(notice),
		.gpu = notice->gpu,
		.time_ns = notice->time_ns,
		.process = notice->process,
		.tid = notice->tid,
	};
	struct json json;

	begin_line(sink, &json, &head);
	/* Nothing in the sentence comes from outside: it needs no escaping. */
	buf_str(&sink->line, ",\"human\":\"");
	sentence_add(&sink->line, notice);
	buf_char(&sink->line, '"');
	json_body(&json, notice);
	end_line(sink, &json);
}

static void json_attached(struct sink *sink, const struct sink_attached *attached)
{
	struct process process = { .tgid = attached->tgid, .ns_tgid = attached->ns_tgid };
	struct head head = {
		.event = "attach",
		.action = "process_attach",
		.level = "info",
		.gpu = only_gpu(sink),
		.time_ns = attached->time_ns,
		.process = &process,
	};
	struct json json;

	snprintf(process.comm, sizeof(process.comm), "%s", attached->comm);
	begin_line(sink, &json, &head);
	buf_str(&sink->line, ",\"human\":\"");
	sentence_attached(&sink->line, attached);
	buf_char(&sink->line, '"');
	if (attached->nvml_answers)
		json_u64(&json, "nvml_bytes", attached->nvml_bytes);
	else
		json_null(&json, "nvml_bytes");
	end_line(sink, &json);
}

/* `ledger` and `summary`: the ledger in one line. */
static void add_ledger(struct sink *sink, struct json *json, const struct ledger *ledger, bool final, uint64_t time_ns)
{
	struct head head = {
		.event = final ? "summary" : "ledger",
		.action = final ? "vram_summary" : "vram_ledger",
		.level = totals_complete(ledger) ? "info" : "warning",
		.gpu = only_gpu(sink),
		.time_ns = time_ns,
	};
	struct totals_view view = {
		.ledger = ledger,
		.time_ns = time_ns,
		.dropped = sink->dropped,
		.ends_told = final ? 0 : sink->ends_told,
	};

	begin_line(sink, json, &head);
	buf_str(&sink->line, ",\"human\":\"");
	totals_human(&sink->line, ledger);
	buf_char(&sink->line, '"');
	totals_add(json, &view);
}

static void json_table(struct sink *sink, const struct ledger *ledger, uint64_t time_ns)
{
	uint64_t dropped = sink->dropped;
	struct json json;

	add_ledger(sink, &json, ledger, false, time_ns);
	end_line(sink, &json);
	if (sink->dropped == dropped)
		sink->ends_told = ledger_ends(ledger);
}

static void json_summary(struct sink *sink, const struct ledger *ledger, const struct sink_end *end)
{
	struct json json;

	add_ledger(sink, &json, ledger, true, end->time_ns);
	json_string(&json, "exit_reason", end->exit_reason);
	json_u64(&json, "wall_ns", end->wall_ns);
	json_u64(&json, "mappings_lost", end->mappings_lost);
	if (!sink->settings.simulated)
		json_bool(&json, "simulated", false);
	end_line(sink, &json);
}

static void json_close(struct sink *sink)
{
	(void)sink; /* the fragment goes with the sink */
}

const struct sink_ops json_ops = {
	.open = json_open,
	.attached = json_attached,
	.notice = json_notice,
	.table = json_table,
	.summary = json_summary,
	.close = json_close,
};
