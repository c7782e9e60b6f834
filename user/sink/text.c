/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/escape.h"
#include "probe/table.h"

/*
 * For people: one aligned line per event as it happens.
 *
 *   TIME                PID COMM            EVENT           SIZE KIND    ADDRESS        API
 *   22:48:41.123456    4711 python3         alloc          64 MB device  0x7f12a4000000 cudaMalloc  libc10_cuda.so!...
 */

#define COMM_WIDTH 15
#define EVENT_WIDTH 10
#define BYTES_WIDTH 9
#define EXACT_WIDTH 14
#define KIND_WIDTH 7
#define DEVICE_WIDTH 6
#define ADDRESS_WIDTH 14
#define API_WIDTH 17
#define CALLER_MAX 56 /* bytes of a caller in a line; the ledger at the end has it in full */
#define MODULE_MAX 24 /* of its module, where the whole is longer than that */

void text_color(const struct sink *sink, struct buf *buf, const char *code)
{
	if (sink->settings.color)
		buf_str(buf, code);
}

void text_pad(struct buf *buf, size_t start, size_t width)
{
	size_t used = 0;

	/* Columns, not bytes: a character of UTF-8 counts once. */
	for (size_t i = start; i < buf->length; i++)
		used += ((unsigned char)buf->data[i] & 0xc0) != 0x80;
	for (; used < width; used++)
		buf_char(buf, ' ');
}

/* Left-aligned, and one space. */
static void column(struct buf *buf, const char *text, size_t width)
{
	size_t start = buf->length;

	buf_str(buf, text ? text : "-");
	text_pad(buf, start, width);
	buf_char(buf, ' ');
}

static void right(struct buf *buf, const char *text, size_t width)
{
	for (size_t n = strlen(text); n < width; n++)
		buf_char(buf, ' ');
	buf_str(buf, text);
}

static void right_u64(struct buf *buf, uint64_t value, size_t width)
{
	uint64_t limit = 10;

	for (; width > 1; width--) {
		if (value < limit)
			buf_char(buf, ' ');
		limit = limit > UINT64_MAX / 10 ? UINT64_MAX : limit * 10;
	}
	buf_u64(buf, value);
}

void text_size(const struct sink *sink, struct buf *buf, uint64_t bytes, int width)
{
	char text[SIZE_TEXT_BYTES];

	if (sink->settings.exact_bytes) {
		right_u64(buf, bytes, (size_t)width);
		return;
	}
	size_format(bytes, text);
	right(buf, text, (size_t)width);
}

static int size_width(const struct sink *sink)
{
	return sink->settings.exact_bytes ? EXACT_WIDTH : BYTES_WIDTH;
}

/* With one GPU there is nothing to tell apart. */
static bool many_gpus(const struct sink *sink)
{
	return sink->settings.gpu_count > 1;
}

static void add_header(struct sink *sink)
{
	struct buf *buf = &sink->line;

	text_color(sink, buf, TEXT_BOLD);
	buf_str(buf, "TIME                PID ");
	column(buf, "COMM", COMM_WIDTH);
	column(buf, "EVENT", EVENT_WIDTH);
	right(buf, "SIZE", (size_t)size_width(sink));
	buf_char(buf, ' ');
	column(buf, "KIND", KIND_WIDTH);
	if (many_gpus(sink))
		column(buf, "DEVICE", DEVICE_WIDTH);
	column(buf, "ADDRESS", ADDRESS_WIDTH);
	column(buf, "API", API_WIDTH);
	buf_str(buf, "CALLER");
	text_color(sink, buf, TEXT_PLAIN);
	buf_char(buf, '\n');
}

static void say_simulated(struct sink *sink)
{
	if (!sink->settings.simulated || sink->simulated_told)
		return;
	sink->simulated_told = true;
	text_color(sink, &sink->line, TEXT_YELLOW);
	buf_str(&sink->line, "simulated: this is a simulated card, not a GPU");
	text_color(sink, &sink->line, TEXT_PLAIN);
	buf_char(&sink->line, '\n');
}

static int text_open(struct sink *sink)
{
	say_simulated(sink);
	if (sink->settings.entry_only) {
		text_color(sink, &sink->line, TEXT_YELLOW);
		buf_str(&sink->line, ENTRY_ONLY_TEXT " on this kernel; sizes are those asked for");
		text_color(sink, &sink->line, TEXT_PLAIN);
		buf_char(&sink->line, '\n');
	}
	sink_emit(sink);
	return 0;
}

/* process 4711 (python3): NVML says it holds ... */
static void text_attached(struct sink *sink, const struct sink_attached *attached)
{
	struct buf *buf = &sink->line;

	say_simulated(sink);
	buf_str(buf, "process ");
	buf_u64(buf, attached->tgid);
	buf_str(buf, " (");
	escape_text(buf, attached->comm, strlen(attached->comm));
	buf_str(buf, "): ");
	sentence_attached(buf, attached);
	buf_char(buf, '\n');
	sink_emit(sink);
}

static const char *event_title(const struct notice *notice)
{
	static const char *const titles[] = {
		[NOTICE_ALLOC] = "alloc",
		[NOTICE_FREE] = "free",
		[NOTICE_TAKEN] = "taken",
		[NOTICE_MAP] = "map",
		[NOTICE_UNMAP] = "unmap",
		[NOTICE_EXPORT] = "export",
		[NOTICE_ADVISE] = "advise",
		[NOTICE_PREFETCH] = "prefetch",
		[NOTICE_CHECKPOINT] = "checkpoint",
		[NOTICE_RESTORE] = "restore",
		[NOTICE_FREE_FAILED] = "free FAIL",
		[NOTICE_FREE_UNMATCHED] = "unmatched",
		[NOTICE_ALLOC_FAILED] = "alloc FAIL",
		[NOTICE_UNCOVERED] = "uncovered",
		[NOTICE_LOST] = "lost",
	};

	if (notice->kind == NOTICE_ENTERED)
		return notice->op == VT_OP_ALLOC ? "asked for" : "asked free";
	if (notice->kind != NOTICE_PROCESS)
		return titles[notice->kind];
	switch (process_event(notice)) {
	case EVENT_FORK:
		return "fork";
	case EVENT_EXEC:
		return "exec";
	case EVENT_EXIT:
		return "exit";
	default:
		return "start";
	}
}

static void add_who(struct sink *sink, const struct notice *notice)
{
	const struct process *process = notice->process;
	struct buf *buf = &sink->line;
	char time[CLOCK_LOCAL_BYTES];
	size_t start;

	clock_format_local(clock_wall_of(notice->time_ns), time);
	buf_str(buf, time);
	buf_char(buf, ' ');
	if (process)
		right_u64(buf, process->tgid, 7);
	else
		right(buf, "-", 7);
	buf_char(buf, ' ');
	start = buf->length;
	if (process)
		escape_text(buf, process->comm, strlen(process->comm));
	else
		buf_char(buf, '-');
	text_pad(buf, start, COMM_WIDTH);
	buf_char(buf, ' ');
	column(buf, event_title(notice), EVENT_WIDTH);
}

static void add_address(struct buf *buf, const struct notice *notice)
{
	size_t start = buf->length;

	if (notice->kind == NOTICE_ALLOC_FAILED || notice_moved(notice) ||
	    (notice->kind == NOTICE_UNCOVERED && !notice->addr) ||
	    (notice->kind == NOTICE_ENTERED && notice->op == VT_OP_ALLOC))
		buf_char(buf, '-');
	else if (notice_ranged(notice))
		buf_hex(buf, notice->range_addr);
	else
		buf_hex(buf, notice->addr);
	text_pad(buf, start, ADDRESS_WIDTH);
	buf_char(buf, ' ');
}

static bool is_sized(const struct notice *notice)
{
	switch (notice->kind) {
	case NOTICE_FREE_FAILED:
	case NOTICE_FREE_UNMATCHED:
		return false;
	case NOTICE_ALLOC_FAILED:
		return notice_sized(notice);
	case NOTICE_ENTERED:
		return notice->op == VT_OP_ALLOC;
	default:
		return true;
	}
}

static void add_block(struct sink *sink, const struct notice *notice)
{
	bool sized = is_sized(notice);
	bool kind = sized && notice->memory_kind != VT_KIND_ANY;
	struct buf *buf = &sink->line;
	char text[GPU_NAME_BYTES];

	if (notice->block_flags & BLOCK_UNSIZED && !notice_ranged(notice))
		right(buf, "?", (size_t)size_width(sink));
	else if (sized)
		text_size(sink, buf, notice_bytes(notice), size_width(sink));
	else
		right(buf, "-", (size_t)size_width(sink));
	buf_char(buf, ' ');
	column(buf, kind ? kind_name(notice->memory_kind) : "-", KIND_WIDTH);
	if (many_gpus(sink))
		column(buf, gpu_name(notice->gpu, text), DEVICE_WIDTH);
	add_address(buf, notice);
	column(buf, notice->api ? notice->api : "-", API_WIDTH);
}

static bool in_character(const char *at)
{
	return ((unsigned char)*at & 0xc0) == 0x80;
}

/* Module and the last parts, which say most of a C++ name: "libc10_cuda.so!...DeviceCachingAllocator::alloc_block". */
static void cut_middle(struct buf *buf, size_t start)
{
	char *text = buf->data + start;
	char *end = buf->data + buf->length;
	const char *mark = memchr(text, '!', (size_t)(end - text));
	size_t head = mark ? (size_t)(mark - text) + 1 : 0;
	const char *tail, *part;

	if (head > MODULE_MAX)
		head = MODULE_MAX;
	while (head > 0 && in_character(text + head))
		head--;
	tail = end - (CALLER_MAX - 3 - head);
	while (tail < end && in_character(tail))
		tail++;
	part = tail[-1] == ':' ? tail : strstr(tail, "::");
	if (part && part > tail && part + 2 < end)
		tail = part + 2; /* whole parts */
	memcpy(text + head, "...", 3);
	memmove(text + head + 3, tail, (size_t)(end - tail) + 1);
	buf->length = start + head + 3 + (size_t)(end - tail);
}

static void add_caller(struct buf *buf, const struct caller *caller)
{
	size_t start = buf->length;

	if (!caller)
		return;
	escape_text(buf, caller->name, strlen(caller->name));
	if (buf->length - start > CALLER_MAX)
		cut_middle(buf, start);
}

static void add_reason(struct buf *buf, const struct notice *notice)
{
	static const char *const words[] = {
		[FREE_EXIT] = "at exit, ",
		[FREE_EXEC] = "at exec, ",
		[FREE_CONTEXT] = "with its context, ",
		[FREE_DESCRIPTOR] = "with its last descriptor, ",
	};

	if (notice->reason == FREE_EXPORTER_GONE)
		buf_printf(buf, "held on by %u, ", notice->peer_tgid);
	else if ((size_t)notice->reason < ARRAY_SIZE(words) && words[notice->reason])
		buf_str(buf, words[notice->reason]);
}

/* What the size is not. */
static void add_marks(struct buf *buf, const struct notice *notice)
{
	if (notice_virtual(notice))
		buf_str(buf, "[address only] ");
	if (notice_borrowed(notice) && notice->kind == NOTICE_ALLOC && notice->peer_tgid)
		buf_printf(buf, "[borrowed from %u] ", notice->peer_tgid);
	else if (notice_borrowed(notice))
		buf_str(buf, "[borrowed] ");
	if (notice->block_flags & BLOCK_COMPUTED)
		buf_str(buf, "[computed] ");
	if (notice->block_flags & BLOCK_MAYBE_CAPTURED)
		buf_str(buf, "[maybe captured] ");
	if (notice->block_flags & BLOCK_UNSIZED)
		buf_str(buf, "[size unknown] ");
	if (notice->block_flags & BLOCK_CHECKPOINTED)
		buf_str(buf, "[checkpointed] ");
}

static void add_free_note(struct sink *sink, const struct notice *notice)
{
	struct buf *buf = &sink->line;
	char age[DURATION_TEXT_BYTES];

	duration_format(notice->age_ns, age);
	add_reason(buf, notice);
	buf_str(buf, "after ");
	buf_str(buf, age);
	buf_str(buf, ", live ");
	text_size(sink, buf, notice->live_bytes, 0);
}

static void add_taken_note(struct sink *sink, const struct notice *notice)
{
	struct buf *buf = &sink->line;

	if (notice->peer_tgid)
		buf_printf(buf, "from %u, ", notice->peer_tgid);
	buf_str(buf, "live ");
	text_size(sink, buf, notice->live_bytes, 0);
}

/* MAP, UNMAP, ADVISE, PREFETCH */
static void add_range_note(struct buf *buf, const struct notice *notice)
{
	char text[GPU_NAME_BYTES];
	const char *location = location_name(notice, text);

	if (notice->kind == NOTICE_MAP || notice->kind == NOTICE_UNMAP) {
		if (notice->id)
			buf_printf(buf, "block %llu", (unsigned long long)notice->id);
		else
			buf_str(buf, "a block that is not known");
		if (notice->kind == NOTICE_MAP && notice->range_offset)
			buf_printf(buf, " from byte %llu", (unsigned long long)notice->range_offset);
	} else if (notice->location != NOTICE_AT_NONE) {
		buf_str(buf, "to ");
		buf_str(buf, location ? location : "a GPU that is not known");
	} else {
		buf_str(buf, "to no place of its own");
	}
}

static void add_error_note(struct buf *buf, const struct notice *notice)
{
	const char *name = error_name(notice->error_layer, notice->error);

	if (name)
		buf_printf(buf, "%s (%d) ", name, notice->error);
	else
		buf_printf(buf, "error %d ", notice->error);
	add_caller(buf, notice->caller);
}

/* Events of memory: the block's columns, then what there is to say. */
static void add_memory_event(struct sink *sink, const struct notice *notice)
{
	struct buf *buf = &sink->line;

	add_block(sink, notice);
	add_marks(buf, notice);
	switch (notice->kind) {
	case NOTICE_FREE:
		add_free_note(sink, notice);
		break;
	case NOTICE_TAKEN:
		add_taken_note(sink, notice);
		break;
	case NOTICE_MAP:
	case NOTICE_UNMAP:
	case NOTICE_ADVISE:
	case NOTICE_PREFETCH:
		add_range_note(buf, notice);
		break;
	case NOTICE_CHECKPOINT:
	case NOTICE_RESTORE:
		buf_printf(buf, "by %u, ", notice->peer_tgid);
		add_caller(buf, notice->caller);
		break;
	case NOTICE_ALLOC_FAILED:
	case NOTICE_FREE_FAILED:
		add_error_note(buf, notice);
		break;
	case NOTICE_FREE_UNMATCHED:
		buf_str(buf, "not known: from before the trace, or lost");
		break;
	case NOTICE_UNCOVERED:
		buf_str(buf, "reached no traced driver call");
		break;
	default:
		add_caller(buf, notice->caller);
	}
}

static const char *color_of(const struct notice *notice)
{
	switch (notice->kind) {
	case NOTICE_ALLOC_FAILED:
	case NOTICE_FREE_FAILED:
		return TEXT_RED;
	case NOTICE_LOST:
	case NOTICE_UNCOVERED:
		return TEXT_YELLOW;
	default:
		return NULL;
	}
}

static void text_notice(struct sink *sink, const struct notice *notice)
{
	const char *color = color_of(notice);
	struct buf *buf = &sink->line;

	say_simulated(sink);
	if (!sink->settings.events) {
		sink_emit(sink);
		return;
	}
	if (!sink->header_told)
		add_header(sink);
	sink->header_told = true;
	if (color)
		text_color(sink, buf, color);
	add_who(sink, notice);
	if (notice->kind == NOTICE_LOST || notice->kind == NOTICE_PROCESS)
		sentence_add(buf, notice);
	else
		add_memory_event(sink, notice);
	while (buf->length && buf->data[buf->length - 1] == ' ')
		buf->length--;
	if (color)
		text_color(sink, buf, TEXT_PLAIN);
	buf_char(buf, '\n');
	sink_emit(sink);
}

static void text_close(struct sink *sink)
{
	(void)sink;
}

const struct sink_ops text_ops = {
	.open = text_open,
	.attached = text_attached,
	.notice = text_notice,
	.table = text_table,
	.summary = text_summary,
	.close = text_close,
};
