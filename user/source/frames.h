/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOURCE_FRAMES_H
#define SOURCE_FRAMES_H

#include "source/frame.h"
#include "source/window.h"

/* The good frames of a file, in order; what lies between them is passed over and counted. */
struct frames {
	struct window window;
	bool searching;		/* within a damaged place */
	uint64_t work_bytes;	/* checked in vain */
	uint64_t damaged;	/* places */
	uint64_t damaged_at;	/* offset of the first */
	uint64_t damaged_bytes; /* of all */
	bool other_version;	/* a good header of another version was among them */
	size_t given_bytes;	/* of the frame given last, still in the window */
};

void frames_init(struct frames *frames, int fd);
void frames_fini(struct frames *frames);

/*
 * 1: *ret_frame, whose payload lies at ret_payload until the next call. 0: the end of the file. -errno. Gives up at an offset past
 * `limit` with 0.
 */
int frames_next(struct frames *frames, uint64_t limit, struct frame *ret_frame, uint8_t **ret_payload);

#endif
