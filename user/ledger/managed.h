/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_MANAGED_H
#define LEDGER_MANAGED_H

#include "ledger/books.h"

/*
 * The live block of that kind, at an address, that contains addr. A scan of the books where neither its start nor an earlier answer
 * helps.
 */
bool block_at(const struct call *call, uint64_t addr, enum vt_kind kind, struct block *ret_block);

#endif
