/* SPDX-License-Identifier: Apache-2.0 */
#include "sink_capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "base/writer.h"

/* Readers that are slow, stuck or gone. */

static void test_order_and_completeness(void **state)
{
	int fd = memfd_create("writer", MFD_CLOEXEC);
	struct writer *writer;
	FILE *file;
	int value;

	(void)state;
	assert_int_equal(writer_new(fd, &writer), 0);
	for (int i = 0; i < 100000; i++) {
		char line[16];
		int length = snprintf(line, sizeof(line), "%d\n", i);

		assert_true(writer_put(writer, line, (size_t)length));
	}
	assert_int_equal(writer_flush(writer), 0);
	writer_free(writer);
	lseek(fd, 0, SEEK_SET);
	file = fdopen(fd, "r");
	for (int i = 0; i < 100000; i++) {
		assert_int_equal(fscanf(file, "%d", &value), 1);
		assert_int_equal(value, i);
	}
	assert_int_equal(fscanf(file, "%d", &value), EOF);
	fclose(file);
}

/* A reader that never reads: the caller is never held up, the memory is bounded, and free does not hang. */
static void test_stuck_reader(void **state)
{
	static char line[4096];
	struct writer *writer;
	uint64_t start = clock_mono_ns();
	uint64_t accepted = 0;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(writer_new(fds[1], &writer), 0);
	for (int i = 0; i < 20000; i++) /* 80 MB */
		accepted += writer_put(writer, line, sizeof(line)) ? sizeof(line) : 0;
	assert_true(accepted > WRITER_QUEUE_BYTES - 2 * sizeof(line));
	assert_true(accepted <= WRITER_QUEUE_BYTES + (1 << 20)); /* and what the pipe took */
	assert_true(writer_full(writer));
	assert_true(writer_put_always(writer, line, sizeof(line)));
	writer_free(writer);
	assert_true(clock_mono_ns() - start < 20000000000);
	close(fds[0]);
	close(fds[1]);
}

static void test_gone_reader(void **state)
{
	struct writer *writer;
	int fds[2];

	(void)state;
	signal(SIGPIPE, SIG_DFL); /* a SIGPIPE that came through would end this test */
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	assert_int_equal(writer_new(fds[1], &writer), 0);
	assert_int_equal(writer_error(writer), 0);
	assert_true(writer_put(writer, "x", 1));
	assert_int_equal(writer_flush(writer), -EPIPE);
	assert_int_equal(writer_error(writer), -EPIPE);
	assert_true(writer_put(writer, "y", 1));
	assert_int_equal(writer_flush(writer), -EPIPE);
	writer_free(writer);
	close(fds[1]);
}

static void test_nonblocking_descriptor(void **state)
{
	static char data[1 << 20];
	static char got[1 << 16];
	struct writer *writer;
	size_t total = 0;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	assert_int_equal(writer_new(fds[1], &writer), 0);
	assert_true(writer_put(writer, data, sizeof(data)));
	while (total < sizeof(data)) {
		struct pollfd ready = { .fd = fds[0], .events = POLLIN };
		ssize_t n;

		assert_int_equal(poll(&ready, 1, 10000), 1);
		n = read(fds[0], got, sizeof(got));
		assert_true(n > 0);
		total += (size_t)n;
	}
	assert_int_equal(writer_flush(writer), 0);
	writer_free(writer);
	close(fds[0]);
	close(fds[1]);
}

struct slow_reader {
	int fd;
	size_t want;
};

/* Reads all there is, in its own time: the writer's queue stays full. */
static void *read_slowly(void *arg)
{
	static char got[1 << 16];
	struct slow_reader *reader = arg;

	usleep(100000);
	while (reader->want > 0) {
		ssize_t n = read(reader->fd, got, sizeof(got));

		if (n <= 0)
			break;
		reader->want -= (size_t)n;
	}
	return NULL;
}

/* A caller that may wait loses nothing. */
static void test_put_waits(void **state)
{
	static char line[1 << 16], huge[WRITER_QUEUE_BYTES + 1];
	struct slow_reader reader;
	struct writer *writer;
	pthread_t thread;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(writer_new(fds[1], &writer), 0);
	reader = (struct slow_reader) { fds[0], sizeof(line) * 1024 + sizeof(huge) };
	assert_int_equal(pthread_create(&thread, NULL, read_slowly, &reader), 0);
	for (int i = 0; i < 1024; i++) { /* 64 MB, twice what the queue holds */
		assert_true(writer_put_wait(writer, line, sizeof(line)));
		assert_false(writer_full(writer));
	}
	assert_true(writer_put_wait(writer, huge, sizeof(huge))); /* never fits: goes alone */
	assert_int_equal(writer_flush(writer), 0);
	pthread_join(thread, NULL);
	assert_int_equal(reader.want, 0);
	writer_free(writer);
	close(fds[0]);
	close(fds[1]);
}

static void *close_later(void *arg)
{
	usleep(100000);
	close(*(int *)arg);
	return NULL;
}

/* Who waits for a reader that goes away is let go. */
static void test_put_waits_for_nobody(void **state)
{
	static char line[1 << 16];
	struct writer *writer;
	pthread_t thread;
	int fds[2];

	(void)state;
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(writer_new(fds[1], &writer), 0);
	assert_int_equal(pthread_create(&thread, NULL, close_later, &fds[0]), 0);
	for (int i = 0; i < 1024; i++)
		assert_true(writer_put_wait(writer, line, sizeof(line)));
	assert_int_equal(writer_flush(writer), -EPIPE);
	pthread_join(thread, NULL);
	writer_free(writer);
	close(fds[1]);
}

/* A replay's sink: every line arrives. */
static void test_patient_sink(void **state)
{
	struct sink_settings settings = capture_settings();
	struct process process = capture_process();
	struct notice notice = capture_notice(NOTICE_ALLOC, &process);
	struct slow_reader reader = { .want = SIZE_MAX };
	struct sink *sink;
	struct diag diag;
	pthread_t thread;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	settings.fd = fds[1];
	settings.patient = true;
	assert_int_equal(sink_new("json", &settings, &sink, &diag), 0);
	reader.fd = fds[0];
	assert_int_equal(pthread_create(&thread, NULL, read_slowly, &reader), 0);
	for (int i = 0; i < 100000; i++) /* 50 MB */
		sink_notice(sink, &notice);
	assert_int_equal(sink_dropped(sink), 0);
	assert_int_equal(sink_flush(sink), 0);
	sink_free(sink);
	close(fds[1]);
	pthread_join(thread, NULL);
	assert_true(SIZE_MAX - reader.want > WRITER_QUEUE_BYTES);
	close(fds[0]);
}

/* The null output writes nothing, and needs no descriptor. */
static void test_null_sink(void **state)
{
	const struct sink_attached attached = { .tgid = 1, .comm = "a" };
	const struct sink_end end = { .exit_reason = "interrupted", .simulated = true };
	const struct ledger_settings nothing = { 0 };
	struct sink_settings settings = capture_settings();
	struct process process = capture_process();
	struct ledger *ledger;
	struct sink *sink;
	struct diag diag;

	(void)state;
	settings.fd = -1;
	assert_int_equal(ledger_new(&nothing, &ledger), 0);
	assert_int_equal(sink_new("null", &settings, &sink, &diag), 0);
	for (int kind = NOTICE_ALLOC; kind <= NOTICE_PROCESS; kind++) {
		struct notice notice = capture_notice((enum notice_kind)kind, &process);

		sink_notice(sink, &notice);
	}
	sink_attached(sink, &attached);
	sink_table(sink, ledger, 1);
	sink_summary(sink, ledger, &end);
	assert_int_equal(sink_dropped(sink), 0);
	assert_int_equal(sink_error(sink), 0);
	assert_int_equal(sink_flush(sink), 0);
	sink_free(sink);
	ledger_free(ledger);
	assert_int_equal(sink_new("none", &settings, &sink, &diag), -EINVAL);
}

/* Through the sink: what is dropped is counted, and said in the output once the reader is back. */
static void test_dropped_lines_are_told(void **state)
{
	struct sink_settings settings = capture_settings();
	struct process process = capture_process();
	struct notice notice = capture_notice(NOTICE_ALLOC, &process);
	uint64_t sent = 0;
	struct sink *sink;
	struct diag diag;
	char *line = NULL;
	size_t size = 0;
	FILE *file;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	settings.fd = fds[1];
	assert_int_equal(sink_new("json", &settings, &sink, &diag), 0);
	while (sink_dropped(sink) < 1000) {
		sink_notice(sink, &notice);
		assert_true(++sent < 10000000);
	}
	file = fdopen(fds[0], "r");
	for (uint64_t i = sink_dropped(sink); i < sent; i++) {
		assert_true(getline(&line, &size, file) > 0);
		assert_non_null(strstr(line, "\"event\":\"alloc\""));
	}
	assert_int_equal(sink_flush(sink), 0);
	sink_notice(sink, &notice);
	assert_true(getline(&line, &size, file) > 0);
	assert_non_null(strstr(line, "\"event\":\"lost\""));
	assert_non_null(strstr(line, "\"cause\":\"output\""));
	assert_int_equal(strtoull(strstr(line, "\"count\":") + 8, NULL, 10), sink_dropped(sink));
	assert_true(getline(&line, &size, file) > 0);
	assert_non_null(strstr(line, "\"event\":\"alloc\""));
	assert_true(sink_dropped(sink) >= 1000);
	sink_notice(sink, &notice); /* said once */
	assert_true(getline(&line, &size, file) > 0);
	assert_non_null(strstr(line, "\"event\":\"alloc\""));
	free(line);
	sink_free(sink);
	fclose(file);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_completeness),
		cmocka_unit_test(test_stuck_reader),
		cmocka_unit_test(test_gone_reader),
		cmocka_unit_test(test_nonblocking_descriptor),
		cmocka_unit_test(test_put_waits),
		cmocka_unit_test(test_put_waits_for_nobody),
		cmocka_unit_test(test_patient_sink),
		cmocka_unit_test(test_null_sink),
		cmocka_unit_test(test_dropped_lines_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
