/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_RANGES_H
#define LEDGER_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slabs.h"

/*
 * Disjoint address ranges, each with a value. A tree whose leaves hold up to 15 of them, by address (a B+-tree): a search costs a few
 * cache lines at a million, no choice of addresses by a hostile program makes it deep, and nothing is ever moved at once.
 */
struct range {
	uint64_t addr;
	uint64_t size; /* at least 1; addr + size is at most 2^64 */
	uint64_t since_ns;
	void *value;
};

struct ranges {
	void *root;
	unsigned int height; /* of the root above the leaves */
	struct slabs nodes;
	size_t count;
};

void ranges_fini(struct ranges *ranges); /* empty afterwards; safe on a zeroed object. Values belong to the caller */

uint64_t ranges_last(uint64_t addr, uint64_t size); /* its last address, at most UINT64_MAX; size at least 1 */

/* 0, -ENOMEM, -EINVAL (nothing, or beyond the last address), -EEXIST: something stands there. */
int ranges_add(struct ranges *ranges, const struct range *range);

/* The first range that has an address from `addr` on; it contains addr if its own is not above. */
bool ranges_next(const struct ranges *ranges, uint64_t addr, struct range *ret_range);
bool ranges_find(const struct ranges *ranges, uint64_t addr, struct range *ret_range); /* the one that contains addr */

/* Nothing stands there afterwards; what only reaches into it keeps the rest, as two ranges if need be. 0 or -ENOMEM: unchanged. */
int ranges_remove(struct ranges *ranges, uint64_t addr, uint64_t size);

#endif
