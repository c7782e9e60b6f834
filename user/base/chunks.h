/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CHUNKS_H
#define BASE_CHUNKS_H

#include <stddef.h>

/*
 * Memory for many small things, apart from malloc()'s: there a free() at the top of the heap gives back all that is free below it,
 * hundreds of MB at once. Here the pages of a chunk go when it is given back, and no more than them; but for a few that are kept.
 * For one thread.
 */
#define CHUNK_BYTES 65536u
#define CHUNKS_KEPT 16

void *chunk_take(void);	      /* aligned to its own size; not cleared. NULL: out of memory */
void chunk_give(void *chunk); /* NULL is safe */
void chunks_step(void); /* some pages of one that was given back: whoever gives small things back says it each time */
size_t chunks_taken(void); /* how many there are now */

#endif
