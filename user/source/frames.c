/* SPDX-License-Identifier: Apache-2.0 */
#include "source/frames.h"

#include <errno.h>
#include <string.h>

/*
 * A damaged frame's length is not believed: the next frame may begin within it (a torn frame in a pipe). But a file made of nothing but
 * headers with wrong checksums would make us check each byte many times: past this factor, lengths are believed.
 */
#define WORK_FACTOR 8
#define WORK_FREE_BYTES (16u << 20)

void frames_init(struct frames *frames, int fd)
{
	*frames = (struct frames) { .searching = false };
	window_init(&frames->window, fd);
}

void frames_fini(struct frames *frames)
{
	window_fini(&frames->window);
}

static void pass_damaged(struct frames *frames, size_t bytes)
{
	if (!frames->searching) {
		frames->searching = true;
		if (!frames->damaged++)
			frames->damaged_at = frames->window.offset;
	}
	frames->damaged_bytes += bytes;
	window_pass(&frames->window, bytes);
}

/* Up to where the next magic begins or may begin. */
static void pass_to_magic(struct frames *frames)
{
	struct window *window = &frames->window;
	size_t there = window_bytes(window);
	const uint8_t *found;

	if (!there)
		return;
	found = memmem(window_data(window) + 1, there - 1, FRAME_MAGIC, FRAME_MAGIC_BYTES);
	if (found)
		pass_damaged(frames, (size_t)(found - window_data(window)));
	else if (window->at_eof)
		pass_damaged(frames, there);
	else
		pass_damaged(frames, there > FRAME_MAGIC_BYTES ? there - FRAME_MAGIC_BYTES + 1 : 1);
}

/* How much of a frame whose payload is wrong is passed without a look. */
static void pass_wrong_payload(struct frames *frames, size_t whole)
{
	frames->work_bytes += whole;
	if (frames->work_bytes > WORK_FREE_BYTES + WORK_FACTOR * frames->window.offset)
		pass_damaged(frames, whole);
	else
		pass_to_magic(frames);
}

/* 1: a good frame stands at the window's start; 0: none does, and the window begins elsewhere; -errno. */
static int look(struct frames *frames, struct frame *ret_frame)
{
	struct window *window = &frames->window;
	size_t whole;
	int err;

	err = frame_decode(window_data(window), ret_frame);
	if (err < 0) {
		frames->other_version |= err == -ENOEXEC;
		pass_to_magic(frames);
		return 0;
	}
	whole = FRAME_HEADER_BYTES + ret_frame->length;
	err = window_fill(window, whole);
	if (err < 0)
		return err;
	if (window_bytes(window) < whole) {
		pass_to_magic(frames);
		return 0;
	}
	if (!frame_unseal(ret_frame, window_data(window) + FRAME_HEADER_BYTES)) {
		pass_wrong_payload(frames, whole);
		return 0;
	}
	frames->given_bytes = whole;
	return 1;
}

int frames_next(struct frames *frames, uint64_t limit, struct frame *ret_frame, uint8_t **ret_payload)
{
	struct window *window = &frames->window;

	window_pass(window, frames->given_bytes);
	frames->given_bytes = 0;
	while (window->offset <= limit) {
		int err = window_fill(window, FRAME_HEADER_BYTES);

		if (err < 0)
			return err;
		if (window_bytes(window) < FRAME_HEADER_BYTES) {
			if (window_bytes(window))
				pass_damaged(frames, window_bytes(window));
			return 0;
		}
		err = look(frames, ret_frame);
		if (err < 0)
			return err;
		if (err > 0) {
			frames->searching = false;
			*ret_payload = window_data(window) + FRAME_HEADER_BYTES;
			return 1;
		}
	}
	return 0;
}
