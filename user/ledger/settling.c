/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/settling.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void settlings_fini(struct settlings *settlings)
{
	free(settlings->items);
	*settlings = (struct settlings) { 0 };
}

int settlings_add(struct settlings *settlings, const struct settling *settling)
{
	if (settlings->count == settlings->capacity) {
		size_t capacity = settlings->capacity ? settlings->capacity * 2 : 4;
		struct settling *items = reallocarray(settlings->items, capacity, sizeof(*items));

		if (!items)
			return -ENOMEM;
		settlings->items = items;
		settlings->capacity = capacity;
	}
	settlings->items[settlings->count++] = *settling;
	return 0;
}

static void take(struct settlings *settlings, size_t index, struct block *ret_block)
{
	*ret_block = settlings->items[index].block;
	settlings->count--;
	memmove(&settlings->items[index], &settlings->items[index + 1],
		(settlings->count - index) * sizeof(settlings->items[0]));
}

bool settlings_take(struct settlings *settlings, enum key key, unsigned int kinds, const struct event *event,
		    struct block *ret_block)
{
	for (size_t i = 0; i < settlings->count; i++) {
		const struct settling *settling = &settlings->items[i];

		if (settling->block.addr != event->addr || settling->key != key ||
		    !(kinds & 1u << settling->block.kind) || event->enter_ns < settling->block.alloc_ns ||
		    event->enter_ns >= settling->until_ns)
			continue;
		take(settlings, i, ret_block);
		return true;
	}
	return false;
}

bool settlings_take_context(struct settlings *settlings, uint16_t context, uint64_t before_ns, struct block *ret_block)
{
	for (size_t i = 0; i < settlings->count; i++) {
		const struct block *block = &settlings->items[i].block;

		if (block->context != context || block->alloc_ns > before_ns)
			continue;
		take(settlings, i, ret_block);
		return true;
	}
	return false;
}

bool settlings_have_context(const struct settlings *settlings, uint16_t context)
{
	bool have = false;

	for (size_t i = 0; i < settlings->count; i++)
		have |= settlings->items[i].block.context == context;
	return have;
}

bool settlings_take_oldest(struct settlings *settlings, struct block *ret_block)
{
	if (!settlings->count)
		return false;
	take(settlings, 0, ret_block);
	return true;
}
