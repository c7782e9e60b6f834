/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SLABS_H
#define BASE_SLABS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Small things of one size, of which there may be millions. malloc() would add 8 to 16 bytes to each; and glibc keeps small chunks that
 * were freed in lists that it clears all at once (3 s for 4 million), whenever it comes across a large one.
 */
struct slabs {
	struct slab_head *roomy; /* slabs with an unused item */
	struct slab_head *spare; /* an empty one, kept */
};

void *slabs_take(struct slabs *slabs,
		 uint32_t bytes); /* as in every call for these slabs; not cleared. NULL: out of memory */
void slabs_give(struct slabs *slabs, void *item); /* NULL is safe */
void slabs_fini(struct slabs *slabs);		  /* all items were given back; safe on a zeroed object */

#endif
