/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

/*
 * The pages that lie whole in this memory from malloc() go back to the kernel; the memory stays, and those pages read as 0. For what is
 * about to be freed: free() gives back all it can at once, at 0.1 to 0.2 us a page. Refused where memory is locked: then they stay.
 */
void pages_give_back(void *memory, size_t bytes);

#endif
