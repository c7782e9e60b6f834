/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_TRUTH_H
#define VRAMSIM_TRUTH_H

/* The truth log, see sim.h. Without VRAMSIM_LOG these cost a comparison. */
#include <stdint.h>

struct truth {
	const char *call;
	uint64_t enter_ns;
	uint64_t addr;
	uint64_t bytes;
	uint64_t pitch; /* 0: no such thing */
};

struct truth truth_enter(const char *call);

/* Writes the line. Returns @result. */
int truth_leave(const struct truth *truth, int result);

#endif
