/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FUZZ_LEDGER_RECOUNT_H
#define FUZZ_LEDGER_RECOUNT_H

/* Every sum of a process, counted anew from its blocks; abort() where the ledger's is another. */
#include "ledger_lives.h"

/* Of the processes that have ended so many of the last to come: of the others nothing changes. */
#define ENDED_CHECKED 4

/* Each sum, counted anew. */
struct recount {
	const struct process *process;
	struct tally total, borrowed, virtual, computed, kinds[VT_KIND_COUNT];
	struct tally *callers, *places;
	uint64_t unsized;
};

static void count_block(struct tally *tally, uint64_t bytes)
{
	tally->bytes += bytes;
	tally->count++;
}

static void recount_block(void *ctx, const struct block *block)
{
	struct recount *recount = ctx;

	demand(block->id && block->id <= last_id && lives[block->id] == LIFE_LIVE);
	demand(block->place < recount->process->place_count && block->kind < VT_KIND_COUNT);
	if (block->flags & BLOCK_BORROWED) {
		count_block(&recount->borrowed, block_bytes(block));
		return;
	}
	count_block(&recount->total, block_bytes(block));
	count_block(&recount->kinds[block->kind], block_bytes(block));
	if (block->flags & BLOCK_VIRTUAL)
		count_block(&recount->virtual, block->size);
	recount->unsized += block->flags & BLOCK_UNSIZED ? 1 : 0;
	if (block->flags & BLOCK_COMPUTED)
		count_block(&recount->computed, block_bytes(block));
	if (block->placement == PLACEMENT_VRAM)
		count_block(&recount->places[block->place], block_bytes(block));
	for (size_t i = 0; i < recount->process->caller_count; i++) {
		if (recount->process->by_caller[i].caller == block->caller)
			count_block(&recount->callers[i], block_bytes(block));
	}
}

static void demand_equal(const struct tally *one, const struct tally *other)
{
	demand(one->bytes == other->bytes && one->count == other->count);
}

static void check_cells(const struct process *process)
{
	struct tally total = { 0, 0 }, borrowed = { 0, 0 };

	for (size_t i = 0; i < process->cell_count; i++) {
		const struct cell *cell = &process->cells[i];
		struct tally *sum = cell->borrowed ? &borrowed : &total;

		sum->bytes += cell->slice.live.bytes;
		sum->count += cell->slice.live.count;
		demand(!cell->since_ns == !cell->slice.live.count);
	}
	demand_equal(&total, &process->total.live);
	demand_equal(&borrowed, &process->borrowed);
}

/* Of the blocks of pools those whose pool the call named. */
static void check_pools(const struct process *process)
{
	struct tally sum = { 0, 0 };

	for (size_t i = 0; i < process->pool_count; i++) {
		sum.bytes += process->pools[i].live.bytes;
		sum.count += process->pools[i].live.count;
	}
	demand(sum.count <= process->by_kind[VT_KIND_POOL].live.count);
	demand(sum.count || !sum.bytes);
}

static void check_process(const struct ledger *ledger, const struct process *process)
{
	struct recount recount = {
		.process = process,
		.callers = calloc(process->caller_count + 1, sizeof(struct tally)),
		.places = calloc(process->place_count + 1, sizeof(struct tally)),
	};

	demand(recount.callers && recount.places);
	if (!process->ended)
		ledger_each_block(ledger, process, recount_block, &recount);
	demand_equal(&recount.total, &process->total.live);
	demand_equal(&recount.borrowed, &process->borrowed);
	demand_equal(&recount.virtual, &process->virtual);
	demand_equal(&recount.computed, &process->computed);
	demand(recount.unsized <= process->unsized); /* that count includes those that have gone */
	for (size_t i = 0; i < VT_KIND_COUNT; i++)
		demand_equal(&recount.kinds[i], &process->by_kind[i].live);
	for (size_t i = 0; i < process->caller_count; i++)
		demand_equal(&recount.callers[i], &process->by_caller[i].slice.live);
	for (size_t i = 0; i < process->place_count; i++)
		demand_equal(&recount.places[i], &process->places[i].vram.live);
	check_cells(process);
	check_pools(process);
	free(recount.callers);
	free(recount.places);
}

/* The last of that tgid alone: most calls change no other's. */
static void recount_check_one(const struct ledger *ledger, uint32_t tgid)
{
	for (size_t i = ledger_process_count(ledger); i-- > 0;) {
		if (ledger_process(ledger, i)->tgid != tgid)
			continue;
		check_process(ledger, ledger_process(ledger, i));
		return;
	}
}

static void recount_check(const struct ledger *ledger)
{
	size_t count = ledger_process_count(ledger), ended = 0;

	for (size_t i = count; i-- > 0 && ended < ENDED_CHECKED;) {
		check_process(ledger, ledger_process(ledger, i));
		ended += ledger_process(ledger, i)->ended;
	}
}

#endif
