/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger [BLOCKS]: what the ledger costs in bytes, in time and in pauses, by ledger_apply() (no root). BLOCKS are alive at once, a million
 * unless told; the table grows on to four times as many.
 *
 * Each kind of memory has a process of its own, so that none finds the heap of another. What the machine itself needs is measured beside
 * it: the same walk with no ledger, an event copied, blocks in an array that only has to find them, pages touched and given back. A
 * target that is missed is said and is no failure.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/chunks.h"
#include "base/cleanup.h"
#include "stage.h"

#define KINDS_MAX 8
#define ROUNDS 2
#define TARGET_BYTES 96.0
#define TARGET_PAIR_NS 150.0
#define TARGET_PAUSE_MS 1.0
#define PAGE_BYTES 4096u
#define LINES_VISITED 4 /* as many as a call for one block */

struct pair {
	double alone_ns;   /* nobody knows which block comes next */
	double waiting_ns; /* events wait, as in a ring that is not empty */
};

/* What the process of one kind found out; shared with the one that prints. */
struct result {
	double heap_bytes; /* per block, at BLOCKS */
	double resident_bytes;
	double heap_bytes_grown; /* at four times as many */
	struct pair pair;
	double after_drain_bytes; /* in all */
	double exit_ns;		  /* per block, of the one event that ends a process with all of them */
	struct clocks growing[ROUNDS];
	struct clocks draining[ROUNDS];
};

struct floors {
	struct pair walk, copy, flat, blocks, books;
	struct clocks nothing[ROUNDS];
	struct clocks
		visited[ROUNDS]; /* some cache lines of memory that is there already, as large as that of the blocks */
	struct clocks touched[ROUNDS]; /* one page after the other, as many as the blocks take */
	struct clocks given[ROUNDS];   /* and given back, 16 at a time */
};

/* The least of some rounds: others who use the machine can only make it more. */
static double least_exchange(struct stage *stage, bool waiting)
{
	double least = stage_exchange(stage, stage->count / 2, waiting);

	for (int i = 1; i < ROUNDS; i++) {
		double ns = stage_exchange(stage, stage->count / 2, waiting);

		least = ns < least ? ns : least;
	}
	return least;
}

static struct pair pair_of(struct stage *stage)
{
	double alone_ns = least_exchange(stage, false);

	return (struct pair) { alone_ns, least_exchange(stage, true) };
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
	return (struct memory_use) { .heap = (double)(heap.uordblks + heap.hblkhd + chunks_taken() * CHUNK_BYTES),
				     .resident = (double)resident * (double)sysconf(_SC_PAGESIZE) };
}

static void measure_kind(const struct kind *kind, uint64_t *addrs, size_t blocks, struct result *result)
{
	struct memory_use empty = memory_use(), full;
	uint64_t start_ns;
	struct stage stage;

	stage_open(&stage, kind, addrs, blocks);
	stage_grow(&stage, blocks);
	full = memory_use();
	result->heap_bytes = (full.heap - empty.heap) / (double)blocks;
	result->resident_bytes = (full.resident - empty.resident) / (double)blocks;
	result->pair = pair_of(&stage);
	stage_close(&stage);
	for (int i = 0; i < ROUNDS; i++) {
		stage_open(&stage, kind, addrs, blocks);
		stage.clocks = &result->growing[i];
		clocks_start(stage.clocks);
		stage_grow(&stage, 4 * blocks);
		result->heap_bytes_grown = (memory_use().heap - empty.heap) / (4.0 * (double)blocks);
		stage.clocks = &result->draining[i];
		clocks_start(stage.clocks);
		stage_drain(&stage);
		result->after_drain_bytes = memory_use().heap - empty.heap;
		stage_close(&stage);
	}
	stage_open(&stage, kind, addrs, blocks);
	stage_grow(&stage, blocks);
	start_ns = own_ns();
	stage_exit(&stage);
	result->exit_ns = (double)(own_ns() - start_ns) / (double)blocks;
	stage_close(&stage);
}

static struct pair floor_of(const struct kind *kind, uint64_t *addrs, size_t blocks)
{
	struct stage stage;
	struct pair pair;

	stage_open(&stage, kind, addrs, blocks);
	stage_grow(&stage, blocks);
	pair = pair_of(&stage);
	stage_close(&stage);
	return pair;
}

/* The memory is there, and nothing is asked of the kernel: what is long here is the machine's doing. */
static void measure_visits(struct clocks *visited, char *memory, size_t bytes, size_t calls)
{
	uint64_t dice = 1;

	clocks_start(visited);
	for (size_t i = 0; i < calls; i++) {
		uint64_t start_ns = clock_mono_ns();

		for (int line = 0; line < LINES_VISITED; line++) {
			dice = dice * 6364136223846793005u + 1442695040888963407u;
			memory[(dice >> 16) % bytes]++;
		}
		clocks_add(visited, start_ns);
	}
}

static void measure_pages(struct floors *floors, int round, size_t pages, size_t calls)
{
	struct clocks *touched = &floors->touched[round], *given = &floors->given[round];
	char *memory = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	(void)madvise(memory, pages * PAGE_BYTES, MADV_NOHUGEPAGE);
	clocks_start(touched);
	for (size_t i = 0; i < pages; i++) {
		uint64_t start_ns = clock_mono_ns();

		memory[i * PAGE_BYTES] = 1;
		clocks_add(touched, start_ns);
	}
	measure_visits(&floors->visited[round], memory, pages * PAGE_BYTES, calls);
	clocks_start(given);
	for (size_t i = 0; i + 16 <= pages; i += 16) {
		uint64_t start_ns = clock_mono_ns();

		(void)madvise(memory + i * PAGE_BYTES, (size_t)16 * PAGE_BYTES, MADV_DONTNEED);
		clocks_add(given, start_ns);
	}
	munmap(memory, pages * PAGE_BYTES);
}

static void measure_floors(uint64_t *addrs, size_t blocks, struct floors *floors)
{
	floors->walk = floor_of(&stage_walk, addrs, blocks);
	floors->copy = floor_of(&stage_copy, addrs, blocks);
	floors->flat = floor_of(&stage_flat, addrs, blocks);
	floors->blocks = floor_of(&stage_blocks, addrs, blocks);
	floors->books = floor_of(&stage_books, addrs, blocks);
	for (int i = 0; i < ROUNDS; i++) {
		clocks_start(&floors->nothing[i]);
		for (size_t n = 0; n < 4 * blocks; n++)
			clocks_add(&floors->nothing[i], clock_mono_ns());
		measure_pages(floors, i, 4 * blocks * 80 / PAGE_BYTES + 16, 4 * blocks);
	}
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

static void print_costs(const struct kind *kinds, const struct result *results)
{
	printf("  %-8s %8s %8s %13s %22s %11s %12s\n", "kind", "heap B", "RSS B", "heap B at 4x",
	       "out and in ns, waiting", "at exit ns", "drained MiB");
	for (size_t i = 0; kinds[i].name; i++)
		printf("  %-8s %8.1f %8.1f %13.1f %13.1f %8.1f %11.1f %12.1f\n", kinds[i].name, results[i].heap_bytes,
		       results[i].resident_bytes, results[i].heap_bytes_grown, results[i].pair.alone_ns,
		       results[i].pair.waiting_ns, results[i].exit_ns, results[i].after_drain_bytes / (1 << 20));
}

static void print_floor(const char *name, struct pair pair)
{
	printf("  %-46s %6.1f %8.1f\n", name, pair.alone_ns, pair.waiting_ns);
}

static void print_floors(const struct floors *floors)
{
	printf("floors, out and in ns, waiting\n");
	print_floor("the walk over the blocks, nothing else", floors->walk);
	print_floor("two events copied", floors->copy);
	print_floor("blocks in an array that only finds them", floors->flat);
	print_floor("the ledger's table alone", floors->blocks);
	print_floor("table and sums", floors->books);
}

static void print_all_pauses(const struct kind *kinds, const struct result *results, const struct floors *floors,
			     size_t blocks)
{
	printf("\none ledger_apply(), 0 -> %zu -> 0 blocks, the quietest of %d rounds: nanoseconds, on the wall and of "
	       "the\n"
	       "thread's own time, that all calls but a part kept to; the longest ones in microseconds\n",
	       4 * blocks, ROUNDS);
	printf("  %-18s %7s %7s %7s %8s |\n", "", "half", "1 %", "0.1 %", "0.01 %");
	for (size_t i = 0; kinds[i].name; i++) {
		print_rounds(kinds[i].name, "growing", results[i].growing);
		print_rounds(kinds[i].name, "draining", results[i].draining);
	}
	print_rounds("floor", "clocks", floors->nothing);
	print_rounds("floor", "visits", floors->visited);
	print_rounds("floor", "a page", floors->touched);
	print_rounds("floor", "16 given", floors->given);
}

static void judge(const char *kind, const char *what, double value, double limit, const char *unit)
{
	char name[64];

	snprintf(name, sizeof(name), "%s: %s", kind, what);
	printf("  %s %-44s %10.2f %s <= %g %s\n", value <= limit ? "met   " : "missed", name, value, unit, limit, unit);
}

static void print_verdicts(const struct kind *kinds, const struct result *results, const struct floors *floors)
{
	printf("\ntargets (bytes: of RSS; times: the thread's own; insert + erase: where events wait)\n");
	judge("table", "insert + erase", floors->blocks.waiting_ns, TARGET_PAIR_NS, "ns");
	judge("table and sums", "insert + erase", floors->books.waiting_ns, TARGET_PAIR_NS, "ns");
	for (size_t i = 0; kinds[i].name; i++) {
		judge(kinds[i].name, "bytes per live block, all in", results[i].resident_bytes, TARGET_BYTES, "B");
		judge(kinds[i].name, "insert + erase", results[i].pair.waiting_ns, TARGET_PAIR_NS, "ns");
		judge(kinds[i].name, "longest pause, growing", longest_ms(results[i].growing), TARGET_PAUSE_MS, "ms");
		judge(kinds[i].name, "longest pause, draining", longest_ms(results[i].draining), TARGET_PAUSE_MS, "ms");
	}
}

int main(int argc, char **argv)
{
	size_t blocks = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
	struct result *results = stage_shared(KINDS_MAX * sizeof(*results));
	struct floors *floors = stage_shared(sizeof(*floors));
	uint64_t *addrs = stage_shared(4 * (blocks + 1) * sizeof(*addrs));
	size_t count = 0;
	pid_t pid;

	while (stage_kinds[count].name)
		count++;
	for (size_t i = 0; i <= count; i++) {
		pid = fork();
		if (pid == 0) {
			if (i < count)
				measure_kind(&stage_kinds[i], addrs, blocks, &results[i]);
			else
				measure_floors(addrs, blocks, floors);
			_exit(0);
		}
		wait_for(pid);
	}
	printf("the ledger at %zu live blocks, per block (vmm: created and mapped)\n", blocks);
	print_costs(stage_kinds, results);
	print_floors(floors);
	print_all_pauses(stage_kinds, results, floors, blocks);
	print_verdicts(stage_kinds, results, floors);
	return 0;
}
