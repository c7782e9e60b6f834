/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of processes, out of any bytes, as records through decode into the ledger: whatever they do, all sums are those of the blocks,
 * and each block comes once and leaves once. The first byte chooses what is known of the machine; each step is STEP_BYTES more, and its
 * arguments are drawn from few values, so that calls speak of what other calls have made.
 */
#include <stdlib.h>
#include <string.h>

#include "decode/decode.h"
#include "ledger/ledger.h"
#include "ledger_recount.h"
#include "probe/table.h"

#define STEP_BYTES 6
#define TGID 100
#define PROCESSES 4
#define SPACING 0x200000 /* from one address to the next, and a unit of sizes: ranges can touch and overlap */
#define CALL_NS 10
#define RECOUNT_ALL_STEPS 16 /* from one recount of all processes to the next */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct step {
	uint8_t what; /* a row, or from VT_PROBE_COUNT on an enum turn */
	uint8_t who;  /* 2 bits process, 1 thread, 2 context, 1 fails, 1 under the runtime, 1 long under way */
	uint8_t addr;
	uint8_t size;
	uint8_t a;
	uint8_t b;
};
_Static_assert(sizeof(struct step) == STEP_BYTES, "one byte each");

enum turn {
	TURN_PROCESS = VT_PROBE_COUNT,
	TURN_FORK,
	TURN_EXEC,
	TURN_EXIT,
	TURN_LATE,
	TURN_CLOSE,   /* a descriptor */
	TURN_SWEEP,   /* closes what the ledger would have us look at */
	TURN_LOST,    /* records, before this one */
	TURN_ENTERED, /* a call, told as it was entered */
	TURN_COUNT,
};

struct run {
	struct ledger *ledger;
	struct decoder decoder;
	uint64_t now_ns;
	uint32_t lost;
};

static const struct ledger_gpu gpus[] = { { 0, "GPU-00000000-0000-0000-0000-000000000000" },
					  { 1, "GPU-01000000-0000-0000-0000-000000000000" } };

/* An address, handle, pool, stream or context: any of them can equal any other. */
static uint64_t thing(uint8_t byte)
{
	static const uint64_t odd[] = { 0, 1, 2, UINT64_MAX, 1ull << 63, 0xfff, 1ull << 62, 3 };

	if (byte & 0x80)
		return odd[byte & 7];
	return 0x7f0000000000 + (byte & 15) * (uint64_t)SPACING + (byte & 0x40 ? 0x1000 : 0);
}

static uint64_t bytes_of(uint8_t byte)
{
	static const uint64_t odd[] = { 0, 1, UINT64_MAX, 1ull << 63 };

	return byte & 0x80 ? odd[byte & 3] : (byte & 7) * (uint64_t)SPACING + (byte >> 3 & 15);
}

static int32_t device_of(uint8_t byte)
{
	return byte & 0x80 ? -1 : byte & 3;
}

/* What stands for what in which shape: few values, that mean something there. */
enum word {
	WORD_OTHER,
	WORD_STREAM,
	WORD_FOR,
	WORD_DEVICE_A,
	WORD_DEVICE,
	WORD_FLAGS,
	WORD_LOCATION,
	WORD_TOKEN,
	WORD_NODE,
	WORD_ATTRIBUTE,
	WORD_PID,
};

static const uint8_t word_of_shape[] = {
	[VT_SHAPE_OUT_SIZE_STREAM] = WORD_STREAM,
	[VT_SHAPE_ADDR_STREAM] = WORD_STREAM,
	[VT_SHAPE_OUT_SIZE_POOL] = WORD_STREAM,
	[VT_SHAPE_OUT_FOR] = WORD_FOR,
	[VT_SHAPE_OUT_3] = WORD_DEVICE_A,
	[VT_SHAPE_OUT_4] = WORD_DEVICE_A,
	[VT_SHAPE_OUT_5] = WORD_DEVICE_A,
	[VT_SHAPE_DEVICE] = WORD_DEVICE,
	[VT_SHAPE_UUID] = WORD_DEVICE,
	[VT_SHAPE_ARRAY] = WORD_FLAGS,
	[VT_SHAPE_ARRAY3D] = WORD_FLAGS,
	[VT_SHAPE_MIPMAP] = WORD_FLAGS,
	[VT_SHAPE_OUT_SIZE_PROP] = WORD_LOCATION,
	[VT_SHAPE_OUT_PROP] = WORD_LOCATION,
	[VT_SHAPE_OUT_LOCATION] = WORD_LOCATION,
	[VT_SHAPE_ADVISE] = WORD_LOCATION,
	[VT_SHAPE_ADVISE_AT] = WORD_LOCATION,
	[VT_SHAPE_PREFETCH] = WORD_LOCATION,
	[VT_SHAPE_PREFETCH_AT] = WORD_LOCATION,
	[VT_SHAPE_SHARE_OUT] = WORD_TOKEN,
	[VT_SHAPE_SHARE_IN] = WORD_TOKEN,
	[VT_SHAPE_TOKEN_OUT] = WORD_TOKEN,
	[VT_SHAPE_TOKEN_VALUE] = WORD_TOKEN,
	[VT_SHAPE_TOKEN_IN] = WORD_TOKEN,
	[VT_SHAPE_EXTERNAL] = WORD_TOKEN,
	[VT_SHAPE_NODE_ALLOC] = WORD_NODE,
	[VT_SHAPE_NODE_FREE] = WORD_NODE,
	[VT_SHAPE_NODE_4] = WORD_NODE,
	[VT_SHAPE_NODE_5] = WORD_NODE,
	[VT_SHAPE_ATTRIBUTE] = WORD_ATTRIBUTE,
	[VT_SHAPE_PID] = WORD_PID,
	[VT_SHAPE_NONE] = WORD_OTHER,
};

static void add_words(struct vt_call *call, const struct step *step)
{
	static const uint64_t array_flags[] = { 0, VT_ARRAY_SPARSE, VT_ARRAY_DEFERRED };
	const struct probe_row *row = probe_row(call->row);

	call->a = thing(step->a);
	call->b = thing(step->b);
	switch (word_of_shape[row->shape]) {
	case WORD_STREAM:
		call->a = step->a & 0x40 ? thing(step->a) : step->a & 3;
		break;
	case WORD_FOR:
		call->a = row->op == VT_OP_RETAIN ? thing(step->a) : (uint64_t)device_of(step->a);
		break;
	case WORD_DEVICE:
		call->addr = (uint64_t)device_of(step->addr);
		call->a = step->a & 1; /* of a UUID */
		call->b = 0;
		break;
	case WORD_DEVICE_A:
		call->a = (uint64_t)device_of(step->a);
		break;
	case WORD_FLAGS:
		call->a = array_flags[step->a % 3];
		call->b = 1;
		break;
	case WORD_LOCATION:
		call->a = (step->a & 7) | (uint64_t)(step->a >> 3 & 7) << 32;
		call->b = (step->b & 15) | (uint64_t)(step->b >> 4 & 3) << 32;
		break;
	case WORD_TOKEN:
		call->a = step->a & 7;
		call->b = (step->b & 8 ? VT_HANDLE_TYPE_FABRIC : VT_HANDLE_TYPE_FD) | (uint64_t)(step->b & 3) << 32;
		break;
	case WORD_NODE:
		call->b = step->b & 1 ? VT_NODE_MEM_FREE : VT_NODE_MEM_ALLOC;
		break;
	case WORD_PID:
		call->addr = (step->addr & 8 ? 1 : TGID) + step->addr % PROCESSES;
		break;
	case WORD_ATTRIBUTE:
		call->a = step->a & 7;
		break;
	default:
		call->b = bytes_of(step->b);
		break;
	}
}

/* A runtime's call that does the same; the row itself where there is none. */
static uint16_t row_above(uint16_t row)
{
	const struct probe_row *below = probe_row(row);

	for (uint16_t i = 0; below->layer == VT_LAYER_DRIVER && i < VT_PROBE_COUNT; i++) {
		const struct probe_row *above = probe_row(i);

		if (above->layer == VT_LAYER_RUNTIME && above->op == below->op && above->kind == below->kind)
			return i;
	}
	return row;
}

static struct vt_header header_of(struct run *run, const struct step *step, uint16_t kind, size_t length)
{
	uint32_t tgid = TGID + step->who % PROCESSES;

	run->now_ns += CALL_NS;
	return (struct vt_header) {
		.kind = kind,
		.length = (uint16_t)length,
		.version = VT_WIRE_VERSION,
		.tgid = tgid,
		.tid = tgid + (step->who & 4 ? 1000 : 0),
		.time_ns = run->now_ns,
		.lost = run->lost,
	};
}

static void make_call(struct run *run, const struct step *step, uint16_t row, uint8_t flags)
{
	static const int32_t results[] = { 2, 1, 201, 908 };
	struct vt_call call = { .header = header_of(run, step, VT_RECORD_CALL, sizeof(call)) };

	call.header.flags = flags;
	call.row = call.outer_row = row;
	call.enter_ns = run->now_ns - (step->who & 0x80 ? 5 * CALL_NS : 1);
	call.addr = thing(step->addr);
	call.size = bytes_of(step->size);
	call.context = step->who & 0x18 ? thing(step->who >> 3 & 3) : 0;
	add_words(&call, step);
	if (step->who & 0x20)
		call.result = results[step->size & 3];
	if (step->who & 0x40)
		call.outer_row = row_above(row);
	decode_record(&run->decoder, &call, sizeof(call));
}

static void make_life(struct run *run, const struct step *step, uint16_t kind)
{
	struct vt_process process = { .header = header_of(run, step, kind, sizeof(process)) };

	process.start_ns = step->a & 3;
	process.parent_tgid = TGID + step->b % PROCESSES;
	process.ns_tgid = step->b & 8 ? 1 + step->b % PROCESSES : process.header.tgid;
	process.comm[0] = 'p';
	decode_record(&run->decoder, &process, sizeof(process));
}

struct seen_descriptor {
	bool any;
	uint32_t tgid, number;
};

static void see_descriptor(void *ctx, uint32_t tgid, uint32_t number)
{
	*(struct seen_descriptor *)ctx = (struct seen_descriptor) { true, tgid, number };
}

static void sweep(struct run *run)
{
	struct seen_descriptor seen = { .any = false };

	ledger_each_descriptor(run->ledger, see_descriptor, &seen);
	if (seen.any)
		ledger_descriptor_closed(run->ledger, seen.tgid, seen.number, run->now_ns);
}

static void take_turn(struct run *run, const struct step *step, unsigned int turn)
{
	uint32_t tgid = TGID + step->who % PROCESSES;

	switch (turn) {
	case TURN_PROCESS:
	case TURN_FORK:
	case TURN_EXEC:
	case TURN_EXIT:
		make_life(run, step, (uint16_t)(VT_RECORD_PROCESS + turn - TURN_PROCESS));
		break;
	case TURN_LATE:
		if (ledger_attach_late(run->ledger, tgid, tgid, step->a & 3, "late", run->now_ns) < 0)
			abort();
		break;
	case TURN_CLOSE:
		ledger_descriptor_closed(run->ledger, tgid, step->a & 3, run->now_ns);
		break;
	case TURN_SWEEP:
		sweep(run);
		break;
	case TURN_LOST:
		run->lost += step->a & 3;
		break;
	default:
		make_call(run, step, step->b % VT_PROBE_COUNT, VT_FLAG_ENTRY);
		break;
	}
}

static void on_event(void *ctx, const struct event *event)
{
	static char module[] = "/lib/libx.so", symbol[] = "f", name[] = "libx.so!f", other[] = "liby.so";
	static const struct caller callers[] = { { .module = module, .symbol = symbol, .name = name, .id = 1 },
						 { .name = other, .id = 2 } };
	struct run *run = ctx;
	bool is_call = event->kind <= EVENT_ENTERED;

	ledger_apply(run->ledger, event, is_call ? &callers[event->tid >= 1000] : NULL);
}

static void end_all(struct run *run)
{
	for (uint8_t i = 0; i < PROCESSES; i++) {
		struct step step = { .who = i };

		make_life(run, &step, VT_RECORD_EXIT);
	}
	recount_check(run->ledger);
	lives_check_ended();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ledger_settings settings = { .gpus = gpus, .fn = lives_hear };
	struct run run = { .now_ns = 1000 };
	struct step step;

	if (!size)
		return 0;
	settings.driver_probed = !(data[0] & 1);
	settings.entry_only = data[0] & 2;
	settings.gpu_count = (data[0] >> 2) % 3;
	lives_start();
	if (ledger_new(&settings, &run.ledger) < 0)
		return 0;
	decoder_init(&run.decoder, on_event, &run);
	for (size_t at = 1; at + STEP_BYTES <= size; at += STEP_BYTES) {
		memcpy(&step, data + at, STEP_BYTES);
		step.what %= TURN_COUNT;
		if (step.what < VT_PROBE_COUNT)
			make_call(&run, &step, step.what, 0);
		else
			take_turn(&run, &step, step.what);
		if (at / STEP_BYTES % RECOUNT_ALL_STEPS)
			recount_check_one(run.ledger, TGID + step.who % PROCESSES);
		else
			recount_check(run.ledger);
	}
	recount_check(run.ledger);
	end_all(&run);
	if (run.decoder.bad)
		abort();
	decoder_fini(&run.decoder);
	ledger_free(run.ledger);
	return 0;
}
