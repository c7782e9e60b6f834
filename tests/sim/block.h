/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_BLOCK_H
#define VRAMSIM_BLOCK_H

/*
 * The blocks of this process by address, and where their memory comes from: addresses of an arena
 * for device and pool memory, which the card is charged for; real memory of the host for managed
 * and pinned memory, which it is not (NVML shows neither). Thread-safe. A context must exist
 * (card_join).
 */
#include <stdint.h>

enum block_kind {
	BLOCK_DEVICE = 1,
	BLOCK_POOL = 2,
	BLOCK_MANAGED = 4,
	BLOCK_PINNED = 8,
};

struct block {
	uint64_t addr;
	uint64_t bytes; /* as asked for */
	enum block_kind kind;
};

/* -ENOMEM: the card, or the host, has no room. */
int block_make(enum block_kind kind, uint64_t bytes, uint64_t *ret_addr);

/* Frees the block that begins at @addr, if its kind is one of @kinds. -ENOENT otherwise. */
int block_drop(uint64_t addr, unsigned int kinds, uint64_t *ret_bytes);

/* The block that begins at @addr. -ENOENT. */
int block_find_base(uint64_t addr, struct block *ret_block);

/* The block in which @addr lies; slow. -ENOENT. */
int block_find(uint64_t addr, struct block *ret_block);

/* Frees everything; returns how many bytes that were. */
uint64_t block_drop_all(void);

#endif
