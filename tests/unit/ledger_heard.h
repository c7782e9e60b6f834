/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_HEARD_H
#define LEDGER_HEARD_H

/* For the tests of shared and physical memory: a ledger, and what it said to the last call. For one test program; brings its state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ledger/ledger.h"

#define HEARD_MAX 4096
#define MB (1ull << 20)

static struct ledger *ledger;
static struct notice heard[HEARD_MAX]; /* since the last call */
static size_t heard_count;
static uint64_t now;
static char caller_name[] = "libx.so!f", caller_module[] = "/lib/libx.so";
static struct caller a_caller = { .name = caller_name, .module = caller_module, .id = 1 };

static inline void hear(void *ctx, const struct notice *notice)
{
	(void)ctx;
	if (heard_count < HEARD_MAX)
		heard[heard_count++] = *notice;
}

static inline int setup(void **state)
{
	static const struct ledger_gpu gpus[2] = { { 0, "GPU-22222222-2222-2222-2222-222222222222" },
						   { 1, "GPU-11111111-1111-1111-1111-111111111111" } };
	struct ledger_settings settings = { .driver_probed = true, .gpus = gpus, .gpu_count = 2, .fn = hear };

	(void)state;
	now = 1000;
	heard_count = 0;
	return ledger_new(&settings, &ledger);
}

static inline int teardown(void **state)
{
	(void)state;
	ledger_free(ledger);
	ledger = NULL;
	return 0;
}

static inline const struct process *process_of(uint32_t tgid)
{
	for (size_t i = ledger_process_count(ledger); i-- > 0;) {
		if (ledger_process(ledger, i)->tgid == tgid)
			return ledger_process(ledger, i);
	}
	return NULL;
}

static inline uint64_t live(uint32_t tgid)
{
	return process_of(tgid) ? process_of(tgid)->total.live.bytes : 0;
}

static inline uint64_t borrowed(uint32_t tgid)
{
	return process_of(tgid) ? process_of(tgid)->borrowed.bytes : 0;
}

/* The one notice of that kind since the last call; NULL: there is none. */
static inline const struct notice *heard_one(enum notice_kind kind)
{
	const struct notice *found = NULL;

	for (size_t i = 0; i < heard_count; i++) {
		if (heard[i].kind != kind)
			continue;
		assert_null(found);
		found = &heard[i];
	}
	return found;
}

static inline void assert_quiet(void)
{
	assert_int_equal(heard_count, 0);
}

#endif
