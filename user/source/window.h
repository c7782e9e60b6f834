/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOURCE_WINDOW_H
#define SOURCE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A piece of a file, read in order with read(2) and never mapped: a file that shrinks meanwhile is short, and no SIGBUS. It holds what was
 * asked for and not yet passed, and little more.
 */
struct window {
	int fd;
	uint8_t *data;
	size_t capacity;
	size_t start; /* of what is there and not passed, in data */
	size_t end;
	uint64_t offset; /* of start, in the file */
	bool at_eof;
};

void window_init(struct window *window, int fd);
void window_fini(struct window *window);

/* Tries to have `bytes` there: fewer only at the end of the file. 0 or -errno. Moves the data. */
int window_fill(struct window *window, size_t bytes);

static inline size_t window_bytes(const struct window *window)
{
	return window->end - window->start;
}

static inline uint8_t *window_data(struct window *window)
{
	return window->data + window->start;
}

static inline void window_pass(struct window *window, size_t bytes)
{
	window->start += bytes;
	window->offset += bytes;
}

#endif
