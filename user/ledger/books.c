/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/books.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_ENTRIES 1024

struct arena_chunk {
	struct arena_chunk *next;
	struct entry entries[CHUNK_ENTRIES];
};

void arena_fini(struct arena *arena)
{
	struct arena_chunk *chunk, *next;

	for (chunk = arena->chunks; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	*arena = (struct arena) { NULL, NULL };
}

struct entry *arena_get(struct arena *arena)
{
	struct entry *entry;

	if (!arena->unused) {
		struct arena_chunk *chunk = malloc(sizeof(*chunk));

		if (!chunk)
			return NULL;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
		for (size_t i = CHUNK_ENTRIES; i-- > 0;)
			arena_put(arena, &chunk->entries[i]);
	}
	entry = arena->unused;
	arena->unused = entry->next;
	return entry;
}

void arena_put(struct arena *arena, struct entry *entry)
{
	entry->next = arena->unused;
	arena->unused = entry;
}

struct books *books_of(const struct process *process)
{
	return process->books;
}

static int grow_callers(struct process *process)
{
	struct books *books = books_of(process);
	size_t capacity = books->caller_capacity ? books->caller_capacity * 2 : 8;
	struct caller_slice *slices = reallocarray(process->by_caller, capacity, sizeof(*slices));

	if (!slices)
		return -ENOMEM;
	process->by_caller = slices;
	books->caller_capacity = capacity;
	return 0;
}

int books_slice(struct process *process, const struct caller *caller, uint64_t *ret_slice)
{
	struct books *books = books_of(process);
	uint64_t key, slice;

	if (!caller) {
		*ret_slice = 0;
		return 0;
	}
	key = (uint64_t)caller->id + 1;
	slice = (uintptr_t)map_get(&books->callers, key);
	if (slice) {
		*ret_slice = slice;
		return 0;
	}
	if (process->caller_count == books->caller_capacity && grow_callers(process) < 0)
		return -ENOMEM;
	slice = process->caller_count + 1;
	if (map_put(&books->callers, key, (void *)(uintptr_t)slice, NULL) < 0)
		return -ENOMEM;
	process->by_caller[process->caller_count++] = (struct caller_slice) { .caller = caller };
	*ret_slice = slice;
	return 0;
}

static void slice_add(struct slice *slice, uint64_t bytes)
{
	slice->live.bytes += bytes;
	slice->live.count++;
	slice->allocated.bytes += bytes;
	slice->allocated.count++;
	if (slice->live.bytes > slice->peak_bytes)
		slice->peak_bytes = slice->live.bytes;
}

static void slice_sub(struct slice *slice, uint64_t bytes)
{
	slice->live.bytes -= bytes;
	slice->live.count--;
}

static void slice_held(struct slice *slice, uint64_t bytes)
{
	slice->at_exit.bytes += bytes;
	slice->at_exit.count++;
}

/* The slices that a block counts in, one function for each direction. */
static void each_slice(struct process *process, const struct entry *entry, void (*fn)(struct slice *, uint64_t))
{
	fn(&process->total, entry->block.size);
	fn(&process->by_kind[entry->block.kind], entry->block.size);
	if (entry->slice)
		fn(&process->by_caller[entry->slice - 1].slice, entry->block.size);
}

void books_add(struct process *process, const struct entry *entry)
{
	each_slice(process, entry, slice_add);
}

void books_sub(struct process *process, const struct entry *entry)
{
	each_slice(process, entry, slice_sub);
}

void books_held(struct process *process, const struct entry *entry)
{
	each_slice(process, entry, slice_held);
}

/* What a program asks for is any number: the sum stays at the top instead of starting anew. */
static void slice_request(struct slice *slice, uint64_t bytes)
{
	if (__builtin_add_overflow(slice->allocated.bytes, bytes, &slice->allocated.bytes))
		slice->allocated.bytes = UINT64_MAX;
	slice->allocated.count++;
}

void books_request(struct process *process, enum vt_kind kind, uint64_t slice, uint64_t bytes)
{
	slice_request(&process->total, bytes);
	slice_request(&process->by_kind[kind], bytes);
	if (slice)
		slice_request(&process->by_caller[slice - 1].slice, bytes);
}

int books_settle(struct process *process, const struct settling *settling)
{
	struct books *books = books_of(process);

	if (books->settling_count == books->settling_capacity) {
		size_t capacity = books->settling_capacity ? books->settling_capacity * 2 : 4;
		struct settling *items = reallocarray(books->settling, capacity, sizeof(*items));

		if (!items)
			return -ENOMEM;
		books->settling = items;
		books->settling_capacity = capacity;
	}
	books->settling[books->settling_count++] = *settling;
	return 0;
}

static void take(struct books *books, size_t index, struct block *ret_block)
{
	*ret_block = books->settling[index].block;
	books->settling_count--;
	memmove(&books->settling[index], &books->settling[index + 1],
		(books->settling_count - index) * sizeof(books->settling[0]));
}

bool books_settled(struct process *process, uint64_t addr, uint64_t enter_ns, struct block *ret_block)
{
	struct books *books = books_of(process);

	for (size_t i = 0; i < books->settling_count; i++) {
		const struct settling *settling = &books->settling[i];

		if (settling->block.addr != addr || enter_ns < settling->block.alloc_ns ||
		    enter_ns >= settling->until_ns)
			continue;
		take(books, i, ret_block);
		return true;
	}
	return false;
}

void books_settle_oldest(struct process *process, struct block *ret_block)
{
	take(books_of(process), 0, ret_block);
}
