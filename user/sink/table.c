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

static void add_row(struct sink *sink, const struct process *process, enum vt_kind kind)
{
	const struct slice *slice = &process->by_kind[kind];
	struct buf *buf = &sink->line;
	int width = width_of(sink);
	size_t start;

	buf_printf(buf, "%7u ", process->tgid);
	start = buf->length;
	escape_text(buf, process->comm, strlen(process->comm));
	text_pad(buf, start, 15);
	buf_printf(buf, " %-8s %-11s %8llu ", kind_name(kind), placement_name(placement_of_kind(kind)),
		   (unsigned long long)slice->live.count);
	text_size(sink, buf, slice->live.bytes, width);
	buf_char(buf, ' ');
	text_size(sink, buf, slice->peak_bytes, width);
	buf_char(buf, '\n');
}

static void add_process(struct sink *sink, const struct process *process)
{
	for (unsigned int kind = 0; kind < KIND_COUNT; kind++) {
		if (process->by_kind[kind].allocated.count)
			add_row(sink, process, (enum vt_kind)kind);
	}
}

static void add_header(struct sink *sink)
{
	char time[CLOCK_LOCAL_BYTES];
	struct buf *buf = &sink->line;
	int width = width_of(sink);

	clock_format_local(clock_wall_of(clock_mono_ns()), time);
	time[sizeof("22:48:41") - 1] = '\0';
	buf_char(buf, '\n');
	buf_str(buf, time);
	if (sink->settings.simulated) {
		buf_str(buf, "  simulated: this is a simulated card, not a GPU");
		sink->simulated_told = true;
	}
	buf_char(buf, '\n');
	text_color(sink, buf, TEXT_BOLD);
	buf_printf(buf, "%7s %-15s %-8s %-11s %8s %*s %*s", "PID", "COMM", "KIND", "PLACEMENT", "COUNT", width, "LIVE",
		   width, "PEAK");
	text_color(sink, buf, TEXT_PLAIN);
	buf_char(buf, '\n');
}

static void add_total(struct sink *sink, const struct tally *live)
{
	struct buf *buf = &sink->line;

	buf_printf(buf, "%7s %-15s %-8s %-11s %8llu ", "total", "", "", "", (unsigned long long)live->count);
	text_size(sink, buf, live->bytes, width_of(sink));
	buf_char(buf, '\n');
}

void text_table(struct sink *sink, const struct ledger *ledger)
{
	struct tally live = { 0 };
	bool complete = true;

	add_header(sink);
	for (size_t i = 0; i < ledger_process_count(ledger); i++) {
		const struct process *process = ledger_process(ledger, i);

		if (process->ended || !process->has_cuda)
			continue;
		add_process(sink, process);
		live.bytes += process->total.live.bytes;
		live.count += process->total.live.count;
		complete = complete && ledger_complete(ledger, process);
	}
	add_total(sink, &live);
	text_losses(sink, ledger);
	if (!complete) {
		text_color(sink, &sink->line, TEXT_YELLOW);
		buf_str(&sink->line, "incomplete: not everything was seen (losses, uncovered calls or a late start)");
		text_color(sink, &sink->line, TEXT_PLAIN);
		buf_char(&sink->line, '\n');
	}
	sink_emit(sink);
}
