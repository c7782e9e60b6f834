/* SPDX-License-Identifier: Apache-2.0 */
#include "sink_capture.h"

#include "ledger/ledger.h"
#include "sink_schema.h"

/* Entry-only, in every format: what was asked for is shown as that, and what is not known is never shown as a number. */

struct run {
	struct capture capture;
	struct ledger *ledger;
};

static void tell(void *ctx, const struct notice *notice)
{
	struct run *run = ctx;

	sink_notice(run->capture.sink, notice);
}

static void enter(struct run *run, uint16_t row, uint64_t addr, uint64_t size, const struct caller *caller)
{
	static uint64_t now = 1000;
	struct event event = { .kind = EVENT_ENTERED,
			       .tgid = 4711,
			       .tid = 4712,
			       .time_ns = now += 1000,
			       .enter_ns = now,
			       .row = row,
			       .outer_row = row,
			       .addr = addr,
			       .size = size };

	ledger_apply(run->ledger, &event, caller);
}

/* A process that asks for 2 MB twice, for 100 bytes of pinned memory, and frees; it has not ended. */
static struct run *play(const char *format, struct sink_settings settings)
{
	static struct run run;
	struct ledger_settings ledger = {
		.driver_probed = true, .gpus = capture_gpus, .gpu_count = 1, .entry_only = true, .fn = tell, .ctx = &run
	};
	struct event start = {
		.kind = EVENT_PROCESS, .tgid = 4711, .tid = 4711, .time_ns = 500, .start_ns = 5, .comm = "python3"
	};

	settings.entry_only = true;
	run.capture = capture_new(format, &settings);
	assert_int_equal(ledger_new(&ledger, &run.ledger), 0);
	ledger_apply(run.ledger, &start, NULL);
	enter(&run, VT_PROBE_cuMemAlloc_v2, 0, 2 << 20, &torch_caller);
	enter(&run, VT_PROBE_cuMemHostAlloc, 0, 100, &evil_caller);
	enter(&run, VT_PROBE_cuMemAlloc_v2, 0, 2 << 20, &torch_caller);
	enter(&run, VT_PROBE_cuMemFree_v2, 0x7f0000001000, 0, &torch_caller);
	return &run;
}

static void end(struct run *run)
{
	struct sink_end at_end = { .time_ns = 1000000, .exit_reason = "interrupted", .wall_ns = 1000000 };

	sink_summary(run->capture.sink, run->ledger, &at_end);
}

static void stop(struct run *run)
{
	ledger_free(run->ledger);
	capture_free(&run->capture);
}

static void expect(struct run *run, const char *part)
{
	if (!strstr(capture_text(&run->capture), part))
		fail_msg("%s\nis not in\n%s", part, capture_text(&run->capture));
}

static void test_text_lines(void **state)
{
	struct run *run = play("text", capture_settings());
	const char *text;

	(void)state;
	text = capture_text(&run->capture);
	assert_ptr_equal(strstr(text, "entry-only: what calls came to is not known on this kernel; "
				      "sizes are those asked for\n"),
			 text);
	expect(run, "    4711 python3         asked for       2 MB device  -              cuMemAlloc_v2     "
		    "libc10_cuda.so!raw_alloc\n");
	expect(run, "    4711 python3         asked free         - -       0x7f0000001000 cuMemFree_v2      "
		    "libc10_cuda.so!raw_alloc\n");
	assert_clean(capture_text(&run->capture));
	stop(run);
}

static void test_text_summary(void **state)
{
	struct run *run = play("text", capture_settings());

	(void)state;
	end(run);
	expect(run, "\npython3, pid 4711, running\n"
		    "  asked for 4 MB in 3 calls, and 1 call to free\n"
		    "  KIND       PLACEMENT   ASKED FOR    COUNT  LIBRARY\n"
		    "  device     vram             4 MB        2  ?\n"
		    "  pinned     host            100 B        1  ?\n");
	expect(run, "   ASKED FOR    COUNT  CALLER\n"
		    "        4 MB        2  libc10_cuda.so!raw_alloc\n"
		    "       100 B        1  \\x1b");
	expect(run, "\n  incomplete: entry-only: what calls came to is not known\n");
	assert_null(strstr(capture_text(&run->capture), "live"));
	assert_null(strstr(capture_text(&run->capture), "PEAK"));
	stop(run);
}

static void test_text_table(void **state)
{
	struct sink_settings settings = capture_settings();
	struct run *run;

	(void)state;
	settings.events = false;
	run = play("text", settings);
	sink_table(run->capture.sink, run->ledger, 1000000);
	expect(run, "    PID COMM            KIND       PLACEMENT    COUNT ASKED FOR LIBRARY\n"
		    "GPU0 GPU-1-2\n"
		    "   4711 python3         device     vram             2      4 MB ?\n"
		    "  total                            vram             2      4 MB incomplete: entry-only\n"
		    "host memory\n"
		    "   4711 python3         pinned     host             1     100 B ?\n");
	expect(run, "\n  total                            host             1     100 B incomplete: entry-only\n");
	stop(run);
}

static void test_csv(void **state)
{
	struct run *run = play("csv", capture_settings());

	(void)state;
	expect(run, ",call,4711,4712,python3,cuMemAlloc_v2,driver,,2097152,device,vram,,,,,,alloc,,,,"
		    "libc10_cuda.so!raw_alloc,false,GPU0,GPU-1-2,,,,,,,,,,,\n");
	expect(run, ",call,4711,4712,python3,cuMemFree_v2,driver,0x7f0000001000,,,,,,,,,free,,,,"
		    "libc10_cuda.so!raw_alloc,false,,,,,,,,,,,,,\n");
	end(run);
	expect(run,
	       ",held,4711,,python3,,,,4194304,device,vram,,,,,,requested,2,,,,false,GPU0,GPU-1-2,,,,,,,,,?,,false\n");
	stop(run);
}

static void test_json_calls(void **state)
{
	struct run *run = play("json", capture_settings());

	(void)state;
	expect(run, "\"action\":\"vram_call\",\"level\":\"info\",\"device\":\"GPU0\",\"device_uuid\":\"GPU-1-2\","
		    "\"human\":\"cuMemAlloc_v2 asked for 2 MB VRAM on GPU0; what came of it is not known\","
		    "\"op\":\"alloc\",\"size\":2097152,\"addr\":null,\"kind\":\"device\",\"placement\":\"vram\","
		    "\"api\":\"cuMemAlloc_v2\",\"layer\":\"driver\",\"caller\":{\"module\":");
	expect(run, "\"device\":null,\"device_uuid\":null,"
		    "\"human\":\"cuMemFree_v2 asked to free 0x7f0000001000; what came of it is not known\","
		    "\"op\":\"free\",\"size\":null,\"addr\":\"0x7f0000001000\",\"kind\":null,\"placement\":null,"
		    "\"api\":\"cuMemFree_v2\",\"layer\":\"driver\",\"caller\":{\"module\":");
	stop(run);
}

static void test_json_summary(void **state)
{
	struct run *run = play("json", capture_settings());

	(void)state;
	sink_table(run->capture.sink, run->ledger, 900000);
	end(run);
	expect(run, "\"human\":\"3 calls asked for 4 MB in all; entry-only: what calls came to is not known\"");
	expect(run, "\"entry_only\":true,\"requested_bytes\":4194404,\"requested_count\":3,\"processes_dropped\":0,"
		    "\"live_bytes\":null,\"live_count\":null,"
		    "\"allocated_bytes\":null,\"allocated_count\":null,\"lost\":0,\"lost_by_cause\":{},\"uncovered\":"
		    "null,\"complete\":false");
	expect(run, "\"live_bytes\":null,\"live_count\":null,\"peak_bytes\":null,\"allocated_bytes\":null,"
		    "\"allocated_count\":null,"
		    "\"held_at_exit_bytes\":null,\"held_at_exit_count\":null,"
		    "\"by_kind\":{\"device\":{\"bytes\":null,\"count\":null,\"requested_bytes\":4194304,"
		    "\"requested_count\":2},\"pinned\":{\"bytes\":null,\"count\":null,\"requested_bytes\":100,"
		    "\"requested_count\":1}},"
		    "\"by_placement\":{\"vram\":{\"bytes\":null,\"count\":null,\"requested_bytes\":4194304,"
		    "\"requested_count\":2},\"host\":{");
	expect(run, "\"libc10_cuda.so!raw_alloc\":{\"bytes\":null,\"count\":null,\"peak_bytes\":null,"
		    "\"allocated_bytes\":null,\"allocated_count\":null,\"requested_bytes\":4194304,"
		    "\"requested_count\":2}");
	expect(run, "\"calls\":4,\"requested_bytes\":4194404,\"requested_count\":3,\"frees_entered\":1,\"failed\":null,"
		    "\"failed_frees\":null,"
		    "\"unmatched_frees\":null,\"zero_sized\":null,\"lost\":0,\"uncovered\":null,\"complete\":false}");
	expect(run, "\"borrowed_bytes\":null,\"borrowed_count\":null,\"virtual_bytes\":null,\"virtual_count\":null,"
		    "\"computed_bytes\":null,\"computed_count\":null,\"maybe_captured\":null,\"size_unknown\":null,"
		    "\"trust\":\"incomplete: entry-only\",\"calls\":4,");
	check_against_schema(capture_text(&run->capture));
	stop(run);
}

static void test_filters(void **state)
{
	struct sink_settings settings = capture_settings();
	struct run *run;

	(void)state;
	settings.min_size = 101;
	run = play("csv", settings);
	assert_null(strstr(capture_text(&run->capture), "cuMemHostAlloc"));
	expect(run, "cuMemAlloc_v2");
	expect(run, "cuMemFree_v2");
	stop(run);
	settings.min_size = 0;
	settings.only_kind = VT_KIND_PINNED;
	run = play("csv", settings);
	assert_null(strstr(capture_text(&run->capture), "cuMemAlloc_v2"));
	expect(run, "cuMemHostAlloc");
	stop(run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_lines), cmocka_unit_test(test_text_summary),
		cmocka_unit_test(test_text_table), cmocka_unit_test(test_csv),
		cmocka_unit_test(test_json_calls), cmocka_unit_test(test_json_summary),
		cmocka_unit_test(test_filters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
