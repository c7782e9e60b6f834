/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "cli/session.h"

/*
 * Physical memory that a program has exported lives as long as the descriptor. No call of the driver tells of its end, so we look for
 * it: a descriptor that is gone, or is another file now, was closed.
 */
#define LOOK_MAX 1024 /* descriptors at a time */

struct look {
	size_t count;
	struct {
		uint32_t tgid;
		uint32_t descriptor;
	} items[LOOK_MAX];
};

static void note(void *ctx, uint32_t tgid, uint32_t descriptor)
{
	struct look *look = ctx;

	if (look->count == LOOK_MAX)
		return;
	look->items[look->count].tgid = tgid;
	look->items[look->count].descriptor = descriptor;
	look->count++;
}

/* What the descriptor stands for, never 0; 0: it is not open. errno ESRCH and the like: the process is gone, and its end tells that. */
static uint64_t file_of(uint32_t tgid, uint32_t descriptor)
{
	char path[64];
	struct stat stat_of;

	snprintf(path, sizeof(path), "/proc/%u/fd/%u", tgid, descriptor);
	if (stat(path, &stat_of))
		return 0;
	return ((uint64_t)stat_of.st_dev << 32 ^ stat_of.st_ino) | 1;
}

/* True: it was open when we first looked, or might have been, and is not any more. */
static bool is_closed(struct map *files, uint32_t tgid, uint32_t descriptor)
{
	uint64_t key = (uint64_t)tgid << 32 | descriptor;
	uint64_t seen = (uint64_t)(uintptr_t)map_get(files, key);
	uint64_t now = file_of(tgid, descriptor);

	if (!now && errno != ENOENT)
		return false;
	if (now && !seen)
		map_put(files, key, (void *)(uintptr_t)now, NULL); /* without memory for it: taken for the same file */
	if (now && (!seen || seen == now))
		return false;
	map_del(files, key);
	return true;
}

void session_look_at_descriptors(struct session *session)
{
	struct look look = { 0 };

	ledger_each_descriptor(session->pipe.ledger, note, &look);
	if (!look.count)
		map_clear(&session->descriptors);
	for (size_t i = 0; i < look.count; i++) {
		struct item item = {
			.kind = ITEM_CLOSED,
			.time_ns = clock_mono_ns(),
			.closed = { look.items[i].tgid, look.items[i].descriptor },
		};

		if (is_closed(&session->descriptors, look.items[i].tgid, look.items[i].descriptor))
			pipe_take(&session->pipe, &item);
	}
}
