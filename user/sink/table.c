/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include <string.h>

#include "base/clock.h"
#include "base/escape.h"
#include "probe/table.h"

/* INTERVAL in text: what is live now, a row per process and kind. */

#define BYTES_WIDTH 9
#define EXACT_WIDTH 15

static int width_of(const struct sink *sink)
{
	return sink->settings.exact_bytes ? EXACT_WIDTH : BYTES_WIDTH;
}

/* What was asked for, or what is held and was at most. */
static void add_sums(struct sink *sink, const struct slice *slice, bool entry_only)
{
	struct buf *buf = &sink->line;
	int width = width_of(sink);

	buf_printf(buf, "%8llu ", (unsigned long long)(entry_only ? slice->allocated.count : slice->live.count));
	text_size(sink, buf, entry_only ? slice->allocated.bytes : slice->live.bytes, width);
	if (!entry_only) {
		buf_char(buf, ' ');
		text_size(sink, buf, slice->peak_bytes, width);
	}
	buf_char(buf, '\n');
}

static void add_row(struct sink *sink, const struct process *process, enum vt_kind kind, bool entry_only)
{
	struct buf *buf = &sink->line;
	size_t start;

	buf_printf(buf, "%7u ", process->tgid);
	start = buf->length;
	escape_text(buf, process->comm, strlen(process->comm));
	text_pad(buf, start, 15);
	buf_printf(buf, " %-8s %-11s ", kind_name(kind), placement_name(placement_of_kind(kind)));
	add_sums(sink, &process->by_kind[kind], entry_only);
}

static void add_process(struct sink *sink, const struct process *process, bool entry_only)
{
	for (unsigned int kind = 0; kind < KIND_COUNT; kind++) {
		if (process->by_kind[kind].allocated.count)
			add_row(sink, process, (enum vt_kind)kind, entry_only);
	}
}

static void add_header(struct sink *sink, uint64_t time_ns, bool entry_only)
{
	char time[CLOCK_LOCAL_BYTES];
	struct buf *buf = &sink->line;
	int width = width_of(sink);

	clock_format_local(clock_wall_of(time_ns), time);
	time[sizeof("22:48:41") - 1] = '\0';
	buf_char(buf, '\n');
	buf_str(buf, time);
	if (sink->settings.simulated) {
		buf_str(buf, "  simulated: this is a simulated card, not a GPU");
		sink->simulated_told = true;
	}
	buf_char(buf, '\n');
	text_color(sink, buf, TEXT_BOLD);
	buf_printf(buf, "%7s %-15s %-8s %-11s %8s %*s", "PID", "COMM", "KIND", "PLACEMENT", "COUNT", width,
		   entry_only ? "ASKED FOR" : "LIVE");
	if (!entry_only)
		buf_printf(buf, " %*s", width, "PEAK");
	text_color(sink, buf, TEXT_PLAIN);
	buf_char(buf, '\n');
}

static void add_total(struct sink *sink, const struct tally *sum)
{
	struct buf *buf = &sink->line;

	buf_printf(buf, "%7s %-15s %-8s %-11s %8llu ", "total", "", "", "", (unsigned long long)sum->count);
	text_size(sink, buf, sum->bytes, width_of(sink));
	buf_char(buf, '\n');
}

static void add_trust(struct sink *sink, bool entry_only)
{
	struct buf *buf = &sink->line;

	text_color(sink, buf, TEXT_YELLOW);
	buf_str(buf, "incomplete: ");
	buf_str(buf,
		entry_only ? ENTRY_ONLY_TEXT : "not everything was seen (losses, uncovered calls or a late start)");
	text_color(sink, buf, TEXT_PLAIN);
	buf_char(buf, '\n');
}

static void sum_process(struct tally *sum, const struct tally *part)
{
	if (__builtin_add_overflow(sum->bytes, part->bytes, &sum->bytes))
		sum->bytes = UINT64_MAX; /* what programs ask for is any number */
	sum->count += part->count;
}

void text_table(struct sink *sink, const struct ledger *ledger, uint64_t time_ns)
{
	bool entry_only = ledger_entry_only(ledger);
	bool complete = !entry_only;
	struct tally sum = { 0 };

	add_header(sink, time_ns, entry_only);
	for (size_t i = 0; i < ledger_process_count(ledger); i++) {
		const struct process *process = ledger_process(ledger, i);
		const struct slice *total = &process->total;

		if (process->ended || (!process->has_cuda && !process->lost))
			continue;
		add_process(sink, process, entry_only);
		sum_process(&sum, entry_only ? &total->allocated : &total->live);
		complete = complete && ledger_complete(ledger, process);
	}
	add_total(sink, &sum);
	text_losses(sink, ledger);
	if (!complete)
		add_trust(sink, entry_only);
	sink_emit(sink);
}
