/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are no recording, more than one, or made to mislead. */
#include "recording_read.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <zlib.h>

static int open_bytes(const void *data, size_t length, struct diag *diag)
{
	int fd = fd_of(data, length);
	struct recording *recording;
	int err = recording_open(fd, &recording, diag);

	if (err == 0)
		recording_free(recording);
	close(fd);
	return err;
}

static void test_not_a_recording(void **state)
{
	static char zeros[1 << 20];
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int folder = open("/", O_RDONLY | O_CLOEXEC);
	struct recording *recording;
	struct file *file;
	struct diag diag;
	uint32_t crc;

	(void)state;
	assert_int_equal(open_bytes("", 0, &diag), -ENOEXEC);
	assert_string_equal(diag.text, "not a recording of vramtrace");
	assert_int_equal(open_bytes("\x89VTR\r\n\x1a\n", 8, &diag), -ENOEXEC);
	assert_int_equal(open_bytes(zeros, sizeof(zeros), &diag), -ENOEXEC);
	assert_int_equal(recording_open(zero, &recording, &diag), -ENOEXEC);
	assert_int_equal(recording_open(folder, &recording, &diag), -EISDIR);
	close(zero);
	close(folder);

	dice_begin(1, 10);
	file = file_of(write_items(NULL, 0, 0));
	for (size_t i = 0; i < 2; i++) {
		uint8_t *header = file->data + file->frames[i].offset;

		header[8] = 2;
		crc = htole32((uint32_t)crc32(crc32(0, NULL, 0), header, FRAME_HEADER_BYTES - 4));
		memcpy(header + FRAME_HEADER_BYTES - 4, &crc, 4);
	}
	assert_int_equal(open_bytes(file->data, file->length, &diag), -ENOEXEC);
	assert_non_null(strstr(diag.text, "another version"));
	free_file(file);
	dice_end();
}

/* The recording of all items is whole whatever follows, and `said` is part of what is said of that. */
static void check_followed(struct file *file, size_t offset, const void *data, size_t length, const char *said)
{
	int fd = fd_of(file->data, file->length);
	struct recording *recording = opened(fd);
	struct item item = { 0 };

	assert_null(recording_damage(recording));
	recording_free(recording);
	assert_int_equal(pwrite(fd, data, length, (off_t)offset), (ssize_t)length);
	recording = opened(fd);
	while (next(recording, &item) == 1)
		assert_false(is_own_loss(&item));
	assert_int_equal(item.kind, ITEM_END);
	assert_non_null(recording_damage(recording));
	if (!strstr(recording_damage(recording), said))
		fail_msg("\"%s\" lacks \"%s\"", recording_damage(recording), said);
	recording_free(recording);
	close(fd);
}

/* What is put behind a recording or stands in it twice. */
static void test_more_than_one(void **state)
{
	struct dice_item *items;
	struct file *other;
	struct file *file;
	char text[64];

	(void)state;
	dice_begin(12, 60);
	items = dice_items(1000);
	file = file_of(write_items(items, 1000, 10));
	other = file_of(write_items(items, 1000, 10));
	snprintf(text, sizeof(text), "another recording follows at offset %zu", file->length);
	check_followed(file, file->length, other->data, other->length, text);
	check_followed(file, file->length, "xyz", 3, "3 bytes");
	check_followed(file, file->length, file->data, file->length, "something follows its end");
	/* all but the end, twice */
	check_followed(file, file->frames[file->frame_count - 1].offset, file->data, file->length,
		       "101 frames that came before");
	free_file(file);
	free_file(other);
	free(items);
	dice_end();
}

static struct item library_at(const char *path, uint64_t time_ns)
{
	struct item item = { .kind = ITEM_LIBRARY, .time_ns = time_ns };

	item.library.path = path;
	return item;
}

/* However often the mask is drawn: the payload comes back, holds no magic, and a bit that changed is seen. */
static void test_seal(void **state)
{
	static const uint8_t plain[] = FRAME_MAGIC "and" FRAME_MAGIC;
	uint8_t payload[sizeof(plain)];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct frame frame = { .kind = FRAME_ITEMS };

		memcpy(payload, plain, sizeof(plain));
		frame_seal(&frame, payload, sizeof(payload));
		assert_true(frame.mask != 0);
		assert_null(memmem(payload, sizeof(payload), FRAME_MAGIC, FRAME_MAGIC_BYTES));
		assert_true(frame_unseal(&frame, payload));
		assert_memory_equal(payload, plain, sizeof(plain));
		assert_false(frame_unseal(&frame, payload));
	}
}

/* A frame as a string: none of its bytes but the first can be NUL, which the run id and the checksum decide. */
static char *forge_frame(const struct frame *like)
{
	static uint8_t forged[FRAME_HEADER_BYTES + 3];
	struct frame frame = *like;

	frame.kind = FRAME_ITEMS;
	frame.number = 1;
	frame.count = 1;
	memcpy(forged + FRAME_HEADER_BYTES, "\x12\x02", 3); /* ITEM_TABLE at 1 ns */
	frame_seal(&frame, forged + FRAME_HEADER_BYTES, 2);
	frame_encode(&frame, forged);
	return (char *)forged;
}

/*
 * A traced program knows the file, run id and all, and puts a frame of its own making into what is recorded. It stays what it is, also when
 * the frame around it is damaged and the reader looks for the next.
 */
static void test_forged_frame(void **state)
{
	int fd = memfd_create("recording", MFD_CLOEXEC);
	struct recorder *recorder = recorder_on(fd);
	struct item item = { .kind = ITEM_RECORD };
	struct recording *recording;
	uint8_t header[FRAME_HEADER_BYTES];
	struct frame frame;
	size_t magics = 0;
	struct file *file;

	(void)state;
	recorder_finish(recorder);
	assert_int_equal(pread(fd, header, sizeof(header), 0), sizeof(header));
	assert_int_equal(frame_decode(header, &frame), 0);
	item.record.data = forge_frame(&frame);
	item.record.length = FRAME_HEADER_BYTES + 2;
	recorder_add(recorder, &item);
	recorder_flush(recorder);
	item = library_at(FRAME_MAGIC "name", 9);
	recorder_add(recorder, &item);
	recorder_finish(recorder);
	recorder_free(recorder);
	file = file_of(fd);
	for (uint8_t *at = file->data;
	     (at = memmem(at, (size_t)(file->data + file->length - at), FRAME_MAGIC, FRAME_MAGIC_BYTES)); at++)
		magics++;
	assert_int_equal(magics, file->frame_count);
	file->data[file->frames[2].offset + 20] ^= 1;
	fd = fd_of(file->data, file->length);
	recording = opened(fd);
	assert_int_equal(next(recording, &item), 1);
	assert_true(is_own_loss(&item) && item.lost.count == 1);
	assert_int_equal(next(recording, &item), 1);
	assert_string_equal(item.library.path, FRAME_MAGIC "name");
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

/* Headers only, each good by itself and with a wrong payload: must not make a reader check every byte a thousand times. */
static void test_costly_file(void **state)
{
	struct file *file = file_of(write_items(NULL, 0, 0));
	size_t heads = file->length;
	size_t bytes = 8u << 20;
	struct frame frame = file->frames[0].frame;
	uint64_t begin_ns = now_ns();
	struct result result;
	uint8_t *data;
	int fd;

	(void)state;
	data = malloc(heads + bytes);
	assert_non_null(data);
	memcpy(data, file->data, heads);
	frame.kind = FRAME_ITEMS;
	frame.length = FRAME_PAYLOAD_MAX;
	for (size_t at = heads; at + FRAME_HEADER_BYTES <= heads + bytes; at += FRAME_HEADER_BYTES)
		frame_encode(&frame, data + at);
	fd = fd_of(data, heads + bytes);
	result = read_items(fd, NULL, 0);
	assert_int_equal(result.err, 0);
	assert_true(result.cut && result.given == 0 && result.damaged);
	assert_true(now_ns() - begin_ns < 5000000000);
	free(data);
	free_file(file);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_a_recording),
		cmocka_unit_test(test_more_than_one),
		cmocka_unit_test(test_seal),
		cmocka_unit_test(test_forged_frame),
		cmocka_unit_test(test_costly_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
