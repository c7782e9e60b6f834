/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* Where nothing was lost, and no call is under way, the ledger must hold what the programs do. */

struct truth {
	struct tally total, borrowed, kinds[VT_KIND_COUNT];
	uint64_t virtual, vram[GPUS + 1]; /* by GPU; imports are where their exporter's GPU was known */
};

static const enum vt_kind kind_of_sort[SORT_COUNT] = {
	[SORT_DEVICE] = VT_KIND_DEVICE,	    [SORT_MANAGED] = VT_KIND_MANAGED,
	[SORT_PINNED] = VT_KIND_PINNED,	    [SORT_REGISTERED] = VT_KIND_REGISTERED,
	[SORT_ARRAY] = VT_KIND_ARRAY,	    [SORT_NODE] = VT_KIND_GRAPH,
	[SORT_POOL] = VT_KIND_POOL,	    [SORT_VMM] = VT_KIND_VMM,
	[SORT_IPC] = VT_KIND_IMPORTED,	    [SORT_POOL_POINTER] = VT_KIND_IMPORTED,
	[SORT_EXTERNAL] = VT_KIND_IMPORTED, [SORT_BUFFER] = VT_KIND_IMPORTED,
};

static enum vt_kind kind_of(const struct item *item)
{
	if (item->is_import)
		return VT_KIND_IMPORTED;
	return item->sort == SORT_POOL && item->is_virtual ? VT_KIND_GRAPH : kind_of_sort[item->sort];
}

/* Whoever came first has it counted. */
static bool is_borrowed(const struct item *item)
{
	for (int i = 0; i < PROGRAMS; i++) {
		for (int j = 0; j < ITEMS; j++) {
			const struct item *other = &programs[i].items[j];

			if (other->used && other->memory == item->memory && other->joined < item->joined)
				return true;
		}
	}
	return false;
}

static void add(struct tally *tally, uint64_t bytes)
{
	tally->bytes += bytes;
	tally->count++;
}

static struct truth truth_of(const struct program *program)
{
	struct truth truth = { .virtual = 0 };

	for (int i = 0; i < ITEMS; i++) {
		const struct item *item = &program->items[i];
		uint64_t bytes = item->is_virtual ? 0 : item->size;

		if (!item->used)
			continue;
		if (is_borrowed(item)) {
			add(&truth.borrowed, bytes);
			continue;
		}
		add(&truth.total, bytes);
		add(&truth.kinds[kind_of(item)], bytes);
		truth.virtual += item->is_virtual ? item->size : 0;
		if (!item->is_host && !item->is_migratable && !item->is_import && !item->is_checkpointed &&
		    program->told[item->ordinal])
			truth.vram[world_gpu(program, item->ordinal)] += bytes;
	}
	return truth;
}

static void add_vram(void *ctx, const struct block *block)
{
	uint64_t *by_place = ctx;

	if (block->placement == PLACEMENT_VRAM && block->kind != VT_KIND_IMPORTED)
		by_place[block->place] += block_bytes(block);
}

static void compare_vram(const struct truth *truth, const struct process *process)
{
	uint64_t by_place[256] = { 0 }, by_gpu[GPUS + 1] = { 0 };

	ledger_each_block(model.ledger, process, add_vram, by_place);
	for (size_t i = 0; i < process->place_count; i++) {
		int gpu = ledger_gpu_of(model.ledger, process, (uint16_t)i);

		if (gpu >= 0)
			by_gpu[gpu] += by_place[i];
	}
	for (int i = 0; i <= GPUS; i++)
		CHECK(by_gpu[i] == truth->vram[i]);
}

static void same(const struct tally *shown, const struct tally *truth)
{
	if (shown->bytes != truth->bytes || shown->count != truth->count)
		model_note("shown %llu bytes in %llu, in truth %llu in %llu", (unsigned long long)shown->bytes,
			   (unsigned long long)shown->count, (unsigned long long)truth->bytes,
			   (unsigned long long)truth->count);
	CHECK(shown->bytes == truth->bytes);
	CHECK(shown->count == truth->count);
}

static const struct process *shown(const struct program *program)
{
	for (size_t i = ledger_process_count(model.ledger); i-- > 0;) {
		const struct process *process = ledger_process(model.ledger, i);

		if (process->tgid == program->tgid && !process->ended)
			return process;
	}
	return NULL;
}

static void compare(const struct program *program)
{
	const struct truth truth = truth_of(program);
	const struct process *process = shown(program);

	if (!process) {
		CHECK(!truth.total.count && !truth.borrowed.count);
		return;
	}
	for (int i = 0; i < VT_KIND_COUNT; i++)
		same(&process->by_kind[i].live, &truth.kinds[i]);
	same(&process->total.live, &truth.total);
	same(&process->borrowed, &truth.borrowed);
	CHECK(process->virtual.bytes == truth.virtual);
	CHECK(process->unmatched_frees >= program->unmatched);
	CHECK(process->unmatched_frees <= program->unmatched + program->overtaken);
	/* With one GPU everything is on that; a late one's contexts are where nobody knows. */
	if (model.gpu_count > 1 && !program->is_late)
		compare_vram(&truth, process);
}

void world_compare(void)
{
	bool is_blurred = false;

	for (int i = 0; i < PROGRAMS; i++) {
		world_settle(&programs[i]);
		is_blurred |= programs[i].is_blurred;
	}
	for (int i = 0; !is_blurred && i < PROGRAMS; i++)
		compare(&programs[i]);
}
