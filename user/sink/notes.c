/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include <string.h>

#include "base/escape.h"
#include "sink/holders.h"

/* What stands below a process' rows: memory that is no block of the program's, and blocks that are no memory. */

#define TOP_POOLS 10

struct note {
	struct sink *sink;
	const struct ledger *ledger;
	const struct process *process;
	bool named; /* begins with the process, among others' */
};

static void begin_note(const struct note *note)
{
	struct buf *buf = &note->sink->line;
	size_t start;

	if (!note->named) {
		buf_str(buf, "  ");
		return;
	}
	buf_printf(buf, "%7u ", note->process->tgid);
	start = buf->length;
	escape_text(buf, note->process->comm, strlen(note->process->comm));
	text_pad(buf, start, 15);
	buf_char(buf, ' ');
}

static void add_size(const struct note *note, const char *before, uint64_t bytes)
{
	buf_str(&note->sink->line, before);
	text_size(note->sink, &note->sink->line, bytes, 0);
}

static void add_place(const struct note *note, uint16_t place, enum placement placement)
{
	int group = holder_group_of(note->ledger, note->process, place, placement);
	const struct ledger_gpu *gpu = group < 0 ? NULL : ledger_gpu(note->ledger, (size_t)group);
	char text[GPU_NAME_BYTES];
	const char *name = gpu_name(gpu, text);

	if (group == HOLDER_HOST)
		buf_str(&note->sink->line, " in host memory");
	else if (name)
		buf_printf(&note->sink->line, " on %s", name);
}

static void add_blocks(const struct note *note, const struct tally *tally)
{
	buf_printf(&note->sink->line, "%llu block%s", (unsigned long long)tally->count, tally->count == 1 ? "" : "s");
}

static bool is_noted(const struct pool *pool)
{
	return !pool->ended && (pool->reserved_known || pool->used_known);
}

static void add_pool(const struct note *note, const struct pool *pool)
{
	struct buf *buf = &note->sink->line;

	begin_note(note);
	buf_str(buf, "pool ");
	buf_hex(buf, pool->handle);
	add_place(note, pool->place, (enum placement)pool->placement);
	buf_char(buf, ':');
	if (pool->reserved_known)
		add_size(note, " reserved ", pool->reserved);
	if (pool->used_known)
		add_size(note, pool->reserved_known ? ", used " : " used ", pool->used);
	buf_str(buf, ", as the program was last told");
	if (pool->live.count) {
		add_size(note, "; live ", pool->live.bytes);
		buf_str(buf, " in ");
		add_blocks(note, &pool->live);
	}
	buf_char(buf, '\n');
}

static void add_pools(const struct note *note)
{
	struct buf *buf = &note->sink->line;
	size_t pools = 0;

	for (size_t i = 0; i < note->process->pool_count; i++) {
		if (is_noted(&note->process->pools[i]) && pools++ < TOP_POOLS)
			add_pool(note, &note->process->pools[i]);
	}
	if (pools <= TOP_POOLS)
		return;
	begin_note(note);
	buf_printf(buf, "and %zu more pool%s\n", pools - TOP_POOLS, pools - TOP_POOLS == 1 ? "" : "s");
}

static void add_graphs(const struct note *note)
{
	for (size_t i = 0; i < note->process->place_count; i++) {
		const struct place *place = &note->process->places[i];

		if (!place->graph_known || !place->graph_reserved)
			continue;
		begin_note(note);
		buf_str(&note->sink->line, "graphs");
		add_place(note, (uint16_t)i, PLACEMENT_VRAM);
		add_size(note, ": reserved ", place->graph_reserved);
		buf_str(&note->sink->line, ", as the program was last told\n");
	}
}

bool text_has_notes(const struct process *process)
{
	if (process->virtual.count || process->borrowed.count)
		return true;
	for (size_t i = 0; i < process->pool_count; i++) {
		if (is_noted(&process->pools[i]))
			return true;
	}
	for (size_t i = 0; i < process->place_count; i++) {
		if (process->places[i].graph_known && process->places[i].graph_reserved)
			return true;
	}
	return false;
}

void text_notes(struct sink *sink, const struct ledger *ledger, const struct process *process, bool named)
{
	struct note note = { sink, ledger, process, named };
	struct buf *buf = &sink->line;

	add_pools(&note);
	add_graphs(&note);
	if (process->virtual.count) {
		begin_note(&note);
		buf_str(buf, "addresses without memory: ");
		add_blocks(&note, &process->virtual);
		add_size(&note, ", made for ", process->virtual.bytes);
		buf_char(buf, '\n');
	}
	if (process->borrowed.count) {
		begin_note(&note);
		add_size(&note, "borrowed: ", process->borrowed.bytes);
		buf_str(buf, " in ");
		add_blocks(&note, &process->borrowed);
		buf_str(buf, ", counted to who made them\n");
	}
}
