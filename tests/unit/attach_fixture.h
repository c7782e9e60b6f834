/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_ATTACH_FIXTURE_H
#define UNIT_ATTACH_FIXTURE_H

#include "attach_stage.h"

/* A loaded set of programs with its ring, and what came out of it. */
struct fixture {
	struct attach *attach;
	struct library *library;
	struct source *source;
	struct decoder decoder;
	struct event events[EVENTS_MAX];
	size_t count;
	uint32_t last_lost; /* header.lost of the newest record */
};

static inline void keep_event(void *ctx, const struct event *event)
{
	struct fixture *fixture = ctx;

	assert_true(fixture->count < EVENTS_MAX);
	fixture->events[fixture->count++] = *event;
}

static inline void on_record(void *ctx, const void *data, size_t length)
{
	struct fixture *fixture = ctx;
	struct vt_header header;

	assert_true(length >= sizeof(header));
	memcpy(&header, data, sizeof(header));
	fixture->last_lost = header.lost;
	decode_record(&fixture->decoder, data, length);
}

/* Everything is in place and on; nothing was called. */
static inline struct fixture *start_with(bool listed_only, unsigned int without, uint32_t map_entries)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct diag diag = { "" };

	assert_non_null(fixture);
	fixture->attach = load_with(listed_only, without, map_entries);
	fixture->library = open_library();
	decoder_init(&fixture->decoder, keep_event, fixture);
	if (attach_library(fixture->attach, fixture->library, &diag) ||
	    source_open_ring(attach_ring_fd(fixture->attach), on_record, fixture, &fixture->source, &diag))
		fail_msg("%s", diag.text);
	attach_enable(fixture->attach);
	return fixture;
}

static inline struct fixture *start(bool listed_only)
{
	return start_with(listed_only, 0, 0);
}

static inline void end(struct fixture *fixture)
{
	source_free(fixture->source);
	decoder_fini(&fixture->decoder);
	library_free(fixture->library);
	attach_free(fixture->attach);
	free(fixture);
}

static inline struct vt_stats stats_of(const struct fixture *fixture)
{
	struct vt_stats stats;

	assert_int_equal(attach_read_stats(fixture->attach, &stats), 0);
	return stats;
}

#endif
