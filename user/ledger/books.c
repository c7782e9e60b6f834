/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/books.h"

#include <errno.h>
#include <stdlib.h>

#include "ledger/account.h"
#include "probe/table.h"

enum key key_of_kind(enum vt_kind kind)
{
	switch (kind) {
	case VT_KIND_ARRAY:
		return KEY_ARRAY;
	case VT_KIND_VMM:
		return KEY_VMM;
	default:
		return KEY_ADDRESS;
	}
}

static struct books *books_make(struct process *process)
{
	struct own *own = own_of(process);

	if (!own->books) {
		own->books = calloc(1, sizeof(*own->books));
		if (!own->books)
			return NULL;
		blocks_init(&own->books->blocks);
		sums_init(&own->books->sums);
	}
	return own->books;
}

void books_fini(struct process *process)
{
	struct own *own = own_of(process);

	if (!own->books)
		return;
	blocks_fini(&own->books->blocks);
	sums_fini(&own->books->sums);
	settlings_fini(&own->books->settlings);
	free(own->books);
	own->books = NULL;
}

static void show(const struct process *process, const struct entry *restrict entry, struct block *restrict ret_block)
{
	*ret_block = (struct block) {
		.addr = entry->addr,
		.size = entry->size,
		.id = entry->id,
		.alloc_ns = entry->alloc_ns,
		.caller = entry->caller ? process->by_caller[entry->caller - 1].caller : NULL,
		.kind = entry->kind,
		.placement = entry->placement,
		.place = entry->place,
		.context = entry->context,
		.pool = entry->pool,
		.flags = entry->flags,
	};
}

static void fill(struct entry *entry, const struct block *block)
{
	entry->size = block->size;
	entry->id = block->id;
	entry->alloc_ns = block->alloc_ns;
	entry->context = block->context;
	entry->place = block->place;
	entry->pool = block->pool;
	entry->kind = (uint8_t)block->kind;
	entry->placement = (uint8_t)block->placement;
	entry->flags = block->flags;
}

static void tally(struct tally *tally, uint64_t bytes, int sign)
{
	tally->bytes += sign > 0 ? bytes : -bytes;
	tally->count += sign > 0 ? 1 : -(uint64_t)1;
}

/* Sums of which there is only what is live. sign: 1 or -1. */
static void tally_block(struct process *process, const struct block *block, int sign)
{
	if (block->flags & BLOCK_BORROWED) {
		tally(&process->borrowed, block_bytes(block), sign);
		return;
	}
	if (block->flags & BLOCK_COMPUTED)
		tally(&process->computed, block_bytes(block), sign);
	if (block->flags & BLOCK_VIRTUAL)
		tally(&process->virtual, block->size, sign);
}

/* A block that goes keeps its mark upon the totals: peaks and what was allocated are too low for good. */
static bool is_unsized(const struct block *block)
{
	return (block->flags & (BLOCK_UNSIZED | BLOCK_BORROWED)) == BLOCK_UNSIZED;
}

/* The block is in its cell. */
static void see_cell(struct process *process, const struct block *block, uint32_t cell)
{
	struct cell *seen = &process->cells[cell];

	if (!seen->since_ns)
		seen->since_ns = block->alloc_ns ? block->alloc_ns : 1;
	if (block->flags & BLOCK_COMPUTED)
		seen->computed = true;
}

static void leave_cell(struct process *process, uint32_t cell)
{
	if (!process->cells[cell].slice.live.count)
		process->cells[cell].since_ns = 0;
}

static void count_in(struct process *process, const struct block *block, const struct entry *entry)
{
	sums_enter(process, block, entry->caller, entry->cell);
	tally_block(process, block, 1);
	process->unsized += is_unsized(block);
	see_cell(process, block, entry->cell);
}

static void count_out(struct process *process, const struct block *block, const struct entry *entry, bool held)
{
	sums_leave(process, block, entry->caller, entry->cell, held);
	tally_block(process, block, -1);
	leave_cell(process, entry->cell);
}

/* Without such a place it is at none that we know. copy: where it is put, if it must be changed. */
static const struct block *at_known_place(const struct process *process, const struct block *block, struct block *copy)
{
	if (block->place < process->place_count)
		return block;
	*copy = *block;
	copy->place = 0;
	return copy;
}

int books_put(struct process *process, enum key key, const struct block *put)
{
	struct block copy;
	const struct block *block = at_known_place(process, put, &copy);
	struct books *books = books_make(process);
	struct entry *entry;
	uint32_t caller, cell;

	if (!books || sums_caller(process, &books->sums, block->caller, &caller) < 0 ||
	    sums_cell(process, &books->sums, block, caller, &cell) < 0)
		return -ENOMEM;
	entry = blocks_add(&books->blocks, (uint8_t)key, block->addr);
	if (!entry)
		return -ENOMEM;
	fill(entry, block);
	entry->caller = caller;
	entry->cell = cell;
	count_in(process, block, entry);
	return 0;
}

static struct entry *find(const struct process *process, enum key key, uint64_t addr)
{
	struct books *books = own_of(process)->books;

	return books ? blocks_find(&books->blocks, (uint8_t)key, addr) : NULL;
}

bool books_get(const struct process *process, enum key key, uint64_t addr, struct block *ret_block)
{
	const struct entry *entry = find(process, key, addr);

	if (entry)
		show(process, entry, ret_block);
	return entry;
}

static void take(struct process *process, struct entry *entry, bool held, struct block *ret_block)
{
	show(process, entry, ret_block);
	count_out(process, ret_block, entry, held);
	blocks_remove(&own_of(process)->books->blocks, entry);
}

bool books_take(struct process *process, enum key key, uint64_t addr, struct block *ret_block)
{
	struct entry *entry = find(process, key, addr);

	if (entry)
		take(process, entry, false, ret_block);
	return entry;
}

bool books_take_held(struct process *process, enum key key, uint64_t addr, struct block *ret_block)
{
	struct entry *entry = find(process, key, addr);

	if (entry)
		take(process, entry, true, ret_block);
	return entry;
}

int books_change(struct process *process, enum key key, const struct block *changed)
{
	struct block old, copy;
	const struct block *block = at_known_place(process, changed, &copy);
	struct entry *entry = find(process, key, block->addr);
	uint32_t old_cell, cell;

	if (!entry)
		return 0;
	if (sums_cell(process, &own_of(process)->books->sums, block, entry->caller, &cell) < 0)
		return -ENOMEM;
	show(process, entry, &old);
	old_cell = entry->cell;
	sums_change(process, &old, old_cell, block, cell, entry->caller);
	tally_block(process, &old, -1);
	tally_block(process, block, 1);
	process->unsized += is_unsized(block);
	process->unsized -= is_unsized(&old);
	fill(entry, block);
	entry->cell = cell;
	leave_cell(process, old_cell);
	see_cell(process, block, cell);
	return 0;
}

void books_move(struct process *process, enum key key, uint64_t addr, uint64_t new_addr)
{
	struct entry *entry = find(process, key, addr);

	if (entry)
		blocks_move(&own_of(process)->books->blocks, entry, new_addr);
}

void books_expect(const struct process *process, const struct upcoming *upcoming, enum ledger_distance distance)
{
	const struct books *books = own_of(process)->books;
	const struct probe_row *row = probe_row(upcoming->row);
	uint64_t addr = row->op == VT_OP_MAP ? upcoming->a : upcoming->addr;

	if (!books)
		return;
	if (distance == LEDGER_FAR)
		blocks_expect_bucket(&books->blocks, (uint8_t)key_of_kind(row->kind), addr);
	else
		blocks_expect_entry(&books->blocks, (uint8_t)key_of_kind(row->kind), addr);
}

static int by_id(const void *left, const void *right)
{
	const struct picked *a = left, *b = right;

	return (a->block.id > b->block.id) - (a->block.id < b->block.id);
}

int books_pick(const struct process *process, pick_fn *pick, void *ctx, struct picked **ret_blocks, size_t *ret_count)
{
	const struct books *books = own_of(process)->books;
	size_t count = 0, capacity = 0;
	struct picked *picked = NULL;
	struct entry *entry;

	for (size_t i = 0; books && (entry = blocks_next(&books->blocks, &i));) {
		struct block block;

		show(process, entry, &block);
		if (pick && !pick(ctx, entry->key, &block))
			continue;
		if (count == capacity) {
			struct picked *grown;

			capacity = capacity ? capacity * 2 : 16;
			grown = reallocarray(picked, capacity, sizeof(*picked));
			if (!grown) {
				free(picked);
				return -ENOMEM;
			}
			picked = grown;
		}
		picked[count++] = (struct picked) { entry->key, block };
	}
	if (count)
		qsort(picked, count, sizeof(*picked), by_id);
	*ret_blocks = picked;
	*ret_count = count;
	return 0;
}

/* A million of them go at once: by less than a whole block each. */
struct numbered {
	uint64_t id;
	struct entry *entry;
};

static int by_number(const void *left, const void *right)
{
	const struct numbered *a = left, *b = right;

	return (a->id > b->id) - (a->id < b->id);
}

static void drain_one(struct process *process, struct entry *entry, drained_fn *fn, void *ctx)
{
	struct block block;

	take(process, entry, true, &block);
	fn(ctx, &block);
}

void books_drain(struct process *process, drained_fn *fn, void *ctx)
{
	struct books *books = own_of(process)->books;
	struct numbered *numbered;
	struct entry *entry;
	size_t count = 0;

	if (!books || !books->blocks.count)
		return;
	numbered = calloc(books->blocks.count, sizeof(*numbered));
	for (size_t i = 0; (entry = blocks_next(&books->blocks, &i));) {
		if (numbered)
			numbered[count++] = (struct numbered) { entry->id, entry };
		else
			drain_one(process, entry, fn, ctx);
	}
	if (count)
		qsort(numbered, count, sizeof(*numbered), by_number);
	for (size_t i = 0; i < count; i++)
		drain_one(process, numbered[i].entry, fn, ctx);
	free(numbered);
}

int books_request(struct process *process, enum vt_kind kind, const struct caller *caller, uint64_t bytes)
{
	struct books *books = books_make(process);
	uint32_t index;

	if (!books || sums_caller(process, &books->sums, caller, &index) < 0)
		return -ENOMEM;
	slice_request(&process->total, bytes);
	slice_request(&process->by_kind[kind], bytes);
	if (index)
		slice_request(&process->by_caller[index - 1].slice, bytes);
	return 0;
}

struct settlings *books_settlings(struct process *process)
{
	struct own *own = own_of(process);

	return own->books ? &own->books->settlings : NULL;
}

void ledger_each_block(const struct ledger *ledger, const struct process *process, block_fn *fn, void *ctx)
{
	const struct books *books = own_of(process)->books;
	const struct entry *entry;

	(void)ledger;
	for (size_t i = 0; books && (entry = blocks_next(&books->blocks, &i));) {
		struct block block;

		show(process, entry, &block);
		fn(ctx, &block);
	}
}
