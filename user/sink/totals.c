/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include "base/cleanup.h"
#include "probe/table.h"
#include "sink/trust.h"

/* The ledger in JSON: the sums of a run and the list of its processes. */

struct sums {
	struct tally live;
	struct tally allocated; /* entry-only: what was asked for */
	struct tally borrowed;
	struct tally virtual;
	struct tally computed;
	uint64_t uncovered;
	uint64_t unmatched;
	uint64_t maybe_captured;
	uint64_t unsized;
	bool complete;
};

void json_trust(struct json *json, const struct trust *trust)
{
	/* Nothing in the words comes from outside: they need no escaping. */
	buf_str(json->buf, ",\"trust\":\"");
	trust_words(json->buf, trust);
	buf_char(json->buf, '"');
}

void json_number(struct json *json, const char *name, bool known, uint64_t value)
{
	if (known)
		json_u64(json, name, value);
	else
		json_null(json, name);
}

/* Entry-only, `allocated` is what was asked for, and nothing else is known. */
static void add_allocated(struct json *json, const struct tally *allocated, bool entry_only)
{
	json_number(json, "allocated_bytes", !entry_only, allocated->bytes);
	json_number(json, "allocated_count", !entry_only, allocated->count);
}

static void add_requested(struct json *json, const struct tally *allocated, bool entry_only)
{
	json_number(json, "requested_bytes", entry_only, allocated->bytes);
	json_number(json, "requested_count", entry_only, allocated->count);
}

const struct tally *slice_held(const struct process *process, const struct slice *slice)
{
	return process->ended ? &slice->at_exit : &slice->live;
}

void tally_add(struct tally *sum, const struct tally *part)
{
	if (__builtin_add_overflow(sum->bytes, part->bytes, &sum->bytes))
		sum->bytes = UINT64_MAX;
	sum->count += part->count;
}

static struct sums sum_up(const struct ledger *ledger)
{
	struct sums sums = { .complete = ledger_complete(ledger, NULL) };

	for (size_t i = 0; i < ledger_process_count(ledger); i++) {
		const struct process *process = ledger_process(ledger, i);

		tally_add(&sums.live, &process->total.live);
		tally_add(&sums.allocated, &process->total.allocated);
		tally_add(&sums.borrowed, &process->borrowed);
		tally_add(&sums.virtual, &process->virtual);
		tally_add(&sums.computed, &process->computed);
		sums.uncovered += process->uncovered;
		sums.unmatched += process->unmatched_frees;
		sums.maybe_captured += process->maybe_captured;
		sums.unsized += process->unsized;
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

	json_number(json, "live_bytes", !entry_only, total->live.bytes);
	json_number(json, "live_count", !entry_only, total->live.count);
	json_number(json, "peak_bytes", !entry_only, total->peak_bytes);
	add_allocated(json, &total->allocated, entry_only);
	json_number(json, "held_at_exit_bytes", !entry_only, total->at_exit.bytes);
	json_number(json, "held_at_exit_count", !entry_only, total->at_exit.count);
	breakdown_add_slices(json, process, entry_only);
}

/* Memory that counts elsewhere or not at all, and sizes that we only compute. */
static void add_doubts(struct json *json, const struct sums *sums, bool entry_only)
{
	const struct {
		const char *bytes;
		const char *count;
		const struct tally *tally;
	} doubts[] = {
		{ "borrowed_bytes", "borrowed_count", &sums->borrowed },
		{ "virtual_bytes", "virtual_count", &sums->virtual },
		{ "computed_bytes", "computed_count", &sums->computed },
	};

	for (size_t i = 0; i < ARRAY_SIZE(doubts); i++) {
		json_number(json, doubts[i].bytes, !entry_only, doubts[i].tally->bytes);
		json_number(json, doubts[i].count, !entry_only, doubts[i].tally->count);
	}
	json_number(json, "maybe_captured", !entry_only, sums->maybe_captured);
	json_number(json, "size_unknown", !entry_only, sums->unsized);
}

static void add_trust(struct json *json, const struct ledger *ledger, const struct process *process)
{
	struct trust trust = trust_of(ledger, process);

	json_trust(json, &trust);
}

static void add_counts(struct json *json, const struct process *process, bool entry_only)
{
	json_u64(json, "calls", process->calls);
	add_requested(json, &process->total.allocated, entry_only);
	json_number(json, "frees_entered", entry_only, process->frees_entered);
	json_number(json, "failed", !entry_only, process->failed);
	json_number(json, "failed_frees", !entry_only, process->failed_frees);
	json_number(json, "unmatched_frees", !entry_only, process->unmatched_frees);
	json_number(json, "zero_sized", !entry_only, process->zero_sized);
	json_u64(json, "lost", process->lost);
	json_number(json, "uncovered", !entry_only, process->uncovered);
}

static void add_process(struct json *json, const struct totals_view *view, const struct process *process)
{
	bool entry_only = ledger_entry_only(view->ledger);
	struct sums sums = {
		.borrowed = process->borrowed,
		.virtual = process->virtual,
		.computed = process->computed,
		.maybe_captured = process->maybe_captured,
		.unsized = process->unsized,
	};

	json_object_begin(json, NULL);
	add_identity(json, process);
	add_sums(json, process, entry_only);
	breakdown_add_holders(json, view, process);
	add_doubts(json, &sums, entry_only);
	add_trust(json, view->ledger, process);
	add_counts(json, process, entry_only);
	json_bool(json, "complete", ledger_complete(view->ledger, process));
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

void totals_add(struct json *json, const struct totals_view *view)
{
	const struct ledger *ledger = view->ledger;
	bool entry_only = ledger_entry_only(ledger);
	struct sums sums = sum_up(ledger);

	json_bool(json, "entry_only", entry_only);
	add_requested(json, &sums.allocated, entry_only);
	json_u64(json, "processes_dropped", ledger_forgotten(ledger));
	json_number(json, "live_bytes", !entry_only, sums.live.bytes);
	json_number(json, "live_count", !entry_only, sums.live.count);
	add_allocated(json, &sums.allocated, entry_only);
	add_lost(json, ledger, view->dropped);
	json_number(json, "uncovered", !entry_only, sums.uncovered);
	json_bool(json, "complete", sums.complete);
	json_array_begin(json, "processes");
	for (size_t i = 0; i < ledger_process_count(ledger); i++) {
		const struct process *process = ledger_process(ledger, i);

		if (!process->ended || process->end_number > view->ends_told)
			add_process(json, view, process);
	}
	json_array_end(json);
	json_number(json, "unmatched_frees", !entry_only, sums.unmatched);
	add_doubts(json, &sums, entry_only);
	machine_add(json, ledger);
}
