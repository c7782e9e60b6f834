/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger: random programs that make, map, hand over and give up physical memory and IPC memory, in the order in which a driver would let
 * them, against share_reference.h: all sums after every step, whole sets every thousand.
 */
#include <stdlib.h>

#include "ledger_calls.h"
#include "share_reference.h"

#define STEPS_DEFAULT 100000
#define SLOT_BYTES (1ull << 30)
#define VA_BASE 0x7f0000000000
#define IPC_BASE 0x7e0000000000
#define HANDLE_BASE 0x5000

static uint64_t random_state;
static unsigned long step;
static uint64_t taken, gone_on, displaced, reopened; /* that the run did meet */

static uint64_t roll(uint64_t sides)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state * 0x2545f4914f6cdd1dULL >> 16) % sides;
}

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			fail_msg("step %lu: %s", step, #condition);                                                    \
	} while (0)

static uint32_t tgid_of(int process)
{
	return (uint32_t)process + 10;
}

static uint64_t slot_addr(int slot)
{
	return VA_BASE + (uint64_t)slot * SLOT_BYTES;
}

static int new_memory(uint64_t size)
{
	CHECK(memory_count < MEMORIES);
	memories[memory_count] = (struct memory_ref) { size, 0 };
	return memory_count++;
}

/* One of those that the process has, of that sort; NULL: it has none. */
static struct have *any_have(int process, bool is_ipc)
{
	int at = have_count ? (int)roll((uint64_t)have_count) : 0;

	for (int i = 0; i < have_count; i++) {
		struct have *have = &haves[(at + i) % have_count];

		if (have->process == process && have->is_ipc == is_ipc)
			return have;
	}
	return NULL;
}

static bool is_displaced(int process, uint64_t handle)
{
	for (int i = 0; i < have_count; i++) {
		if (haves[i].process == process && !haves[i].is_ipc && haves[i].handle == handle)
			return true;
	}
	return false;
}

static void do_create(int process)
{
	uint64_t handle = HANDLE_BASE + roll(HANDLES), size = (1 + roll(9)) * MB;

	if (ref_find(process, false, handle))
		return;
	displaced += is_displaced(process, handle);
	create(tgid_of(process), handle, size);
	ref_have(process, new_memory(size), false, handle);
}

static void do_release(int process)
{
	uint64_t handle = HANDLE_BASE + roll(HANDLES);
	struct have *have = ref_find(process, false, handle);

	if (!have || !have->references)
		return;
	have->references--;
	release(tgid_of(process), handle);
}

static void do_map(int process)
{
	int slot = (int)roll(SLOTS);
	struct have *have = ref_find(process, false, HANDLE_BASE + roll(HANDLES));

	if (!have || !have->references || slot_have[process][slot])
		return;
	have->mappings++;
	slot_have[process][slot] = ref_serial(have);
	map_at(tgid_of(process), slot_addr(slot), SLOT_BYTES, have->handle);
}

/* One unmap may take several neighbours. */
static void do_unmap(int process)
{
	int slot = (int)roll(SLOTS), count = 1 + (int)roll(3);

	if (slot + count > SLOTS)
		count = SLOTS - slot;
	for (int i = slot; i < slot + count; i++) {
		if (slot_have[process][i])
			haves[have_of_serial(slot_have[process][i])].mappings--;
		slot_have[process][i] = 0;
	}
	unmap(tgid_of(process), slot_addr(slot), (uint64_t)count * SLOT_BYTES);
}

static void do_retain(int process)
{
	int slot = (int)roll(SLOTS);
	struct have *have;

	if (!slot_have[process][slot])
		return;
	have = &haves[have_of_serial(slot_have[process][slot])];
	have->references++;
	retain(tgid_of(process), have->handle, slot_addr(slot) + roll(SLOT_BYTES));
}

static void do_export(int process)
{
	struct have *have = ref_find(process, false, HANDLE_BASE + roll(HANDLES));
	int descriptor = (int)roll(DESCRIPTORS), old = descriptor_have[process][descriptor];
	struct have *had = old ? &haves[have_of_serial(old)] : NULL;

	if (!have || !have->references)
		return;
	if (had)
		had->descriptors--;
	have->descriptors++;
	descriptor_have[process][descriptor] = ref_serial(have);
	memories[have->memory].token = 1 + roll(UINT32_MAX);
	export_fd(tgid_of(process), have->handle, memories[have->memory].token, (uint32_t)descriptor);
}

static void do_close(int process)
{
	int descriptor = (int)roll(DESCRIPTORS), old = descriptor_have[process][descriptor];

	if (old)
		haves[have_of_serial(old)].descriptors--;
	descriptor_have[process][descriptor] = 0;
	close_fd(tgid_of(process), (uint32_t)descriptor);
}

/* By a handle that is new, or the one by which the process has that memory already: a reference more. */
static void do_import(int process)
{
	const struct have *from = any_have((int)roll(PROCESSES), false);
	uint64_t handle = HANDLE_BASE + roll(HANDLES);
	struct have *have = ref_find(process, false, handle);
	int memory = from ? from->memory : 0;

	if (!from || !memories[memory].token || (have && have->memory != memory))
		return;
	if (have) {
		have->references++;
		reopened++;
	} else {
		displaced += is_displaced(process, handle);
		ref_have(process, memory, false, handle);
	}
	import_fd(tgid_of(process), handle, memories[memory].token);
}

static void do_alloc(int process)
{
	uint64_t addr = IPC_BASE + roll(HANDLES) * SLOT_BYTES, size = (1 + roll(9)) * MB;

	if (ref_find(process, true, addr))
		return;
	alloc(tgid_of(process), addr, size);
	ref_have(process, new_memory(size), true, addr);
}

/* The first of all that have it is the one that made it, or the driver would not give a handle. */
static bool is_maker(const struct have *have)
{
	return have->handle < IPC_BASE + HANDLES * SLOT_BYTES;
}

static void do_ipc_export(int process)
{
	struct have *have = any_have(process, true);
	struct memory_ref *memory;

	if (!have || !is_maker(have))
		return;
	memory = &memories[have->memory];
	if (!memory->token)
		memory->token = (1ull << 40) + 1 + (uint64_t)have->memory;
	ipc_export(tgid_of(process), have->handle + roll(memory->size), memory->token);
}

/* An imported address is the same for the same memory, in a range of its own. */
static void do_ipc_open(int process)
{
	struct have *from = any_have((int)roll(PROCESSES), true), *have;
	uint64_t addr;
	int memory;

	if (!from || !memories[from->memory].token)
		return;
	memory = from->memory;
	addr = IPC_BASE + (HANDLES + (uint64_t)memory) * SLOT_BYTES;
	have = ref_find(process, true, addr);
	if (have) {
		have->references++;
		reopened++;
	} else {
		ref_have(process, memory, true, addr);
	}
	ipc_open(tgid_of(process), addr, memories[memory].token);
}

static void do_ipc_give(int process)
{
	struct have *have = any_have(process, true);

	if (!have)
		return;
	have->references--;
	if (is_maker(have))
		mem_free(tgid_of(process), have->handle);
	else
		ipc_close(tgid_of(process), have->handle);
}

static void do_end(int process)
{
	if (roll(40))
		return;
	ref_end(process);
	life(roll(2) ? EVENT_EXEC : EVENT_EXIT, tgid_of(process));
}

typedef void do_fn(int process);

static void take_step(void)
{
	static do_fn *const things[] = {
		do_create, do_create,	  do_release,  do_release,  do_map,	 do_map,      do_unmap,
		do_retain, do_export,	  do_export,   do_close,    do_import,	 do_import,   do_import,
		do_alloc,  do_ipc_export, do_ipc_open, do_ipc_open, do_ipc_give, do_ipc_give, do_end,
	};

	things[roll(sizeof(things) / sizeof(things[0]))]((int)roll(PROCESSES));
	ref_settle();
	for (size_t i = 0; i < heard_count; i++) {
		taken += heard[i].kind == NOTICE_TAKEN;
		gone_on += heard[i].kind == NOTICE_FREE && heard[i].reason == FREE_EXPORTER_GONE;
		CHECK(heard[i].kind != NOTICE_FREE_UNMATCHED && heard[i].kind != NOTICE_LOST);
	}
}

static void check_sums(void)
{
	for (int i = 0; i < PROCESSES; i++) {
		const struct process *process = process_of(tgid_of(i));
		struct ref_sums sums = ref_sum(i);

		if (!process) {
			CHECK(!sums.live_count && !sums.borrowed_count);
			continue;
		}
		CHECK(process->total.live.bytes == sums.live);
		CHECK(process->total.live.count == sums.live_count);
		CHECK(process->borrowed.bytes == sums.borrowed);
		CHECK(process->borrowed.count == sums.borrowed_count);
	}
}

static int set_process;
static uint64_t set_count;

/* Each block is one of the list's, borrowed or not as that says. */
static void check_block(void *ctx, const struct block *block)
{
	bool is_borrowed = block->flags & BLOCK_BORROWED, found = false;

	(void)ctx;
	set_count++;
	for (int i = 0; i < have_count && !found; i++) {
		const struct have *have = &haves[i];

		found = have->process == set_process &&
			have->handle == (block->addr >> 63 ? have->handle : block->addr) &&
			memories[have->memory].size == block->size && ref_counts(i) == !is_borrowed;
	}
	CHECK(found);
}

static void check_sets(void)
{
	for (int i = 0; i < PROCESSES; i++) {
		const struct process *process = process_of(tgid_of(i));
		struct ref_sums sums = ref_sum(i);

		if (!process)
			continue;
		set_process = i;
		set_count = 0;
		ledger_each_block(ledger, process, check_block, NULL);
		CHECK(set_count == sums.live_count + sums.borrowed_count);
	}
}

static void test_random(void **state)
{
	const char *steps = getenv("VRAMTRACE_MODEL_STEPS");
	unsigned long count = steps ? strtoul(steps, NULL, 10) : STEPS_DEFAULT;

	(void)state;
	random_state = 0x9e3779b97f4a7c15;
	for (step = 0; step < count; step++) {
		take_step();
		check_sums();
		if (step % 1000 == 0)
			check_sets();
	}
	for (int i = 0; i < PROCESSES; i++) {
		ref_end(i);
		life(EVENT_EXIT, tgid_of(i));
		check_sums();
	}
	print_message("%lu steps, %llu taken, %llu left behind, %llu displaced, %llu again\n", step,
		      (unsigned long long)taken, (unsigned long long)gone_on, (unsigned long long)displaced,
		      (unsigned long long)reopened);
	CHECK(taken && gone_on && displaced && reopened);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
