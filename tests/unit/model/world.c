/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "probe/table.h"
#include "world.h"

#define ADDRESS_BASE 0x7f0000000000ull
#define ADDRESS_BYTES (1ull << 21)
#define EXTERNAL_BASE 0x560000000000ull /* objects of the driver on the heap: never where memory of a device is */

struct program programs[PROGRAMS];
static uint64_t last_joined;
static int last_memory;

/* --- what operations are made of ------------------------------------------------------------------------------------------- */

/* A runtime's call stands on one of the driver's, but for very few, where both are probed. */
bool world_rows(struct event *event, int driver_row, int runtime_row)
{
	if (!model.driver_probed || (runtime_row != NONE && roll(1500) == 0)) {
		event->row = event->outer_row = (uint16_t)runtime_row;
		return runtime_row != NONE;
	}
	event->row = event->outer_row = (uint16_t)driver_row;
	if (driver_row != NONE && runtime_row != NONE && chance(50))
		event->outer_row = (uint16_t)runtime_row;
	return driver_row != NONE;
}

void world_clear(void)
{
	memset(programs, 0, sizeof(programs));
	last_memory = 0;
	world_shares_clear();
}

bool world_loses(const struct program *program)
{
	struct event event = { .kind = EVENT_LOST, .lost_cause = roll(LOST_CAUSE_COUNT), .lost_count = 1 + roll(3) };

	if (model.losses == LOSES_NOTHING || roll(model.lost_one_of))
		return false;
	event.tgid = program->tgid;
	if (model.losses == LOSES_OF_ANY && chance(40))
		event.tgid = chance(50) ? 0 : 100 + (uint32_t)roll(8 * PROGRAMS);
	event.time_ns = ++model.now_ns;
	model_tell(&event, NO_CALLER);
	return true;
}

void world_tell(struct program *program, struct event *event)
{
	event->tgid = program->tgid;
	event->tid = program->tgid + (uint32_t)program->thread;
	if (!event->enter_ns)
		event->enter_ns = model.now_ns;
	model.now_ns += 1 + roll(4);
	event->time_ns = model.now_ns;
	if (!world_loses(program))
		model_tell(event, (int)roll(CALLERS + 1) - 1);
	if (chance(10))
		program->past = *event;
}

struct thread *world_enter(struct program *program, const struct event *event, enum event_kind failed_kind)
{
	struct thread *thread = &program->threads[program->thread];

	*thread = (struct thread) { .active = true, .event = *event, .failed_kind = failed_kind };
	thread->stream = thread->context = NONE;
	thread->event.enter_ns = ++model.now_ns;
	thread->fails = chance(12);
	return thread;
}

int world_gpu(const struct program *program, int ordinal)
{
	return (ordinal + program->rotation) % (model.gpu_count + (program->rotation > 2));
}

uint64_t world_address(int number)
{
	return ADDRESS_BASE + (uint64_t)number * ADDRESS_BYTES;
}

static bool world_has(const struct program *program, unsigned int sorts, uint64_t addr)
{
	for (int i = 0; i < ITEMS; i++) {
		const struct item *item = &program->items[i];
		/* What only a descriptor keeps has no handle any more. */
		bool is_named = item->sort != SORT_VMM || item->references || item->mappings;

		if (item->used && is_named && (1u << item->sort & sorts) && item->addr == addr)
			return true;
	}
	return false;
}

uint64_t world_unused(const struct program *program, unsigned int sorts)
{
	uint64_t base = sorts == 1u << SORT_EXTERNAL ? EXTERNAL_BASE : ADDRESS_BASE;
	uint64_t number = roll(ADDRESSES), end = base + ADDRESSES * ADDRESS_BYTES;

	/* What is being given back is in demand. */
	for (int i = 0; i < THREADS; i++) {
		const struct thread *thread = &program->threads[i];
		uint64_t addr = thread->event.addr;

		if (thread->active && thread->taken && chance(50) && addr >= base && addr < end &&
		    !world_has(program, sorts, addr))
			return addr;
	}
	while (world_has(program, sorts, base + number * ADDRESS_BYTES))
		number = (number + 1) % ADDRESSES;
	return base + number * ADDRESS_BYTES;
}

struct item *world_item(struct program *program, const struct event *event)
{
	for (int i = 0; i < ITEMS - 1; i++) {
		struct item *item = &program->items[i];

		if (item->used)
			continue;
		*item = (struct item) { .used = true, .addr = event->addr, .size = event->size, .opens = 1 };
		item->context = item->pool = NONE;
		item->memory = ++last_memory;
		item->joined = ++last_joined;
		return item;
	}
	return NULL;
}

struct item *world_pick(struct program *program, unsigned int sorts)
{
	int first = (int)roll(ITEMS);

	for (int i = 0; i < ITEMS; i++) {
		struct item *item = &program->items[(first + i) % ITEMS];

		if (!item->used || item->busy || !(1u << item->sort & sorts))
			continue;
		if (item->context == NONE || !program->contexts[item->context].busy)
			return item;
	}
	return NULL;
}

int world_context(const struct program *program)
{
	int first = (int)roll(CONTEXTS);

	for (int i = 0; i < CONTEXTS; i++) {
		const struct world_context *context = &program->contexts[(first + i) % CONTEXTS];

		if (context->alive && !context->busy)
			return (first + i) % CONTEXTS;
	}
	return NONE;
}

bool world_context_quiet(const struct program *program, int context)
{
	for (int i = 0; i < ITEMS; i++) {
		if (program->items[i].used && program->items[i].busy && program->items[i].context == context)
			return false;
	}
	for (int i = 0; i < STREAMS; i++) {
		const struct world_stream *stream = &program->streams[i];

		if (stream->alive && stream->context == context && (stream->captures || stream->frees))
			return false;
	}
	return true;
}

void world_context_gone(struct program *program, int context)
{
	for (int i = 0; i < THREADS; i++) {
		const struct thread *thread = &program->threads[i];

		program->overtaken += thread->active && thread->taken && thread->context == context;
	}
	for (int i = 0; i < ITEMS; i++) {
		if (program->items[i].context == context)
			program->items[i].used = false;
	}
	for (int i = 0; i < STREAMS; i++) {
		if (program->streams[i].thread == NONE && program->streams[i].context == context)
			program->streams[i].alive = false;
	}
}

bool world_captures(const struct program *program)
{
	bool any = false;

	for (int i = 0; i < STREAMS; i++)
		any |= program->streams[i].alive && program->streams[i].captures;
	return any;
}

/* --- calls under way ------------------------------------------------------------------------------------------------------- */

static void take(struct program *program, struct thread *thread)
{
	if (thread->fails)
		thread->undo(program, thread);
	else
		thread->take(program, thread);
	thread->taken = true;
}

static void come_back(struct program *program, struct thread *thread)
{
	thread->active = false;
	if (thread->stream != NONE)
		program->streams[thread->stream].frees--;
	if (thread->fails) {
		thread->event.kind = thread->failed_kind;
		thread->event.result = 1;
	}
	program->thread = (int)(thread - program->threads);
	world_tell(program, &thread->event);
}

bool world_advance(struct program *program)
{
	struct thread *thread = &program->threads[program->thread];

	if (!thread->active)
		return false;
	if (thread->taken) {
		/* It can be held up for long. */
		if (chance(thread->event.row == VT_PROBE_cuCtxDestroy_v2 ? 10 : 60))
			come_back(program, thread);
	} else if (chance(80)) {
		take(program, thread);
	}
	return true;
}

void world_settle(struct program *program)
{
	for (int i = 0; i < THREADS; i++) {
		struct thread *thread = &program->threads[i];

		if (thread->active && !thread->taken)
			take(program, thread);
		if (thread->active)
			come_back(program, thread);
	}
}
