/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PAUSES_H
#define BENCH_PAUSES_H

/* How long calls took: the longest of them, and how many took about how long, without keeping them. */
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/clock.h"

#define PAUSES_LONGEST 5
#define PAUSES_STEPS 32 /* of each doubling */

struct pauses {
	uint64_t count;
	uint64_t longest[PAUSES_LONGEST]; /* nanoseconds, the longest first */
	uint64_t steps[64 * PAUSES_STEPS];
};

/* Exact below PAUSES_STEPS nanoseconds, to 3 % above. */
static inline size_t pauses_step(uint64_t ns)
{
	int doublings = ns < PAUSES_STEPS ? 0 : 63 - __builtin_clzll(ns) - 4;

	return doublings ? (size_t)doublings * PAUSES_STEPS + (ns >> (doublings - 1)) % PAUSES_STEPS : (size_t)ns;
}

static inline void pauses_add(struct pauses *pauses, uint64_t ns)
{
	pauses->count++;
	pauses->steps[pauses_step(ns)]++;
	for (int i = 0; i < PAUSES_LONGEST; i++) {
		uint64_t shorter = pauses->longest[i];

		if (ns <= shorter)
			continue;
		pauses->longest[i] = ns;
		ns = shorter;
	}
}

/* Nanoseconds that this part of the calls did not take longer than. */
static inline double pauses_part(const struct pauses *pauses, double part)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < sizeof(pauses->steps) / sizeof(pauses->steps[0]); i++) {
		seen += pauses->steps[i];
		if ((double)seen >= part * (double)pauses->count) {
			size_t doublings = i / PAUSES_STEPS;

			return doublings ? (double)(((i % PAUSES_STEPS + PAUSES_STEPS + 1) << (doublings - 1)) - 1)
					 : (double)i;
		}
	}
	return 0;
}

/* How long each call took on the wall, and of that its own thread's time: the difference is what others had of the machine. */
struct clocks {
	struct pauses wall;
	struct pauses own;
	uint64_t own_ns; /* of the thread, after the last call */
};

static inline uint64_t own_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline void clocks_start(struct clocks *clocks)
{
	*clocks = (struct clocks) { .own_ns = own_ns() };
}

/* The thread's time is asked for once a call, for it takes a system call: the little that is between two calls is in it. */
static inline void clocks_add(struct clocks *clocks, uint64_t start_ns)
{
	uint64_t now_ns;

	pauses_add(&clocks->wall, clock_mono_ns() - start_ns);
	now_ns = own_ns();
	pauses_add(&clocks->own, now_ns - clocks->own_ns);
	clocks->own_ns = now_ns;
}

#endif
