/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTEXT_CHECKS_H
#define CONTEXT_CHECKS_H

/* Does the ledger say what context_reference.h holds? */
#include "context_reference.h"

/* As the ledger can know it; -1: not. */
static inline int ref_gpu(const struct ref *ref, const struct ref_block *block)
{
	if (block->via >= 0 && !block->sure && !ref->contexts[block->via].known)
		return -1;
	return ref->told[block->device] ? gpu_of(ref, block->device) : -1;
}

static inline enum placement ref_placement(const struct ref_block *block)
{
	if (block->kind == VT_KIND_MANAGED)
		return PLACEMENT_MIGRATABLE;
	return block->device == ON_HOST ? PLACEMENT_HOST : PLACEMENT_VRAM;
}

/* By GPU, the last one for memory of no GPU that we know. */
static inline void check_vram(const struct ref *ref, const struct process *process)
{
	uint64_t bytes[GPUS + 1] = { 0 };

	for (int i = 0; i < BLOCKS; i++) {
		const struct ref_block *block = &ref->blocks[i];

		if (block->used && !block->is_virtual && ref_placement(block) == PLACEMENT_VRAM)
			bytes[ref_gpu(ref, block) < 0 ? GPUS : ref_gpu(ref, block)] += block->size;
	}
	for (size_t i = 0; i < process->place_count; i++) {
		int gpu = ledger_gpu_of(ledger, process, (uint16_t)i);

		CHECK(gpu < GPUS);
		bytes[gpu < 0 ? GPUS : gpu] -= process->places[i].vram.live.bytes;
	}
	for (int i = 0; i <= GPUS; i++)
		CHECK(bytes[i] == 0);
}

static inline void check_pools(const struct ref *ref, const struct process *process)
{
	for (int i = 0; i < POOLS; i++) {
		uint64_t bytes = 0, told = 0;

		for (int j = 0; j < BLOCKS; j++) {
			if (ref->blocks[j].used && ref->blocks[j].pool == i)
				bytes += ref->blocks[j].size;
		}
		for (size_t j = 0; j < process->pool_count; j++) {
			const struct pool *pool = &process->pools[j];

			if (!pool->ended && pool->handle == ref->pools[i].handle)
				told += pool->live.bytes;
		}
		CHECK(told == bytes);
	}
}

static inline void check_sums(const struct ref *ref, uint32_t tgid)
{
	const struct process *process = process_of(tgid);
	uint64_t bytes = 0, virtual = 0, count = 0;

	for (int i = 0; i < BLOCKS; i++) {
		if (!ref->blocks[i].used)
			continue;
		count++;
		*(ref->blocks[i].is_virtual ? &virtual : &bytes) += ref->blocks[i].size;
	}
	CHECK(process->total.live.bytes == bytes);
	CHECK(process->total.live.count == count);
	CHECK(process->virtual.bytes == virtual);
	CHECK(process->maybe_captured == ref->maybe);
	CHECK(process->unmatched_frees == 0 && process->lost == 0);
	check_vram(ref, process);
	check_pools(ref, process);
}

static const struct ref *set_ref;
static const struct process *set_process;
static int set_count;

static inline void check_block(void *ctx, const struct block *block)
{
	const struct ref_block *found = NULL;

	(void)ctx;
	for (int i = 0; i < BLOCKS; i++) {
		if (set_ref->blocks[i].used && set_ref->blocks[i].addr == block->addr)
			found = &set_ref->blocks[i];
	}
	CHECK(found);
	CHECK(found->kind == block->kind && found->size == block->size);
	CHECK(found->is_virtual == !!(block->flags & BLOCK_VIRTUAL));
	CHECK(found->maybe == !!(block->flags & BLOCK_MAYBE_CAPTURED));
	CHECK(ref_placement(found) == block->placement);
	CHECK(!!block->context == (found->context >= 0));
	if (found->device == ON_HOST)
		CHECK(block->place == 0);
	else
		CHECK(ledger_gpu_of(ledger, set_process, block->place) == ref_gpu(set_ref, found));
	set_count--;
}

static inline void check_sets(const struct ref *ref, uint32_t tgid)
{
	set_ref = ref;
	set_process = process_of(tgid);
	set_count = 0;
	for (int i = 0; i < BLOCKS; i++)
		set_count += ref->blocks[i].used;
	ledger_each_block(ledger, set_process, check_block, NULL);
	CHECK(set_count == 0);
}

#endif
