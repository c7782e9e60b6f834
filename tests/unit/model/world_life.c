/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "vramtrace/probe.h"
#include "world.h"

/* Programs begin and end, and a step of the world. */

#define TICK_NS 10000000ull /* what /proc knows a start time to */

static uint64_t last_start;

static void tell_life(struct program *program, enum event_kind kind)
{
	struct event event = { .kind = kind, .tgid = program->tgid, .tid = program->tgid, .ns_tgid = program->tgid };

	event.start_ns = program->start_ns;
	event.time_ns = ++model.now_ns;
	event.exit_code = 9;
	memcpy(event.comm, "model", 6);
	if (!world_loses(program))
		model_tell(&event, NO_CALLER);
}

static void new_image(struct program *program)
{
	struct program old = *program;

	memset(program, 0, sizeof(*program));
	program->tgid = old.tgid;
	program->start_ns = old.start_ns;
	program->unmatched = old.unmatched;
	program->overtaken = old.overtaken;
	/* Where an exec can be lost no ordinal may come to mean another device: what is on which place is the ledger's choice. */
	if (model.gpu_count > 1)
		program->rotation = model.losses == LOSES_NOTHING ? (int)roll(6) : (int)(program - programs);
	for (int i = 0; i < GPUS; i++) {
		program->contexts[i] = (struct world_context) { .ordinal = i };
		program->pools[POOLS - GPUS + i].handle = 0xf000 + 16 * (uint64_t)i;
		program->pools[POOLS - GPUS + i].ordinal = i;
	}
	for (int i = 0; i < model.gpu_count && !model.driver_probed; i++) {
		program->contexts[i].alive = true;
		program->contexts[i].handle = (uint64_t)i + 1;
	}
	for (int i = 0; i < STREAMS; i++)
		program->streams[i] = (struct world_stream) { .handle = 2, .context = NONE, .thread = NONE };
	for (int i = 0; i < 2; i++) {
		program->streams[i].alive = true;
		program->streams[i].thread = i;
	}
}

/* It ran before the probes were there: its contexts are in use, and nobody has told which devices they are on. */
static void come_late(struct program *program)
{
	program->is_late = true;
	for (int i = 0; i < model.gpu_count; i++) {
		program->contexts[i].alive = true;
		if (model.driver_probed)
			program->contexts[i].handle = 0xb000 + 16 * (uint64_t)i;
	}
	if (model.driver_probed) {
		program->contexts[GPUS] = (struct world_context) { .alive = true, .handle = 0xc000 };
		program->contexts[GPUS].ordinal = (int)roll((uint64_t)model.gpu_count);
	}
	model_attach_late(program->tgid, program->start_ns / TICK_NS * TICK_NS);
}

/* Its number is used again soon, by another one's start. */
static void begin(struct program *program)
{
	program->tgid = 100 + 8 * (uint32_t)(program - programs) + (uint32_t)roll(2);
	last_start += 2 * TICK_NS + 1 + roll(1000);
	program->start_ns = last_start;
	program->unmatched = program->overtaken = 0;
	new_image(program);
}

static void first_news(struct program *program)
{
	if (chance(40))
		tell_life(program, EVENT_FORK);
	else if (chance(60))
		tell_life(program, EVENT_PROCESS);
	else if (chance(50))
		come_late(program);
	/* or it is known by its calls only */
}

static bool world_exit(struct program *program)
{
	tell_life(program, EVENT_EXIT);
	begin(program);
	first_news(program);
	return true;
}

/* One that ends before it has made a call: shown only where some may have been missed. */
static bool world_short_life(struct program *program)
{
	tell_life(program, EVENT_EXIT);
	begin(program);
	first_news(program);
	world_loses(program);
	return world_exit(program);
}

/* The next one of that number tells. */
static bool world_exit_untold(struct program *program)
{
	uint32_t tgid = program->tgid;

	begin(program);
	program->tgid = tgid;
	tell_life(program, EVENT_FORK);
	return true;
}

static bool world_exec(struct program *program)
{
	if (program->is_late)
		return false;
	new_image(program);
	tell_life(program, EVENT_EXEC);
	return true;
}

/* What was first known by its calls gets a name, and what has one gets it once more. */
static bool world_news(struct program *program)
{
	tell_life(program, EVENT_PROCESS);
	return true;
}

/* By another one: all that a program has in VRAM goes to the host, or comes back. */
static bool move_other(struct program *program, int row, bool back)
{
	struct program *other = &programs[roll(PROGRAMS)];
	struct event event = { .kind = EVENT_DONE, .addr = other->tgid };

	if (other == program || !world_rows(&event, row, NONE))
		return false;
	for (int i = 0; i < ITEMS; i++)
		other->items[i].is_checkpointed = !back;
	world_tell(program, &event);
	return true;
}

bool world_checkpoint(struct program *program)
{
	return move_other(program, VT_PROBE_cuCheckpointProcessCheckpoint, false);
}

bool world_restore(struct program *program)
{
	return move_other(program, VT_PROBE_cuCheckpointProcessRestore, true);
}

static struct {
	const char *name;
	operation *fn;
	unsigned int weight;
	uint64_t count;
} operations[] = {
	{ "alloc", world_alloc, 200, 0 },
	{ "alloc_async", world_alloc_async, 150, 0 },
	{ "free", world_free, 260, 0 },
	{ "free_captured", world_free_captured, 40, 0 },
	{ "advise", world_advise, 15, 0 },
	{ "prefetch", world_prefetch, 5, 0 },
	{ "zero_sized", world_zero, 5, 0 },
	{ "failed", world_fail, 12, 0 },
	{ "unmatched", world_unmatched, 4, 0 },
	{ "free_null", world_null, 4, 0 },
	{ "wrong_free", world_wrong_free, 3, 0 },
	{ "again", world_again, 8, 0 },
	{ "context_new", world_context_new, 25, 0 },
	{ "context_end", world_context_end, 16, 0 },
	{ "primary_retain", world_retain, 25, 0 },
	{ "primary_release", world_release, 16, 0 },
	{ "primary_reset", world_reset, 4, 0 },
	{ "device_uuid", world_uuid, 10, 0 },
	{ "stream_new", world_stream_new, 25, 0 },
	{ "stream_end", world_stream_end, 15, 0 },
	{ "capture_begin", world_capture_begin, 8, 0 },
	{ "capture_end", world_capture_end, 30, 0 },
	{ "pool_new", world_pool_new, 20, 0 },
	{ "pool_of", world_pool_of, 5, 0 },
	{ "pool_end", world_pool_end, 10, 0 },
	{ "pool_value", world_pool_value, 5, 0 },
	{ "pool_trim", world_pool_trim, 3, 0 },
	{ "pool_share", world_pool_share, 2, 0 },
	{ "vmm_create", world_create, 60, 0 },
	{ "vmm_release", world_handle_release, 60, 0 },
	{ "vmm_retain", world_handle_retain, 20, 0 },
	{ "vmm_map", world_map, 70, 0 },
	{ "vmm_unmap", world_unmap, 60, 0 },
	{ "vmm_export", world_export_handle, 30, 0 },
	{ "vmm_import", world_import_handle, 60, 0 },
	{ "foreign_import", world_import_foreign, 8, 0 },
	{ "descriptor_closed", world_close_descriptor, 20, 0 },
	{ "ipc_export", world_ipc_export, 20, 0 },
	{ "ipc_open", world_ipc_open, 40, 0 },
	{ "pointer_export", world_pointer_export, 15, 0 },
	{ "pointer_import", world_pointer_import, 20, 0 },
	{ "external_import", world_external, 10, 0 },
	{ "multicast", world_multicast, 5, 0 },
	{ "external_buffer", world_buffer, 8, 0 },
	{ "checkpoint", world_checkpoint, 2, 0 },
	{ "restore", world_restore, 4, 0 },
	{ "exit", world_exit, 2, 0 },
	{ "short_life", world_short_life, 1, 0 },
	{ "exit_untold", world_exit_untold, 1, 0 },
	{ "exec", world_exec, 1, 0 },
	{ "news", world_news, 1, 0 },
};
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

void world_round_begins(void)
{
	world_clear();
	for (int i = 0; i < PROGRAMS; i++) {
		begin(&programs[i]);
		first_news(&programs[i]);
	}
}

static unsigned int sum_of_weights(void)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < OPERATIONS; i++)
		sum += operations[i].weight;
	return sum;
}

void world_step(void)
{
	struct program *program = &programs[roll(PROGRAMS)];
	uint64_t at = roll(sum_of_weights());
	size_t i = 0;

	program->thread = (int)roll(THREADS);
	if (world_advance(program))
		return;
	while (at >= operations[i].weight)
		at -= operations[i++].weight;
	operations[i].count += operations[i].fn(program);
}

void world_show_counts(void)
{
	for (size_t i = 0; i < OPERATIONS; i++)
		print_message("%s %llu%s", operations[i].name, (unsigned long long)operations[i].count,
			      i + 1 == OPERATIONS ? "\n"
			      : i % 8 == 7	  ? ",\n"
						  : ", ");
}

void world_check_counts(uint64_t least)
{
	for (size_t i = 0; i < OPERATIONS; i++) {
		if (operations[i].count < least)
			model_note("%s was possible too seldom", operations[i].name);
		CHECK(operations[i].count >= least);
	}
}
