/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DECODE_DECODE_H
#define DECODE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decode/event.h"
#include "decode/arrivals.h"

/*
 * Bytes -> struct event. Checks version (1 is read too), kind, length, row ids and padding; a record that fails is counted and becomes a
 * LOST event (LOST_BAD_RECORD), never a crash and never a guess. Losses noted by the producer in the header (per CPU) become LOST
 * events in place, each loss told once whatever the order in which CPUs' records arrive.
 */
#define DECODE_CPUS_MAX 8192

typedef void decode_fn(void *ctx, const struct event *event);

struct decoder {
	decode_fn *fn;
	void *ctx;
	uint32_t *lost_seen; /* per CPU, grown on demand */
	uint32_t cpu_count;
	uint64_t delivered;	  /* good records */
	uint64_t bad;		  /* refused ones */
	uint64_t lost_ring;	  /* told as LOST events so far */
	struct arrivals arrivals; /* the same by CPU and by process */
	uint64_t last_ns;	  /* time of the newest good record: the time of losses that have none of their own */
};

void decoder_init(struct decoder *decoder, decode_fn *fn, void *ctx);
void decoder_fini(struct decoder *decoder);
void decode_record(struct decoder *decoder, const void *data, size_t length); /* calls fn once or twice */

/* A look at a record before its turn: as bytes that may still change. False: it is none of a call. */
bool decode_peek(const void *data, size_t length, struct upcoming *ret_upcoming);

/* At the end: the producer's own count of ring losses; what no later record carried is told now. */
void decode_final_losses(struct decoder *decoder, uint64_t lost_ring);

#endif
