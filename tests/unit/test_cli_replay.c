/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings whose checksums are right and whose content no recorder would write, through all of a replay. */
#include "recording_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/replay.h"
#include "cli/status.h"

#define EVIL "\x1b]0;x\x07\x1b[31m\n\"\\\xff"
#define SECOND UINT64_C(1000000000)

static int record(const struct recording_head *head, const struct item *items, size_t count)
{
	int fd = memfd_create("recording", MFD_CLOEXEC);
	struct recorder *recorder;
	struct diag diag;

	assert_int_equal(recorder_new(fd, head, &recorder, &diag), 0);
	for (size_t i = 0; i < count; i++)
		recorder_add(recorder, &items[i]);
	recorder_finish(recorder);
	recorder_free(recorder);
	return fd;
}

/* The status; the output, to be freed, has no raw control but the ends of its lines. */
static int replay(int fd, const char *format, struct options options, char **ret_text)
{
	char folder[] = "/tmp/vramtrace-replay-XXXXXX";
	char recording[64], output[64];
	struct stat st;
	int status, out;

	assert_non_null(mkdtemp(folder));
	snprintf(recording, sizeof(recording), "/proc/self/fd/%d", fd);
	snprintf(output, sizeof(output), "%s/out", folder);
	options.replay = recording;
	options.output = output;
	options.format = format;
	options.only_kind = -1;
	status = replay_run(&options);
	out = open(output, O_RDONLY | O_CLOEXEC);
	assert_true(out >= 0 && fstat(out, &st) == 0);
	*ret_text = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(*ret_text);
	assert_int_equal(read(out, *ret_text, (size_t)st.st_size), st.st_size);
	for (const char *at = *ret_text; *at; at++)
		assert_true(*at == '\n' || (unsigned char)*at >= 0x20);
	close(out);
	unlink(output);
	rmdir(folder);
	return status;
}

static size_t count_of(const char *text, const char *part)
{
	size_t count = 0;

	for (; (text = strstr(text, part)); text++)
		count++;
	return count;
}

static struct vt_call alloc_of(uint64_t size, uint64_t time_ns)
{
	return (struct vt_call) {
		.header = { .kind = VT_RECORD_CALL,
			    .length = sizeof(struct vt_call),
			    .version = VT_WIRE_VERSION,
			    .tgid = 7,
			    .tid = 7,
			    .time_ns = time_ns },
		.enter_ns = time_ns,
		.addr = 0x1000,
		.size = size,
	};
}

/* Each name is missing, or is made to reach a terminal, or to end a JSON string. */
static void test_names(void **state)
{
	const char *const names[] = { NULL, "", EVIL };
	const char *const formats[] = { "text", "json", "csv" };
	struct vt_call call = alloc_of(4096, SECOND);

	(void)state;
	for (size_t i = 0; i < 9; i++) {
		const char *name = names[i / 3];
		struct recording_head head = { name, name, name, name, name, name, name, .driver_probed = true };
		struct item items[] = {
			{ .kind = ITEM_RECORD, .time_ns = SECOND, .record = { &call, sizeof(call), NULL } },
			{ .kind = ITEM_ATTACHED, .process = { .tgid = 8, .comm = name } },
			{ .kind = ITEM_LATE, .process = { .tgid = 8, .comm = name } },
			{ .kind = ITEM_GONE, .process = { .tgid = 8, .comm = name } },
			{ .kind = ITEM_LOST, .lost = { .cause_name = name, .count = 1 } },
			{ .kind = ITEM_END, .end = { .exit_reason = name } },
		};
		int fd = record(&head, items, sizeof(items) / sizeof(items[0]));
		char *text;

		assert_int_equal(replay(fd, formats[i % 3], (struct options) { 0 }, &text), STATUS_OK);
		assert_int_equal(count_of(text, "\"event\":\"summary\""), i % 3 == 1);
		free(text);
		close(fd);
	}
}

/* Losses that would come to 0 in 64 bits are losses. */
static void test_losses_without_end(void **state)
{
	const struct recording_head head = plain_head();
	struct vt_call call = alloc_of(4096, SECOND);
	struct item half = { .kind = ITEM_LOST, .lost = { .cause_name = "ring", .count = UINT64_C(1) << 63 } };
	struct item items[] = {
		half,
		half,
		{ .kind = ITEM_RECORD, .time_ns = SECOND, .record = { &call, sizeof(call), NULL } },
		{ .kind = ITEM_END, .end = { .exit_reason = "end" } },
	};
	int fd = record(&head, items, sizeof(items) / sizeof(items[0]));
	char *text;

	(void)state;
	assert_int_equal(replay(fd, "json", (struct options) { .strict = true }, &text), STATUS_LOST);
	assert_int_equal(count_of(text, "\"complete\":true"), 0);
	assert_int_equal(count_of(text, "\"lost\":18446744073709551615"), 1);
	free(text);
	close(fd);
}

/* A run that says it saw calls whole, and a call that was only seen to be entered. */
static void test_entered_among_whole(void **state)
{
	const struct recording_head head = plain_head();
	struct vt_call call = alloc_of(4096, SECOND);
	struct item items[] = {
		{ .kind = ITEM_RECORD, .time_ns = SECOND, .record = { &call, sizeof(call), NULL } },
		{ .kind = ITEM_END, .end = { .exit_reason = "end" } },
	};
	char *text;
	int fd;

	(void)state;
	call.header.flags = VT_FLAG_ENTRY;
	fd = record(&head, items, sizeof(items) / sizeof(items[0]));
	assert_int_equal(replay(fd, "json", (struct options) { 0 }, &text), STATUS_OK);
	assert_int_equal(count_of(text, "\"complete\":true"), 0);
	free(text);
	assert_int_equal(replay(fd, "text", (struct options) { 0 }, &text), STATUS_OK);
	assert_int_equal(count_of(text, "  incomplete: "), 1);
	free(text);
	close(fd);
}

/* Ticks of our own are told once each, whatever the items' times do. */
static void test_times_to_and_fro(void **state)
{
	const struct recording_head head = plain_head();
	struct item items[200];
	char *text;
	int fd;

	(void)state;
	for (size_t i = 0; i < 199; i++)
		items[i] = (struct item) { .kind = ITEM_TABLE, .time_ns = i % 2 ? UINT64_MAX : 0 };
	items[199] = (struct item) { .kind = ITEM_END, .time_ns = UINT64_MAX, .end = { .exit_reason = "end" } };
	fd = record(&head, items, 200);
	assert_int_equal(replay(fd, "json", (struct options) { .interval_ns = SECOND / 100 }, &text), STATUS_OK);
	assert_in_range(count_of(text, "\"event\":\"ledger\""), 1, 2);
	free(text);
	close(fd);
}

/* A tracer that was killed before it saw anything: the replay's lines are of its start, not of the machine's. */
static void test_nothing_seen(void **state)
{
	struct recording_head head = plain_head();
	char *text;
	int fd;

	(void)state;
	head.begin_ns = 5 * SECOND;
	fd = record(&head, NULL, 0);
	assert_int_equal(replay(fd, "json", (struct options) { 0 }, &text), STATUS_OK);
	assert_int_equal(count_of(text, "\"mono_ns\":5000000000,"), 2);
	assert_int_equal(count_of(text, "\"exit_reason\":\"recording cut\",\"wall_ns\":0"), 1);
	free(text);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_losses_without_end),
		cmocka_unit_test(test_entered_among_whole),
		cmocka_unit_test(test_times_to_and_fro),
		cmocka_unit_test(test_nothing_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
