/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rules.h"

/*
 * Memory that several processes have: whoever came first has it counted, of those that still have it. What a token stands for is known as
 * long as one has it.
 */
static struct token {
	uint64_t value;
	int memory;
} tokens[4096];
static int token_count, memory_count;
static int memory_gpu[1 << 16]; /* where it was last seen; -1: not known */

void rule_shares_clear(void)
{
	token_count = memory_count = 0;
}

struct having {
	struct ref *ref;
	struct ref_block *block;
};

/* The first that has the memory. block NULL: nobody. */
static struct having first_having(int memory)
{
	struct having first = { NULL, NULL };

	for (size_t i = 0; i < refs.count; i++) {
		struct ref *ref = refs.items[i];

		for (int j = 0; !ref->ended && j < ref->block_count; j++) {
			struct ref_block *block = &ref->blocks[j];

			if (block->memory == memory && (!first.block || block->joined < first.block->joined))
				first = (struct having) { ref, block };
		}
	}
	return first;
}

static int count_having(int memory)
{
	int count = 0;

	for (size_t i = 0; i < refs.count; i++) {
		for (int j = 0; j < refs.items[i]->block_count; j++)
			count += refs.items[i]->blocks[j].memory == memory;
	}
	return count;
}

bool rule_is_first(const struct ref_block *block)
{
	return !block->memory || first_having(block->memory).block == block;
}

bool rule_has_others(const struct ref_block *block)
{
	return block->memory && count_having(block->memory) > 1;
}

static void see(int memory)
{
	struct having first = first_having(memory);
	int gpu = ref_gpu(first.ref, first.block->where);

	if (gpu >= 0)
		memory_gpu[memory] = gpu;
}

void rule_left(struct ref *ref, struct ref_block *block)
{
	int memory = block->memory;
	struct having first;

	(void)ref;
	if (!memory)
		return;
	block->memory = 0;
	first = first_having(memory);
	if (!first.block || !(first.block->flags & BLOCK_BORROWED))
		return;
	first.block->flags &= (uint8_t)~BLOCK_BORROWED;
	first.ref->touched = true;
	ref_expect(NOTICE_TAKEN, first.block->id, 0);
	see(memory);
}

static void forget_tokens(void)
{
	int kept = 0;

	for (int i = 0; i < token_count; i++) {
		if (first_having(tokens[i].memory).block)
			tokens[kept++] = tokens[i];
	}
	token_count = kept;
}

static void name(uint64_t token, int memory)
{
	if (!token)
		return;
	for (int i = 0; i < token_count; i++) {
		if (tokens[i].value == token) {
			tokens[i].memory = memory;
			return;
		}
	}
	if (token_count >= 100)
		forget_tokens();
	CHECK(token_count < (int)(sizeof(tokens) / sizeof(tokens[0])));
	tokens[token_count++] = (struct token) { token, memory };
}

static int find_memory(uint64_t token)
{
	for (int i = 0; i < token_count; i++) {
		if (token && tokens[i].value == token)
			return first_having(tokens[i].memory).block ? tokens[i].memory : 0;
	}
	return 0;
}

static void join(struct ref_block *block, int memory)
{
	if (!memory) {
		memory = ++memory_count;
		CHECK(memory < (int)(sizeof(memory_gpu) / sizeof(memory_gpu[0])));
		memory_gpu[memory] = -1;
	}
	block->memory = memory;
	block->joined = ++refs.last_memory;
}

static struct ref_block *find_exported(const struct rule *rule)
{
	const struct event *event = rule->event;
	struct ref_block *block;

	if (rule->row->shape == VT_SHAPE_SHARE_OUT) {
		block = rule_handle(rule->ref, event->addr, event->time_ns);
		if ((uint32_t)event->b == VT_HANDLE_TYPE_FD)
			rule_descriptor_new(rule, block, (uint32_t)(event->b >> 32));
		return block && block->state == REF_LIVE ? block : NULL;
	}
	for (int i = 0; i < rule->ref->block_count; i++) {
		block = &rule->ref->blocks[i];
		if (block->state == REF_LIVE && block->space == BY_ADDRESS && block->kind == rule->row->kind &&
		    event->addr >= block->addr && event->addr - block->addr < block->size)
			return block;
	}
	return NULL;
}

void rule_export(const struct rule *rule)
{
	struct ref_block *block;

	if (rule->row->shape == VT_SHAPE_SHARE_OUT && rule->row->kind != VT_KIND_VMM)
		return; /* a pool is no block */
	block = find_exported(rule);
	if (!block)
		return;
	if (!block->memory)
		join(block, 0);
	name(rule->event->a, block->memory);
	see(block->memory);
	block->flags |= BLOCK_EXPORTED;
	ref_expect(NOTICE_EXPORT, block->id, 0);
}

/* The same memory by the same name once more. */
static bool is_again(const struct rule *rule, int memory)
{
	struct ref_block *block;

	if (!memory)
		return false;
	if (rule->row->shape == VT_SHAPE_SHARE_IN) {
		block = rule_handle(rule->ref, rule->event->addr, rule->event->time_ns);
		if (!block || block->displaced || !rule_is_used(rule->ref, block) || block->memory != memory)
			return false;
		block->references++;
		return true;
	}
	block = rule_find(rule->ref, BY_ADDRESS, rule->event->addr);
	if (rule->row->shape != VT_SHAPE_TOKEN_VALUE || !block || block->kind != VT_KIND_IMPORTED ||
	    block->memory != memory)
		return false;
	block->opens++;
	return true;
}

/* By the importer's own names: its context, or whatever it has on that GPU. */
static int where_of_gpu(struct ref *ref, int gpu, int where)
{
	if (gpu < 0 || ref_gpu(ref, where) == gpu)
		return where;
	for (int i = 0; i < ref->where_count; i++) {
		if (ref_gpu(ref, i) == gpu)
			return i;
	}
	return -1;
}

static struct ref_block imported(const struct rule *rule, int memory)
{
	struct ref_block block = rule_block(rule, rule->row->kind);
	const struct ref_block *first;

	block.kind = VT_KIND_IMPORTED;
	block.space = rule->row->shape == VT_SHAPE_SHARE_IN   ? BY_HANDLE
		      : rule->row->shape == VT_SHAPE_EXTERNAL ? BY_EXTERNAL
							      : BY_ADDRESS;
	if (block.space == BY_HANDLE || rule->row->kind == VT_KIND_POOL)
		block.context = 0;
	block.placement = block.space == BY_ADDRESS ? PLACEMENT_VRAM : PLACEMENT_UNKNOWN;
	first = memory ? first_having(memory).block : NULL;
	if (first && first->size)
		block.size = first->size;
	if (!block.size)
		block.flags = BLOCK_UNSIZED;
	if (!memory)
		return block;
	block.placement = first->placement;
	block.where = block.placement == PLACEMENT_HOST ? -1 : where_of_gpu(rule->ref, memory_gpu[memory], block.where);
	block.flags |= BLOCK_BORROWED | (first->flags & BLOCK_VIRTUAL);
	return block;
}

void rule_import(const struct rule *rule)
{
	int memory = find_memory(rule->event->a);
	struct ref_block block, *put;

	if (rule->row->shape == VT_SHAPE_SHARE_IN && rule->row->kind != VT_KIND_VMM) {
		rule_stream(rule);
		return;
	}
	if (!rule->event->addr) {
		block = rule_block(rule, rule->row->kind);
		rule_alloc(rule, &block);
		return;
	}
	if (is_again(rule, memory))
		return;
	if (memory)
		see(memory);
	block = imported(rule, memory);
	put = block.space == BY_HANDLE ? rule_handle_new(rule, &block) : rule_alloc(rule, &block);
	/* What stood in its way may have been the last that had the memory. */
	if (memory && !first_having(memory).block) {
		put->flags &= (uint8_t)~BLOCK_BORROWED;
		put->was_borrowed = true;
		memory = 0;
	}
	join(put, memory);
	name(rule->event->a, put->memory);
	see(put->memory);
}
