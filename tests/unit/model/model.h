/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

/*
 * The model test of the whole ledger, in three parts that know of each other only what their headers say:
 * - the world: programs, their threads, and a driver that has all kinds of memory; it makes events (world.h);
 * - the reference: the ledger's rules on flat arrays, told the same events (reference.h);
 * - the comparison, after each step (compare.c).
 * A run is many rounds. Each has a ledger, a machine and a way to lose events of its own, so that most of it is not in the dark after
 * the first loss. Where a round loses nothing, the ledger must also hold what the world's driver holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ledger/ledger.h"

enum {
	PROGRAMS = 5,
	THREADS = 4,
	GPUS = 4,
	CALLERS = 6,
	NO_CALLER = -1,
};

enum losses {
	LOSES_NOTHING,
	LOSES_OF_ONE, /* each loss names its process */
	LOSES_OF_ANY, /* also of no known process */
	LOSSES_COUNT,
};

struct model {
	struct ledger *ledger;
	uint64_t seed, dice, step, now_ns;
	/* of the round */
	int gpu_count;
	bool driver_probed;
	enum losses losses;
	uint64_t lost_one_of; /* so many events, where any are */
	struct ledger_gpu gpus[GPUS];
	struct caller callers[CALLERS];
};
extern struct model model;

uint64_t roll(uint64_t sides);
bool chance(unsigned int percent);
void model_note(const char *format, ...) __attribute__((format(printf, 1, 2))); /* beside a failure that follows */
_Noreturn void model_fail(const char *file, int line, const char *what);

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			model_fail(__FILE__, __LINE__, #condition);                                                    \
	} while (0)

/* The UUID of a GPU, as two numbers that are the same: 0x1111... is the first one's. */
uint64_t uuid_of(int gpu);

/* Tells ledger and reference, and compares what they make of it. */
void model_tell(const struct event *event, int caller);
void model_attach_late(uint32_t tgid, uint64_t start_ns);
void model_close_descriptor(uint32_t tgid, uint32_t descriptor);
void model_compare_all(void);

#endif
