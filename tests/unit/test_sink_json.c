/* SPDX-License-Identifier: Apache-2.0 */
#include "sink_capture.h"

#include "ledger/ledger.h"
#include "sink_schema.h"

/* JSON lines: exact sentences, and all kinds of lines against the schema that the binary carries. */

static void expect_part(struct capture *capture, const struct notice *notice, const char *part)
{
	sink_notice(capture->sink, notice);
	if (!strstr(capture_last(capture, 0), part))
		fail_msg("%s\nis not in\n%s", part, capture_last(capture, 0));
}

static void test_whole_line(void **state)
{
	struct sink_settings settings = capture_settings();
	struct capture capture = capture_new("json", &settings);
	struct process process = capture_process();
	struct notice notice = capture_notice(NOTICE_ALLOC, &process);
	char ts[CLOCK_RFC3339_BYTES];
	char expected[2048];

	(void)state;
	sink_notice(capture.sink, &notice);
	clock_format_rfc3339(clock_wall_of(notice.time_ns), ts);
	snprintf(expected, sizeof(expected),
		 "{\"schema\":1,\"event\":\"alloc\",\"ts\":\"%s\",\"mono_ns\":%llu,\"host\":\"node1\",\"pid\":4711,"
		 "\"tid\":4712,"
		 "\"ns_pid\":11,\"comm\":\"python3\",\"actor\":\"vram-residency\",\"action\":\"vram_allocate\","
		 "\"level\":\"info\","
		 "\"device\":\"GPU0\",\"device_uuid\":\"GPU-1-2\","
		 "\"human\":\"Allocated 64 MB VRAM on GPU0, purpose "
		 "unknown\",\"id\":7,\"addr\":\"0x7f12a4000000\",\"size\":67108864,"
		 "\"kind\":\"device\",\"placement\":\"vram\",\"purpose\":\"unknown\",\"purpose_source\":\"none\","
		 "\"api\":\"cudaMalloc\","
		 "\"layer\":\"both\",\"duration_ns\":55000,\"caller\":{\"module\":\"/opt/lib/"
		 "libc10_cuda.so\",\"symbol\":\"raw_alloc\","
		 "\"offset\":18,\"demangled\":null},\"live_bytes\":134217728}\n",
		 ts, (unsigned long long)notice.time_ns);
	assert_string_equal(capture_text(&capture), expected);
	capture_free(&capture);
}

static void test_sentences_of_blocks(void **state)
{
	struct sink_settings settings = capture_settings();
	struct capture capture = capture_new("json", &settings);
	struct process process = capture_process();
	struct notice notice = capture_notice(NOTICE_ALLOC, &process);

	(void)state;
	notice.size = 1ULL << 30;
	notice.purpose = PURPOSE_MODEL_WEIGHTS;
	expect_part(&capture, &notice, "\"human\":\"Allocated 1024 MB VRAM on GPU0 for ModelWeights\"");
	notice = capture_notice(NOTICE_ALLOC, &process);
	notice.memory_kind = VT_KIND_MANAGED;
	notice.placement = PLACEMENT_MIGRATABLE;
	expect_part(&capture, &notice, "\"human\":\"Allocated 64 MB managed memory, purpose unknown\"");
	notice.memory_kind = VT_KIND_PINNED;
	notice.placement = PLACEMENT_HOST;
	notice.gpu = NULL;
	expect_part(&capture, &notice,
		    "\"device\":null,\"device_uuid\":null,\"human\":\"Allocated 64 MB pinned host memory, purpose "
		    "unknown\"");
	notice = capture_notice(NOTICE_FREE, &process);
	expect_part(&capture, &notice, "\"human\":\"Deallocated 64 MB VRAM on GPU0 (128 MB still in use)\"");
	notice.live_bytes = 0;
	notice.size = 512;
	notice.reason = FREE_EXIT;
	notice.api = NULL;
	notice.caller = NULL;
	expect_part(&capture, &notice,
		    "\"human\":\"Deallocated 512 B VRAM on GPU0 at the end of the process (0 MB still in use)\"");
	expect_part(&capture, &notice,
		    "\"reason\":\"exit\",\"live_bytes\":0,\"api\":null,\"layer\":null,\"duration_ns\":null,\"caller\":"
		    "null}");
	capture_free(&capture);
}

static void test_sentences_of_failures(void **state)
{
	struct sink_settings settings = capture_settings();
	struct capture capture = capture_new("json", &settings);
	struct process process = capture_process();
	struct notice notice = capture_notice(NOTICE_ALLOC_FAILED, &process);

	(void)state;
	notice.error = 2;
	notice.size = 4ULL << 30;
	expect_part(&capture, &notice, "\"action\":\"vram_allocate_failed\",\"level\":\"error\"");
	expect_part(&capture, &notice,
		    "\"human\":\"VRAM allocation failed on GPU0: requested 4096 MB, cudaErrorMemoryAllocation\"");
	expect_part(&capture, &notice,
		    "\"error\":2,\"error_name\":\"cudaErrorMemoryAllocation\",\"error_layer\":\"runtime\",\"error_"
		    "kind\":\"vram_oom\"");
	notice.error = -7;
	expect_part(&capture, &notice,
		    "\"error\":-7,\"error_name\":null,\"error_layer\":\"runtime\",\"error_kind\":null");
	notice.kind = NOTICE_FREE_FAILED;
	notice.error = 2;
	expect_part(&capture, &notice, "\"error_kind\":null");
	notice = (struct notice) { .kind = NOTICE_LOST, .lost_cause = LOST_OUTPUT, .lost_count = 3 };
	expect_part(&capture, &notice, "\"pid\":null,\"tid\":null,\"ns_pid\":null,\"comm\":null");
	expect_part(&capture, &notice,
		    "\"count\":3,\"cause\":\"output\",\"text\":\"the reader of the output was too slow\"}");
	capture_free(&capture);
}

static void count_notice(void *ctx, const struct notice *notice)
{
	sink_notice(ctx, notice);
}

static struct event call(enum event_kind kind, uint16_t row, uint64_t addr, uint64_t size)
{
	static uint64_t now = 1000;

	now += 1000;
	return (struct event) { .kind = kind,
				.tgid = 4711,
				.tid = 4711,
				.time_ns = now,
				.enter_ns = now - 500,
				.row = row,
				.outer_row = row,
				.addr = addr,
				.size = size };
}

/* A small run through the real ledger: two blocks, one freed, one held at exit, one failure, one loss. */
static struct ledger *play_run(struct sink *sink)
{
	struct ledger_settings settings = {
		.driver_probed = true, .gpus = capture_gpus, .gpu_count = 1, .fn = count_notice, .ctx = sink
	};
	struct ledger *ledger;
	struct event event;

	assert_int_equal(ledger_new(&settings, &ledger), 0);
	event = (struct event) { .kind = EVENT_PROCESS,
				 .tgid = 4711,
				 .tid = 4711,
				 .time_ns = 1000,
				 .start_ns = 5,
				 .ns_tgid = 11,
				 .parent_tgid = 1,
				 .uid = 1000 };
	memcpy(event.comm, EVIL, sizeof(EVIL));
	ledger_apply(ledger, &event, NULL);
	event = call(EVENT_ALLOC, VT_PROBE_cuMemAlloc_v2, 0x7f0000000000, 64 << 20);
	ledger_apply(ledger, &event, &torch_caller);
	event = call(EVENT_ALLOC, VT_PROBE_cuMemAllocManaged, 0x7f1000000000, 1 << 20);
	ledger_apply(ledger, &event, &evil_caller);
	event = call(EVENT_ALLOC_FAILED, VT_PROBE_cuMemAlloc_v2, 0, 1ULL << 40);
	event.result = 2;
	ledger_apply(ledger, &event, &torch_caller);
	event = call(EVENT_FREE, VT_PROBE_cuMemFree_v2, 0x7f0000000000, 0);
	ledger_apply(ledger, &event, &torch_caller);
	event = call(EVENT_FREE, VT_PROBE_cuMemFree_v2, 0x1234, 0);
	ledger_apply(ledger, &event, &torch_caller);
	event = call(EVENT_FREE_FAILED, VT_PROBE_cuMemFree_v2, 0x99, 0);
	event.result = 1;
	ledger_apply(ledger, &event, NULL);
	event = call(EVENT_ALLOC, VT_PROBE_cudaMalloc, 0x7f2000000000, 4096); /* no driver call below: uncovered */
	ledger_apply(ledger, &event, &torch_caller);
	event = (struct event) { .kind = EVENT_LOST, .time_ns = 100000, .lost_cause = LOST_RING, .lost_count = 5 };
	ledger_apply(ledger, &event, NULL);
	sink_table(sink, ledger, 150000);
	event = (struct event) {
		.kind = EVENT_EXIT, .tgid = 4711, .tid = 4711, .time_ns = 200000, .start_ns = 5, .exit_code = 3 << 8
	};
	ledger_apply(ledger, &event, NULL);
	return ledger;
}

static void test_run_against_schema(void **state)
{
	static const char *const events[] = { "alloc",	   "free", "free_failed", "free_unmatched", "alloc_failed",
					      "uncovered", "lost", "process",	  "ledger",	    "summary" };
	struct sink_settings settings = capture_settings();
	struct sink_end end = { .exit_reason = "child exited", .wall_ns = 12300000000 };
	struct capture capture = capture_new("json", &settings);
	struct ledger *ledger;
	char key[64];

	(void)state;
	ledger = play_run(capture.sink);
	sink_summary(capture.sink, ledger, &end);
	assert_clean(capture_text(&capture));
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		snprintf(key, sizeof(key), "\"event\":\"%s\"", events[i]);
		if (!strstr(capture_text(&capture), key))
			fail_msg("no line with %s", key);
	}
	check_against_schema(capture_text(&capture));
	ledger_free(ledger);
	capture_free(&capture);
}

static void expect_in(const char *line, const char *part)
{
	if (!strstr(line, part))
		fail_msg("%s\nis not in\n%s", part, line);
}

static void test_summary(void **state)
{
	struct sink_settings settings = capture_settings();
	struct sink_end end = { .exit_reason = "child exited", .wall_ns = 12300000000, .simulated = true };
	struct capture capture = capture_new("json", &settings);
	struct ledger *ledger = play_run(capture.sink);
	const char *line;

	(void)state;
	sink_summary(capture.sink, ledger, &end);
	line = capture_last(&capture, 0);
	expect_in(line, "\"event\":\"summary\"");
	expect_in(line, "\"simulated\":true");
	expect_in(line, "\"level\":\"warning\"");
	expect_in(line, "\"lost\":5,\"lost_by_cause\":{\"ring\":5},\"uncovered\":1,\"complete\":false");
	expect_in(line, "\"ended\":true,\"exit_code\":3,\"exit_signal\":null");
	expect_in(line, "\"live_bytes\":0,\"live_count\":0,\"peak_bytes\":68157440,\"allocated_bytes\":68161536,"
			"\"allocated_count\":3,"
			"\"held_at_exit_bytes\":1052672,\"held_at_exit_count\":2");
	expect_in(line,
		  "\"by_kind\":{\"device\":{\"bytes\":4096,\"count\":1},\"managed\":{\"bytes\":1048576,\"count\":1}}");
	expect_in(line, "\"by_placement\":{\"vram\":{\"bytes\":4096,\"count\":1},\"migratable\":{\"bytes\":1048576,"
			"\"count\":1}}");
	expect_in(line, "\"by_purpose\":{\"unknown\":{\"bytes\":1052672,\"count\":2}}");
	expect_in(line, "\"libc10_cuda.so!raw_alloc\":{\"bytes\":4096,\"count\":1,\"peak_bytes\":67108864,\"allocated_"
			"bytes\":67112960,"
			"\"allocated_count\":2}");
	expect_in(line, "\"failed\":1,\"failed_frees\":1,\"unmatched_frees\":1");
	expect_in(line, "\"exit_reason\":\"child exited\",\"wall_ns\":12300000000");
	ledger_free(ledger);
	capture_free(&capture);
}

static void apply_life(struct ledger *ledger, enum event_kind kind, uint32_t tgid)
{
	struct event event = { .kind = kind, .tgid = tgid, .tid = tgid, .time_ns = 500, .start_ns = tgid, .comm = "p" };

	ledger_apply(ledger, &event, NULL);
}

static void alloc_of(struct ledger *ledger, uint32_t tgid)
{
	struct event event = call(EVENT_ALLOC, VT_PROBE_cuMemAlloc_v2, 0x7f0000000000, 4096);

	event.tgid = tgid;
	ledger_apply(ledger, &event, NULL);
}

static struct ledger *silent_ledger(void)
{
	struct ledger_settings settings = { .driver_probed = true, .gpus = capture_gpus, .gpu_count = 1 };
	struct ledger *ledger;

	assert_int_equal(ledger_new(&settings, &ledger), 0);
	return ledger;
}

/* Who has ended is in the next `ledger` line and then no more, or a long run would be nothing but its past. */
static void test_ended_processes_are_listed_once(void **state)
{
	struct sink_settings settings = capture_settings();
	struct sink_end end = { .exit_reason = "interrupted", .time_ns = 777000 };
	struct capture capture = capture_new("json", &settings);
	struct ledger *ledger = silent_ledger();

	(void)state;
	apply_life(ledger, EVENT_PROCESS, 100);
	alloc_of(ledger, 100);
	apply_life(ledger, EVENT_PROCESS, 200);
	alloc_of(ledger, 200);
	sink_table(capture.sink, ledger, 10000);
	apply_life(ledger, EVENT_EXIT, 100);
	sink_table(capture.sink, ledger, 20000);
	expect_in(capture_last(&capture, 0), "\"mono_ns\":20000,");
	expect_in(capture_last(&capture, 0), "\"processes\":[{\"pid\":100,");
	expect_in(capture_last(&capture, 0), "},{\"pid\":200,");
	sink_table(capture.sink, ledger, 30000);
	expect_in(capture_last(&capture, 0),
		  "\"allocated_bytes\":8192,\"allocated_count\":2,"); /* the sums still know it */
	expect_in(capture_last(&capture, 0), "\"processes\":[{\"pid\":200,");
	apply_life(ledger, EVENT_EXIT, 200);
	sink_summary(capture.sink, ledger, &end);
	expect_in(capture_last(&capture, 0), "\"mono_ns\":777000,");
	expect_in(capture_last(&capture, 0), "\"processes\":[{\"pid\":100,");
	expect_in(capture_last(&capture, 0), "},{\"pid\":200,");
	ledger_free(ledger);
	capture_free(&capture);
}

/* A loss of a known process is told with it, and spoils its totals alone; also when it has ended, and all of its calls were lost. */
static void test_losses_of_one_process(void **state)
{
	struct event lost = {
		.kind = EVENT_LOST, .time_ns = 900, .tgid = 100, .lost_cause = LOST_KILLED, .lost_count = 2
	};
	struct sink_settings settings = capture_settings();
	struct sink_end end = { .exit_reason = "interrupted" };
	struct capture capture = capture_new("json", &settings);
	struct ledger_settings told = { .driver_probed = true, .fn = count_notice, .ctx = capture.sink };
	struct ledger *ledger;

	(void)state;
	assert_int_equal(ledger_new(&told, &ledger), 0);
	apply_life(ledger, EVENT_FORK, 100);
	alloc_of(ledger, 200);
	ledger_apply(ledger, &lost, NULL);
	expect_in(capture_last(&capture, 0), "\"event\":\"lost\"");
	expect_in(capture_last(&capture, 0), "\"pid\":100,\"tid\":null,\"ns_pid\":null,\"comm\":\"p\"");
	expect_in(capture_last(&capture, 0),
		  "\"count\":2,\"cause\":\"killed\",\"text\":\"a thread ended within a call\"");
	apply_life(ledger, EVENT_EXIT, 100);
	lost.lost_cause = LOST_RECORDING;
	ledger_apply(ledger, &lost, NULL);
	expect_in(capture_last(&capture, 0), "\"pid\":100,\"tid\":null,");
	assert_int_equal(ledger_process_count(ledger), 2);
	assert_int_equal(ledger_process(ledger, 0)->lost, 4);
	assert_int_equal(ledger_lost_unknown(ledger), 0);
	assert_false(ledger_complete(ledger, ledger_process(ledger, 0)));
	assert_true(ledger_complete(ledger, ledger_process(ledger, 1)));
	sink_summary(capture.sink, ledger, &end);
	expect_in(capture_last(&capture, 0), "\"lost\":4,\"lost_by_cause\":{\"killed\":2,\"recording\":2}");
	check_against_schema(capture_text(&capture));
	ledger_free(ledger);
	capture_free(&capture);
}

/* Every cause, whatever comes to the list, has words of its own, and its count is in the summary. */
static void test_all_causes_of_loss(void **state)
{
	struct sink_settings settings = capture_settings();
	struct sink_end end = { .exit_reason = "interrupted" };
	struct capture json = capture_new("json", &settings);
	struct capture text = capture_new("text", &settings);
	struct ledger *ledger = silent_ledger();
	char part[256];

	(void)state;
	for (unsigned int cause = 0; cause < LOST_CAUSE_COUNT; cause++) {
		struct event lost = { .kind = EVENT_LOST,
				      .lost_cause = (enum lost_cause)cause,
				      .lost_count = 100 + cause };

		ledger_apply(ledger, &lost, NULL);
	}
	sink_summary(json.sink, ledger, &end);
	sink_summary(text.sink, ledger, &end);
	for (unsigned int cause = 0; cause < LOST_CAUSE_COUNT; cause++) {
		assert_string_not_equal(lost_cause_name((enum lost_cause)cause), "unknown");
		snprintf(part, sizeof(part), "\"%s\":%u", lost_cause_name((enum lost_cause)cause), 100 + cause);
		expect_in(capture_text(&json), part);
		snprintf(part, sizeof(part), "lost: %u, %s\n", 100 + cause, lost_cause_text((enum lost_cause)cause));
		expect_in(capture_text(&text), part);
	}
	ledger_free(ledger);
	capture_free(&json);
	capture_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_line),
		cmocka_unit_test(test_sentences_of_blocks),
		cmocka_unit_test(test_sentences_of_failures),
		cmocka_unit_test(test_run_against_schema),
		cmocka_unit_test(test_summary),
		cmocka_unit_test(test_ended_processes_are_listed_once),
		cmocka_unit_test(test_losses_of_one_process),
		cmocka_unit_test(test_all_causes_of_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
