/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_DICE_H
#define LEDGER_DICE_H

/* Measures, dice and the check of test_ledger_model.c, for it and its reference. */

enum {
	PROCESSES = 6,
	THREADS = 6,
	BLOCKS = 12,
	ADDRESSES = 24,
	CALLERS = 9,
	HISTORY = 4096
};

static uint64_t random_state;
static uint64_t step, now = 1000;
static struct caller callers[CALLERS];

static uint64_t roll(uint64_t sides)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state * 0x2545f4914f6cdd1dULL >> 16) % sides;
}

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			fail_msg("step %llu: %s", (unsigned long long)step, #condition);                               \
	} while (0)

#endif
