/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger [BLOCKS]: what the ledger costs in bytes, in time and in pauses, by ledger_apply() (no root). BLOCKS are alive at once, a million
 * unless told; the table grows on to four times as many.
 *
 * Each kind of memory has a process of its own, so that none finds the heap of another. What the machine itself needs is measured beside
 * it: the same walk with no ledger, an event copied, the clock read around nothing. A target that is missed is said and is no failure.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "ledger/books.h"
#include "ledger/blocks.h"
#include "pauses.h"

#define TGID 10
#define CONTEXT 0x5500
#define STREAM 0x8800
#define BLOCK_BYTES (2ull << 20)
#define FIRST_ADDR 0x7f0000000000ull
#define CALLERS 8
#define ROUNDS 2
#define TARGET_BYTES 96.0
#define TARGET_PAIR_NS 150.0
#define TARGET_PAUSE_MS 1.0

struct stage {
	struct ledger *ledger;
	const struct kind *kind;
	struct caller callers[CALLERS];
	struct event event;
	uint64_t *addrs; /* of live blocks, in no order */
	size_t count;
	uint64_t made; /* blocks so far */
	uint64_t notices;
	uint64_t dice;
	struct clocks *clocks; /* NULL: they are not read */
};

struct kind {
	const char *name;
	void (*in)(struct stage *stage, uint64_t addr);
	void (*out)(struct stage *stage, uint64_t addr);
};

/* What the process of one kind found out; shared with the one that prints. */
struct result {
	double heap_bytes; /* per block, at BLOCKS */
	double resident_bytes;
	double heap_bytes_grown; /* at four times as many */
	double pair_ns;
	double after_drain_bytes; /* in all */
	double exit_ns;		  /* per block, of the one event that ends a process with all of them */
	struct clocks growing[ROUNDS];
	struct clocks draining[ROUNDS];
};

struct floors {
	double walk_ns; /* a random block picked and exchanged, nothing else */
	double copy_ns; /* two events copied */
	double blocks_ns;
	double books_ns;
	struct clocks nothing[ROUNDS];
};

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
	ledger_apply(stage->ledger, event, &stage->callers[addr / BLOCK_BYTES % CALLERS]);
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

/* Blocks and books: the same walk on the table, and on table and sums, without ledger_apply(). */
static struct blocks table;

static void table_in(struct stage *stage, uint64_t addr)
{
	struct entry *entry = blocks_add(&table, KEY_ADDRESS, addr);

	(void)stage;
	if (entry)
		entry->kind = VT_KIND_DEVICE;
}

static void table_out(struct stage *stage, uint64_t addr)
{
	(void)stage;
	blocks_remove(&table, blocks_find(&table, KEY_ADDRESS, addr));
}

static void books_in(struct stage *stage, uint64_t addr)
{
	struct block block = { .addr = addr, .size = BLOCK_BYTES, .alloc_ns = 1, .kind = VT_KIND_DEVICE };

	block.caller = &stage->callers[addr / BLOCK_BYTES % CALLERS];
	books_put(processes_find(&stage->ledger->processes, TGID), KEY_ADDRESS, &block);
}

static void books_out(struct stage *stage, uint64_t addr)
{
	struct block block;

	books_take(processes_find(&stage->ledger->processes, TGID), KEY_ADDRESS, addr, &block);
}

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

static void open_stage(struct stage *stage, const struct kind *kind, uint64_t *addrs)
{
	static const struct ledger_gpu gpu = { 0, "GPU-11111111-1111-1111-1111-111111111111" };
	static char names[CALLERS][16];
	struct ledger_settings settings = {
		.driver_probed = true, .gpus = &gpu, .gpu_count = 1, .fn = hear, .ctx = stage
	};

	*stage = (struct stage) { .kind = kind, .addrs = addrs, .dice = 0x9e3779b97f4a7c15 };
	for (size_t i = 0; i < CALLERS; i++) {
		snprintf(names[i], sizeof(names[i]), "/lib%zu.so!f", i);
		stage->callers[i] = (struct caller) { .module = names[i], .name = names[i], .id = (uint32_t)i };
	}
	if (ledger_new(&settings, &stage->ledger) < 0)
		abort();
	stage->event =
		(struct event) { .tgid = TGID, .tid = TGID, .size = BLOCK_BYTES, .context = CONTEXT, .time_ns = 1000 };
	apply(stage, EVENT_DONE, VT_PROBE_cuDevicePrimaryCtxRetain, CONTEXT, 0);
	apply(stage, EVENT_DONE, VT_PROBE_cuStreamCreate, STREAM, 0);
}

static void close_stage(struct stage *stage)
{
	ledger_free(stage->ledger);
	malloc_trim(0);
}

static void grow(struct stage *stage, size_t count)
{
	while (stage->count < count) {
		stage->addrs[stage->count] = FIRST_ADDR + stage->made++ * BLOCK_BYTES;
		stage->kind->in(stage, stage->addrs[stage->count++]);
	}
}

/* In random order. */
static void drain(struct stage *stage)
{
	while (stage->count) {
		size_t i = roll(stage, stage->count);
		uint64_t addr = stage->addrs[i];

		stage->addrs[i] = stage->addrs[--stage->count];
		stage->kind->out(stage, addr);
	}
}

/* Nanoseconds of the thread's own time for one block out and one in, at as many as there are. */
static double exchange(struct stage *stage, size_t pairs)
{
	uint64_t start_ns = own_ns();

	for (size_t n = 0; n < pairs; n++) {
		size_t i = roll(stage, stage->count);

		stage->kind->out(stage, stage->addrs[i]);
		stage->addrs[i] = FIRST_ADDR + stage->made++ * BLOCK_BYTES;
		stage->kind->in(stage, stage->addrs[i]);
	}
	return (double)(own_ns() - start_ns) / (double)pairs;
}

/* The least of some rounds: others who use the machine can only make it more. */
static double least_exchange(struct stage *stage)
{
	double least = exchange(stage, stage->count / 2);

	for (int i = 1; i < ROUNDS; i++) {
		double ns = exchange(stage, stage->count / 2);

		least = ns < least ? ns : least;
	}
	return least;
}

struct memory_use {
	double heap;
	double resident;
};

static struct memory_use memory_use(void)
{
	struct mallinfo2 heap = mallinfo2();
	unsigned long pages = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file || fscanf(file, "%lu %lu", &pages, &resident) != 2)
		abort();
	fclose(file);
	return (struct memory_use) { .heap = (double)(heap.uordblks + heap.hblkhd),
				     .resident = (double)resident * (double)sysconf(_SC_PAGESIZE) };
}

static void measure_kind(const struct kind *kind, uint64_t *addrs, size_t blocks, struct result *result)
{
	struct memory_use empty = memory_use(), full;
	uint64_t start_ns;
	struct stage stage;

	open_stage(&stage, kind, addrs);
	grow(&stage, blocks);
	full = memory_use();
	result->heap_bytes = (full.heap - empty.heap) / (double)blocks;
	result->resident_bytes = (full.resident - empty.resident) / (double)blocks;
	result->pair_ns = least_exchange(&stage);
	close_stage(&stage);
	for (int i = 0; i < ROUNDS; i++) {
		open_stage(&stage, kind, addrs);
		stage.clocks = &result->growing[i];
		clocks_start(stage.clocks);
		grow(&stage, 4 * blocks);
		result->heap_bytes_grown = (memory_use().heap - empty.heap) / (4.0 * (double)blocks);
		stage.clocks = &result->draining[i];
		clocks_start(stage.clocks);
		drain(&stage);
		result->after_drain_bytes = memory_use().heap - empty.heap;
		close_stage(&stage);
	}
	open_stage(&stage, kind, addrs);
	grow(&stage, blocks);
	stage.event.kind = EVENT_EXIT;
	start_ns = own_ns();
	ledger_apply(stage.ledger, &stage.event, NULL);
	result->exit_ns = (double)(own_ns() - start_ns) / (double)blocks;
	close_stage(&stage);
}

static double floor_of(void (*in)(struct stage *, uint64_t), void (*out)(struct stage *, uint64_t), uint64_t *addrs,
		       size_t blocks)
{
	const struct kind kind = { "floor", in, out };
	struct stage stage;
	double ns;

	open_stage(&stage, &kind, addrs);
	grow(&stage, blocks);
	ns = least_exchange(&stage);
	close_stage(&stage);
	return ns;
}

static void measure_floors(uint64_t *addrs, size_t blocks, struct floors *floors)
{
	floors->walk_ns = floor_of(nothing, nothing, addrs, blocks);
	floors->copy_ns = floor_of(copy_event, copy_event, addrs, blocks) - floors->walk_ns;
	blocks_init(&table);
	floors->blocks_ns = floor_of(table_in, table_out, addrs, blocks);
	blocks_fini(&table);
	floors->books_ns = floor_of(books_in, books_out, addrs, blocks);
	for (int i = 0; i < ROUNDS; i++) {
		clocks_start(&floors->nothing[i]);
		for (size_t n = 0; n < 4 * blocks; n++)
			clocks_add(&floors->nothing[i], clock_mono_ns());
	}
}

/* What it does is done in another process. */
static void *shared(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED) {
		perror("ledger: mmap");
		exit(1);
	}
	return memory;
}

static void wait_for(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "ledger: a measurement failed\n");
		exit(1);
	}
}

/* The round that others disturbed least: a pause that the code makes is in every one. */
static const struct clocks *quietest(const struct clocks rounds[ROUNDS])
{
	const struct clocks *quietest = &rounds[0];

	for (int i = 1; i < ROUNDS; i++) {
		if (rounds[i].own.longest[0] < quietest->own.longest[0])
			quietest = &rounds[i];
	}
	return quietest;
}

static void print_pauses(const char *name, const char *what, const struct pauses *pauses)
{
	printf("  %-8s %-9s", name, what);
	printf(" %7.0f %7.0f %7.0f %8.0f |", pauses_part(pauses, 0.5), pauses_part(pauses, 0.99),
	       pauses_part(pauses, 0.999), pauses_part(pauses, 0.9999));
	for (int i = 0; i < PAUSES_LONGEST; i++)
		printf(" %8.1f", (double)pauses->longest[i] / 1000);
	printf("\n");
}

static void print_rounds(const char *name, const char *what, const struct clocks rounds[ROUNDS])
{
	print_pauses(name, what, &quietest(rounds)->wall);
	print_pauses("", " own time", &quietest(rounds)->own);
}

static double longest_ms(const struct clocks rounds[ROUNDS])
{
	return (double)quietest(rounds)->own.longest[0] / 1e6;
}

static void print_costs(const struct kind *kinds, const struct result *results, size_t count)
{
	printf("  %-8s %10s %10s %12s %14s %12s %12s\n", "kind", "heap B", "RSS B", "heap B at 4x", "out and in ns",
	       "at exit ns", "drained MiB");
	for (size_t i = 0; i < count; i++)
		printf("  %-8s %10.1f %10.1f %12.1f %14.1f %12.1f %12.1f\n", kinds[i].name, results[i].heap_bytes,
		       results[i].resident_bytes, results[i].heap_bytes_grown, results[i].pair_ns, results[i].exit_ns,
		       results[i].after_drain_bytes / (1 << 20));
}

static void print_all_pauses(const struct kind *kinds, const struct result *results, size_t count, size_t blocks)
{
	printf("\none ledger_apply(), 0 -> %zu -> 0 blocks, the quietest of %d rounds: nanoseconds, on the wall and of "
	       "the\n"
	       "thread's own time, that all calls but a part kept to; the longest ones in microseconds\n",
	       4 * blocks, ROUNDS);
	printf("  %-18s %7s %7s %7s %8s |\n", "", "half", "1 %", "0.1 %", "0.01 %");
	for (size_t i = 0; i < count; i++) {
		print_rounds(kinds[i].name, "growing", results[i].growing);
		print_rounds(kinds[i].name, "draining", results[i].draining);
	}
}

static void judge(const char *kind, const char *what, double value, double limit, const char *unit)
{
	char name[64];

	snprintf(name, sizeof(name), "%s: %s", kind, what);
	printf("  %s %-44s %10.2f %s <= %g %s\n", value <= limit ? "met   " : "missed", name, value, unit, limit, unit);
}

static void print_verdicts(const struct kind *kinds, const struct result *results, size_t count)
{
	printf("\ntargets (bytes: of RSS; times: the thread's own)\n");
	for (size_t i = 0; i < count; i++) {
		judge(kinds[i].name, "bytes per live block, all in", results[i].resident_bytes, TARGET_BYTES, "B");
		judge(kinds[i].name, "insert + erase", results[i].pair_ns, TARGET_PAIR_NS, "ns");
		judge(kinds[i].name, "longest pause, growing", longest_ms(results[i].growing), 1, "ms");
		judge(kinds[i].name, "longest pause, draining", longest_ms(results[i].draining), 1, "ms");
	}
}

int main(int argc, char **argv)
{
	static const struct kind kinds[] = {
		{ "device", device_in, device_out },
		{ "pool", pool_in, pool_out },
		{ "array", array_in, array_out },
		{ "vmm", vmm_in, vmm_out },
	};
	size_t blocks = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
	struct result *results = shared(ARRAY_SIZE(kinds) * sizeof(*results));
	struct floors *floors = shared(sizeof(*floors));
	uint64_t *addrs = shared(4 * (blocks + 1) * sizeof(*addrs));
	pid_t pid;

	for (size_t i = 0; i <= ARRAY_SIZE(kinds); i++) {
		pid = fork();
		if (pid == 0) {
			if (i < ARRAY_SIZE(kinds))
				measure_kind(&kinds[i], addrs, blocks, &results[i]);
			else
				measure_floors(addrs, blocks, floors);
			_exit(0);
		}
		wait_for(pid);
	}
	printf("the ledger at %zu live blocks, per block (vmm: created and mapped)\n", blocks);
	print_costs(kinds, results, ARRAY_SIZE(kinds));
	printf("  floors, out and in: the walk %.1f ns, two events copied %.1f ns, the table alone %.1f ns, table and "
	       "sums %.1f ns\n",
	       floors->walk_ns, floors->copy_ns, floors->blocks_ns, floors->books_ns);
	print_all_pauses(kinds, results, ARRAY_SIZE(kinds), blocks);
	print_rounds("nothing", "(clocks)", floors->nothing);
	print_verdicts(kinds, results, ARRAY_SIZE(kinds));
	return 0;
}
