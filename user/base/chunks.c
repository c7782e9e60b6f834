/* SPDX-License-Identifier: Apache-2.0 */
#include "base/chunks.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/poison.h"

static size_t taken; /* also those that are kept */

/* What goes and comes again soon costs no page: the last ones are kept. Of those that are too many the first is leaving. */
#define CHUNKS_LEAVING 16
#define STEP_BYTES (CHUNK_BYTES / 4) /* where a page takes longest to leave, 0.1 ms */
static void *kept[CHUNKS_KEPT + CHUNKS_LEAVING];
static size_t kept_count;
static size_t left_bytes; /* of the first */

#ifdef __SANITIZE_ADDRESS__

/* Each by itself: the sanitizer watches it, and finds the leaks. */
static void *take(void)
{
	void *chunk;

	return posix_memalign(&chunk, CHUNK_BYTES, CHUNK_BYTES) ? NULL : chunk;
}

static void give_pages(void *pages, size_t bytes)
{
	(void)pages;
	(void)bytes;
}

static void give(void *chunk)
{
	free(chunk);
}

#else

/*
 * A mapping, of which a process has no more than some 65,000: it begins at a multiple of its size, and its head fills the first chunk. It
 * stays until the end: without pages it costs its head and a table of them, and to unmap it can take milliseconds.
 */
#define REGION_BYTES (2u << 20)
#define ALL_UNUSED ((1ULL << (REGION_BYTES / CHUNK_BYTES)) - 2)

struct region {
	struct region *next; /* of those with an unused chunk */
	uint64_t unused;     /* a bit for each chunk but the first */
};

static struct region *roomy;

static struct region *region_of(void *chunk)
{
	return (struct region *)((uintptr_t)chunk & ~(uintptr_t)(REGION_BYTES - 1));
}

static void link_region(struct region *region)
{
	region->next = roomy;
	roomy = region;
}

/*
 * The highest that fits: so regions that come one after the other are one mapping to the kernel. In pages of the usual size, for a large
 * one takes its time to be cleared, and to be cut when a part of it goes.
 */
static void add_region(void)
{
	char *memory = mmap(NULL, 2 * REGION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct region *region;
	size_t before;

	if (memory == MAP_FAILED)
		return;
	region = region_of(memory + REGION_BYTES);
	before = (size_t)((char *)region - memory);
	/* What cannot be cut off is address space, not memory. */
	if (before)
		(void)munmap(memory, before);
	if (before < REGION_BYTES)
		(void)munmap((char *)region + REGION_BYTES, REGION_BYTES - before);
	(void)madvise(region, REGION_BYTES, MADV_NOHUGEPAGE);
	region->unused = ALL_UNUSED;
	link_region(region);
}

static void *take(void)
{
	struct region *region;
	uint64_t lowest;

	if (!roomy)
		add_region();
	region = roomy;
	if (!region)
		return NULL;
	lowest = region->unused & -region->unused;
	region->unused -= lowest;
	if (!region->unused)
		roomy = region->next;
	return (char *)region + (size_t)__builtin_ctzll(lowest) * CHUNK_BYTES;
}

/* Refused where memory is locked: then they stay. */
static void give_pages(void *pages, size_t bytes)
{
	(void)madvise(pages, bytes, MADV_DONTNEED);
}

static void give(void *chunk)
{
	struct region *region = region_of(chunk);
	size_t number = (size_t)((char *)chunk - (char *)region) / CHUNK_BYTES;

	if (!region->unused)
		link_region(region);
	region->unused |= 1ULL << number;
}

#endif

void *chunk_take(void)
{
	void *chunk;

	if (kept_count) {
		chunk = kept[--kept_count];
		kept[kept_count] = NULL;
		left_bytes = kept_count ? left_bytes : 0;
		UNPOISON(chunk, CHUNK_BYTES);
		return chunk;
	}
	chunk = take();
	taken += chunk != NULL;
	return chunk;
}

static void leave(size_t bytes)
{
	give_pages((char *)kept[0] + left_bytes, bytes);
	left_bytes += bytes;
	if (left_bytes < CHUNK_BYTES)
		return;
	UNPOISON(kept[0], CHUNK_BYTES);
	give(kept[0]);
	kept[0] = kept[--kept_count];
	kept[kept_count] = NULL;
	left_bytes = 0;
	taken--;
}

void chunks_step(void)
{
	if (kept_count > CHUNKS_KEPT)
		leave(STEP_BYTES);
}

void chunk_give(void *chunk)
{
	if (!chunk)
		return;
	if (kept_count == CHUNKS_KEPT + CHUNKS_LEAVING)
		leave(CHUNK_BYTES - left_bytes);
	POISON(chunk, CHUNK_BYTES);
	kept[kept_count++] = chunk;
}

size_t chunks_taken(void)
{
	return taken - kept_count;
}
