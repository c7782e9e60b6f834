/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECORDING_FILE_H
#define RECORDING_FILE_H

/* Recordings as files: made, and taken apart. */
#include <sys/mman.h>
#include <unistd.h>

#include "recording_items.h"

#define FRAMES_MAX 16384

struct file_frame {
	size_t offset;
	size_t length; /* with its header */
	struct frame frame;
};

struct file {
	uint8_t *data;
	size_t length;
	struct file_frame frames[FRAMES_MAX];
	size_t frame_count;
};

static inline struct recording_head plain_head(void)
{
	return (struct recording_head) { .version = "v1", .host = "host", .begin_ns = 5, .command = "prog -x" };
}

static inline struct recorder *recorder_on(int fd)
{
	struct recording_head head = plain_head();
	struct recorder *recorder;
	struct diag diag;

	assert_int_equal(recorder_new(fd, &head, &recorder, &diag), 0);
	return recorder;
}

/* A frame every `per_frame` items; 0: as they fill up. */
static inline int write_items(const struct dice_item *items, size_t count, size_t per_frame)
{
	int fd = memfd_create("recording", MFD_CLOEXEC);
	struct recorder *recorder = recorder_on(fd);
	int err;

	for (size_t i = 0; i < count; i++) {
		recorder_add(recorder, &items[i].item);
		if (per_frame && (i + 1) % per_frame == 0)
			recorder_flush(recorder);
	}
	recorder_finish(recorder);
	assert_int_equal(recorder_lost(recorder, &err), 0);
	assert_int_equal(err, 0);
	assert_int_equal(recorder_bytes(recorder), lseek(fd, 0, SEEK_END));
	recorder_free(recorder);
	return fd;
}

static inline void load_file(int fd, struct file *file)
{
	memset(file, 0, sizeof(*file));
	file->length = (size_t)lseek(fd, 0, SEEK_END);
	file->data = malloc(file->length + 1);
	assert_non_null(file->data);
	assert_int_equal(pread(fd, file->data, file->length, 0), (ssize_t)file->length);
	for (size_t at = 0; at < file->length;) {
		struct file_frame *place = &file->frames[file->frame_count];

		assert_true(++file->frame_count < FRAMES_MAX);
		assert_int_equal(frame_decode(file->data + at, &place->frame), 0);
		place->offset = at;
		place->length = FRAME_HEADER_BYTES + place->frame.length;
		at += place->length;
		assert_true(at <= file->length);
	}
}

static inline void free_file(struct file *file)
{
	free(file->data);
	free(file);
}

static inline struct file *file_of(int fd)
{
	struct file *file = malloc(sizeof(*file));

	assert_non_null(file);
	load_file(fd, file);
	close(fd);
	return file;
}

static inline int fd_of(const void *data, size_t length)
{
	int fd = memfd_create("recording", MFD_CLOEXEC);

	assert_int_equal(pwrite(fd, data, length, 0), (ssize_t)length);
	return fd;
}

/* After a change of a payload's bytes. */
static inline void seal_again(struct file *file, size_t index)
{
	struct file_frame *place = &file->frames[index];
	uint8_t *payload = file->data + place->offset + FRAME_HEADER_BYTES;

	frame_seal(&place->frame, payload, place->frame.length);
	frame_encode(&place->frame, file->data + place->offset);
}

#endif
