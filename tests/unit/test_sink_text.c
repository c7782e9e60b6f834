/* SPDX-License-Identifier: Apache-2.0 */
#include "sink_capture.h"

#include "ledger/ledger.h"

/* Text output, character by character; the time of day (15 columns) is cut off. */
#define TIME_COLUMNS 15

static void expect_line(struct capture *capture, const struct notice *notice, const char *expected)
{
	sink_notice(capture->sink, notice);
	assert_string_equal(capture_last(capture, TIME_COLUMNS), expected);
}

/* The columns are named once, by the first event. */
static void test_header(void **state)
{
	static const char header[] = "TIME                PID COMM            EVENT           SIZE KIND    ADDRESS     "
				     "   API               CALLER\n";
	struct sink_settings settings = capture_settings();
	struct capture capture = capture_new("text", &settings);
	struct process process = capture_process();
	struct notice notice = capture_notice(NOTICE_ALLOC, &process);
	const char *text;

	(void)state;
	assert_string_equal(capture_text(&capture), "");
	sink_notice(capture.sink, &notice);
	sink_notice(capture.sink, &notice);
	text = capture_text(&capture);
	assert_memory_equal(text, header, sizeof(header) - 1);
	assert_null(strstr(text + 1, header));
	capture_free(&capture);
}

static void test_lines(void **state)
{
	struct sink_settings settings = capture_settings();
	struct capture capture = capture_new("text", &settings);
	struct process process = capture_process();
	struct notice notice = capture_notice(NOTICE_ALLOC, &process);

	(void)state;
	expect_line(&capture, &notice,
		    "    4711 python3         alloc          64 MB device  0x7f12a4000000 cudaMalloc        "
		    "libc10_cuda.so!raw_alloc");
	notice.size = 1;
	expect_line(&capture, &notice,
		    "    4711 python3         alloc            1 B device  0x7f12a4000000 cudaMalloc        "
		    "libc10_cuda.so!raw_alloc");
	notice = capture_notice(NOTICE_FREE, &process);
	notice.api = "cudaFree";
	expect_line(&capture, &notice,
		    "    4711 python3         free           64 MB device  0x7f12a4000000 cudaFree          after 2.5 "
		    "s, live 128 MB");
	notice.api = NULL;
	notice.reason = FREE_EXIT;
	expect_line(&capture, &notice,
		    "    4711 python3         free           64 MB device  0x7f12a4000000 -                 at exit, "
		    "after 2.5 s, live 128 MB");
	notice = capture_notice(NOTICE_ALLOC_FAILED, &process);
	notice.error = 2;
	expect_line(&capture, &notice,
		    "    4711 python3         alloc FAIL     64 MB device  -              cudaMalloc        "
		    "cudaErrorMemoryAllocation (2) "
		    "libc10_cuda.so!raw_alloc");
	notice.error = 54321;
	expect_line(&capture, &notice,
		    "    4711 python3         alloc FAIL     64 MB device  -              cudaMalloc        error "
		    "54321 libc10_cuda.so!raw_alloc");
	notice = capture_notice(NOTICE_FREE_UNMATCHED, &process);
	notice.api = "cudaFree";
	expect_line(&capture, &notice,
		    "    4711 python3         unmatched          - -       0x7f12a4000000 cudaFree          not known: "
		    "from before the trace, or lost");
	capture_free(&capture);
}

static void test_process_lines(void **state)
{
	struct sink_settings settings = capture_settings();
	struct capture capture = capture_new("text", &settings);
	struct process process = capture_process();
	struct notice notice = capture_notice(NOTICE_PROCESS, &process);

	(void)state;
	notice.process_event = EVENT_PROCESS;
	expect_line(&capture, &notice, "    4711 python3         start      Process made its first traced call");
	notice.process_event = EVENT_FORK;
	expect_line(&capture, &notice, "    4711 python3         fork       Process was forked by process 1");
	process.ended = true; /* an end, whatever event told it */
	process.exit_code = 9;
	process.total.at_exit = (struct tally) { 64 << 20, 1 };
	expect_line(&capture, &notice,
		    "    4711 python3         exit       Process was killed by signal 9, still holding 64 MB");
	process.exit_code = 3 << 8;
	process.total.at_exit = (struct tally) { 0, 0 };
	expect_line(&capture, &notice, "    4711 python3         exit       Process ended with exit code 3");
	notice = (struct notice) {
		.kind = NOTICE_LOST, .time_ns = clock_mono_ns(), .lost_cause = LOST_RING, .lost_count = 12
	};
	expect_line(
		&capture, &notice,
		"       - -               lost       12 events lost: the ring buffer was full; totals are incomplete");
	capture_free(&capture);
}

static void test_exact_bytes(void **state)
{
	struct sink_settings settings = capture_settings();
	struct process process = capture_process();
	struct notice notice = capture_notice(NOTICE_FREE, &process);
	struct capture capture;

	(void)state;
	settings.exact_bytes = true;
	capture = capture_new("text", &settings);
	notice.api = "cudaFree";
	expect_line(&capture, &notice,
		    "    4711 python3         free             67108864 device  0x7f12a4000000 cudaFree          after "
		    "2.5 s, live 134217728");
	capture_free(&capture);
}

static void test_color(void **state)
{
	struct sink_settings settings = capture_settings();
	struct process process = capture_process();
	struct notice notice = capture_notice(NOTICE_ALLOC_FAILED, &process);
	struct capture capture;
	const char *line;

	(void)state;
	settings.color = true;
	capture = capture_new("text", &settings);
	sink_notice(capture.sink, &notice);
	line = capture_last(&capture, 0);
	assert_memory_equal(line, "\033[31m", 5);
	assert_string_equal(line + strlen(line) - 4, "\033[0m");
	notice = (struct notice) { .kind = NOTICE_LOST, .lost_cause = LOST_RING, .lost_count = 1 };
	sink_notice(capture.sink, &notice);
	assert_memory_equal(capture_last(&capture, 0), "\033[33m", 5);
	capture_free(&capture);
}

static void test_hostile_names(void **state)
{
	struct sink_settings settings = capture_settings();
	struct capture capture = capture_new("text", &settings);
	struct process process = capture_process();
	struct notice notice = capture_notice(NOTICE_ALLOC, &process);

	(void)state;
	memcpy(process.comm, EVIL, sizeof(EVIL));
	notice.caller = &evil_caller;
	sink_notice(capture.sink, &notice);
	notice.kind = NOTICE_ALLOC_FAILED;
	sink_notice(capture.sink, &notice);
	assert_clean(capture_text(&capture));
	assert_non_null(strstr(capture_text(&capture), "\\x1b[31m\\x0a\\xe2\\x80\\xae\\xff\""));
	capture_free(&capture);
}

/* The line of an allocation by a caller of that name ends with this. */
static void shown_as(const char *name, const char *expected)
{
	struct sink_settings settings = capture_settings();
	struct capture capture = capture_new("text", &settings);
	struct process process = capture_process();
	struct notice notice = capture_notice(NOTICE_ALLOC, &process);
	struct caller caller = { .module = "m", .name = (char *)name };
	const char *shown;

	notice.caller = &caller;
	sink_notice(capture.sink, &notice);
	shown = strstr(capture_last(&capture, 0), "cudaMalloc");
	assert_non_null(shown);
	shown += strspn(shown + 10, " ") + 10;
	assert_string_equal(shown, expected);
	capture_free(&capture);
}

static void test_long_callers_keep_their_last_parts(void **state)
{
	(void)state;
	shown_as("libc10_cuda.so!c10::cuda::CUDACachingAllocator::Native::DeviceCachingAllocator::alloc_block",
		 "libc10_cuda.so!...DeviceCachingAllocator::alloc_block");
	/* 56 bytes, and one more */
	shown_as("m!abcdefghij::abcdefghij::abcdefghij::abcdefghij::abcdef",
		 "m!abcdefghij::abcdefghij::abcdefghij::abcdefghij::abcdef");
	shown_as("m!abcdefghij::abcdefghij::abcdefghij::abcdefghij::abcdefg",
		 "m!...abcdefghij::abcdefghij::abcdefghij::abcdefg");
	/* one part that is too long; a module that is; no symbol */
	shown_as("m!ns::a123456789b123456789c123456789d123456789e123456789f123456789",
		 "m!...9b123456789c123456789d123456789e123456789f123456789");
	shown_as("libwith_a_very_long_name_of_its_own.so.13!allocate_the_weights_of_the_model",
		 "libwith_a_very_long_name...cate_the_weights_of_the_model");
	shown_as("a123456789b123456789c123456789d123456789e123456789f123456789.so+0x12",
		 "...56789c123456789d123456789e123456789f123456789.so+0x12");
}

static void test_filters(void **state)
{
	struct sink_settings settings = capture_settings();
	struct process process = capture_process();
	struct notice small = capture_notice(NOTICE_ALLOC, &process);
	struct notice failed = capture_notice(NOTICE_ALLOC_FAILED, &process);
	struct capture capture;

	(void)state;
	settings.min_size = 1000;
	small.size = 999;
	failed.size = 999;
	capture = capture_new("text", &settings);
	sink_notice(capture.sink, &small);
	assert_null(strstr(capture_text(&capture), "alloc  "));
	sink_notice(capture.sink, &failed);
	assert_non_null(strstr(capture_text(&capture), "alloc FAIL"));
	small.size = 1000;
	sink_notice(capture.sink, &small);
	assert_non_null(strstr(capture_text(&capture), "1000 B"));
	capture_free(&capture);

	settings.only_kind = VT_KIND_PINNED;
	capture = capture_new("text", &settings);
	sink_notice(capture.sink, &small);
	sink_notice(capture.sink, &failed);
	assert_null(strstr(capture_text(&capture), "alloc"));
	small.memory_kind = VT_KIND_PINNED;
	sink_notice(capture.sink, &small);
	assert_non_null(strstr(capture_text(&capture), "pinned"));
	capture_free(&capture);
}

static void test_simulated_is_said_once_and_late(void **state)
{
	static const char said[] = "simulated: this is a simulated card, not a GPU\n";
	struct sink_settings settings = capture_settings();
	struct capture capture = capture_new("text", &settings);
	struct process process = capture_process();
	struct notice notice = capture_notice(NOTICE_ALLOC, &process);
	const char *at;

	(void)state;
	sink_notice(capture.sink, &notice);
	assert_null(strstr(capture_text(&capture), said));
	sink_set_simulated(capture.sink);
	sink_notice(capture.sink, &notice);
	sink_notice(capture.sink, &notice);
	at = strstr(capture_text(&capture), said);
	assert_non_null(at);
	assert_null(strstr(at + 1, said));
	capture_free(&capture);
}

static void tell(void *ctx, const struct notice *notice)
{
	sink_notice(ctx, notice);
}

static struct ledger *new_ledger(struct sink *sink)
{
	struct ledger_settings settings = {
		.driver_probed = true, .gpus = capture_gpus, .gpu_count = 1, .fn = tell, .ctx = sink
	};
	struct ledger *ledger;

	assert_int_equal(ledger_new(&settings, &ledger), 0);
	return ledger;
}

static void apply_call(struct ledger *ledger, enum event_kind kind, uint16_t row, uint64_t addr, uint64_t size)
{
	static uint64_t now = 1000;
	struct event event = { .kind = kind,
			       .tgid = 4711,
			       .tid = 4711,
			       .time_ns = now += 1000,
			       .enter_ns = now - 500,
			       .row = row,
			       .outer_row = row,
			       .addr = addr,
			       .size = size,
			       .result = kind == EVENT_ALLOC_FAILED ? 2 : 0 };

	ledger_apply(ledger, &event, &torch_caller);
}

static void test_summary_without_cuda(void **state)
{
	struct sink_end end = { .exit_reason = "interrupted", .wall_ns = 2500000000 };
	struct sink_settings settings = capture_settings();
	struct capture capture;
	struct ledger *ledger;

	(void)state;
	settings.events = false;
	capture = capture_new("text", &settings);
	ledger = new_ledger(capture.sink);
	sink_summary(capture.sink, ledger, &end);
	assert_string_equal(capture_text(&capture),
			    "\nNo process made a CUDA call that is traced; traced for 2.5 s, until: interrupted\n");
	ledger_free(ledger);
	capture_free(&capture);
}

static void test_table_and_summary(void **state)
{
	struct event start = {
		.kind = EVENT_PROCESS, .tgid = 4711, .tid = 4711, .time_ns = 500, .start_ns = 5, .comm = "python3"
	};
	struct event end_event = {
		.kind = EVENT_EXIT, .tgid = 4711, .time_ns = 1000000, .start_ns = 5, .exit_code = 9
	};
	struct sink_end end = { .exit_reason = "targets ended", .wall_ns = 2500000000 };
	struct sink_settings settings = capture_settings();
	struct capture capture;
	struct ledger *ledger;
	const char *text;

	(void)state;
	settings.events = false;
	capture = capture_new("text", &settings);
	ledger = new_ledger(capture.sink);
	ledger_apply(ledger, &start, NULL);
	apply_call(ledger, EVENT_ALLOC, VT_PROBE_cuMemAlloc_v2, 0x10000, 64 << 20);
	apply_call(ledger, EVENT_ALLOC, VT_PROBE_cuMemHostAlloc, 0x20000, 512);
	apply_call(ledger, EVENT_FREE, VT_PROBE_cuMemFree_v2, 0x10000, 0);
	apply_call(ledger, EVENT_ALLOC_FAILED, VT_PROBE_cuMemAlloc_v2, 0, 1ULL << 40);
	sink_table(capture.sink, ledger, 503000);
	text = capture_text(&capture);
	assert_string_equal(
		text + 10, /* a newline, the time of day, a newline */
		"    PID COMM            KIND       PLACEMENT    COUNT      LIVE      PEAK      AGE LIBRARY\n"
		"GPU0 GPU-1-2\n"
		"   4711 python3         total      vram             0       0 B     64 MB          complete\n"
		"  total                            vram             0       0 B     64 MB          complete\n"
		"host memory\n"
		"   4711 python3         pinned     host             1     512 B     512 B 500.0 us "
		"libc10_cuda.so\n"
		"  total                            host             1     512 B                    complete\n");
	ledger_apply(ledger, &end_event, NULL);
	sink_summary(capture.sink, ledger, &end);
	text = strstr(capture_text(&capture), "\n1 process");
	assert_non_null(text);
	assert_string_equal(text,
			    "\n1 process with CUDA calls; traced for 2.5 s, until: targets ended\n"
			    "\n"
			    "python3, pid 4711, killed by signal 9\n"
			    "  live 0 B, peak 64 MB, allocated 64 MB in 2 allocations, held at exit 512 B in 1 block\n"
			    "  KIND       PLACEMENT     AT EXIT       PEAK  ALLOCATED    COUNT  LIBRARY\n"
			    "  device     vram              0 B      64 MB      64 MB        1  libc10_cuda.so\n"
			    "  pinned     host            512 B      512 B      512 B        1  libc10_cuda.so\n"
			    "        PEAK  ALLOCATED    COUNT  CALLER\n"
			    "       64 MB      64 MB        2  libc10_cuda.so!raw_alloc\n"
			    "  1 failed allocation\n"
			    "  complete: every traced call of this process was seen, from its start\n");
	ledger_free(ledger);
	capture_free(&capture);
}

static void test_trust_names_its_reasons(void **state)
{
	struct event lost = { .kind = EVENT_LOST, .time_ns = 900000, .lost_cause = LOST_RING, .lost_count = 5 };
	struct sink_end end = { .exit_reason = "interrupted", .wall_ns = 1 };
	struct sink_settings settings = capture_settings();
	struct capture capture = capture_new("text", &settings);
	struct ledger *ledger = new_ledger(capture.sink);

	(void)state;
	assert_int_equal(ledger_attach_late(ledger, 4711, 4711, 0, "python3", 1000), 0);
	apply_call(ledger, EVENT_ALLOC, VT_PROBE_cudaMalloc, 0x10000, 4096); /* no driver call under it */
	ledger_apply(ledger, &lost, NULL);
	sink_summary(capture.sink, ledger, &end);
	assert_non_null(strstr(capture_text(&capture),
			       "  incomplete: it ran before its calls were probed, what it held then is "
			       "unseen; 5 events were lost (of no known process); "
			       "1 call reached no traced driver call\n"
			       "\nlost: 5, the ring buffer was full\n"));
	ledger_free(ledger);
	capture_free(&capture);
}

static void test_eleven_callers_show_ten(void **state)
{
	struct sink_end end = { .exit_reason = "interrupted", .wall_ns = 1 };
	struct sink_settings settings = capture_settings();
	struct capture capture = capture_new("text", &settings);
	struct ledger *ledger = new_ledger(capture.sink);
	struct caller callers[12];
	char names[12][16];
	const char *text;

	(void)state;
	for (uint32_t i = 0; i < 12; i++) {
		struct event event = { .kind = EVENT_ALLOC,
				       .tgid = 1,
				       .tid = 1,
				       .time_ns = 1000 + i,
				       .enter_ns = 999 + i,
				       .row = VT_PROBE_cuMemAlloc_v2,
				       .outer_row = VT_PROBE_cuMemAlloc_v2,
				       .addr = (i + 1) << 20,
				       .size = 1000 + (i * 7 % 12) };

		snprintf(names[i], sizeof(names[i]), "caller%u", i * 7 % 12);
		callers[i] = (struct caller) { .module = "m", .name = names[i], .id = i };
		ledger_apply(ledger, &event, &callers[i]);
	}
	sink_summary(capture.sink, ledger, &end);
	text = strstr(capture_text(&capture), "COUNT  CALLER\n");
	assert_non_null(text);
	for (int i = 11; i >= 2; i--) {
		char name[24];

		snprintf(name, sizeof(name), "  caller%d\n", i);
		text = strstr(text, name); /* by peak: each stands after the larger one */
		assert_non_null(text);
	}
	assert_null(strstr(text, "  caller1\n"));
	assert_non_null(strstr(text, "2 more callers\n"));
	ledger_free(ledger);
	capture_free(&capture);
}

/* One more process than the ledger keeps when they have ended. */
static void test_dropped_processes_are_said(void **state)
{
	struct sink_end end = { .exit_reason = "interrupted", .wall_ns = 1 };
	struct sink_settings settings = capture_settings();
	struct ledger *ledger;
	struct capture capture;

	(void)state;
	settings.events = false;
	capture = capture_new("text", &settings);
	ledger = new_ledger(capture.sink);
	for (uint32_t tgid = 1; tgid <= 65537; tgid++) {
		struct event alloc = { .kind = EVENT_ALLOC,
				       .tgid = tgid,
				       .tid = tgid,
				       .time_ns = 1000,
				       .row = VT_PROBE_cuMemAlloc_v2,
				       .outer_row = VT_PROBE_cuMemAlloc_v2,
				       .addr = 4096,
				       .size = 1 };
		struct event exit = { .kind = EVENT_EXIT, .tgid = tgid, .tid = tgid, .time_ns = 2000 };

		ledger_apply(ledger, &alloc, NULL);
		ledger_apply(ledger, &exit, NULL);
	}
	assert_int_equal(ledger_forgotten(ledger), 1);
	sink_summary(capture.sink, ledger, &end);
	assert_string_equal(capture_last(&capture, 0), "dropped: 1 process that ended long ago is not in this list");
	assert_non_null(strstr(capture_text(&capture), "\n65536 processes with CUDA calls; traced"));
	assert_null(strstr(capture_text(&capture), ", pid 1, "));
	assert_non_null(strstr(capture_text(&capture), ", pid 2, "));
	ledger_free(ledger);
	capture_free(&capture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_process_lines),
		cmocka_unit_test(test_exact_bytes),
		cmocka_unit_test(test_color),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_long_callers_keep_their_last_parts),
		cmocka_unit_test(test_summary_without_cuda),
		cmocka_unit_test(test_table_and_summary),
		cmocka_unit_test(test_trust_names_its_reasons),
		cmocka_unit_test(test_eleven_callers_show_ten),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_dropped_processes_are_said),
		cmocka_unit_test(test_simulated_is_said_once_and_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
