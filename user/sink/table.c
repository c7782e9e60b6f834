/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/escape.h"
#include "probe/table.h"
#include "sink/holders.h"
#include "sink/trust.h"

/*
 * Who holds what now, for people, at each INTERVAL and at the end: by GPU, then host memory, then memory of no known device; in each the
 * processes, the largest first; of each the rows of kind, placement and calling library. Entry-only it is what was asked for.
 */

#define BYTES_WIDTH 9
#define EXACT_WIDTH 15
#define TOP_ROWS 20

/* A process in a group: its holders from `first` on. */
struct part {
	const struct process *process;
	const struct holders *holders;
	size_t first;
	size_t count;
	int group;
	uint64_t bytes; /* that rank it */
	size_t number;	/* of the process, in order of appearance */
};

struct view {
	struct sink *sink;
	const struct ledger *ledger;
	uint64_t time_ns;
	bool entry_only;
	struct holders *holders; /* of each process that is shown */
	size_t process_count;
	struct part *parts;
	size_t part_count;
};

static int width_of(const struct view *view)
{
	return view->sink->settings.exact_bytes ? EXACT_WIDTH : BYTES_WIDTH;
}

static bool is_shown(const struct process *process)
{
	return !process->ended && (process->has_cuda || process->lost);
}

static const struct tally *held_of(const struct view *view, const struct holder *holder)
{
	return view->entry_only ? &holder->allocated : &holder->live;
}

/* COUNT and the sizes; peak NULL: a sum that has none; "-": not known. */
static void add_figures(const struct view *view, const struct tally *tally, const uint64_t *peak, const char *age)
{
	struct buf *buf = &view->sink->line;
	int width = width_of(view);

	buf_printf(buf, "%7llu ", (unsigned long long)tally->count);
	text_size(view->sink, buf, tally->bytes, width);
	buf_char(buf, ' ');
	if (view->entry_only)
		return;
	if (peak)
		text_size(view->sink, buf, *peak, width);
	else
		buf_printf(buf, "%*s", width, *age ? "-" : "");
	buf_printf(buf, " %8s ", age);
}

static void add_who(struct buf *buf, const struct process *process)
{
	size_t start;

	buf_printf(buf, "%7u ", process->tgid);
	start = buf->length;
	escape_text(buf, process->comm, strlen(process->comm));
	text_pad(buf, start, 15);
	buf_char(buf, ' ');
}

static void add_row(const struct view *view, const struct process *process, const struct holder *holder)
{
	const struct cell *cell = holder->cell;
	char age[DURATION_TEXT_BYTES] = "-";
	struct buf *buf = &view->sink->line;

	if (holder->since_ns && holder->since_ns <= view->time_ns)
		duration_format(view->time_ns - holder->since_ns, age);
	add_who(buf, process);
	buf_printf(buf, "%-10s %-10s ", kind_name((enum vt_kind)cell->kind),
		   placement_name((enum placement)cell->placement));
	add_figures(view, held_of(view, holder), holder->peak_known ? &holder->peak_bytes : NULL, age);
	escape_text(buf, cell->library, strlen(cell->library));
	if (cell->borrowed)
		buf_str(buf, ", borrowed");
	if (holder->computed)
		buf_str(buf, ", computed");
	buf_char(buf, '\n');
}

static void add_trust(const struct view *view, const struct trust *trust)
{
	struct buf *buf = &view->sink->line;

	if (!trust->complete)
		text_color(view->sink, buf, TEXT_YELLOW);
	trust_words(buf, trust);
	if (!trust->complete)
		text_color(view->sink, buf, TEXT_PLAIN);
	buf_char(buf, '\n');
}

static void add_more(const struct view *view, size_t rows, const struct tally *rest)
{
	struct buf *buf = &view->sink->line;

	buf_printf(buf, "%8sand %zu more row%s: ", "", rows, rows == 1 ? "" : "s");
	text_size(view->sink, buf, rest->bytes, 0);
	buf_printf(buf, " in %llu block%s\n", (unsigned long long)rest->count, rest->count == 1 ? "" : "s");
}

/* How many rows there were to show. */
static size_t add_rows(const struct view *view, const struct part *part)
{
	struct tally rest = { 0 };
	size_t rows = 0;

	for (size_t i = part->first; i < part->first + part->count; i++) {
		const struct holder *holder = &part->holders->items[i];
		const struct tally *held = held_of(view, holder);

		if (!held->count)
			continue;
		if (rows++ < TOP_ROWS)
			add_row(view, part->process, holder);
		else if (!holder->cell->borrowed)
			tally_add(&rest, held);
	}
	if (rows > TOP_ROWS)
		add_more(view, rows - TOP_ROWS, &rest);
	return rows;
}

/* Of the process; but computed sizes are those of this part. */
static struct trust trust_of_part(const struct view *view, const struct part *part)
{
	struct trust trust = trust_of(view->ledger, part->process);

	trust.computed = 0;
	for (size_t i = part->first; i < part->first + part->count; i++) {
		const struct holder *holder = &part->holders->items[i];

		trust.computed += holder->computed && held_of(view, holder)->count;
	}
	return trust;
}

static bool is_plain(const struct trust *trust)
{
	return trust->complete && !trust->unmatched && !trust->computed;
}

static struct holder_sum sum_of(const struct view *view, const struct part *part, enum placement placement)
{
	return holders_sum(view->ledger, part->process, part->holders, part->group, placement);
}

static const struct tally *summed(const struct view *view, const struct holder_sum *sum)
{
	return view->entry_only ? &sum->allocated : &sum->live;
}

/* A line for each placement that was ever used. */
static void add_subtotals(const struct view *view, const struct part *part, const struct trust *trust)
{
	struct buf *buf = &view->sink->line;

	for (unsigned int placement = 0; placement < PLACEMENT_COUNT; placement++) {
		struct holder_sum sum = sum_of(view, part, (enum placement)placement);

		if (!sum.allocated.count)
			continue;
		add_who(buf, part->process);
		buf_printf(buf, "%-10s %-10s ", "total", placement_name((enum placement)placement));
		add_figures(view, summed(view, &sum), sum.peak_known ? &sum.peak_bytes : NULL, "");
		add_trust(view, trust);
	}
}

/* What processes hold together has no peak that we know; one alone has. */
static void add_total(const struct view *view, const struct part *parts, size_t count, enum placement placement)
{
	struct trust trust = trust_none(view->ledger);
	struct tally total = { 0 };
	struct tally allocated = { 0 };
	struct holder_sum sum = { 0 };
	struct buf *buf = &view->sink->line;
	size_t start;

	for (size_t i = 0; i < count; i++) {
		struct trust part = trust_of_part(view, &parts[i]);

		sum = sum_of(view, &parts[i], placement);
		tally_add(&total, summed(view, &sum));
		tally_add(&allocated, &sum.allocated);
		trust_add(&trust, &part);
	}
	if (!allocated.count)
		return;
	buf_printf(buf, "%7s ", "total");
	start = buf->length;
	if (count > 1)
		buf_printf(buf, "%zu processes", count);
	text_pad(buf, start, 15);
	buf_printf(buf, " %-10s %-10s ", "", placement_name(placement));
	add_figures(view, &total, count == 1 && sum.peak_known ? &sum.peak_bytes : NULL, "");
	add_trust(view, &trust);
}

static void add_bold(const struct view *view, const char *text)
{
	text_color(view->sink, &view->sink->line, TEXT_BOLD);
	buf_str(&view->sink->line, text);
	text_color(view->sink, &view->sink->line, TEXT_PLAIN);
}

static void add_group_title(const struct view *view, int group)
{
	const struct ledger_gpu *gpu = group < 0 ? NULL : ledger_gpu(view->ledger, (size_t)group);
	struct buf *buf = &view->sink->line;
	char text[GPU_NAME_BYTES];
	const char *name = gpu_name(gpu, text);

	if (group == HOLDER_HOST)
		add_bold(view, "host memory");
	else if (!gpu)
		add_bold(view, "device not known");
	else
		add_bold(view, name ? name : "a GPU that nvidia-smi does not list");
	if (gpu && gpu->uuid[0]) {
		buf_char(buf, ' ');
		escape_text(buf, gpu->uuid, strlen(gpu->uuid));
	}
	buf_char(buf, '\n');
}

static void add_group(const struct view *view, const struct part *parts, size_t count)
{
	add_group_title(view, parts[0].group);
	for (size_t i = 0; i < count; i++) {
		struct trust trust = trust_of_part(view, &parts[i]);
		size_t rows = add_rows(view, &parts[i]);

		/* One row of several processes is its own total; with none the process has to be named all the same. */
		if (rows == 0 || (count > 1 && (rows > 1 || !is_plain(&trust))))
			add_subtotals(view, &parts[i], &trust);
	}
	for (unsigned int placement = 0; placement < PLACEMENT_COUNT; placement++)
		add_total(view, parts, count, (enum placement)placement);
}

/* Nothing was ever seen of it: said, for that may be for want of seeing. */
static void add_empty(const struct view *view, const struct process *process)
{
	struct trust trust = trust_of(view->ledger, process);
	static const struct tally none;
	struct buf *buf = &view->sink->line;

	add_who(buf, process);
	buf_printf(buf, "%-10s %-10s ", "-", "-");
	add_figures(view, &none, NULL, "");
	add_trust(view, &trust);
}

static int compare_parts(const void *pa, const void *pb)
{
	const struct part *a = pa;
	const struct part *b = pb;

	if (a->group != b->group)
		return holder_order(a->group, b->group);
	if (a->bytes != b->bytes)
		return a->bytes < b->bytes ? 1 : -1;
	return (a->number > b->number) - (a->number < b->number);
}

/* The parts of one process: its holders stand by group. */
static size_t split(const struct view *view, size_t number, const struct holders *holders, struct part *parts)
{
	size_t count = 0;

	for (size_t i = 0; i < holders->count; i++) {
		const struct holder *holder = &holders->items[i];

		if (!count || parts[count - 1].group != holder->group) {
			parts[count++] = (struct part) { .process = ledger_process(view->ledger, number),
							 .holders = holders,
							 .first = i,
							 .group = holder->group,
							 .number = number };
		}
		parts[count - 1].count++;
		if (!holder->cell->borrowed)
			parts[count - 1].bytes += held_of(view, holder)->bytes;
	}
	return count;
}

static int find_holders(struct view *view)
{
	size_t count = 0;
	int err;

	view->process_count = ledger_process_count(view->ledger);
	view->holders = calloc(view->process_count + 1, sizeof(*view->holders));
	if (!view->holders)
		return -1;
	for (size_t i = 0; i < view->process_count; i++) {
		const struct process *process = ledger_process(view->ledger, i);

		if (!is_shown(process))
			continue;
		err = holders_find(view->ledger, process, &view->holders[i]);
		if (err < 0)
			return err;
		count += view->holders[i].count;
	}
	view->parts = calloc(count + 1, sizeof(*view->parts));
	if (!view->parts)
		return -1;
	for (size_t i = 0; i < view->process_count; i++)
		view->part_count += split(view, i, &view->holders[i], view->parts + view->part_count);
	qsort(view->parts, view->part_count, sizeof(*view->parts), compare_parts);
	return 0;
}

static void fini(struct view *view)
{
	for (size_t i = 0; view->holders && i < view->process_count; i++)
		holders_fini(&view->holders[i]);
	free(view->holders);
	free(view->parts);
}

static void add_columns(const struct view *view)
{
	struct buf *buf = &view->sink->line;
	int width = width_of(view);

	text_color(view->sink, buf, TEXT_BOLD);
	buf_printf(buf, "%7s %-15s %-10s %-10s %7s %*s ", "PID", "COMM", "KIND", "PLACEMENT", "COUNT", width,
		   view->entry_only ? "ASKED FOR" : "LIVE");
	if (!view->entry_only)
		buf_printf(buf, "%*s %8s ", width, "PEAK", "AGE");
	buf_str(buf, "LIBRARY");
	text_color(view->sink, buf, TEXT_PLAIN);
	buf_char(buf, '\n');
}

static void add_notes(const struct view *view)
{
	bool titled = false;

	for (size_t i = 0; i < view->process_count; i++) {
		const struct process *process = ledger_process(view->ledger, i);

		if (!is_shown(process) || !text_has_notes(process))
			continue;
		if (!titled) {
			add_bold(view, "besides");
			buf_char(&view->sink->line, '\n');
		}
		titled = true;
		text_notes(view->sink, view->ledger, process, true);
	}
}

static void add_body(const struct view *view)
{
	size_t end;

	add_columns(view);
	for (size_t i = 0; i < view->part_count; i = end) {
		for (end = i + 1; end < view->part_count && view->parts[end].group == view->parts[i].group;)
			end++;
		add_group(view, &view->parts[i], end - i);
	}
	for (size_t i = 0; i < view->process_count; i++) {
		if (is_shown(ledger_process(view->ledger, i)) && !view->holders[i].count)
			add_empty(view, ledger_process(view->ledger, i));
	}
	add_notes(view);
}

void text_holders(struct sink *sink, const struct ledger *ledger, uint64_t time_ns)
{
	struct view view = {
		.sink = sink, .ledger = ledger, .time_ns = time_ns, .entry_only = ledger_entry_only(ledger)
	};

	if (find_holders(&view) < 0)
		sink->line.failed = true; /* counted as a lost line */
	else
		add_body(&view);
	fini(&view);
}

void text_table(struct sink *sink, const struct ledger *ledger, uint64_t time_ns)
{
	char time[CLOCK_LOCAL_BYTES];
	struct buf *buf = &sink->line;

	clock_format_local(clock_wall_of(time_ns), time);
	time[sizeof("22:48:41") - 1] = '\0';
	buf_char(buf, '\n');
	buf_str(buf, time);
	if (sink->settings.simulated) {
		buf_str(buf, "  simulated: this is a simulated card, not a GPU");
		sink->simulated_told = true;
	}
	buf_char(buf, '\n');
	text_holders(sink, ledger, time_ns);
	text_losses(sink, ledger);
	sink_emit(sink);
}
