/* SPDX-License-Identifier: Apache-2.0 */
#include "stage.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "ledger/account.h"

#define TGID 10
#define CONTEXT 0x5500
#define STREAM 0x8800
#define BLOCK_BYTES (2ull << 20)
#define FIRST_ADDR 0x7f0000000000ull
#define TURNS 32   /* pairs of a block that goes and one that comes, in a circle */
#define DRAWN 24   /* of them, for which a place in the list was chosen */
#define SETTLED 6u /* of these, for which it was read */

static void hear(void *ctx, const struct notice *notice)
{
	struct stage *stage = ctx;

	stage->notices += notice->kind != NOTICE_LOST;
	if (notice->kind == NOTICE_LOST) {
		fprintf(stderr, "ledger: an event was lost\n");
		exit(1);
	}
}

static uint64_t roll(struct stage *stage, uint64_t sides)
{
	stage->dice ^= stage->dice << 13;
	stage->dice ^= stage->dice >> 7;
	stage->dice ^= stage->dice << 17;
	return (stage->dice * 0x2545f4914f6cdd1dULL >> 16) % sides;
}

static void apply(struct stage *stage, enum event_kind kind, int row, uint64_t addr, uint64_t a)
{
	struct event *event = &stage->event;
	uint64_t start_ns = 0;

	event->kind = kind;
	event->row = event->outer_row = (uint16_t)row;
	event->addr = addr;
	event->a = a;
	event->enter_ns = event->time_ns + 5;
	event->time_ns += 10;
	if (stage->clocks)
		start_ns = clock_mono_ns();
	ledger_apply(stage->ledger, event, &stage->callers[addr / BLOCK_BYTES % STAGE_CALLERS]);
	if (stage->clocks)
		clocks_add(stage->clocks, start_ns);
}

static void device_in(struct stage *stage, uint64_t addr)
{
	apply(stage, EVENT_ALLOC, VT_PROBE_cuMemAlloc_v2, addr, 0);
}

static void device_out(struct stage *stage, uint64_t addr)
{
	apply(stage, EVENT_FREE, VT_PROBE_cuMemFree_v2, addr, 0);
}

static void pool_in(struct stage *stage, uint64_t addr)
{
	apply(stage, EVENT_ALLOC, VT_PROBE_cuMemAllocAsync, addr, STREAM);
}

static void pool_out(struct stage *stage, uint64_t addr)
{
	apply(stage, EVENT_FREE, VT_PROBE_cuMemFreeAsync, addr, STREAM);
}

static void array_in(struct stage *stage, uint64_t addr)
{
	apply(stage, EVENT_ALLOC, VT_PROBE_cuArrayCreate_v2, addr, 0);
}

static void array_out(struct stage *stage, uint64_t addr)
{
	apply(stage, EVENT_FREE, VT_PROBE_cuArrayDestroy, addr, 0);
}

/* A handle for each mapping, as PyTorch's expandable segments have it. */
static void vmm_in(struct stage *stage, uint64_t addr)
{
	uint64_t handle = addr - FIRST_ADDR + 1;

	apply(stage, EVENT_ALLOC, VT_PROBE_cuMemCreate, handle, VT_LOCATION_DEVICE);
	apply(stage, EVENT_DONE, VT_PROBE_cuMemMap, addr, handle);
}

static void vmm_out(struct stage *stage, uint64_t addr)
{
	apply(stage, EVENT_DONE, VT_PROBE_cuMemUnmap, addr, 0);
	apply(stage, EVENT_DONE, VT_PROBE_cuMemRelease, addr - FIRST_ADDR + 1, 0);
}

static void soon(struct stage *stage, int row, uint64_t addr, enum ledger_distance distance)
{
	struct upcoming upcoming = { .tgid = TGID, .row = (uint16_t)row, .addr = addr };

	ledger_expect(stage->ledger, &upcoming, distance);
}

static void device_soon(struct stage *stage, bool in, uint64_t addr, enum ledger_distance distance)
{
	soon(stage, in ? VT_PROBE_cuMemAlloc_v2 : VT_PROBE_cuMemFree_v2, addr, distance);
}

static void pool_soon(struct stage *stage, bool in, uint64_t addr, enum ledger_distance distance)
{
	soon(stage, in ? VT_PROBE_cuMemAllocAsync : VT_PROBE_cuMemFreeAsync, addr, distance);
}

static void array_soon(struct stage *stage, bool in, uint64_t addr, enum ledger_distance distance)
{
	soon(stage, in ? VT_PROBE_cuArrayCreate_v2 : VT_PROBE_cuArrayDestroy, addr, distance);
}

static void vmm_soon(struct stage *stage, bool in, uint64_t addr, enum ledger_distance distance)
{
	soon(stage, in ? VT_PROBE_cuMemCreate : VT_PROBE_cuMemRelease, addr - FIRST_ADDR + 1, distance);
}

const struct kind stage_kinds[] = {
	{ "device", device_in, device_out, device_soon },
	{ "pool", pool_in, pool_out, pool_soon },
	{ "array", array_in, array_out, array_soon },
	{ "vmm", vmm_in, vmm_out, vmm_soon },
	{ 0 },
};

static void nothing(struct stage *stage, uint64_t addr)
{
	(void)stage;
	__asm__ volatile("" : : "r"(addr) : "memory");
}

static void copy_event(struct stage *stage, uint64_t addr)
{
	static struct event copies[64];

	memcpy(&copies[stage->made % ARRAY_SIZE(copies)], &stage->event, sizeof(stage->event));
	__asm__ volatile("" : : "r"(copies), "r"(addr) : "memory");
}

const struct kind stage_walk = { "walk", nothing, nothing, NULL };
const struct kind stage_copy = { "copy", copy_event, copy_event, NULL };

/*
 * What finding alone costs: blocks of the same size in one array that is large enough from the start, half full, each where its hash says or
 * in the next free place, and moved back when one before it goes. It has no secret, cannot grow, and pauses nobody.
 */
static struct {
	struct entry *entries;
	size_t mask;
} flat;

static size_t flat_home(uint64_t addr)
{
	return (size_t)((addr * 0x9e3779b97f4a7c15ULL) >> 32) & flat.mask;
}

static size_t flat_find(uint64_t addr)
{
	size_t i = flat_home(addr);

	while (flat.entries[i].addr && flat.entries[i].addr != addr)
		i = (i + 1) & flat.mask;
	return i;
}

static void flat_in(struct stage *stage, uint64_t addr)
{
	(void)stage;
	flat.entries[flat_find(addr)] = (struct entry) { .addr = addr, .size = BLOCK_BYTES, .kind = VT_KIND_DEVICE };
}

static void flat_out(struct stage *stage, uint64_t addr)
{
	size_t hole = flat_find(addr);

	(void)stage;
	for (size_t i = (hole + 1) & flat.mask; flat.entries[i].addr; i = (i + 1) & flat.mask) {
		if (((i - flat_home(flat.entries[i].addr)) & flat.mask) < ((i - hole) & flat.mask))
			continue;
		flat.entries[hole] = flat.entries[i];
		hole = i;
	}
	flat.entries[hole].addr = 0;
}

static void flat_soon(struct stage *stage, bool in, uint64_t addr, enum ledger_distance distance)
{
	(void)stage;
	(void)in;
	if (distance == LEDGER_FAR)
		__builtin_prefetch(&flat.entries[flat_home(addr)], 1);
}

const struct kind stage_flat = { "flat", flat_in, flat_out, flat_soon };

/* Blocks and books: the same walk on the table, and on table and sums, without ledger_apply(). */
static struct blocks table;

static void blocks_in(struct stage *stage, uint64_t addr)
{
	struct entry *entry = blocks_add(&table, KEY_ADDRESS, addr);

	(void)stage;
	if (!entry)
		abort();
	entry->size = BLOCK_BYTES;
	entry->kind = VT_KIND_DEVICE;
}

static void blocks_out(struct stage *stage, uint64_t addr)
{
	(void)stage;
	blocks_remove(&table, blocks_find(&table, KEY_ADDRESS, addr));
}

static void blocks_soon(struct stage *stage, bool in, uint64_t addr, enum ledger_distance distance)
{
	(void)stage;
	if (distance == LEDGER_FAR)
		blocks_expect_bucket(&table, KEY_ADDRESS, addr);
	else if (!in)
		blocks_expect_entry(&table, KEY_ADDRESS, addr);
}

const struct kind stage_blocks = { "blocks", blocks_in, blocks_out, blocks_soon };

static void books_in(struct stage *stage, uint64_t addr)
{
	struct block block = { .addr = addr, .size = BLOCK_BYTES, .alloc_ns = 1, .kind = VT_KIND_DEVICE };

	block.caller = &stage->callers[addr / BLOCK_BYTES % STAGE_CALLERS];
	if (books_put(processes_find(&stage->ledger->processes, TGID), KEY_ADDRESS, &block))
		abort();
}

static void books_out(struct stage *stage, uint64_t addr)
{
	struct block block;

	books_take(processes_find(&stage->ledger->processes, TGID), KEY_ADDRESS, addr, &block);
}

const struct kind stage_books = { "books", books_in, books_out, device_soon };

void *stage_shared(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED) {
		perror("ledger: mmap");
		exit(1);
	}
	return memory;
}

void stage_open(struct stage *stage, const struct kind *kind, uint64_t *addrs, size_t blocks)
{
	static const struct ledger_gpu gpu = { 0, "GPU-11111111-1111-1111-1111-111111111111" };
	static char names[STAGE_CALLERS][16];
	struct ledger_settings settings = {
		.driver_probed = true, .gpus = &gpu, .gpu_count = 1, .fn = hear, .ctx = stage
	};

	*stage = (struct stage) { .kind = kind, .addrs = addrs, .dice = 0x9e3779b97f4a7c15 };
	for (size_t i = 0; i < STAGE_CALLERS; i++) {
		snprintf(names[i], sizeof(names[i]), "/lib%zu.so!f", i);
		stage->callers[i] = (struct caller) { .module = names[i], .name = names[i], .id = (uint32_t)i };
	}
	if (ledger_new(&settings, &stage->ledger) < 0)
		abort();
	stage->event =
		(struct event) { .tgid = TGID, .tid = TGID, .size = BLOCK_BYTES, .context = CONTEXT, .time_ns = 1000 };
	apply(stage, EVENT_DONE, VT_PROBE_cuDevicePrimaryCtxRetain, CONTEXT, 0);
	apply(stage, EVENT_DONE, VT_PROBE_cuStreamCreate, STREAM, 0);
	if (kind == &stage_blocks)
		blocks_init(&table);
	if (kind != &stage_flat)
		return;
	for (flat.mask = 1; flat.mask < 2 * blocks;)
		flat.mask *= 2;
	flat.entries = aligned_alloc(sizeof(*flat.entries), flat.mask * sizeof(*flat.entries));
	if (!flat.entries)
		abort();
	memset(flat.entries, 0, flat.mask * sizeof(*flat.entries));
	flat.mask--;
}

void stage_close(struct stage *stage)
{
	if (stage->kind == &stage_blocks)
		blocks_fini(&table);
	ledger_free(stage->ledger);
	malloc_trim(0);
}

void stage_grow(struct stage *stage, size_t count)
{
	while (stage->count < count) {
		stage->addrs[stage->count] = FIRST_ADDR + stage->made++ * BLOCK_BYTES;
		stage->kind->in(stage, stage->addrs[stage->count++]);
	}
}

void stage_drain(struct stage *stage)
{
	while (stage->count) {
		size_t i = roll(stage, stage->count);
		uint64_t addr = stage->addrs[i];

		stage->addrs[i] = stage->addrs[--stage->count];
		stage->kind->out(stage, addr);
	}
}

/* A block that goes and one that comes. */
struct turn {
	size_t place; /* in addrs: drawn early, so that the list itself is not waited for */
	uint64_t out;
	uint64_t in;
};

static void draw(struct stage *stage, struct turn *turn)
{
	turn->place = roll(stage, stage->count);
	__builtin_prefetch(&stage->addrs[turn->place], 1);
}

static void settle(struct stage *stage, struct turn *turn)
{
	turn->out = stage->addrs[turn->place];
	turn->in = stage->addrs[turn->place] = FIRST_ADDR + stage->made++ * BLOCK_BYTES;
}

static void tell(struct stage *stage, const struct turn *turn, enum ledger_distance distance)
{
	stage->kind->soon(stage, false, turn->out, distance);
	stage->kind->soon(stage, true, turn->in, distance);
}

/* As the ring's reader says it, before each fourth event: those at 8 to 11 from here are far, those at 4 to 7 near. */
static void tell_group(struct stage *stage, const struct turn *turns, size_t n)
{
	tell(stage, &turns[(n + 4) % TURNS], LEDGER_FAR);
	tell(stage, &turns[(n + 5) % TURNS], LEDGER_FAR);
	tell(stage, &turns[(n + 2) % TURNS], LEDGER_NEAR);
	tell(stage, &turns[(n + 3) % TURNS], LEDGER_NEAR);
}

double stage_exchange(struct stage *stage, size_t pairs, bool waiting)
{
	struct turn turns[TURNS] = { 0 };
	uint64_t start_ns;

	for (size_t n = 0; n < DRAWN; n++)
		draw(stage, &turns[n]);
	for (size_t n = 0; n < SETTLED; n++)
		settle(stage, &turns[n]);
	start_ns = own_ns();
	for (size_t n = 0; n < pairs; n++) {
		draw(stage, &turns[(n + DRAWN) % TURNS]);
		settle(stage, &turns[(n + SETTLED) % TURNS]);
		if (waiting && stage->kind->soon && n % 2 == 0)
			tell_group(stage, turns, n);
		stage->kind->out(stage, turns[n % TURNS].out);
		stage->kind->in(stage, turns[n % TURNS].in);
	}
	start_ns = own_ns() - start_ns;
	for (size_t n = pairs; n < pairs + SETTLED; n++) {
		stage->kind->out(stage, turns[n % TURNS].out);
		stage->kind->in(stage, turns[n % TURNS].in);
	}
	return (double)start_ns / (double)pairs;
}

void stage_exit(struct stage *stage)
{
	stage->event.kind = EVENT_EXIT;
	ledger_apply(stage->ledger, &stage->event, NULL);
}
