/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_BLOCK_H
#define VRAMSIM_BLOCK_H

/*
 * The blocks of this process by address, and where their memory comes from: addresses of an arena for device, array and pool
 * memory, which the GPU is charged for; real memory of the host for managed and pinned memory, which it is not (NVML shows
 * neither); the program's own memory, registered; and addresses alone for what is another's. Thread-safe.
 */
#include <stdint.h>

struct pool;

enum block_kind {
	BLOCK_DEVICE = 1,
	BLOCK_POOL = 2,
	BLOCK_MANAGED = 4,
	BLOCK_PINNED = 8,
	BLOCK_REGISTERED = 16,
	BLOCK_ARRAY = 32,
	BLOCK_IMPORTED = 64, /* opened by a handle of another process */
	BLOCK_VIEW = 128,    /* a buffer of external memory */
};

#define BLOCK_ANY 255
#define BLOCK_HOST (BLOCK_PINNED | BLOCK_REGISTERED)

struct block {
	uint64_t addr;
	uint64_t bytes; /* as asked for */
	uint64_t takes; /* of the arena; 0: bytes */
	enum block_kind kind;
	int gpu;	     /* or CARD_HOST */
	const void *context; /* that it goes with; NULL: none */
	struct pool *pool;   /* of BLOCK_POOL */
	uint64_t object;     /* on the card, 0: nobody else can have it */
	unsigned int opens;  /* of BLOCK_IMPORTED */
};

/*
 * Makes a block and fills its addr in; that of BLOCK_REGISTERED is given. -ENOMEM: the GPU, or the host, has no room. -EEXIST:
 * registered, or pinned, already.
 */
int block_make(struct block *block);

/* Frees the block that begins at @addr, if its kind is one of @kinds. -ENOENT otherwise. */
int block_drop(uint64_t addr, unsigned int kinds, struct block *ret_block);

/* The block that begins at @addr. -ENOENT. */
int block_find_base(uint64_t addr, struct block *ret_block);

/* The block of one of @kinds in which @addr lies; slow. -ENOENT. */
int block_find(uint64_t addr, unsigned int kinds, struct block *ret_block);

/* The block that begins at @addr can be had by others now, as @object. Returns the object that it has: the first stays. */
uint64_t block_set_object(uint64_t addr, uint64_t object);

/* Opens the import of @object that there is once more. -ENOENT: there is none. */
int block_open_again(uint64_t object, struct block *ret_block);

/* Closes an import once; with the last it goes. -ENOENT: none begins there. */
int block_close(uint64_t addr, struct block *ret_block);

/* Frees all that goes with @context; fn is told of each. */
typedef void block_fn(void *ctx, const struct block *block);
void block_drop_context(const void *context, block_fn *fn, void *ctx);

#endif
