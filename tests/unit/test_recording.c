/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings that are whole: everything comes back as it was put in, and what else they must be. */
#include "recording_read.h"

#include <errno.h>
#include <sys/wait.h>
#include <time.h>

#define MANY 200000

static void test_round_trip(void **state)
{
	static const size_t per_frame[] = { 0, 1, 7, 1000 };

	(void)state;
	for (size_t i = 0; i < sizeof(per_frame) / sizeof(per_frame[0]); i++) {
		size_t count = per_frame[i] == 1 ? 5000 : MANY;
		struct dice_item *items;
		struct result result;
		int fd;

		dice_begin(17 + i, i == 0 ? 4096 : 60);
		items = dice_items(count);
		fd = write_items(items, count, per_frame[i]);
		result = read_items(fd, items, count);
		assert_int_equal(result.err, 0);
		assert_int_equal(result.given, count);
		assert_false(result.damaged);
		close(fd);
		free(items);
		dice_end();
	}
}

/* Through a pipe, which is read while it is written. */
static void test_pipe(void **state)
{
	struct dice_item *items;
	struct recorder *recorder;
	struct result result;
	pid_t reader;
	int status;
	int fds[2];

	(void)state;
	dice_begin(4, 60);
	items = dice_items(50000);
	assert_int_equal(pipe(fds), 0);
	reader = fork();
	if (!reader) {
		close(fds[1]);
		result = read_items(fds[0], items, 50000);
		_exit(result.err || result.damaged || result.given != 50000);
	}
	close(fds[0]);
	recorder = recorder_on(fds[1]);
	for (size_t i = 0; i < 50000; i++)
		recorder_add(recorder, &items[i].item);
	recorder_finish(recorder);
	recorder_free(recorder);
	close(fds[1]);
	assert_int_equal(waitpid(reader, &status, 0), reader);
	assert_int_equal(status, 0);
	free(items);
	dice_end();
}

static void test_head(void **state)
{
	static char command[100000];
	struct recording_head head = {
		.version = "v1.2-\xff\x1b[",
		.host = "",
		.kernel = "6.1",
		.gpus = "GPU-1,GPU-2",
		.command = command,
		.begin_ns = UINT64_MAX,
		.wall_minus_mono_ns = INT64_MIN,
		.boot_minus_mono_ns = INT64_MAX,
		.utc_offset_s = -43200,
		.interval_ns = 1000000000,
		.driver_probed = true,
		.simulated = true,
	};
	int fd = memfd_create("recording", MFD_CLOEXEC);
	const struct recording_head *got;
	struct recording *recording;
	struct recorder *recorder;
	struct diag diag;

	(void)state;
	memset(command, 'x', sizeof(command) - 1);
	assert_int_equal(recorder_new(fd, &head, &recorder, &diag), 0);
	recorder_finish(recorder);
	recorder_free(recorder);
	recording = opened(fd);
	got = recording_head(recording);
	assert_string_equal(got->version, head.version);
	assert_string_equal(got->host, "");
	assert_string_equal(got->kernel, "6.1");
	assert_null(got->boot_id);
	assert_null(got->driver);
	assert_string_equal(got->gpus, "GPU-1,GPU-2");
	assert_int_equal(strlen(got->command), 32768);
	assert_true(got->begin_ns == UINT64_MAX && got->wall_minus_mono_ns == INT64_MIN);
	assert_true(got->boot_minus_mono_ns == INT64_MAX && got->utc_offset_s == -43200);
	assert_true(got->interval_ns == 1000000000 && got->driver_probed && got->simulated && !got->entry_only);
	recording_free(recording);
	close(fd);
}

static struct item library_at(const char *path, uint64_t time_ns)
{
	struct item item = { .kind = ITEM_LIBRARY, .time_ns = time_ns };

	item.library.path = path;
	return item;
}

static char *long_string(size_t length)
{
	char *string = malloc(length + 1);

	assert_non_null(string);
	memset(string, 'p', length);
	string[length] = '\0';
	return string;
}

/* As large as may be, and one byte more. */
static void test_large_items(void **state)
{
	char *path = long_string(FRAME_ITEM_BYTES_MAX + 1);
	int fd = memfd_create("recording", MFD_CLOEXEC);
	struct recorder *recorder = recorder_on(fd);
	struct recording *recording;
	struct item item = library_at("small", 1);
	int err;

	(void)state;
	recorder_add(recorder, &item);
	item = library_at(path, 2);
	recorder_add(recorder, &item); /* lost */
	item = library_at(path + 1, 3);
	recorder_add(recorder, &item);
	item = library_at("small", 4);
	recorder_add(recorder, &item);
	item = (struct item) { .kind = ITEM_END, .time_ns = 5 };
	recorder_add(recorder, &item);
	recorder_finish(recorder);
	assert_int_equal(recorder_lost(recorder, &err), 1);
	assert_int_equal(err, -E2BIG);
	recorder_free(recorder);

	recording = opened(fd);
	assert_int_equal(next(recording, &item), 1);
	assert_string_equal(item.library.path, "small");
	assert_int_equal(next(recording, &item), 1);
	assert_true(is_own_loss(&item) && item.lost.count == 1 && item.time_ns == 1);
	assert_int_equal(next(recording, &item), 1);
	assert_string_equal(item.library.path, path + 1);
	assert_int_equal(next(recording, &item), 1);
	assert_int_equal(item.time_ns, 4);
	assert_int_equal(next(recording, &item), 1);
	assert_int_equal(item.kind, ITEM_END);
	assert_int_equal(next(recording, &item), 0);
	assert_string_equal(recording_damage(recording), "one item is missing");
	recording_free(recording);
	close(fd);
	free(path);
}

static struct vt_call plain_call(uint64_t time_ns, uint16_t row)
{
	struct vt_call call = {
		.header = { .kind = VT_RECORD_CALL,
			    .length = sizeof(call),
			    .version = VT_WIRE_VERSION,
			    .tgid = 7,
			    .tid = 8,
			    .time_ns = time_ns },
		.row = row,
		.outer_row = row,
	};

	return call;
}

static void add_call(struct recorder *recorder, const struct vt_call *call, const struct item_caller *caller)
{
	struct item item = { .kind = ITEM_RECORD, .time_ns = call->header.time_ns };

	item.record.data = call;
	item.record.length = call->header.length;
	item.record.caller = caller;
	recorder_add(recorder, &item);
}

/* A key is an address: it may come again for something else. And a reader's memo stays with its caller. */
static void test_callers(void **state)
{
	int fd = memfd_create("recording", MFD_CLOEXEC);
	struct recorder *recorder = recorder_on(fd);
	struct item_caller a = { .module = "a", .name = "a!f", .key = "one" };
	struct item_caller b = { .module = "b", .name = "b!f", .key = "one" };
	struct vt_call call = plain_call(1, 0);
	const void **memo[4];
	struct recording *recording;
	struct item item;

	(void)state;
	add_call(recorder, &call, &a);
	add_call(recorder, &call, &b);
	add_call(recorder, &call, &b);
	a.key = NULL;
	add_call(recorder, &call, &a);
	add_call(recorder, &call, NULL);
	recorder_finish(recorder);
	recorder_free(recorder);
	recording = opened(fd);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(next(recording, &item), 1);
		assert_string_equal(item.record.caller->module, i ? "b" : "a");
		assert_null(item.record.caller->symbol);
		memo[i] = item.record.caller->memo;
		if (i < 2)
			assert_null(*memo[i]);
		*memo[i] = "mine";
	}
	assert_true(memo[0] != memo[1] && memo[1] == memo[2]);
	assert_int_equal(next(recording, &item), 1);
	assert_true(item.record.caller && !item.record.caller->module && !item.record.caller->name);
	assert_null(*item.record.caller->memo);
	assert_int_equal(next(recording, &item), 1);
	assert_null(item.record.caller);
	recording_free(recording);
	close(fd);
}

/* In both heads of a file. */
static void rename_row(struct file *file, const char *name, const char *other)
{
	for (size_t i = 0; i < 2; i++) {
		uint8_t *payload = file->data + file->frames[i].offset + FRAME_HEADER_BYTES;
		uint8_t *at = memmem(payload, file->frames[i].frame.length, name, strlen(name) + 1);

		assert_int_equal(strlen(name), strlen(other));
		assert_non_null(at);
		memcpy(at, other, strlen(name));
		seal_again(file, i);
	}
}

/* A recording of another build: rows have other numbers, and one is not known here. */
static void test_rows_by_name(void **state)
{
	int fd = memfd_create("recording", MFD_CLOEXEC);
	struct recorder *recorder = recorder_on(fd);
	struct vt_call calls[] = {
		plain_call(1, VT_PROBE_cudaFreeHost), plain_call(2, VT_PROBE_cudaMalloc3D),
		plain_call(3, VT_PROBE_cudaMalloc),   plain_call(4, VT_PROBE_COUNT),
		plain_call(5, VT_PROBE_cudaFree),
	};
	struct recording *recording;
	struct item item;
	struct file *file;

	(void)state;
	calls[3].header.tgid = 0; /* kept as it is, and its row is none */
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		add_call(recorder, &calls[i], NULL);
	recorder_finish(recorder);
	recorder_free(recorder);
	file = file_of(fd);
	rename_row(file, "cudaFreeHost", "cudaMalloc4D");
	rename_row(file, "cudaMalloc3D", "cudaFreeHost");
	rename_row(file, "cudaMalloc4D", "cudaMalloc3D");
	rename_row(file, "cudaMalloc", "cudaNew\x1b[2");
	fd = fd_of(file->data, file->length);
	recording = opened(fd);
	assert_int_equal(next(recording, &item), 1);
	assert_int_equal(((const struct vt_call *)item.record.data)->row, VT_PROBE_cudaMalloc3D);
	assert_int_equal(next(recording, &item), 1);
	assert_int_equal(((const struct vt_call *)item.record.data)->row, VT_PROBE_cudaFreeHost);
	assert_int_equal(((const struct vt_call *)item.record.data)->outer_row, VT_PROBE_cudaFreeHost);
	assert_int_equal(next(recording, &item), 1);
	assert_true(is_own_loss(&item) && item.lost.tgid == 7 && item.lost.count == 1 && item.time_ns == 3);
	assert_int_equal(next(recording, &item), 1);
	assert_int_equal(((const struct vt_call *)item.record.data)->row, VT_PROBE_COUNT);
	assert_int_equal(next(recording, &item), 1);
	assert_int_equal(((const struct vt_call *)item.record.data)->row, VT_PROBE_cudaFree);
	assert_string_equal(recording_damage(recording),
			    "one call of a function that is not known here: cudaNew\\x1b[2");
	recording_free(recording);
	free_file(file);
	close(fd);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The loop that most recordings are made of: cudaMalloc and cudaFree, with changing addresses. */
static void add_hot_pair(struct recorder *recorder, uint64_t i, const struct item_caller *caller)
{
	struct {
		struct vt_call call;
		uint64_t frames[VT_FRAMES_MAX];
	} record = { .call = plain_call(1000000000 + i * 9000, VT_PROBE_cuMemAlloc_v2) };
	struct item item = { .kind = ITEM_RECORD };

	record.call.header.length = sizeof(record);
	record.call.outer_row = VT_PROBE_cudaMalloc;
	record.call.enter_ns = record.call.header.time_ns - 3000 - i * 7 % 900;
	record.call.addr = 0x7f3200000000 + i % 512 * 0x200000;
	record.call.size = 1 << 20;
	for (unsigned int j = 0; j < VT_FRAMES_MAX; j++)
		record.frames[j] = 0x55d000001000 + j * 77;
	item.record.data = &record;
	item.record.length = sizeof(record);
	item.record.caller = caller;
	item.time_ns = record.call.header.time_ns;
	recorder_add(recorder, &item);
	record.call.row = VT_PROBE_cuMemFree_v2;
	record.call.outer_row = VT_PROBE_cudaFree;
	record.call.size = 0;
	record.call.enter_ns += 4000;
	item.time_ns = record.call.header.time_ns += 4500;
	recorder_add(recorder, &item);
}

#define HOT_PAIRS 3000000

/* 32 bytes an event are allowed. More than one segment, so that the first head may be gone. */
static void test_hot_loop(void **state)
{
	struct item_caller caller = { .module = "/usr/bin/python3.11",
				      .symbol = "raw_alloc",
				      .name = "python3.11!raw_alloc",
				      .key = "k",
				      .offset = 0x20 };
	int fd = memfd_create("recording", MFD_CLOEXEC);
	struct recorder *recorder = recorder_on(fd);
	uint64_t begin_ns = now_ns();
	struct recording *recording;
	uint64_t first_bytes;
	uint64_t given = 0;
	struct item item;
	uint8_t zeros[FRAME_HEADER_BYTES] = { 0 };
	struct file *file;
	int err;

	(void)state;
	for (uint64_t i = 0; i < HOT_PAIRS; i++)
		add_hot_pair(recorder, i, &caller);
	print_message("encode: %llu ns/event\n", (unsigned long long)((now_ns() - begin_ns) / (2 * HOT_PAIRS)));
	recorder_finish(recorder);
	assert_int_equal(recorder_lost(recorder, &err), 0);
	print_message("file: %.2f bytes/event\n", (double)recorder_bytes(recorder) / (2 * HOT_PAIRS));
	assert_true(recorder_bytes(recorder) < 2ull * HOT_PAIRS * 32);
	assert_true(recorder_bytes(recorder) > FRAME_SEGMENT_BYTES);
	recorder_free(recorder);

	begin_ns = now_ns();
	recording = opened(fd);
	while (next(recording, &item) == 1 && item.kind == ITEM_RECORD)
		given++;
	print_message("decode: %llu ns/event\n", (unsigned long long)((now_ns() - begin_ns) / (2 * HOT_PAIRS)));
	assert_int_equal(given, 2 * HOT_PAIRS);
	recording_free(recording);

	file = malloc(sizeof(*file));
	load_file(fd, file);
	first_bytes = file->frames[1].offset;
	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), (off_t)first_bytes), sizeof(zeros));
	recording = opened(fd);
	assert_int_equal(next(recording, &item), 1);
	assert_true(is_own_loss(&item));
	given = item.lost.count;
	assert_true(given > 0 && given < 2 * HOT_PAIRS);
	while (next(recording, &item) == 1 && item.kind == ITEM_RECORD)
		given++;
	assert_int_equal(given, 2 * HOT_PAIRS);
	recording_free(recording);
	free_file(file);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_pipe),    cmocka_unit_test(test_head),
		cmocka_unit_test(test_large_items), cmocka_unit_test(test_callers), cmocka_unit_test(test_rows_by_name),
		cmocka_unit_test(test_hot_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
