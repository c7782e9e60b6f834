/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger: random programs on three devices that make and end contexts, reset and release devices, capture, use pools and exec, against a
 * naive reference: sums after every step, whole sets every thousand. VRAMTRACE_MODEL_STEPS sets another length.
 */
#include <stdlib.h>

#include "context_checks.h"

#define STEPS_DEFAULT 100000
#define EXECS_MAX 60
#define STEPS_UNTOLD 1000 /* the late one's contexts are not known until then */

static uint64_t random_state;
static int execs;
static uint64_t went, turned, waited; /* that the run did meet: blocks with a context, into a graph, until a retain */

static int roll(int sides)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (int)((random_state * 0x2545f4914f6cdd1dULL >> 16) % (uint64_t)sides);
}

static int tgid_of(const struct ref *ref)
{
	return 10 + (int)(ref - refs);
}

static bool ref_captures(const struct ref *ref)
{
	bool any = false;

	for (int i = 0; i < STREAMS; i++)
		any |= ref->streams[i].captures;
	return any;
}

/* How many blocks go with it: what was made by then. */
static int ref_end_context(struct ref *ref, int context, uint64_t before_ns)
{
	int count = 0;

	for (int i = 0; i < BLOCKS; i++) {
		struct ref_block *block = &ref->blocks[i];

		if (!block->used || block->context != context || block->made_ns > before_ns)
			continue;
		block->used = false;
		count++;
	}
	for (int i = 0; i < STREAMS; i++) {
		struct ref_stream *stream = &ref->streams[i];

		if (stream->context != context)
			continue;
		stream->captures = false;
		stream->alive = stream->tid;
	}
	return count;
}

#define DO(ref, kind, symbol, ...) CALL((uint32_t)tgid_of(ref), kind, symbol, __VA_ARGS__)

/* --- memory ----------------------------------------------------------------------------------------------------------------- */

static const struct {
	int alloc, free;
	enum vt_kind kind;
} sorts[] = {
	{ VT_PROBE_cuMemAlloc_v2, VT_PROBE_cuMemFree_v2, VT_KIND_DEVICE },
	{ VT_PROBE_cuMemAllocManaged, VT_PROBE_cuMemFree_v2, VT_KIND_MANAGED },
	{ VT_PROBE_cuMemHostAlloc, VT_PROBE_cuMemFreeHost, VT_KIND_PINNED },
	{ VT_PROBE_cuMemHostRegister_v2, VT_PROBE_cuMemHostUnregister, VT_KIND_REGISTERED },
	{ VT_PROBE_cuArrayCreate_v2, VT_PROBE_cuArrayDestroy, VT_KIND_ARRAY },
	{ VT_PROBE_cuGraphAddMemAllocNode, VT_PROBE_cuMemFree_v2, VT_KIND_GRAPH },
};

static void alloc_plain(struct ref *ref)
{
	const int sort = roll((int)(sizeof(sorts) / sizeof(sorts[0])));
	const struct ref_context *context = ref_alive(ref, roll(CONTEXTS));
	struct ref_block *block = context ? ref_room(ref, roll(BLOCKS)) : NULL;

	if (!block)
		return;
	block->kind = sorts[sort].kind;
	block->size = (uint64_t)roll(1000) + 1;
	block->context = block->via = (int)(context - ref->contexts);
	block->sure = context->known;
	block->device = block->kind == VT_KIND_PINNED || block->kind == VT_KIND_REGISTERED ? ON_HOST : context->device;
	block->is_virtual = block->kind == VT_KIND_GRAPH;
	call_of((uint32_t)tgid_of(ref), EVENT_ALLOC, sorts[sort].alloc,
		(struct event) { .addr = block->addr, .size = block->size, .context = context->handle });
}

static void alloc_located(struct ref *ref)
{
	struct ref_block *block = ref_room(ref, roll(BLOCKS));

	if (!block)
		return;
	block->kind = VT_KIND_VMM;
	block->size = (uint64_t)roll(1000) + 1;
	block->device = roll(DEVICES + 1) - 1;
	DO(ref, ALLOC, cuMemCreate, .addr = block->addr, .size = block->size,
	   .a = block->device == ON_HOST ? VT_LOCATION_HOST : ON_GPU(block->device),
	   .context = ref->contexts[0].alive ? ref->contexts[0].handle : 0);
}

/* Stream-ordered. Which device it is on says the pool, else the stream, else the current context. */
static void alloc_async(struct ref *ref)
{
	const struct ref_context *context = ref_alive(ref, roll(CONTEXTS));
	const struct ref_stream *stream = ref_stream(ref, roll(STREAMS + 1));
	const struct ref_pool *pool = ref_pool(ref, roll(2 * POOLS));
	struct ref_block *block = context ? ref_room(ref, roll(BLOCKS)) : NULL;
	struct event event = { .kind = EVENT_ALLOC, .tgid = (uint32_t)tgid_of(ref) };

	if (!block)
		return;
	block->size = (uint64_t)roll(1000) + 1;
	block->device = pool			 ? pool->device
			: stream && !stream->tid ? ref->contexts[stream->context].device
						 : context->device;
	block->via = pool ? -1 : stream && !stream->tid ? stream->context : (int)(context - ref->contexts);
	block->sure = block->via >= 0 && ref->contexts[block->via].known;
	block->kind = stream && stream->captures ? VT_KIND_GRAPH : VT_KIND_POOL;
	block->pool = pool && block->kind == VT_KIND_POOL ? (int)(pool - ref->pools) : -1;
	block->context = block->kind == VT_KIND_GRAPH ? (int)(context - ref->contexts) : -1;
	block->is_virtual = block->kind == VT_KIND_GRAPH;
	block->maybe = block->kind == VT_KIND_POOL && ref_captures(ref);
	ref->maybe += block->maybe;
	event.row = event.outer_row = pool ? VT_PROBE_cuMemAllocFromPoolAsync : VT_PROBE_cuMemAllocAsync;
	event.tid = stream && stream->tid ? stream->tid : event.tgid;
	event.enter_ns = event.time_ns = now += 10;
	event.addr = block->addr;
	event.size = block->size;
	event.a = stream ? stream->handle : 0;
	event.b = pool ? pool->handle : 0;
	event.context = context->handle;
	heard_count = 0;
	ledger_apply(ledger, &event, &a_caller);
}

static void free_plain(struct ref *ref, struct ref_block *block)
{
	int row = VT_PROBE_cuMemFree_v2;

	for (size_t i = 0; i < sizeof(sorts) / sizeof(sorts[0]); i++) {
		if (sorts[i].kind == block->kind)
			row = sorts[i].free;
	}
	if (block->kind == VT_KIND_VMM)
		DO(ref, DONE, cuMemRelease, .addr = block->addr);
	else
		call_of((uint32_t)tgid_of(ref), EVENT_FREE, row, (struct event) { .addr = block->addr });
	block->used = false;
}

static void free_async(struct ref *ref, struct ref_block *block, const struct ref_stream *stream)
{
	struct event event = { .kind = EVENT_FREE, .tgid = (uint32_t)tgid_of(ref), .addr = block->addr };

	if (stream->captures && !block->is_virtual && !block->maybe)
		return; /* the driver refuses it */
	event.row = event.outer_row = VT_PROBE_cuMemFreeAsync;
	event.tid = stream->tid ? stream->tid : event.tgid;
	event.a = stream->handle;
	event.context = ref->contexts[stream->context].handle;
	event.enter_ns = event.time_ns = now += 10;
	heard_count = 0;
	ledger_apply(ledger, &event, &a_caller);
	if (!stream->captures) {
		block->used = false;
	} else if (block->maybe) {
		block->kind = VT_KIND_GRAPH;
		block->is_virtual = true;
		block->maybe = false;
		block->pool = -1;
		block->context = stream->context;
		ref->maybe--;
		turned++;
	}
}

static void free_any(struct ref *ref)
{
	struct ref_block *block = &ref->blocks[roll(BLOCKS)];
	const struct ref_stream *stream = ref_stream(ref, roll(STREAMS));

	if (!block->used)
		return;
	if (stream && (block->kind == VT_KIND_POOL || block->kind == VT_KIND_GRAPH) && roll(2))
		free_async(ref, block, stream);
	else
		free_plain(ref, block);
}

/* --- contexts and devices --------------------------------------------------------------------------------------------------- */

/* The ledger tells as many as went, oldest first. */
static void check_gone(int count)
{
	uint64_t id = 0;

	for (size_t i = 0; i < heard_count; i++) {
		CHECK(heard[i].kind == NOTICE_FREE && heard[i].reason == FREE_CONTEXT && heard[i].id > id);
		id = heard[i].id;
	}
	CHECK((int)heard_count == count);
	went += (uint64_t)count;
}

static void make_context(struct ref *ref)
{
	const int slot = DEVICES + roll(CONTEXTS - DEVICES);
	const uint64_t handle = HANDLES_MADE + 16 * (uint64_t)roll(5);

	for (int i = DEVICES; i < CONTEXTS; i++) {
		if (ref->contexts[i].alive && (i == slot || ref->contexts[i].handle == handle))
			return;
	}
	ref->contexts[slot] = (struct ref_context) { .alive = true, .known = true, .handle = handle };
	ref->contexts[slot].device = roll(DEVICES);
	DO(ref, DONE, cuCtxCreate_v4, .addr = handle, .a = (uint64_t)ref->contexts[slot].device);
}

static void end_context(struct ref *ref)
{
	const int slot = DEVICES + roll(CONTEXTS - DEVICES);

	if (!ref->contexts[slot].alive)
		return;
	DO(ref, DONE, cuCtxDestroy_v2, .addr = ref->contexts[slot].handle);
	check_gone(ref_end_context(ref, slot, now));
	ref->contexts[slot].alive = false;
}

static void retain_device(struct ref *ref, int device)
{
	struct ref_context *context = &ref->contexts[device];

	if (ref->is_late && step < STEPS_UNTOLD)
		return;
	DO(ref, DONE, cuDevicePrimaryCtxRetain, .addr = context->handle, .a = (uint64_t)device);
	check_gone(context->reset_ns ? ref_end_context(ref, device, context->reset_ns) : 0);
	waited += heard_count > 0;
	context->alive = context->known = true;
	context->reset_ns = 0;
	context->retains++;
}

static void release_device(struct ref *ref, int device)
{
	struct ref_context *context = &ref->contexts[device];

	if (!context->retains)
		return;
	DO(ref, DONE, cuDevicePrimaryCtxRelease_v2, .addr = (uint64_t)device);
	context->retains--;
	if (context->retains || ref->is_late) {
		check_gone(0);
		return;
	}
	check_gone(ref_end_context(ref, device, now));
	context->alive = context->known = false;
}

static void reset_device(struct ref *ref, int device)
{
	struct ref_context *context = &ref->contexts[device];

	DO(ref, DONE, cuDevicePrimaryCtxReset_v2, .addr = (uint64_t)device);
	context->retains = 0;
	if (context->known) {
		check_gone(ref_end_context(ref, device, now));
		context->alive = false;
		return;
	}
	/* The next retain will tell; until then the ledger keeps what the driver has thrown away. */
	check_gone(0);
	context->reset_ns = now - 5;
}

static void tell_uuid(struct ref *ref, int device)
{
	const uint64_t bytes = gpu_bytes[gpu_of(ref, device)];

	DO(ref, DONE, cuDeviceGetUuid, .addr = (uint64_t)device, .a = bytes, .b = bytes);
	ref->told[device] = true;
}

/* Each may leave places of GPUs that were never told, and these are bounded. */
static void exec(struct ref *ref)
{
	if (step < STEPS_UNTOLD || execs++ >= EXECS_MAX)
		return;
	life(EVENT_EXEC, (uint32_t)tgid_of(ref));
	ref_clear(ref);
}

/* --- streams and pools ------------------------------------------------------------------------------------------------------ */

static void change_stream(struct ref *ref)
{
	struct ref_stream *stream = &ref->streams[2 + roll(STREAMS - 2)];
	const struct ref_context *context = ref_alive(ref, roll(CONTEXTS));

	if (stream->alive) {
		DO(ref, DONE, cuStreamDestroy_v2, .addr = stream->handle);
		stream->alive = stream->captures = false;
	} else if (context) {
		DO(ref, DONE, cuStreamCreate, .addr = stream->handle, .context = context->handle);
		stream->alive = true;
		stream->context = (int)(context - ref->contexts);
	}
}

static void change_capture(struct ref *ref)
{
	static const int errors[] = { 0, 0, 901, 904, 908 };
	struct ref_stream *stream = ref_stream(ref, roll(STREAMS));
	const struct ref_context *context = ref_alive(ref, roll(CONTEXTS));
	const int error = errors[roll(5)];
	struct event event = { .kind = error ? EVENT_FAILED : EVENT_DONE, .tgid = (uint32_t)tgid_of(ref) };

	if (!stream || (!stream->captures && (error || !context)))
		return;
	if (stream->tid && !stream->captures)
		stream->context = (int)(context - ref->contexts);
	event.tid = stream->tid ? stream->tid : event.tgid;
	event.row = stream->captures ? VT_PROBE_cuStreamEndCapture : VT_PROBE_cuStreamBeginCapture_v2;
	event.outer_row = event.row;
	event.addr = stream->handle;
	event.result = error;
	event.context = ref->contexts[stream->context].handle;
	event.enter_ns = event.time_ns = now += 10;
	ledger_apply(ledger, &event, &a_caller);
	stream->captures = !stream->captures || error == 908;
}

static void change_pool(struct ref *ref)
{
	struct ref_pool *pool = &ref->pools[roll(POOLS)];

	if (pool->alive) {
		DO(ref, DONE, cuMemPoolDestroy, .addr = pool->handle);
		for (int i = 0; i < BLOCKS; i++) {
			if (ref->blocks[i].pool == (int)(pool - ref->pools))
				ref->blocks[i].pool = -1;
		}
	} else {
		pool->device = roll(DEVICES + 1) - 1;
		DO(ref, DONE, cuMemPoolCreate, .addr = pool->handle,
		   .a = pool->device == ON_HOST ? VT_LOCATION_HOST_NUMA : ON_GPU(pool->device));
	}
	pool->alive = !pool->alive;
}

static void take_step(struct ref *ref)
{
	const int device = roll(DEVICES), what = roll(1000);

	if (what < 250)
		alloc_plain(ref);
	else if (what < 300)
		alloc_located(ref);
	else if (what < 500)
		alloc_async(ref);
	else if (what < 700)
		free_any(ref);
	else if (what < 740)
		make_context(ref);
	else if (what < 760)
		end_context(ref);
	else if (what < 800)
		retain_device(ref, device);
	else if (what < 830)
		release_device(ref, device);
	else if (what < 840)
		reset_device(ref, device);
	else if (what < 900)
		change_stream(ref);
	else if (what < 960)
		change_capture(ref);
	else if (what < 990)
		change_pool(ref);
	else if (what < 998)
		tell_uuid(ref, device);
	else
		exec(ref);
}

static void test_random(void **state)
{
	const char *steps = getenv("VRAMTRACE_MODEL_STEPS");
	const unsigned long count = steps ? strtoul(steps, NULL, 10) : STEPS_DEFAULT;

	(void)state;
	random_state = 0x9e3779b97f4a7c15;
	ref_start();
	for (step = 0; step < count; step++) {
		struct ref *ref = &refs[roll(PROCESSES)];

		take_step(ref);
		check_sums(ref, (uint32_t)tgid_of(ref));
		if (step % 1000 == 0)
			check_sets(ref, (uint32_t)tgid_of(ref));
	}
	print_message("%lu steps, %llu went with contexts, %llu into graphs, %llu times a retain told\n", step,
		      (unsigned long long)went, (unsigned long long)turned, (unsigned long long)waited);
	CHECK(went && turned && waited);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
