/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/escape.h"
#include "probe/table.h"
#include "sink/holders.h"

/*
 * One event per line after a header line; an empty field where none applies. INTERVAL and the end give lines `held`: who holds what, a
 * line per process, device, kind, placement and library. What sums there are is for text and json.
 */

static const char header[] = "ts,mono_ns,event,pid,tid,comm,api,layer,addr,size,kind,placement,purpose,id,live_bytes,"
			     "age_ns,duration_ns,reason,count,error,error_name,caller,simulated,"
			     "device,device_uuid,requested,marks,range_addr,range_size,range_offset,location,peer_pid,"
			     "peer_id,library,peak_bytes,complete\n";

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

static void add_simulated(struct sink *sink)
{
	buf_str(&sink->line, sink->settings.simulated ? "true," : "false,");
}

static void add_gpu(struct buf *buf, const struct ledger_gpu *gpu)
{
	char text[GPU_NAME_BYTES];

	field(buf, gpu_name(gpu, text));
	field(buf, gpu && gpu->uuid[0] ? gpu->uuid : NULL);
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
	add_simulated(sink);
	buf_str(buf, ",,,,,,,,,,,,\n");
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

/* What the size is not, joined by blanks. */
static void add_marks(struct buf *buf, const struct notice *notice)
{
	static const struct {
		enum block_flag flag;
		const char *name;
	} marks[] = {
		{ BLOCK_VIRTUAL, "virtual" },
		{ BLOCK_COMPUTED, "computed" },
		{ BLOCK_MAYBE_CAPTURED, "maybe_captured" },
		{ BLOCK_BORROWED, "borrowed" },
		{ BLOCK_UNSIZED, "size_unknown" },
		{ BLOCK_CHECKPOINTED, "checkpointed" },
	};
	const char *separator = "";

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		if (!(notice->block_flags & marks[i].flag))
			continue;
		buf_str(buf, separator);
		buf_str(buf, marks[i].name);
		separator = " ";
	}
	buf_char(buf, ',');
}

/* The columns from `device` on. */
static void add_more(struct buf *buf, const struct notice *notice)
{
	bool ranged = notice_ranged(notice);
	char text[GPU_NAME_BYTES];

	add_gpu(buf, notice->gpu);
	number(buf, notice_virtual(notice), notice->requested);
	add_marks(buf, notice);
	if (ranged)
		buf_hex(buf, notice->range_addr);
	buf_char(buf, ',');
	number(buf, ranged, notice->range_size);
	number(buf, notice->kind == NOTICE_MAP, notice->range_offset);
	field(buf, location_name(notice, text));
	number(buf, notice->peer_tgid, notice->peer_tgid);
	number(buf, notice->peer_tgid && notice->peer_id, notice->peer_id);
	buf_str(buf, ",,\n"); /* library, peak_bytes, complete: of `held` */
}

/* Which of the columns a notice fills. */
struct columns {
	bool block; /* purpose, id */
	bool live;
	bool sized;
	bool kind;
	bool addr;
	bool failed;
};

static struct columns columns_of(const struct notice *notice)
{
	bool entered = notice->kind == NOTICE_ENTERED;
	bool asked = entered && notice->op == VT_OP_ALLOC;
	bool ranged = notice_ranged(notice) && notice->id;
	struct columns columns = {
		.live = notice->kind == NOTICE_ALLOC || notice->kind == NOTICE_FREE || notice->kind == NOTICE_TAKEN,
		.failed = notice->kind == NOTICE_ALLOC_FAILED || notice->kind == NOTICE_FREE_FAILED,
	};

	columns.block = columns.live || notice->kind == NOTICE_EXPORT;
	columns.sized = columns.block || asked || notice->kind == NOTICE_UNCOVERED || notice_moved(notice) ||
			(notice->kind == NOTICE_ALLOC_FAILED && notice_sized(notice));
	columns.kind = (columns.sized || notice->kind == NOTICE_ALLOC_FAILED || notice_ranged(notice)) &&
		       notice->memory_kind != VT_KIND_ANY;
	columns.addr = columns.block || ranged || (entered && !asked) || notice->kind == NOTICE_FREE_FAILED ||
		       notice->kind == NOTICE_FREE_UNMATCHED;
	return columns;
}

static void csv_notice(struct sink *sink, const struct notice *notice)
{
	struct columns columns = columns_of(notice);
	struct buf *buf = &sink->line;

	add_who(buf, notice);
	field(buf, notice->api);
	field(buf, notice->api ? notice_layer_name(notice->layer) : NULL);
	if (columns.addr)
		buf_hex(buf, notice->addr);
	buf_char(buf, ',');
	number(buf, columns.sized, notice->size);
	field(buf, columns.kind ? kind_name(notice->memory_kind) : NULL);
	field(buf, columns.kind || columns.sized ? placement_name(notice->placement) : NULL);
	field(buf, columns.block ? purpose_name(notice->purpose) : NULL);
	number(buf, columns.block || (notice_ranged(notice) && notice->id), notice->id);
	number(buf, columns.live, notice->live_bytes);
	number(buf, notice->kind == NOTICE_FREE, notice->age_ns);
	number(buf, notice->api && notice->kind != NOTICE_ENTERED, notice->duration_ns);
	field(buf, reason_of(notice));
	number(buf, notice->kind == NOTICE_LOST, notice->lost_count);
	number(buf, columns.failed, (uint64_t)(uint32_t)notice->error);
	field(buf, columns.failed ? error_name(notice->error_layer, notice->error) : NULL);
	field(buf, notice->caller ? notice->caller->name : NULL);
	add_simulated(sink);
	add_more(buf, notice);
	sink_emit(sink);
}

/* One row of who holds what. The end of a process took it away, or it is live. */
struct held_line {
	const struct ledger *ledger;
	const struct process *process;
	uint64_t time_ns;
	bool complete;
};

static void add_held(struct sink *sink, const struct held_line *line, const struct holder *holder)
{
	const struct cell *cell = holder->cell;
	const struct process *process = line->process;
	bool entry_only = ledger_entry_only(line->ledger);
	const struct tally *held = process->ended ? &holder->at_exit : &holder->live;
	struct buf *buf = &sink->line;
	char ts[CLOCK_RFC3339_BYTES];

	held = entry_only ? &holder->allocated : held;
	clock_format_rfc3339(clock_wall_of(line->time_ns), ts);
	field(buf, ts);
	number(buf, true, line->time_ns);
	field(buf, "held");
	number(buf, true, process->tgid);
	buf_char(buf, ',');
	field(buf, process->comm);
	buf_str(buf, ",,,");
	number(buf, true, held->bytes);
	field(buf, kind_name((enum vt_kind)cell->kind));
	field(buf, placement_name((enum placement)cell->placement));
	buf_str(buf, ",,,");
	number(buf, holder->since_ns && holder->since_ns <= line->time_ns, line->time_ns - holder->since_ns);
	buf_char(buf, ',');
	field(buf, entry_only ? "requested" : process->ended ? "at_exit" : "live");
	number(buf, true, held->count);
	buf_str(buf, ",,,");
	add_simulated(sink);
	add_gpu(buf, holder->group < 0 ? NULL : ledger_gpu(line->ledger, (size_t)holder->group));
	buf_char(buf, ',');
	buf_str(buf, holder->computed ? "computed" : "");
	buf_str(buf, holder->computed && cell->borrowed ? " " : "");
	buf_str(buf, cell->borrowed ? "borrowed," : ",");
	buf_str(buf, ",,,,,,");
	field(buf, cell->library);
	number(buf, !entry_only && holder->peak_known, holder->peak_bytes);
	buf_str(buf, line->complete ? "true\n" : "false\n");
	sink_emit(sink);
}

static void add_process(struct sink *sink, const struct held_line *line)
{
	struct holders holders;

	if (holders_find(line->ledger, line->process, &holders) < 0) {
		sink->line.failed = true; /* counted as a lost line */
		sink_emit(sink);
		return;
	}
	for (size_t i = 0; i < holders.count; i++)
		add_held(sink, line, &holders.items[i]);
	holders_fini(&holders);
}

/* Of processes that have ended: those that no `held` line has told of. */
static void add_all(struct sink *sink, const struct ledger *ledger, uint64_t time_ns, uint64_t ends_told)
{
	for (size_t i = 0; i < ledger_process_count(ledger); i++) {
		const struct process *process = ledger_process(ledger, i);
		struct held_line line = {
			.ledger = ledger,
			.process = process,
			.time_ns = time_ns,
			.complete = ledger_complete(ledger, process),
		};

		if (!process->ended || process->end_number > ends_told)
			add_process(sink, &line);
	}
}

static void csv_table(struct sink *sink, const struct ledger *ledger, uint64_t time_ns)
{
	uint64_t dropped = sink->dropped;

	add_all(sink, ledger, time_ns, sink->ends_told);
	if (sink->dropped == dropped)
		sink->ends_told = ledger_ends(ledger);
}

static void csv_summary(struct sink *sink, const struct ledger *ledger, const struct sink_end *end)
{
	add_all(sink, ledger, end->time_ns, 0);
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
