/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYMBOL_RANGE_H
#define SYMBOL_RANGE_H

#include "symbol/space.h"

/* Sorted ranges with shared ownership; space.c is the only user. spaces: whose totals and strings they count in. */

struct space *space_share(struct space *space); /* NULL is safe */
void space_release(struct spaces *spaces, struct space *space);

/* Index of the first range that ends behind the address. */
uint32_t space_search(const struct space *space, uint64_t address);

/*
 * Puts a range in place of whatever it overlaps; takes over the reference to its path, also on failure. range->path NULL only clears.
 * *space may be NULL or shared and is replaced by a private one then. 0, -ENOMEM, -E2BIG (a bound is reached; nothing changed).
 */
int space_put(struct spaces *spaces, struct space **space, const struct range *range);

#endif
