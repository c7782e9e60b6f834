/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include "probe/table.h"

/* The ledger in JSON: the sums of a run and the list of its processes. */

struct sums {
	struct tally live;
	struct tally allocated;
	uint64_t uncovered;
	bool complete;
};

const struct tally *slice_held(const struct process *process, const struct slice *slice)
{
	return process->ended ? &slice->at_exit : &slice->live;
}

static struct sums sum_up(const struct ledger *ledger)
{
	struct sums sums = { .complete = ledger_lost(ledger) == 0 };

	for (size_t i = 0; i < ledger_process_count(ledger); i++) {
		const struct process *process = ledger_process(ledger, i);

		sums.live.bytes += process->total.live.bytes;
		sums.live.count += process->total.live.count;
		sums.allocated.bytes += process->total.allocated.bytes;
		sums.allocated.count += process->total.allocated.count;
		sums.uncovered += process->uncovered;
		sums.complete = sums.complete && ledger_complete(ledger, process);
	}
	if (ledger_forgotten(ledger))
		sums.complete = false;
	return sums;
}

bool totals_complete(const struct ledger *ledger)
{
	return sum_up(ledger).complete;
}

void totals_human(struct buf *buf, const struct ledger *ledger)
{
	struct sums sums = sum_up(ledger);

	buf_u64(buf, sums.allocated.count);
	buf_str(buf, sums.allocated.count == 1 ? " allocation of " : " allocations of ");
	sentence_size(buf, sums.allocated.bytes);
	buf_str(buf, " in all, ");
	sentence_size(buf, sums.live.bytes);
	buf_str(buf, " still in use");
	if (!sums.complete)
		buf_str(buf, "; totals are incomplete");
}

static void add_tally(struct json *json, const char *name, const struct tally *tally)
{
	json_object_begin(json, name);
	json_u64(json, "bytes", tally->bytes);
	json_u64(json, "count", tally->count);
	json_object_end(json);
}

static void add_by_kind(struct json *json, const struct process *process)
{
	json_object_begin(json, "by_kind");
	for (unsigned int kind = 0; kind < KIND_COUNT; kind++) {
		const struct slice *slice = &process->by_kind[kind];

		if (slice->allocated.count)
			add_tally(json, kind_name((enum vt_kind)kind), slice_held(process, slice));
	}
	json_object_end(json);
}

static void add_by_placement(struct json *json, const struct process *process)
{
	struct tally held[PLACEMENT_COUNT] = { { 0 } };
	bool used[PLACEMENT_COUNT] = { false };

	for (unsigned int kind = 0; kind < KIND_COUNT; kind++) {
		const struct slice *slice = &process->by_kind[kind];
		enum placement placement = placement_of_kind((enum vt_kind)kind);

		if (!slice->allocated.count)
			continue;
		used[placement] = true;
		held[placement].bytes += slice_held(process, slice)->bytes;
		held[placement].count += slice_held(process, slice)->count;
	}
	json_object_begin(json, "by_placement");
	for (unsigned int placement = 0; placement < PLACEMENT_COUNT; placement++) {
		if (used[placement])
			add_tally(json, placement_name((enum placement)placement), &held[placement]);
	}
	json_object_end(json);
}

/* Nothing declares a purpose yet, so all of it is of unknown purpose. */
static void add_by_purpose(struct json *json, const struct process *process)
{
	json_object_begin(json, "by_purpose");
	if (process->total.allocated.count)
		add_tally(json, purpose_name(PURPOSE_UNKNOWN), slice_held(process, &process->total));
	json_object_end(json);
}

static void add_by_caller(struct json *json, const struct process *process)
{
	json_object_begin(json, "by_caller");
	for (size_t i = 0; i < process->caller_count; i++) {
		const struct caller_slice *item = &process->by_caller[i];

		json_key_object_begin(json, item->caller ? item->caller->name : "?");
		json_u64(json, "bytes", slice_held(process, &item->slice)->bytes);
		json_u64(json, "count", slice_held(process, &item->slice)->count);
		json_u64(json, "peak_bytes", item->slice.peak_bytes);
		json_u64(json, "allocated_bytes", item->slice.allocated.bytes);
		json_u64(json, "allocated_count", item->slice.allocated.count);
		json_object_end(json);
	}
	json_object_end(json);
}

void totals_exit(struct json *json, const struct process *process)
{
	bool known = process->ended && process->exit_code != PROCESS_EXIT_UNKNOWN;
	bool killed = process->exit_code & 0x7f;

	if (known && !killed)
		json_i64(json, "exit_code", process->exit_code >> 8 & 0xff);
	else
		json_null(json, "exit_code");
	if (known && killed)
		json_i64(json, "exit_signal", process->exit_code & 0x7f);
	else
		json_null(json, "exit_signal");
}

static void add_identity(struct json *json, const struct process *process)
{
	json_u64(json, "pid", process->tgid);
	if (process->ns_tgid)
		json_u64(json, "ns_pid", process->ns_tgid);
	else
		json_null(json, "ns_pid");
	json_u64(json, "parent_pid", process->parent_tgid);
	json_u64(json, "uid", process->uid);
	json_string(json, "comm", process->comm);
	json_bool(json, "ended", process->ended);
	totals_exit(json, process);
	json_bool(json, "attached_late", process->attached_late);
}

static void add_process(struct json *json, const struct ledger *ledger, const struct process *process)
{
	const struct slice *total = &process->total;

	json_object_begin(json, NULL);
	add_identity(json, process);
	json_u64(json, "live_bytes", total->live.bytes);
	json_u64(json, "live_count", total->live.count);
	json_u64(json, "peak_bytes", total->peak_bytes);
	json_u64(json, "allocated_bytes", total->allocated.bytes);
	json_u64(json, "allocated_count", total->allocated.count);
	json_u64(json, "held_at_exit_bytes", total->at_exit.bytes);
	json_u64(json, "held_at_exit_count", total->at_exit.count);
	add_by_kind(json, process);
	add_by_placement(json, process);
	add_by_purpose(json, process);
	add_by_caller(json, process);
	json_u64(json, "calls", process->calls);
	json_u64(json, "failed", process->failed);
	json_u64(json, "failed_frees", process->failed_frees);
	json_u64(json, "unmatched_frees", process->unmatched_frees);
	json_u64(json, "zero_sized", process->zero_sized);
	json_u64(json, "lost", process->lost);
	json_u64(json, "uncovered", process->uncovered);
	json_bool(json, "complete", ledger_complete(ledger, process));
	json_object_end(json);
}

static void add_lost(struct json *json, const struct ledger *ledger, uint64_t dropped)
{
	uint64_t output = ledger_lost_of(ledger, LOST_OUTPUT) + dropped;

	json_u64(json, "lost", ledger_lost(ledger) + dropped);
	json_object_begin(json, "lost_by_cause");
	for (unsigned int cause = 0; cause < LOST_CAUSE_COUNT; cause++) {
		uint64_t count = cause == LOST_OUTPUT ? output : ledger_lost_of(ledger, (enum lost_cause)cause);

		if (count)
			json_u64(json, lost_cause_name((enum lost_cause)cause), count);
	}
	json_object_end(json);
}

void totals_add(struct json *json, const struct ledger *ledger, uint64_t dropped)
{
	struct sums sums = sum_up(ledger);

	json_u64(json, "processes_dropped", ledger_forgotten(ledger));
	json_u64(json, "live_bytes", sums.live.bytes);
	json_u64(json, "live_count", sums.live.count);
	json_u64(json, "allocated_bytes", sums.allocated.bytes);
	json_u64(json, "allocated_count", sums.allocated.count);
	add_lost(json, ledger, dropped);
	json_u64(json, "uncovered", sums.uncovered);
	json_bool(json, "complete", sums.complete);
	json_array_begin(json, "processes");
	for (size_t i = 0; i < ledger_process_count(ledger); i++)
		add_process(json, ledger, ledger_process(ledger, i));
	json_array_end(json);
}
