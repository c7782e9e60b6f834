/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_WRITER_H
#define BASE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes to a descriptor, by a thread of its own: a slow terminal or a full pipe must never stop the caller, who drains the
 * kernel's ring. The queue is bounded (WRITER_QUEUE_BYTES). When it is full, entries are refused until half of it is free
 * again, so that losses come in few runs and not line by line. One caller; SIGPIPE never reaches the process from here.
 */
struct writer;

#define WRITER_QUEUE_BYTES (32UL << 20)

/* fd stays the caller's and may be blocking or not. 0 or -errno. */
int writer_new(int fd, struct writer **ret_writer);

/*
 * For a caller who has to know what became of each of its entries: write() gets, on the thread, all entries that have come together,
 * and writes them with writer_write(). What it returns is writer_error(); 0 goes on. ctx must not depend on the caller's life: a stuck
 * thread may outlive writer_free(). free(ctx), unless NULL, is the last that is done, and not done if writer_new_output() fails.
 */
struct writer_output {
	int (*write)(void *ctx, struct writer *writer, const char *data, size_t length);
	void (*free)(void *ctx);
	void *ctx;
};
int writer_new_output(int fd, const struct writer_output *output, struct writer **ret_writer);

/* In write() only. 0 or -errno; ret_written is set in both cases. Less than length with 0: writer_free() was called. */
int writer_write(struct writer *writer, const char *data, size_t length, size_t *ret_written);

/* Stops at once: what is not written is discarded, also when the reader is stuck. Call writer_flush() first. */
void writer_free(struct writer *writer);

/* Whole or not at all. false: did not fit. After a write error everything is accepted and discarded. */
bool writer_put(struct writer *writer, const void *data, size_t length);

/*
 * As writer_put(), but waits for room: for a caller who drains nothing and may stand still as long as the reader does. What is longer
 * than the queue goes alone. false: out of memory.
 */
bool writer_put_wait(struct writer *writer, const void *data, size_t length);

/* As writer_put(), past the bound: for the end of a run, whose size is known. false: out of memory. */
bool writer_put_always(struct writer *writer, const void *data, size_t length);

bool writer_full(struct writer *writer); /* writer_put() would refuse: no need to build the entry */

int writer_error(struct writer *writer); /* 0 or the first write error (-EPIPE, ...) so far */
int writer_flush(struct writer *writer); /* waits until all is written; 0 or the first write error */

#endif
