/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_TRUTH_H
#define VRAMSIM_TRUTH_H

/* The truth log, see sim.h. Without VRAMSIM_LOG these cost a comparison. */
#include <stddef.h>
#include <stdint.h>

struct truth {
	const char *call;
	uint64_t enter_ns;
	uint64_t addr;
	uint64_t bytes;

	/* What follows is written where it is set: not 0, and for gpu not TRUTH_NO_GPU. */
	uint64_t pitch;
	int gpu;
	uint64_t context;
	const char *kind;
	const char *placement;
	uint64_t handle;
	uint64_t pool;
	uint64_t stream;
	uint64_t graph;
	uint64_t object;
	uint64_t takes;
	uint64_t advice;
	uint64_t fd;
	uint64_t held;
	uint64_t *gone; /* addresses or handles; freed by truth_leave() */
	size_t gone_count;
};

#define TRUTH_NO_GPU (-1)

struct truth truth_enter(const char *call);

/* A block went that is not the one at `addr`. */
void truth_gone(struct truth *truth, uint64_t addr);

/* Writes the line and ends @truth. Returns @result. */
int truth_leave(const struct truth *truth, int result);

#endif
