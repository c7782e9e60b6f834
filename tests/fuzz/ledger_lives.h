/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FUZZ_LEDGER_LIVES_H
#define FUZZ_LEDGER_LIVES_H

/*
 * What holds of all that a ledger tells, whatever it was told; abort() where it does not: a block comes once and leaves once, by the same
 * address, and nothing is said of it before or after. For one program; it brings its own state.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/ledger.h"

#define IDS_MAX 4096 /* blocks of one run */

enum life {
	LIFE_NONE,
	LIFE_NOTHING, /* an allocation of nothing */
	LIFE_LIVE,
	LIFE_GONE,
};

static uint8_t lives[IDS_MAX];
static uint64_t addrs[IDS_MAX]; /* by which the program knows it */
static uint64_t last_id;

static void demand(bool holds)
{
	if (!holds)
		abort();
}

static void lives_start(void)
{
	memset(lives, LIFE_NONE, sizeof(lives));
	last_id = 0;
}

static bool is_block(const struct notice *notice)
{
	return notice->addr &&
	       (notice->requested || notice->memory_kind == VT_KIND_ARRAY || notice->memory_kind == VT_KIND_IMPORTED);
}

static void lives_hear(void *ctx, const struct notice *notice)
{
	(void)ctx;
	switch (notice->kind) {
	case NOTICE_ALLOC:
		demand(notice->id > last_id && notice->id < IDS_MAX);
		last_id = notice->id;
		lives[notice->id] = is_block(notice) ? LIFE_LIVE : LIFE_NOTHING;
		addrs[notice->id] = notice->addr;
		demand(notice->live_bytes == notice->process->total.live.bytes);
		break;
	case NOTICE_FREE:
		demand(lives[notice->id] == LIFE_LIVE);
		demand(addrs[notice->id] == notice->addr);
		lives[notice->id] = LIFE_GONE;
		demand(notice->live_bytes == notice->process->total.live.bytes);
		break;
	case NOTICE_TAKEN:
	case NOTICE_EXPORT:
		demand(lives[notice->id] == LIFE_LIVE);
		break;
	case NOTICE_MAP:
	case NOTICE_UNMAP:
	case NOTICE_ADVISE:
	case NOTICE_PREFETCH:
		demand(!notice->id || lives[notice->id] == LIFE_LIVE);
		break;
	case NOTICE_LOST:
		demand(notice->lost_count);
		break;
	default:
		break;
	}
}

/* With every process ended, every block has left. */
static void lives_check_ended(void)
{
	for (uint64_t id = 1; id <= last_id; id++)
		demand(lives[id] != LIFE_LIVE);
}

#endif
