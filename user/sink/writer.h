/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SINK_WRITER_H
#define SINK_WRITER_H

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

/* Stops at once: what is not written is discarded, also when the reader is stuck. Call writer_flush() first. */
void writer_free(struct writer *writer);

/* Whole or not at all. false: did not fit. After a write error everything is accepted and discarded. */
bool writer_put(struct writer *writer, const void *data, size_t length);

/* As writer_put(), past the bound: for the end of a run, whose size is known. false: out of memory. */
bool writer_put_always(struct writer *writer, const void *data, size_t length);

bool writer_full(struct writer *writer); /* writer_put() would refuse: no need to build the entry */

int writer_error(struct writer *writer); /* 0 or the first write error (-EPIPE, ...) so far */
int writer_flush(struct writer *writer); /* waits until all is written; 0 or the first write error */

#endif
