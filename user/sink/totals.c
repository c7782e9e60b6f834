/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include "probe/table.h"

/* The ledger in JSON: the sums of a run and the list of its processes. */

struct sums {
	struct tally live;
	struct tally allocated; /* entry-only: what was asked for */
	uint64_t uncovered;
	bool complete;
};

/* null where it is not known, or does not apply. */
static void add_number(struct json *json, const char *name, bool known, uint64_t value)
{
	if (known)
		json_u64(json, name, value);
	else
		json_null(json, name);
}

/* Entry-only, `allocated` is what was asked for, and nothing else is known. */
static void add_allocated(struct json *json, const struct tally *allocated, bool entry_only)
{
	add_number(json, "allocated_bytes", !entry_only, allocated->bytes);
	add_number(json, "allocated_count", !entry_only, allocated->count);
}

static void add_requested(struct json *json, const struct tally *allocated, bool entry_only)
{
	add_number(json, "requested_bytes", entry_only, allocated->bytes);
	add_number(json, "requested_count", entry_only, allocated->count);
}

const struct tally *slice_held(const struct process *process, const struct slice *slice)
{
	return process->ended ? &slice->at_exit : &slice->live;
}

static void sum_process(struct sums *sums, const struct slice *total)
{
	sums->live.bytes += total->live.bytes;
	sums->live.count += total->live.count;
	if (__builtin_add_overflow(sums->allocated.bytes, total->allocated.bytes, &sums->allocated.bytes))
		sums->allocated.bytes = UINT64_MAX; /* what programs ask for is any number */
	sums->allocated.count += total->allocated.count;
}

static struct sums sum_up(const struct ledger *ledger)
{
	struct sums sums = { .complete = ledger_complete(ledger, NULL) };

	for (size_t i = 0; i < ledger_process_count(ledger); i++) {
		const struct process *process = ledger_process(ledger, i);

		sum_process(&sums, &process->total);
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
	bool entry_only = ledger_entry_only(ledger);
	struct sums sums = sum_up(ledger);

	buf_u64(buf, sums.allocated.count);
	buf_str(buf, entry_only ? " call" : " allocation");
	buf_str(buf, sums.allocated.count == 1 ? "" : "s");
	buf_str(buf, entry_only ? " asked for " : " of ");
	sentence_size(buf, sums.allocated.bytes);
	buf_str(buf, " in all");
	if (entry_only) {
		buf_str(buf, "; " ENTRY_ONLY_TEXT);
		return;
	}
	buf_str(buf, ", ");
	sentence_size(buf, sums.live.bytes);
	buf_str(buf, " still in use");
	if (!sums.complete)
		buf_str(buf, "; totals are incomplete");
}

/* A slice that is not known by what it holds, entry-only, is known by what was asked for. */
struct share {
	struct tally held;
	struct tally allocated;
};

static struct share share_of(const struct process *process, const struct slice *slice)
{
	return (struct share) { .held = *slice_held(process, slice), .allocated = slice->allocated };
}

static void add_share(struct json *json, const char *name, const struct share *share, bool entry_only)
{
	json_object_begin(json, name);
	add_number(json, "bytes", !entry_only, share->held.bytes);
	add_number(json, "count", !entry_only, share->held.count);
	if (entry_only) {
		json_u64(json, "requested_bytes", share->allocated.bytes);
		json_u64(json, "requested_count", share->allocated.count);
	}
	json_object_end(json);
}

static void add_by_kind(struct json *json, const struct process *process, bool entry_only)
{
	json_object_begin(json, "by_kind");
	for (unsigned int kind = 0; kind < KIND_COUNT; kind++) {
		struct share share = share_of(process, &process->by_kind[kind]);

		if (share.allocated.count)
			add_share(json, kind_name((enum vt_kind)kind), &share, entry_only);
	}
	json_object_end(json);
}

static void add_by_placement(struct json *json, const struct process *process, bool entry_only)
{
	struct share shares[PLACEMENT_COUNT] = { 0 };

	for (unsigned int kind = 0; kind < KIND_COUNT; kind++) {
		struct share *sum = &shares[placement_of_kind((enum vt_kind)kind)];
		struct share share = share_of(process, &process->by_kind[kind]);

		sum->held.bytes += share.held.bytes;
		sum->held.count += share.held.count;
		if (__builtin_add_overflow(sum->allocated.bytes, share.allocated.bytes, &sum->allocated.bytes))
			sum->allocated.bytes = UINT64_MAX;
		sum->allocated.count += share.allocated.count;
	}
	json_object_begin(json, "by_placement");
	for (unsigned int placement = 0; placement < PLACEMENT_COUNT; placement++) {
		if (shares[placement].allocated.count)
			add_share(json, placement_name((enum placement)placement), &shares[placement], entry_only);
	}
	json_object_end(json);
}

/* Nothing declares a purpose yet, so all of it is of unknown purpose. */
static void add_by_purpose(struct json *json, const struct process *process, bool entry_only)
{
	struct share share = share_of(process, &process->total);

	json_object_begin(json, "by_purpose");
	if (share.allocated.count)
		add_share(json, purpose_name(PURPOSE_UNKNOWN), &share, entry_only);
	json_object_end(json);
}

static void add_by_caller(struct json *json, const struct process *process, bool entry_only)
{
	json_object_begin(json, "by_caller");
	for (size_t i = 0; i < process->caller_count; i++) {
		const struct caller_slice *item = &process->by_caller[i];
		struct share share = share_of(process, &item->slice);

		json_key_object_begin(json, item->caller ? item->caller->name : "?");
		add_number(json, "bytes", !entry_only, share.held.bytes);
		add_number(json, "count", !entry_only, share.held.count);
		add_number(json, "peak_bytes", !entry_only, item->slice.peak_bytes);
		add_number(json, "allocated_bytes", !entry_only, share.allocated.bytes);
		add_number(json, "allocated_count", !entry_only, share.allocated.count);
		if (entry_only) {
			json_u64(json, "requested_bytes", share.allocated.bytes);
			json_u64(json, "requested_count", share.allocated.count);
		}
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

static void add_sums(struct json *json, const struct process *process, bool entry_only)
{
	const struct slice *total = &process->total;

	add_number(json, "live_bytes", !entry_only, total->live.bytes);
	add_number(json, "live_count", !entry_only, total->live.count);
	add_number(json, "peak_bytes", !entry_only, total->peak_bytes);
	add_allocated(json, &total->allocated, entry_only);
	add_number(json, "held_at_exit_bytes", !entry_only, total->at_exit.bytes);
	add_number(json, "held_at_exit_count", !entry_only, total->at_exit.count);
	add_by_kind(json, process, entry_only);
	add_by_placement(json, process, entry_only);
	add_by_purpose(json, process, entry_only);
	add_by_caller(json, process, entry_only);
}

static void add_process(struct json *json, const struct ledger *ledger, const struct process *process)
{
	bool entry_only = ledger_entry_only(ledger);

	json_object_begin(json, NULL);
	add_identity(json, process);
	add_sums(json, process, entry_only);
	json_u64(json, "calls", process->calls);
	add_requested(json, &process->total.allocated, entry_only);
	add_number(json, "frees_entered", entry_only, process->frees_entered);
	add_number(json, "failed", !entry_only, process->failed);
	add_number(json, "failed_frees", !entry_only, process->failed_frees);
	add_number(json, "unmatched_frees", !entry_only, process->unmatched_frees);
	add_number(json, "zero_sized", !entry_only, process->zero_sized);
	json_u64(json, "lost", process->lost);
	add_number(json, "uncovered", !entry_only, process->uncovered);
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

void totals_add(struct json *json, const struct ledger *ledger, uint64_t dropped, uint64_t ends_told)
{
	bool entry_only = ledger_entry_only(ledger);
	struct sums sums = sum_up(ledger);

	json_bool(json, "entry_only", entry_only);
	add_requested(json, &sums.allocated, entry_only);
	json_u64(json, "processes_dropped", ledger_forgotten(ledger));
	add_number(json, "live_bytes", !entry_only, sums.live.bytes);
	add_number(json, "live_count", !entry_only, sums.live.count);
	add_allocated(json, &sums.allocated, entry_only);
	add_lost(json, ledger, dropped);
	add_number(json, "uncovered", !entry_only, sums.uncovered);
	json_bool(json, "complete", sums.complete);
	json_array_begin(json, "processes");
	for (size_t i = 0; i < ledger_process_count(ledger); i++) {
		const struct process *process = ledger_process(ledger, i);

		if (!process->ended || process->end_number > ends_told)
			add_process(json, ledger, process);
	}
	json_array_end(json);
}
