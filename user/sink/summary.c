/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include <string.h>

#include "base/escape.h"
#include "probe/table.h"
#include "sink/holders.h"
#include "sink/trust.h"

/* The ledger at the end of a run, for people. */

#define TOP_CALLERS 10
#define TOP_ROWS 20
#define WIDTH 10
#define EXACT_WIDTH 15

static int width_of(const struct sink *sink)
{
	return sink->settings.exact_bytes ? EXACT_WIDTH : WIDTH;
}

static void add_count(struct buf *buf, uint64_t count, const char *noun)
{
	buf_u64(buf, count);
	buf_char(buf, ' ');
	buf_str(buf, noun);
	if (count != 1)
		buf_char(buf, 's');
}

static void add_state(struct buf *buf, const struct process *process)
{
	int status = process->exit_code;

	if (!process->ended)
		buf_str(buf, "running");
	else if (status == PROCESS_EXIT_UNKNOWN)
		buf_str(buf, "gone, its end was not seen");
	else if (status & 0x7f)
		buf_printf(buf, "killed by signal %d", status & 0x7f);
	else
		buf_printf(buf, "exited with code %d", status >> 8 & 0xff);
}

static void add_title(struct sink *sink, const struct process *process)
{
	struct buf *buf = &sink->line;

	buf_char(buf, '\n');
	text_color(sink, buf, TEXT_BOLD);
	escape_text(buf, process->comm, strlen(process->comm));
	text_color(sink, buf, TEXT_PLAIN);
	buf_printf(buf, ", pid %u, ", process->tgid);
	add_state(buf, process);
	buf_char(buf, '\n');
}

static void add_requested(struct sink *sink, const struct process *process)
{
	struct buf *buf = &sink->line;

	buf_str(buf, "  asked for ");
	text_size(sink, buf, process->total.allocated.bytes, 0);
	buf_str(buf, " in ");
	add_count(buf, process->total.allocated.count, "call");
	buf_str(buf, ", and ");
	add_count(buf, process->frees_entered, "call");
	buf_str(buf, " to free\n");
}

static void add_totals(struct sink *sink, const struct process *process)
{
	const struct slice *total = &process->total;
	struct buf *buf = &sink->line;

	buf_str(buf, "  live ");
	text_size(sink, buf, total->live.bytes, 0);
	if (total->live.count) {
		buf_str(buf, " in ");
		add_count(buf, total->live.count, "block");
	}
	buf_str(buf, ", peak ");
	text_size(sink, buf, total->peak_bytes, 0);
	buf_str(buf, ", allocated ");
	text_size(sink, buf, total->allocated.bytes, 0);
	buf_str(buf, " in ");
	add_count(buf, total->allocated.count, "allocation");
	if (process->ended) {
		buf_str(buf, ", held at exit ");
		text_size(sink, buf, total->at_exit.bytes, 0);
		buf_str(buf, " in ");
		add_count(buf, total->at_exit.count, "block");
	}
	buf_char(buf, '\n');
}

/* "GPU0", "-": no GPU's, "?": not known. */
static const char *group_name(const struct ledger *ledger, int group, char text[GPU_NAME_BYTES])
{
	const char *name;

	if (group == HOLDER_HOST)
		return "-";
	name = group < 0 ? NULL : gpu_name(ledger_gpu(ledger, (size_t)group), text);
	return name ? name : "?";
}

static void add_row(struct sink *sink, const struct ledger *ledger, const struct process *process,
		    const struct holder *holder)
{
	const struct cell *cell = holder->cell;
	const struct tally *held = process->ended ? &holder->at_exit : &holder->live;
	struct buf *buf = &sink->line;
	char text[GPU_NAME_BYTES];
	int width = width_of(sink);

	buf_str(buf, "  ");
	if (sink->settings.gpu_count > 1)
		buf_printf(buf, "%-6s ", group_name(ledger, holder->group, text));
	buf_printf(buf, "%-10s %-10s ", kind_name((enum vt_kind)cell->kind),
		   placement_name((enum placement)cell->placement));
	if (!ledger_entry_only(ledger)) {
		text_size(sink, buf, held->bytes, width);
		buf_char(buf, ' ');
		if (holder->peak_known)
			text_size(sink, buf, holder->peak_bytes, width);
		else
			buf_printf(buf, "%*s", width, "-");
		buf_char(buf, ' ');
	}
	text_size(sink, buf, holder->allocated.bytes, width);
	buf_printf(buf, " %8llu  ", (unsigned long long)holder->allocated.count);
	escape_text(buf, cell->library, strlen(cell->library));
	buf_str(buf, cell->borrowed ? ", borrowed" : "");
	buf_str(buf, holder->computed ? ", computed" : "");
	buf_char(buf, '\n');
}

/* By device, kind, placement and library. */
static void add_rows(struct sink *sink, const struct ledger *ledger, const struct process *process,
		     const struct holders *holders)
{
	bool entry_only = ledger_entry_only(ledger);
	struct buf *buf = &sink->line;
	int width = width_of(sink);

	buf_str(buf, "  ");
	if (sink->settings.gpu_count > 1)
		buf_str(buf, "DEVICE ");
	buf_printf(buf, "%-10s %-10s ", "KIND", "PLACEMENT");
	if (!entry_only)
		buf_printf(buf, "%*s %*s ", width, process->ended ? "AT EXIT" : "LIVE", width, "PEAK");
	buf_printf(buf, "%*s %8s  LIBRARY\n", width, entry_only ? "ASKED FOR" : "ALLOCATED", "COUNT");
	for (size_t i = 0; i < holders->count && i < TOP_ROWS; i++)
		add_row(sink, ledger, process, &holders->items[i]);
	if (holders->count > TOP_ROWS) {
		buf_str(buf, "  and ");
		add_count(buf, holders->count - TOP_ROWS, "more row");
		buf_char(buf, '\n');
	}
}

static void add_holders(struct sink *sink, const struct ledger *ledger, const struct process *process)
{
	struct holders holders;

	if (!process->total.allocated.count && !process->cell_count)
		return;
	if (holders_find(ledger, process, &holders) < 0) {
		sink->line.failed = true; /* counted as a lost line */
		return;
	}
	add_rows(sink, ledger, process, &holders);
	holders_fini(&holders);
}

/* By what callers are ranked. */
static uint64_t rank_of(const struct caller_slice *item, bool entry_only)
{
	return entry_only ? item->slice.allocated.bytes : item->slice.peak_bytes;
}

/* The largest, largest first; equal ones in order of appearance. Returns how many. */
static size_t find_top(const struct process *process, bool entry_only, const struct caller_slice *top[TOP_CALLERS])
{
	size_t count = 0;

	for (size_t i = 0; i < process->caller_count; i++) {
		const struct caller_slice *item = &process->by_caller[i];
		size_t at = count;

		while (at > 0 && rank_of(top[at - 1], entry_only) < rank_of(item, entry_only))
			at--;
		if (at == TOP_CALLERS)
			continue;
		if (count < TOP_CALLERS)
			count++;
		memmove(&top[at + 1], &top[at], (count - 1 - at) * sizeof(*top));
		top[at] = item;
	}
	return count;
}

static void add_callers(struct sink *sink, const struct process *process, bool entry_only)
{
	const struct caller_slice *top[TOP_CALLERS];
	size_t count = find_top(process, entry_only, top);
	struct buf *buf = &sink->line;
	int width = width_of(sink);

	if (!count)
		return;
	buf_str(buf, "  ");
	if (!entry_only)
		buf_printf(buf, "%*s ", width, "PEAK");
	buf_printf(buf, "%*s %8s  CALLER\n", width, entry_only ? "ASKED FOR" : "ALLOCATED", "COUNT");
	for (size_t i = 0; i < count; i++) {
		const char *name = top[i]->caller ? top[i]->caller->name : "?";

		buf_str(buf, "  ");
		if (!entry_only) {
			text_size(sink, buf, top[i]->slice.peak_bytes, width);
			buf_char(buf, ' ');
		}
		text_size(sink, buf, top[i]->slice.allocated.bytes, width);
		buf_printf(buf, " %8llu  ", (unsigned long long)top[i]->slice.allocated.count);
		escape_text(buf, name, strlen(name));
		buf_char(buf, '\n');
	}
	if (process->caller_count > count) {
		buf_printf(buf, "  %*s", (entry_only ? width - 1 : 2 * width) + 12, "");
		add_count(buf, process->caller_count - count, "more caller");
		buf_char(buf, '\n');
	}
}

/* What went wrong, only if something did. */
static void add_trouble(struct sink *sink, const struct process *process)
{
	const struct {
		uint64_t count;
		const char *noun;
	} troubles[] = {
		{ process->failed, "failed allocation" },	{ process->failed_frees, "failed free" },
		{ process->unmatched_frees, "unmatched free" }, { process->uncovered, "uncovered call" },
		{ process->zero_sized, "empty allocation" },
	};
	const char *separator = NULL;
	bool red = process->failed || process->failed_frees;
	struct buf *buf = &sink->line;

	for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++) {
		if (!troubles[i].count)
			continue;
		buf_str(buf, separator ? separator : "  ");
		if (!separator && red)
			text_color(sink, buf, TEXT_RED);
		add_count(buf, troubles[i].count, troubles[i].noun);
		separator = ", ";
	}
	if (red)
		text_color(sink, buf, TEXT_PLAIN);
	if (separator)
		buf_char(buf, '\n');
}

static void add_process(struct sink *sink, const struct ledger *ledger, const struct process *process)
{
	struct trust trust = trust_of(ledger, process);
	bool entry_only = ledger_entry_only(ledger);
	struct buf *buf = &sink->line;

	add_title(sink, process);
	if (entry_only)
		add_requested(sink, process);
	else
		add_totals(sink, process);
	add_holders(sink, ledger, process);
	add_callers(sink, process, entry_only);
	text_notes(sink, ledger, process, false);
	add_trouble(sink, process);
	buf_str(buf, "  ");
	if (!trust.complete)
		text_color(sink, buf, TEXT_YELLOW);
	trust_sentence(buf, &trust);
	if (!trust.complete)
		text_color(sink, buf, TEXT_PLAIN);
	buf_char(buf, '\n');
	sink_emit(sink); /* a line of its own: the whole may be long */
}

void text_losses(struct sink *sink, const struct ledger *ledger)
{
	struct buf *buf = &sink->line;

	for (unsigned int cause = 0; cause < LOST_CAUSE_COUNT; cause++) {
		uint64_t count = ledger_lost_of(ledger, (enum lost_cause)cause);

		if (cause == LOST_OUTPUT)
			count += sink->dropped;
		if (!count)
			continue;
		text_color(sink, buf, TEXT_YELLOW);
		buf_printf(buf, "lost: %llu, %s", (unsigned long long)count, lost_cause_text((enum lost_cause)cause));
		text_color(sink, buf, TEXT_PLAIN);
		buf_char(buf, '\n');
	}
}

static void add_run(struct sink *sink, const struct sink_end *end, size_t with_cuda, size_t without)
{
	struct buf *buf = &sink->line;
	char wall[DURATION_TEXT_BYTES];

	duration_format(end->wall_ns, wall);
	buf_char(buf, '\n');
	text_color(sink, buf, TEXT_BOLD);
	if (with_cuda) {
		buf_printf(buf, "%zu %s with CUDA calls", with_cuda, with_cuda == 1 ? "process" : "processes");
	} else {
		buf_str(buf, "No process made a CUDA call that is traced");
	}
	text_color(sink, buf, TEXT_PLAIN);
	if (with_cuda && without)
		buf_printf(buf, ", %zu without", without);
	buf_printf(buf, "; traced for %s, until: ", wall);
	escape_text(buf, end->exit_reason, strlen(end->exit_reason));
	buf_char(buf, '\n');
	if (sink->settings.simulated) {
		text_color(sink, buf, TEXT_YELLOW);
		buf_str(buf, "simulated: this is a simulated card, not a GPU");
		text_color(sink, buf, TEXT_PLAIN);
		buf_char(buf, '\n');
	}
}

/* Who still holds something. Of who has ended, what it held then is in its own part. */
static void add_table(struct sink *sink, const struct ledger *ledger, uint64_t time_ns)
{
	bool live = false;

	for (size_t i = 0; i < ledger_process_count(ledger); i++)
		live = live || ledger_process(ledger, i)->total.live.count || ledger_process(ledger, i)->borrowed.count;
	if (!live)
		return;
	buf_str(&sink->line, "\nStill in use:\n");
	text_holders(sink, ledger, time_ns);
	sink_emit(sink);
}

void text_summary(struct sink *sink, const struct ledger *ledger, const struct sink_end *end)
{
	size_t count = ledger_process_count(ledger);
	size_t with_cuda = 0;

	for (size_t i = 0; i < count; i++)
		with_cuda += ledger_process(ledger, i)->has_cuda;
	add_run(sink, end, with_cuda, count - with_cuda);
	add_table(sink, ledger, end->time_ns);
	for (size_t i = 0; i < count; i++) {
		const struct process *process = ledger_process(ledger, i);

		if (process->has_cuda || process->lost)
			add_process(sink, ledger, process);
	}
	if (ledger_lost(ledger) || sink->dropped)
		buf_char(&sink->line, '\n');
	text_losses(sink, ledger);
	if (ledger_forgotten(ledger))
		buf_printf(&sink->line, "dropped: %llu process%s that ended long ago %s not in this list\n",
			   (unsigned long long)ledger_forgotten(ledger), ledger_forgotten(ledger) == 1 ? "" : "es",
			   ledger_forgotten(ledger) == 1 ? "is" : "are");
	if (end->mappings_lost)
		buf_printf(&sink->line,
			   "lost: %llu mapping events: callers may be shown as ?, and a new library may have been "
			   "missed\n",
			   (unsigned long long)end->mappings_lost);
	sink_emit(sink);
}
