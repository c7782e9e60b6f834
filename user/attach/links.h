/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTACH_LINKS_H
#define ATTACH_LINKS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Link descriptors, and how they are let go of: the last close of each takes the probes away, and of single ones about 0.1 s each. */

struct links {
	int *fds;
	size_t count;
};

int links_add(struct links *links, int fd);	    /* takes fd, also on failure; 0 or -ENOMEM */
void links_close(struct links *links, size_t keep); /* all behind the first `keep` */
int links_take(struct links *links,
	       struct links *from); /* appends what `from` has, which is empty then; 0 or -ENOMEM */

/* A child that closes them in their order, whatever becomes of us. Zeroed: nothing is under way. */
struct closing {
	pid_t pid;
	uint32_t *left; /* shared with it */
};

/* links is empty afterwards. Where there can be no child, they are closed before this returns. */
void closing_begin(struct closing *closing, struct links *links);
/* 0: done; else how many are left after timeout_ms (-1: no limit). */
size_t closing_wait(struct closing *closing, int timeout_ms);

#endif
