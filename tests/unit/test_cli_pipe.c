/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/pipe.h"
#include "vramtrace/wire.h"

/* Bytes as the kernel side hands them over, JSON lines out: everything behind the source. */

#define LINES_MAX 32
#define TGID 4711u
#define ADDR 0x7f0000001000ull
#define SECOND 1000000000ull

struct line {
	struct pipe_line pipe;
	struct callers *callers;
	int fd;
	char *text;
	char *lines[LINES_MAX];
	size_t count;
	uint64_t now_ns;
};

static struct line *start(bool driver_probed)
{
	struct line *line = calloc(1, sizeof(*line));
	struct sink_settings settings = { .events = true, .only_kind = -1, .host = "node1" };
	const struct recording_head head = { .driver_probed = driver_probed };
	struct sink *sink = NULL;
	struct diag diag;

	assert_non_null(line);
	line->fd = memfd_create("lines", MFD_CLOEXEC);
	line->now_ns = 100 * SECOND;
	settings.fd = line->fd;
	assert_int_equal(callers_new(NULL, NULL, &line->callers, &diag), 0);
	assert_int_equal(sink_new("json", &settings, &sink, &diag), 0);
	assert_int_equal(pipe_init(&line->pipe,
				   &(struct pipe_settings) { .callers = line->callers, .sink = sink, .head = &head }),
			 0);
	return line;
}

/* Ends the run with a summary and cuts the output into lines. */
static void summarize(struct line *line)
{
	struct sink_end end = { .exit_reason = "child exited", .wall_ns = SECOND };
	struct stat st;
	char *rest;

	sink_summary(line->pipe.sink, line->pipe.ledger, &end);
	assert_int_equal(sink_flush(line->pipe.sink), 0);
	assert_int_equal(fstat(line->fd, &st), 0);
	line->text = rest = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(rest);
	assert_int_equal(pread(line->fd, rest, (size_t)st.st_size, 0), st.st_size);
	while (*rest && line->count < LINES_MAX)
		line->lines[line->count++] = strsep(&rest, "\n");
}

static void end(struct line *line)
{
	pipe_fini(&line->pipe);
	callers_free(line->callers);
	close(line->fd);
	free(line->text);
	free(line);
}

/* That the line is of this event and has this part. */
static void expect(const struct line *line, size_t i, const char *event, const char *part)
{
	char start_of_line[64];

	assert_true(i < line->count);
	snprintf(start_of_line, sizeof(start_of_line), "{\"schema\":1,\"event\":\"%s\",", event);
	if (strncmp(line->lines[i], start_of_line, strlen(start_of_line)) || !strstr(line->lines[i], part))
		fail_msg("line %zu is no %s with %s:\n%s", i, event, part, line->lines[i]);
}

static struct vt_header header(struct line *line, enum vt_record_kind kind, size_t length)
{
	line->now_ns += SECOND;
	return (struct vt_header) { .kind = (uint16_t)kind,
				    .length = (uint16_t)length,
				    .version = VT_WIRE_VERSION,
				    .tgid = TGID,
				    .tid = TGID + 1,
				    .time_ns = line->now_ns };
}

static struct vt_call call(struct line *line, enum vt_probe row, uint64_t addr, uint64_t size)
{
	struct vt_call record = { .header = header(line, VT_RECORD_CALL, sizeof(record)),
				  .row = row,
				  .outer_row = row,
				  .addr = addr,
				  .size = size };

	record.enter_ns = record.header.time_ns - 1000;
	return record;
}

static void feed_process(struct line *line, enum vt_record_kind kind, int exit_code)
{
	struct vt_process record = { .header = header(line, kind, sizeof(record)),
				     .start_ns = 50 * SECOND,
				     .parent_tgid = 1,
				     .ns_tgid = 11,
				     .uid = 1000,
				     .exit_code = exit_code,
				     .comm = "python3" };

	pipe_record(&line->pipe, &record, sizeof(record));
}

static void feed_call(struct line *line, enum vt_probe row, uint64_t addr, uint64_t size)
{
	struct vt_call record = call(line, row, addr, size);

	/* As the ring's reader does, which changes nothing. */
	for (int distance = SOURCE_AHEAD; distance; distance--)
		pipe_ahead(&line->pipe, &record, sizeof(record), distance);
	pipe_record(&line->pipe, &record, sizeof(record));
}

static void a_life_without_losses(void **state)
{
	struct line *line = start(true);
	struct vt_call failed;

	(void)state;
	feed_process(line, VT_RECORD_PROCESS, 0);
	feed_call(line, VT_PROBE_cuMemAlloc_v2, ADDR, 4096);
	feed_call(line, VT_PROBE_cuMemAllocManaged, ADDR + 65536, 1024);
	feed_call(line, VT_PROBE_cuMemFree_v2, ADDR, 0);
	failed = call(line, VT_PROBE_cuMemAlloc_v2, 0, 1ull << 40);
	failed.result = 2;
	pipe_record(&line->pipe, &failed, sizeof(failed));
	feed_process(line, VT_RECORD_EXIT, 3 << 8);
	summarize(line);
	assert_int_equal(line->count, 8);
	expect(line, 0, "process", "\"pid\":4711,\"tid\":4712,\"ns_pid\":11,\"comm\":\"python3\"");
	expect(line, 0, "process", "\"what\":\"first_call\",\"parent_pid\":1,\"uid\":1000");
	expect(line, 1, "alloc", "\"id\":1,\"addr\":\"0x7f0000001000\",\"size\":4096,\"kind\":\"device\"");
	expect(line, 1, "alloc",
	       "\"api\":\"cuMemAlloc_v2\",\"layer\":\"driver\",\"duration_ns\":1000,\"caller\":null,\"live_bytes\":"
	       "4096}");
	expect(line, 2, "alloc", "\"kind\":\"managed\",\"placement\":\"migratable\"");
	expect(line, 2, "alloc", "\"live_bytes\":5120}");
	expect(line, 3, "free", "\"id\":1,\"addr\":\"0x7f0000001000\",\"size\":4096");
	expect(line, 3, "free",
	       "\"age_ns\":2000000000,\"reason\":\"call\",\"live_bytes\":1024,\"api\":\"cuMemFree_v2\"");
	expect(line, 4, "alloc_failed", "\"size\":1099511627776");
	expect(line, 4, "alloc_failed", "\"error\":2,\"error_name\":\"CUDA_ERROR_OUT_OF_MEMORY\"");
	expect(line, 5, "free", "\"id\":2,\"addr\":\"0x7f0000011000\",\"size\":1024");
	expect(line, 5, "free", "\"reason\":\"exit\",\"live_bytes\":0");
	expect(line, 6, "process", "\"what\":\"exit\"");
	expect(line, 6, "process", "\"exit_code\":3,\"exit_signal\":null}");
	expect(line, 7, "summary",
	       "\"live_bytes\":0,\"live_count\":0,\"allocated_bytes\":5120,\"allocated_count\":2,\"lost\":0");
	expect(line, 7, "summary", "\"peak_bytes\":5120");
	expect(line, 7, "summary", "\"held_at_exit_bytes\":1024,\"held_at_exit_count\":1");
	expect(line, 7, "summary", "\"failed\":1,\"failed_frees\":0,\"unmatched_frees\":0");
	expect(line, 7, "summary", "\"exit_reason\":\"child exited\"");
	expect(line, 7, "summary", "\"uncovered\":0,\"complete\":true,\"processes\"");
	expect(line, 7, "summary", "\"uncovered\":0,\"complete\":true}");
	end(line);
}

/* Totals are incomplete from a loss on, and everything that follows it is still told. */
static void a_loss_travels_down_the_pipe(void **state)
{
	struct line *line = start(true);
	struct vt_call after;

	(void)state;
	feed_process(line, VT_RECORD_PROCESS, 0);
	feed_call(line, VT_PROBE_cuMemAlloc_v2, ADDR, 4096);
	after = call(line, VT_PROBE_cuMemAlloc_v2, ADDR + 65536, 100);
	after.header.lost = 3;
	pipe_record(&line->pipe, &after, sizeof(after));
	after = call(line, VT_PROBE_cuMemFree_v2, ADDR, 0);
	after.header.lost = 3; /* no news */
	pipe_record(&line->pipe, &after, sizeof(after));
	feed_call(line, VT_PROBE_cuMemFree_v2, ADDR + 4096, 0); /* of a block whose allocation was lost */
	summarize(line);
	assert_int_equal(line->count, 7);
	expect(line, 1, "alloc", "\"live_bytes\":4096}");
	expect(line, 2, "lost", "\"count\":3,\"cause\":\"ring\"");
	expect(line, 3, "alloc", "\"live_bytes\":4196}");
	expect(line, 4, "free", "\"live_bytes\":100");
	expect(line, 5, "free_unmatched", "\"addr\":\"0x7f0000002000\"");
	expect(line, 6, "summary",
	       "\"live_bytes\":100,\"live_count\":1,\"allocated_bytes\":4196,\"allocated_count\":2,\"lost\":3");
	expect(line, 6, "summary", "\"lost_by_cause\":{\"ring\":3},\"uncovered\":0,\"complete\":false,\"processes\"");
	expect(line, 6, "summary", "\"unmatched_frees\":1");
	expect(line, 6, "summary", "\"uncovered\":0,\"complete\":false}");
	end(line);
}

static void a_bad_record_is_a_loss(void **state)
{
	struct line *line = start(true);
	struct vt_call bad;

	(void)state;
	feed_process(line, VT_RECORD_PROCESS, 0);
	bad = call(line, VT_PROBE_COUNT, ADDR, 4096);
	pipe_record(&line->pipe, &bad, sizeof(bad));
	bad = call(line, VT_PROBE_cuMemAlloc_v2, ADDR, 4096);
	pipe_record(&line->pipe, &bad, sizeof(bad) - 8); /* cut */
	pipe_record(&line->pipe, "", 0);
	feed_call(line, VT_PROBE_cuMemAlloc_v2, ADDR, 8192);
	summarize(line);
	assert_int_equal(line->count, 6);
	for (size_t i = 1; i < 4; i++)
		expect(line, i, "lost", "\"count\":1,\"cause\":\"bad_record\"");
	expect(line, 1, "lost", "\"pid\":null,\"tid\":null");
	expect(line, 4, "alloc", "\"id\":1,\"addr\":\"0x7f0000001000\",\"size\":8192");
	expect(line, 5, "summary",
	       "\"lost\":3,\"lost_by_cause\":{\"bad_record\":3},\"uncovered\":0,\"complete\":false");
	end(line);
}

/* What the kernel side counted and no record carries. */
static void losses_without_a_record(void **state)
{
	struct line *line = start(true);

	(void)state;
	pipe_lost(&line->pipe, LOST_NESTED, 0);
	feed_process(line, VT_RECORD_PROCESS, 0);
	pipe_lost(&line->pipe, LOST_NESTED, 5);
	summarize(line);
	assert_int_equal(line->count, 3);
	expect(line, 1, "lost", "\"count\":5,\"cause\":\"nested\"");
	expect(line, 2, "summary", "\"lost_by_cause\":{\"nested\":5},\"uncovered\":0,\"complete\":false");
	end(line);
}

/* Whether a runtime call without a driver call under it is suspicious depends on what is probed. */
static void uncovered_if_the_driver_is_probed(void **state)
{
	struct line *line = start(true);

	(void)state;
	feed_process(line, VT_RECORD_PROCESS, 0);
	feed_call(line, VT_PROBE_cudaMalloc, ADDR, 4096);
	summarize(line);
	assert_int_equal(line->count, 4);
	expect(line, 1, "alloc", "\"api\":\"cudaMalloc\",\"layer\":\"runtime\"");
	expect(line, 2, "uncovered", "\"api\":\"cudaMalloc\",\"layer\":\"runtime\"");
	expect(line, 3, "summary", "\"uncovered\":1,\"complete\":false,\"processes\"");
	end(line);
	line = start(false);
	feed_process(line, VT_RECORD_PROCESS, 0);
	feed_call(line, VT_PROBE_cudaMalloc, ADDR, 4096);
	summarize(line);
	assert_int_equal(line->count, 3);
	expect(line, 1, "alloc", "\"api\":\"cudaMalloc\",\"layer\":\"runtime\"");
	expect(line, 2, "summary", "\"uncovered\":0,\"complete\":true,\"processes\"");
	end(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_life_without_losses),
		cmocka_unit_test(a_loss_travels_down_the_pipe),
		cmocka_unit_test(a_bad_record_is_a_loss),
		cmocka_unit_test(losses_without_a_record),
		cmocka_unit_test(uncovered_if_the_driver_is_probed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
