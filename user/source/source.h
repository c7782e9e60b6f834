/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/diag.h"

/* Where records come from. The bytes given to fn are borrowed for the call. */
typedef void source_fn(void *ctx, const void *data, size_t length);

/*
 * A look at records that are still to come, before fn is called for each SOURCE_STEP-th one: the next one is at a distance of 1, the last
 * that is told at SOURCE_AHEAD. It may be none: bytes of an earlier round, or of a record that is not whole yet.
 */
#define SOURCE_STEP 4
#define SOURCE_AHEAD (3 * SOURCE_STEP - 1)
typedef void source_ahead_fn(void *ctx, const void *data, size_t length, int distance);

struct source;

/* The live ring buffer (a BPF map descriptor, which stays the caller's). */
int source_open_ring(int ring_fd, source_fn *fn, void *ctx, struct source **ret_source, struct diag *diag);
void source_look_ahead(struct source *source,
		       source_ahead_fn *ahead); /* with the same ctx; NULL: not at all, as at first */

int source_fd(const struct source *source); /* readable when the producer woke the reader */

/*
 * Hands over what is there, at most `limit` records (0: until the ring is empty). Returns their number, or -errno. When it
 * returns limit there may be more.
 */
int source_drain(struct source *source, int limit);
void source_free(struct source *source);

#endif
