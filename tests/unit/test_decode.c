/* SPDX-License-Identifier: Apache-2.0 */
/* decode: what is accepted, what is refused, and that every loss is told once. */
#include <linux/types.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "decode/decode.h"
#include "vramtrace/probe.h"

#define EVENTS_MAX 16

static struct event events[EVENTS_MAX];
static size_t event_count;
static struct decoder decoder;

union any {
	struct vt_header header;
	struct vt_call call;
	struct vt_process process;
	char bytes[512];
	uint64_t words[64];
};

static void collect(void *ctx, const struct event *event)
{
	assert_ptr_equal(ctx, events);
	assert_true(event_count < EVENTS_MAX);
	events[event_count++] = *event;
}

static int setup(void **state)
{
	(void)state;
	event_count = 0;
	decoder_init(&decoder, collect, events);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	decoder_fini(&decoder);
	return 0;
}

static union any make_call(uint16_t row, uint16_t outer_row, int frames)
{
	union any record = { .words = { 0 } };

	record.call = (struct vt_call) {
		.header = { .kind = VT_RECORD_CALL,
			    .length = sizeof(struct vt_call) + 8 * frames,
			    .cpu = 1,
			    .version = VT_WIRE_VERSION,
			    .tgid = 100,
			    .tid = 101,
			    .time_ns = 2000 },
		.row = row,
		.outer_row = outer_row,
		.enter_ns = 1500,
		.addr = 0x7000,
		.size = 4096,
	};
	for (int i = 0; i < frames; i++)
		record.words[sizeof(struct vt_call) / 8 + i] = 0x1000 + i;
	return record;
}

static union any make_process(uint16_t kind)
{
	union any record = { .words = { 0 } };

	record.process = (struct vt_process) {
		.header = { .kind = kind,
			    .length = sizeof(struct vt_process),
			    .version = VT_WIRE_VERSION,
			    .tgid = 100,
			    .tid = 100,
			    .time_ns = 5 },
		.start_ns = 77,
		.parent_tgid = 1,
		.ns_tgid = 9,
		.uid = 1000,
		.exit_code = 256,
	};
	memcpy(record.process.comm, "0123456789abcdef", 16); /* no NUL on the wire */
	return record;
}

static void feed(const union any *record)
{
	decode_record(&decoder, record, record->header.length);
}

static void test_call(void **state)
{
	union any record = make_call(VT_PROBE_cuMemAlloc_v2, VT_PROBE_cudaMalloc, 3);

	(void)state;
	feed(&record);
	assert_int_equal(event_count, 1);
	assert_int_equal(events[0].kind, EVENT_ALLOC);
	assert_int_equal(events[0].tgid, 100);
	assert_int_equal(events[0].tid, 101);
	assert_int_equal(events[0].time_ns, 2000);
	assert_int_equal(events[0].enter_ns, 1500);
	assert_int_equal(events[0].row, VT_PROBE_cuMemAlloc_v2);
	assert_int_equal(events[0].outer_row, VT_PROBE_cudaMalloc);
	assert_int_equal(events[0].addr, 0x7000);
	assert_int_equal(events[0].size, 4096);
	assert_int_equal(events[0].frame_count, 3);
	assert_int_equal(events[0].frames[2], 0x1002);
	assert_int_equal(decoder.delivered, 1);
	assert_int_equal(decoder.bad, 0);
}

static void test_call_kinds(void **state)
{
	union any record = make_call(VT_PROBE_cuMemAlloc_v2, VT_PROBE_cuMemAlloc_v2, 0);

	(void)state;
	record.call.result = 2;
	feed(&record);
	record = make_call(VT_PROBE_cuMemFree_v2, VT_PROBE_cuMemFree_v2, 6);
	feed(&record);
	record.call.result = -1;
	feed(&record);
	assert_int_equal(event_count, 3);
	assert_int_equal(events[0].kind, EVENT_ALLOC_FAILED);
	assert_int_equal(events[0].result, 2);
	assert_int_equal(events[1].kind, EVENT_FREE);
	assert_int_equal(events[1].frame_count, VT_FRAMES_MAX);
	assert_int_equal(events[2].kind, EVENT_FREE_FAILED);
	assert_int_equal(events[2].result, -1);
}

static void test_read_failed_is_a_loss(void **state)
{
	union any record = make_call(VT_PROBE_cuMemAlloc_v2, VT_PROBE_cudaMalloc, 0);

	(void)state;
	record.header.flags = VT_FLAG_READ_FAILED;
	feed(&record);
	assert_int_equal(event_count, 1);
	assert_int_equal(events[0].kind, EVENT_LOST);
	assert_int_equal(events[0].lost_cause, LOST_READ);
	assert_int_equal(events[0].lost_count, 1);
	assert_int_equal(events[0].tgid, 100);
	assert_int_equal(events[0].tid, 101);
	assert_int_equal(events[0].time_ns, 2000);
}

static void test_disagreement(void **state)
{
	union any record = make_call(VT_PROBE_cudaMalloc, VT_PROBE_cudaMalloc, 0);

	(void)state;
	record.header.flags = VT_FLAG_DISAGREES;
	record.call.result = 700;
	feed(&record);
	assert_int_equal(events[0].kind, EVENT_ALLOC_FAILED);
	assert_int_equal(events[0].row, VT_PROBE_cudaMalloc);
	assert_int_equal(events[0].result, 700);
	record = make_call(VT_PROBE_cudaFree, VT_PROBE_cudaFree, 0);
	record.header.flags = VT_FLAG_DISAGREES;
	record.call.result = 700;
	feed(&record);
	assert_int_equal(events[1].kind, EVENT_FREE_FAILED);
}

static void test_processes(void **state)
{
	static const enum event_kind expected[] = { EVENT_PROCESS, EVENT_FORK, EVENT_EXEC, EVENT_EXIT };

	(void)state;
	for (int i = 0; i < 4; i++) {
		union any record = make_process(VT_RECORD_PROCESS + i);

		feed(&record);
		assert_int_equal(events[i].kind, expected[i]);
		assert_int_equal(events[i].start_ns, 77);
		assert_int_equal(events[i].parent_tgid, 1);
		assert_int_equal(events[i].ns_tgid, 9);
		assert_int_equal(events[i].uid, 1000);
		assert_int_equal(events[i].exit_code, 256);
		assert_string_equal(events[i].comm, "0123456789abcdef");
	}
	assert_int_equal(event_count, 4);
}

static void test_longer_process_record_is_accepted(void **state)
{
	union any record = make_process(VT_RECORD_FORK);

	(void)state;
	record.header.length = 400;
	feed(&record);
	assert_int_equal(events[0].kind, EVENT_FORK);
	record.header.version = VT_WIRE_VERSION + 1;
	feed(&record);
	assert_int_equal(events[1].kind, EVENT_LOST);
}

/* As it was entered: whatever else the record says, nothing came of it yet. */
static void test_entered(void **state)
{
	union any record = make_call(VT_PROBE_cuMemAlloc_v2, VT_PROBE_cuMemAlloc_v2, 2);

	(void)state;
	record.header.flags = VT_FLAG_ENTRY;
	feed(&record);
	assert_int_equal(events[0].kind, EVENT_ENTERED);
	assert_int_equal(events[0].size, 4096);
	assert_int_equal(events[0].frame_count, 2);
	record.header.flags = VT_FLAG_ENTRY | VT_FLAG_DISAGREES | VT_FLAG_READ_FAILED;
	record.call.result = 2;
	feed(&record);
	assert_int_equal(events[1].kind, EVENT_ENTERED);
	record = make_call(VT_PROBE_cuMemFree_v2, VT_PROBE_cuMemFree_v2, 0);
	record.header.flags = VT_FLAG_ENTRY;
	feed(&record);
	assert_int_equal(events[2].kind, EVENT_ENTERED);
	assert_int_equal(events[2].addr, 0x7000);
	record.header.flags = VT_FLAG_ENTRY << 1;
	feed(&record);
	assert_int_equal(events[3].kind, EVENT_LOST);
}

/* Of a producer that did not count yet, and of one that does. */
static void test_counts_of_a_process(void **state)
{
	union any record = make_process(VT_RECORD_EXIT);

	(void)state;
	record.process.produced = 12;
	record.process.lost = 3;
	feed(&record);
	assert_int_equal(events[0].produced, 12);
	assert_int_equal(events[0].lost, 3);
	record.header.length = VT_PROCESS_BYTES_MIN;
	decode_record(&decoder, &record, sizeof(record)); /* what lies behind the record is none of it */
	assert_int_equal(events[1].kind, EVENT_EXIT);
	assert_int_equal(events[1].exit_code, 256);
	assert_int_equal(events[1].produced + events[1].lost, 0);
	record.header.length = VT_PROCESS_BYTES_MIN - 8;
	feed(&record);
	assert_int_equal(events[2].kind, EVENT_LOST);
}

static void refused(const union any *record, size_t length)
{
	uint64_t bad = decoder.bad;

	event_count = 0;
	decode_record(&decoder, record, length);
	assert_int_equal(decoder.bad, bad + 1);
	assert_int_equal(event_count, 1);
	assert_int_equal(events[0].kind, EVENT_LOST);
	assert_int_equal(events[0].lost_cause, LOST_BAD_RECORD);
	assert_int_equal(events[0].lost_count, 1);
	assert_int_equal(events[0].tgid, 0); /* what a bad record says of itself is not believed */
}

static void test_refused(void **state)
{
	const union any good = make_call(VT_PROBE_cuMemAlloc_v2, VT_PROBE_cudaMalloc, 2);
	union any record;

	(void)state;
	refused(&good, 0);
	refused(&good, sizeof(struct vt_header) - 1);
	refused(&good, good.header.length - 1);
#define REFUSE(change)                                                                                                 \
	record = good;                                                                                                 \
	record.change;                                                                                                 \
	refused(&record, sizeof(record))
	REFUSE(header.kind = 0);
	REFUSE(header.kind = VT_RECORD_EXIT + 1);
	REFUSE(header.version = 0);
	REFUSE(header.version = VT_WIRE_VERSION + 1);
	REFUSE(header.pad = 1);
	REFUSE(header.flags = 0x80);
	REFUSE(header.cpu = DECODE_CPUS_MAX);
	REFUSE(header.tgid = 0);
	REFUSE(header.length = 0);
	REFUSE(header.length = sizeof(struct vt_header));
	REFUSE(header.length = sizeof(struct vt_call) - 8);
	REFUSE(header.length = sizeof(struct vt_call) + 4);
	REFUSE(header.length = sizeof(struct vt_call) + 8 * (VT_FRAMES_MAX + 1));
	REFUSE(header.length = 0xffff);
	REFUSE(call.row = VT_PROBE_COUNT);
	REFUSE(call.outer_row = 0xffff);
	record = make_process(VT_RECORD_EXEC);
	record.header.length = VT_PROCESS_BYTES_MIN - 8;
	refused(&record, sizeof(record));
	assert_int_equal(decoder.delivered, 0);
}

static void lost_record(uint16_t cpu, uint32_t lost, uint64_t expected)
{
	union any record = make_call(VT_PROBE_cuMemFree_v2, VT_PROBE_cuMemFree_v2, 0);

	event_count = 0;
	record.header.cpu = cpu;
	record.header.lost = lost;
	feed(&record);
	assert_int_equal(event_count, expected ? 2 : 1);
	assert_int_equal(events[event_count - 1].kind, EVENT_FREE);
	if (!expected)
		return;
	assert_int_equal(events[0].kind, EVENT_LOST);
	assert_int_equal(events[0].lost_cause, LOST_RING);
	assert_int_equal(events[0].lost_count, expected);
	assert_int_equal(events[0].tgid, 0);
}

static void test_losses_are_told_once(void **state)
{
	(void)state;
	lost_record(0, 0, 0);
	lost_record(0, 3, 3);
	lost_record(0, 3, 0);
	lost_record(5, 2, 2); /* another CPU counts by itself */
	lost_record(0, 1, 0); /* an old reading, late */
	lost_record(0, 10, 7);
	lost_record(DECODE_CPUS_MAX - 1, 1, 1);
	lost_record(5, 2, 0);
	assert_int_equal(decoder.lost_ring, 13);

	event_count = 0;
	decode_final_losses(&decoder, 13);
	assert_int_equal(event_count, 0);
	decode_final_losses(&decoder, 20);
	assert_int_equal(event_count, 1);
	assert_int_equal(events[0].lost_cause, LOST_RING);
	assert_int_equal(events[0].lost_count, 7);
	assert_int_equal(events[0].time_ns, 2000);
	decode_final_losses(&decoder, 20);
	assert_int_equal(event_count, 1);
}

static void test_lost_counter_wraps(void **state)
{
	(void)state;
	lost_record(2, 0x7fffffff, 0x7fffffff);
	lost_record(2, 0xfffffff0, 0x7ffffff1);
	lost_record(2, 5, 21);
	lost_record(2, 0xfffffffe, 0);
}

static void test_unaligned_record(void **state)
{
	union any record = make_call(VT_PROBE_cuMemFree_v2, VT_PROBE_cuMemFree_v2, 1);
	char bytes[128];

	(void)state;
	memcpy(bytes + 3, &record, record.header.length);
	decode_record(&decoder, bytes + 3, record.header.length);
	assert_int_equal(events[0].kind, EVENT_FREE);
	assert_int_equal(events[0].frames[0], 0x1000);
}

static void test_cause_names(void **state)
{
	(void)state;
	for (int i = 0; i < LOST_CAUSE_COUNT; i++) {
		assert_non_null(lost_cause_name(i));
		assert_non_null(lost_cause_text(i));
	}
	assert_string_equal(lost_cause_name(LOST_BAD_RECORD), "bad_record");
	assert_string_equal(lost_cause_name(LOST_CAUSE_COUNT), "unknown");
}

/* What a recording of wire version 1 holds: no context, no a, no b. */
static void test_version_1(void **state)
{
	union any record = make_call(VT_PROBE_cuMemAlloc_v2, VT_PROBE_cudaMalloc, 0);

	(void)state;
	record.header.version = 1;
	for (int i = 0; i < VT_FRAMES_MAX; i++)
		record.words[VT_CALL_BYTES_1 / 8 + i] = 0x1000 + (uint64_t)i;
	record.header.length = VT_CALL_BYTES_1 + 8 * VT_FRAMES_MAX;
	decode_record(&decoder, &record, record.header.length);
	assert_int_equal(event_count, 1);
	assert_int_equal(events[0].kind, EVENT_ALLOC);
	assert_int_equal(events[0].addr, 0x7000);
	assert_int_equal(events[0].size, 4096);
	assert_true(!events[0].context && !events[0].a && !events[0].b);
	assert_int_equal(events[0].frame_count, VT_FRAMES_MAX);
	for (int i = 0; i < VT_FRAMES_MAX; i++)
		assert_int_equal(events[0].frames[i], 0x1000 + i);
}

/* More frames than there can be, less than any call has, and cut. */
static void test_version_1_refused(void **state)
{
	static const struct {
		uint16_t length;
		size_t given;
	} cases[] = {
		{ VT_CALL_BYTES_1 + 8 * (VT_FRAMES_MAX + 1), 512 },
		{ VT_CALL_BYTES_1 - 8, 512 },
		{ VT_CALL_BYTES_1 + 8, VT_CALL_BYTES_1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		union any record = make_call(VT_PROBE_cuMemAlloc_v2, VT_PROBE_cudaMalloc, 0);

		record.header.version = 1;
		record.header.length = cases[i].length;
		decode_record(&decoder, &record, cases[i].given);
		assert_int_equal(event_count, i + 1);
		assert_int_equal(events[i].kind, EVENT_LOST);
	}
}

/* The op of its row says what another call did. */
static void test_other_calls(void **state)
{
	union any record = make_call(VT_PROBE_cuMemMap, VT_PROBE_cuMemMap, 0);

	(void)state;
	record.call.context = 0x5500;
	record.call.a = 7;
	record.call.b = 8;
	decode_record(&decoder, &record, record.header.length);
	record.call.result = 1;
	decode_record(&decoder, &record, record.header.length);
	assert_int_equal(event_count, 2);
	assert_int_equal(events[0].kind, EVENT_DONE);
	assert_int_equal(events[0].context, 0x5500);
	assert_int_equal(events[0].a, 7);
	assert_int_equal(events[0].b, 8);
	assert_int_equal(events[1].kind, EVENT_FAILED);
}

/* Before it is decoded: what a call is about, and nothing of what is none, or of another version. */
static void test_peek(void **state)
{
	union any call = make_call(VT_PROBE_cuMemMap, VT_PROBE_cuMemMap, 2), process = make_process(VT_RECORD_EXIT);
	struct upcoming upcoming = { 0 };

	(void)state;
	call.call.a = 7;
	assert_true(decode_peek(&call, call.header.length, &upcoming));
	assert_int_equal(upcoming.tgid, 100);
	assert_int_equal(upcoming.row, VT_PROBE_cuMemMap);
	assert_int_equal(upcoming.addr, 0x7000);
	assert_int_equal(upcoming.a, 7);
	assert_false(decode_peek(&call, sizeof(struct vt_call) - 1, &upcoming));
	assert_false(decode_peek(&process, process.header.length, &upcoming));
	call.call.row = VT_PROBE_COUNT;
	assert_false(decode_peek(&call, call.header.length, &upcoming));
	call.call.row = VT_PROBE_cuMemMap;
	call.header.version = 1;
	assert_false(decode_peek(&call, call.header.length, &upcoming));
	assert_int_equal(event_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_call),
		TEST(test_version_1),
		TEST(test_version_1_refused),
		TEST(test_other_calls),
		TEST(test_peek),
		TEST(test_call_kinds),
		TEST(test_read_failed_is_a_loss),
		TEST(test_disagreement),
		TEST(test_processes),
		TEST(test_longer_process_record_is_accepted),
		TEST(test_entered),
		TEST(test_counts_of_a_process),
		TEST(test_refused),
		TEST(test_losses_are_told_once),
		TEST(test_lost_counter_wraps),
		TEST(test_unaligned_record),
		TEST(test_cause_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
