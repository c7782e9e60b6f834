/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

void pages_give_back(void *memory, size_t bytes)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)memory, end = start + bytes;
	uintptr_t before = start % page ? page - start % page : 0;

	end -= end % page;
	if (before < bytes && start + before < end)
		(void)madvise((char *)memory + before, end - (start + before), MADV_DONTNEED);
}
