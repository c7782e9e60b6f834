/* SPDX-License-Identifier: Apache-2.0 */
#include "source/window.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES 65536 /* at least this much room for a read */

void window_init(struct window *window, int fd)
{
	*window = (struct window) { .fd = fd };
}

void window_fini(struct window *window)
{
	free(window->data);
	window->data = NULL;
}

static int make_room(struct window *window, size_t bytes)
{
	size_t there = window_bytes(window);
	uint8_t *data;

	if (window->start + bytes <= window->capacity)
		return 0;
	if (window->start) {
		memmove(window->data, window->data + window->start, there);
		window->start = 0;
		window->end = there;
	}
	if (window->capacity >= bytes + READ_BYTES)
		return 0;
	data = realloc(window->data, bytes + READ_BYTES);
	if (!data)
		return -ENOMEM;
	window->data = data;
	window->capacity = bytes + READ_BYTES;
	return 0;
}

/* 0 or -errno */
static int read_more(struct window *window)
{
	struct pollfd ready = { .fd = window->fd, .events = POLLIN };
	ssize_t n = read(window->fd, window->data + window->end, window->capacity - window->end);

	if (n > 0)
		window->end += (size_t)n;
	else if (n == 0)
		window->at_eof = true;
	else if (errno == EAGAIN)
		poll(&ready, 1, -1);
	else if (errno != EINTR)
		return -errno;
	return 0;
}

int window_fill(struct window *window, size_t bytes)
{
	int err = 0;

	if (window_bytes(window) >= bytes || window->at_eof)
		return 0;
	err = make_room(window, bytes);
	while (err == 0 && !window->at_eof && window_bytes(window) < bytes)
		err = read_more(window);
	return err;
}
