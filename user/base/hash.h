/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

/* Of keys that a hostile program may choose: with secrets of its own for each table. */
struct hash {
	uint64_t secrets[2];
};

void hash_init(struct hash *hash);

/* Both halves of a product with secrets in both factors, then once more for the low bits. */
static inline uint64_t hash_of(const struct hash *hash, uint64_t key)
{
	unsigned __int128 product = (unsigned __int128)(key ^ hash->secrets[0]) * (hash->secrets[1] | 1);
	uint64_t mixed = ((uint64_t)product ^ (uint64_t)(product >> 64)) * 0x9e3779b97f4a7c15ULL;

	return mixed ^ mixed >> 32;
}

#endif
