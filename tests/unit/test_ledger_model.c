/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small world of processes, threads and a driver that hands addresses out again, run at random; its events go to the ledger and
 * to a naive reference. After every step the sums of the process concerned must be equal, and every 10,000 steps
 * everything. Where nothing was lost, the ledger must also hold exactly what the world's driver holds.
 *
 * VRAMTRACE_SEED chooses another run, VRAMTRACE_STEPS its length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ledger_reference.h"

/* --- what the ledger says ------------------------------------------------------------------------------------------------- */

static struct ledger *ledger;
static struct notice last_call; /* ALLOC, FREE, FREE_UNMATCHED, *_FAILED */
static unsigned int told, told_processes, told_gone;
static uint64_t last_alloc_id;
static uint8_t *freed; /* by id */

static void listen(void *ctx, const struct notice *notice)
{
	(void)ctx;
	switch (notice->kind) {
	case NOTICE_PROCESS:
		told_processes++;
		return;
	case NOTICE_UNCOVERED:
	case NOTICE_LOST:
		return;
	case NOTICE_ALLOC:
		last_alloc_id = notice->id;
		break;
	case NOTICE_FREE:
		CHECK(!freed[notice->id]); /* each block leaves once */
		freed[notice->id] = 1;
		CHECK(notice->live_bytes == notice->process->total.live.bytes);
		if (!notice->api) {
			told_gone++;
			return;
		}
		break;
	default:
		break;
	}
	last_call = *notice;
	told++;
}

static const struct process *shown(const struct ref *ref)
{
	for (size_t i = ledger_process_count(ledger); i-- > 0;) {
		const struct process *process = ledger_process(ledger, i);

		if (process->tgid == ref->tgid && process->start_ns == ref->start_ns)
			return process;
	}
	return NULL;
}

static void same_slice(const struct slice *a, const struct slice *b)
{
	CHECK(a->live.bytes == b->live.bytes);
	CHECK(a->live.count == b->live.count);
	CHECK(a->allocated.bytes == b->allocated.bytes);
	CHECK(a->allocated.count == b->allocated.count);
	CHECK(a->peak_bytes == b->peak_bytes);
	CHECK(a->at_exit.bytes == b->at_exit.bytes);
	CHECK(a->at_exit.count == b->at_exit.count);
}

static void compare_sums(const struct ref *ref, const struct process *process)
{
	struct slice nothing = { .peak_bytes = 0 };
	const struct slice *found[CALLERS];

	CHECK(process);
	CHECK(process->ended == ref->ended);
	CHECK(process->has_cuda == ref->has_cuda);
	CHECK(process->failed == ref->failed);
	CHECK(process->failed_frees == ref->failed_frees);
	CHECK(process->unmatched_frees == ref->unmatched);
	CHECK(process->zero_sized == ref->zero_sized);
	CHECK(process->uncovered == ref->uncovered);
	CHECK(process->calls == ref->calls);
	CHECK(ledger_complete(ledger, process) == (!all_lossy && !ref->lossy && !ref->uncovered));
	same_slice(&process->total, &ref->total);
	for (int i = 0; i < VT_KIND_COUNT; i++)
		same_slice(&process->by_kind[i], &ref->kinds[i]);
	for (int i = 0; i < CALLERS; i++)
		found[i] = &nothing;
	for (size_t i = 0; i < process->caller_count; i++)
		found[process->by_caller[i].caller - callers] = &process->by_caller[i].slice;
	for (int i = 0; i < CALLERS; i++)
		same_slice(found[i], &ref->callers[i]);
}

static void find_in_ref(void *ctx, const struct block *block)
{
	const struct ref *ref = ctx;

	for (int i = 0; i < ref->count; i++) {
		const struct ref_block *other = &ref->blocks[i];

		if (other->state != REF_LIVE || other->addr != block->addr)
			continue;
		CHECK(other->size == block->size);
		CHECK(other->id == block->id);
		CHECK(other->alloc_ns == block->alloc_ns);
		CHECK(other->kind == (int)block->kind);
		CHECK(&callers[other->caller] == block->caller);
		return;
	}
	fail_msg("step %llu: a block too many", (unsigned long long)step);
}

/* --- the world ------------------------------------------------------------------------------------------------------------ */

struct world_block {
	uint64_t addr, size, returned_ns; /* addr 0: none */
	bool being_freed;
};

struct thread {
	bool freeing;
	bool taken; /* the driver has taken the address back; the call has not returned */
	uint64_t addr, enter_ns;
};

static struct world {
	struct world_block blocks[BLOCKS];
	struct thread threads[THREADS];
	bool clean; /* no event of this process was lost */
} worlds[PROCESSES];

static void apply(struct ref *ref, struct event *event, const struct caller *caller)
{
	event->tgid = ref->tgid;
	event->time_ns = ++now;
	ledger_apply(ledger, event, caller);
	ref_refresh(ref);
	compare_sums(ref, shown(ref));
}

static void give_life(int i, enum event_kind kind, int parent)
{
	struct event event = { .kind = kind, .comm = "model" };

	memset(&refs[i], 0, sizeof(refs[i]));
	memset(&worlds[i], 0, sizeof(worlds[i]));
	worlds[i].clean = true;
	refs[i].known = true;
	refs[i].tgid = 100 + 8 * i + roll(2);			      /* reused often */
	refs[i].start_ns = 1000000000000ull + step * 20000000ull + 1; /* further apart than /proc's tick */
	event.start_ns = refs[i].start_ns;
	event.parent_tgid = parent >= 0 ? refs[parent].tgid : 1;
	apply(&refs[i], &event, NULL);
	CHECK(told_processes > 0);
	told_processes = 0;
}

static bool chance(uint64_t percent)
{
	return roll(100) < percent;
}

/* Is an event lost on its way? Then neither ledger nor reference sees it, only the LOST that stands for it. */
static bool lose(int i)
{
	struct event event = { .kind = EVENT_LOST, .lost_cause = LOST_RING, .lost_count = 1 };

	if (roll(2000))
		return false;
	worlds[i].clean = false;
	if (step < 500000) { /* of one process first, so that it can be told apart from all */
		event.lost_cause = LOST_READ;
		event.tgid = refs[i].tgid;
		refs[i].lossy = true;
	} else {
		all_lossy = true;
	}
	ledger_apply(ledger, &event, NULL);
	compare_sums(&refs[i], shown(&refs[i]));
	return true;
}

static void call_rows(struct event *event, enum vt_op op, bool runtime_only)
{
	static const uint16_t allocs[][2] = {
		{ VT_PROBE_cuMemAlloc_v2, VT_PROBE_cudaMalloc },
		{ VT_PROBE_cuMemAllocManaged, VT_PROBE_cudaMallocManaged },
		{ VT_PROBE_cuMemHostAlloc, VT_PROBE_cudaHostAlloc },
		{ VT_PROBE_cuMemAllocAsync, VT_PROBE_cudaMallocAsync },
	};
	uint64_t kind = roll(4);

	if (op == VT_OP_ALLOC) {
		event->row = allocs[kind][runtime_only];
		event->outer_row = allocs[kind][roll(2) || runtime_only];
	} else {
		event->row = runtime_only ? VT_PROBE_cudaFree : VT_PROBE_cuMemFree_v2;
		event->outer_row = runtime_only || roll(2) ? VT_PROBE_cudaFree : VT_PROBE_cuMemFree_v2;
	}
}

static void note_call(struct ref *ref, const struct event *event)
{
	const struct probe_row *row = probe_row(event->row);

	ref->calls++;
	ref->has_cuda = true;
	if (row->layer == VT_LAYER_RUNTIME && event->row == event->outer_row && event->addr && event->result == 0)
		ref->uncovered++;
}

static struct world_block *world_at(struct world *world, uint64_t addr)
{
	for (int i = 0; i < BLOCKS; i++) {
		if (world->blocks[i].addr == addr)
			return &world->blocks[i];
	}
	return NULL;
}

/* There is one: fewer blocks than addresses are alive. */
static uint64_t unused_address(struct world *world)
{
	uint64_t number = roll(ADDRESSES);

	while (world_at(world, 0x7000000000ull + number * 0x200))
		number = (number + 1) % ADDRESSES;
	return 0x7000000000ull + number * 0x200;
}

static void do_alloc(int i)
{
	struct event event = { .kind = EVENT_ALLOC, .tid = roll(THREADS), .size = 1 + roll(1 << 20) };
	struct world_block *room = world_at(&worlds[i], 0);
	struct thread *reused = &worlds[i].threads[roll(THREADS)];
	int caller = roll(CALLERS);

	if (!room)
		return;
	event.addr = unused_address(&worlds[i]);
	if (reused->freeing && reused->taken && !world_at(&worlds[i], reused->addr))
		event.addr = reused->addr;
	if (chance(2))
		event.addr = event.size = 0;
	call_rows(&event, VT_OP_ALLOC, roll(300) == 0);
	event.enter_ns = now - roll(5);
	if (event.addr)
		*room = (struct world_block) { event.addr, event.size, now + 1, false };
	if (lose(i))
		return;
	note_call(&refs[i], &event);
	event.time_ns = now + 1;
	ref_alloc(&refs[i], &event, caller, last_alloc_id + 1);
	if (event.addr)
		room->returned_ns = now + 1;
	told = 0;
	apply(&refs[i], &event, &callers[caller]);
	CHECK(told == 1 && last_call.kind == NOTICE_ALLOC);
	CHECK(last_call.live_bytes == refs[i].total.live.bytes);
}

static void begin_free(int i, struct thread *thread)
{
	struct world_block *block;
	int number = roll(BLOCKS), tries = BLOCKS;

	do {
		block = &worlds[i].blocks[number++ % BLOCKS];
		if (!tries--)
			return;
	} while (!block->addr || block->being_freed);
	block->being_freed = true;
	*thread = (struct thread) { .freeing = true, .addr = block->addr, .enter_ns = ++now };
}

static void end_free(int i, struct thread *thread)
{
	struct event event = { .kind = EVENT_FREE, .addr = thread->addr, .enter_ns = thread->enter_ns };
	uint64_t id = 0;

	if (!thread->taken && chance(80)) {
		*world_at(&worlds[i], thread->addr) = (struct world_block) { 0 };
		thread->taken = true; /* from now on others can get it */
		return;
	}
	if (chance(40))
		return; /* a thread can be held up for long */
	thread->freeing = false;
	call_rows(&event, VT_OP_FREE, roll(300) == 0);
	if (!thread->taken) { /* it fails: the block stays */
		world_at(&worlds[i], thread->addr)->being_freed = false;
		event.kind = EVENT_FREE_FAILED;
		event.result = 1;
	}
	if (lose(i))
		return;
	note_call(&refs[i], &event);
	if (event.kind == EVENT_FREE)
		id = ref_free(&refs[i], &event);
	else
		refs[i].failed_frees++;
	told = 0;
	apply(&refs[i], &event, &callers[0]);
	CHECK(told == 1);
	if (event.kind == EVENT_FREE_FAILED)
		CHECK(last_call.kind == NOTICE_FREE_FAILED);
	else
		CHECK(id ? last_call.kind == NOTICE_FREE && last_call.id == id
			 : last_call.kind == NOTICE_FREE_UNMATCHED);
	CHECK(id || event.kind == EVENT_FREE_FAILED || !worlds[i].clean);
	ref_compact(&refs[i]);
}

static void do_odd_call(int i)
{
	struct event event = { .kind = EVENT_FREE, .enter_ns = now };
	bool alloc = chance(40), null = chance(30);

	call_rows(&event, alloc ? VT_OP_ALLOC : VT_OP_FREE, chance(50));
	if (alloc) {
		event.kind = EVENT_ALLOC_FAILED;
		event.result = 2;
		event.size = 1 + roll(1 << 30);
		refs[i].failed++;
	} else if (!null) {
		event.addr = 0x123456000ull + roll(100);
		refs[i].unmatched++; /* never handed out */
	}
	note_call(&refs[i], &event);
	told = 0;
	apply(&refs[i], &event, &callers[roll(CALLERS)]);
	CHECK(told == (alloc || !null));
	if (told)
		CHECK(last_call.kind == (alloc ? NOTICE_ALLOC_FAILED : NOTICE_FREE_UNMATCHED));
}

static unsigned int told_at_end(const struct ref *ref)
{
	unsigned int count = 0;

	for (int k = 0; k < ref->count; k++)
		count += ref->blocks[k].state != REF_GONE;
	return count;
}

static void do_life(int i)
{
	struct event event = { .kind = EVENT_EXIT, .exit_code = 9, .start_ns = refs[i].start_ns, .comm = "model" };
	unsigned int expected = told_at_end(&refs[i]);
	bool had_cuda = refs[i].has_cuda;
	struct ref *ref = &refs[i];

	lives++;
	told_gone = 0;
	if (chance(30)) {
		event.kind = EVENT_EXEC;
		ref_clear(ref);
		memset(&worlds[i].blocks, 0, sizeof(worlds[i].blocks));
		memset(&worlds[i].threads, 0, sizeof(worlds[i].threads));
		apply(ref, &event, NULL);
		CHECK(told_gone == expected);
		return;
	}
	if (chance(80)) { /* else its exit is never told: the next one of that tgid ends it */
		ref_clear(ref);
		ref_refresh(ref);
		ref->ended = true;
		event.tgid = ref->tgid;
		event.time_ns = ++now;
		ledger_apply(ledger, &event, NULL);
		CHECK(told_gone == expected);
		CHECK(!!shown(ref) == had_cuda);
		if (had_cuda)
			compare_sums(ref, shown(ref));
	} else {
		struct event birth = {
			.kind = EVENT_PROCESS, .tgid = ref->tgid, .start_ns = ref->start_ns + 99, .comm = "x"
		};

		birth.time_ns = ++now;
		ref_clear(ref);
		ref_refresh(ref);
		ref->ended = true;
		ledger_apply(ledger, &birth, NULL);
		CHECK(told_gone == expected);
		CHECK(!!shown(ref) == had_cuda);
		if (had_cuda)
			compare_sums(ref, shown(ref));
		birth.kind = EVENT_EXIT;
		ledger_apply(ledger, &birth, NULL);
	}
	give_life(i, roll(2) ? EVENT_PROCESS : EVENT_FORK, roll(PROCESSES));
}

static void one_step(void)
{
	int i = roll(PROCESSES);
	struct thread *thread = &worlds[i].threads[roll(THREADS)];
	uint64_t what = roll(1000);

	if (thread->freeing)
		end_free(i, thread);
	else if (what < 500)
		do_alloc(i);
	else if (what < 960)
		begin_free(i, thread);
	else if (what < 998)
		do_odd_call(i);
	else
		do_life(i);
}

static void compare_everything(void)
{

	for (int i = 0; i < PROCESSES; i++) {
		const struct process *process = shown(&refs[i]);
		uint64_t bytes = 0;

		compare_sums(&refs[i], process);
		ledger_each_block(ledger, process, find_in_ref, &refs[i]);
		if (!worlds[i].clean)
			continue;
		for (int k = 0; k < BLOCKS; k++)
			bytes += worlds[i].blocks[k].addr ? worlds[i].blocks[k].size : 0;
		for (int k = 0; k < THREADS;
		     k++) { /* taken back and not handed out again: its free is still to be told */
			const struct thread *thread = &worlds[i].threads[k];

			for (int b = 0; thread->freeing && thread->taken && b < refs[i].count; b++) {
				const struct ref_block *block = &refs[i].blocks[b];

				if (block->state == REF_LIVE && block->addr == thread->addr &&
				    block->alloc_ns <= thread->enter_ns && !world_at(&worlds[i], thread->addr))
					bytes += block->size;
			}
		}
		CHECK(bytes == process->total.live.bytes);
	}
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

static void test_model(void **state)
{
	struct ledger_settings settings = { .driver_probed = true, .fn = listen };
	uint64_t steps = setting("VRAMTRACE_STEPS", 1000000);
	uint64_t seed = setting("VRAMTRACE_SEED", 20260101);

	(void)state;
	print_message("seed %llu, %llu steps\n", (unsigned long long)seed, (unsigned long long)steps);
	random_state = seed * 0x9e3779b97f4a7c15ULL + 1;
	freed = calloc(steps + 2, 1);
	assert_non_null(freed);
	assert_int_equal(ledger_new(&settings, &ledger), 0);
	for (int i = 0; i < CALLERS; i++)
		callers[i].id = i * 1000;
	for (int i = 0; i < PROCESSES; i++)
		give_life(i, EVENT_PROCESS, -1);
	for (step = 1; step <= steps; step++) {
		one_step();
		if (step % 10000 == 0)
			compare_everything();
	}
	print_message("%llu frees of live blocks, %llu of settling ones, %llu unmatched; %llu ends\n",
		      (unsigned long long)live_frees, (unsigned long long)settled_frees,
		      (unsigned long long)unmatched_frees, (unsigned long long)lives);
	assert_true(steps < 100000 || (live_frees > steps / 20 && settled_frees > steps / 100 && lives > steps / 2000 &&
				       unmatched_frees > 0));
	ledger_free(ledger);
	free(freed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
