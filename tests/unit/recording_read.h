/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECORDING_READ_H
#define RECORDING_READ_H

/* Recordings read back: against what was put in, or item by item. */
#include "recording_file.h"

struct result {
	uint64_t given;
	uint64_t lost;
	uint64_t lost_runs;
	bool cut;     /* the end was made up */
	bool damaged; /* something was said */
	int err;      /* of open or next */
};

static inline bool is_own_loss(const struct item *item)
{
	return item->kind == ITEM_LOST && same_string(item->lost.cause_name, "recording");
}

/*
 * Reads all of fd: each item must be the one that was put in at its place, where the losses that are told say how many were passed over.
 * Without a cut, given and lost are all.
 */
static inline struct result read_items(int fd, const struct dice_item *items, size_t count)
{
	struct result result = { 0 };
	struct recording *recording;
	struct item item;
	struct diag diag;
	uint64_t at = 0;

	lseek(fd, 0, SEEK_SET);
	result.err = recording_open(fd, &recording, &diag);
	if (result.err < 0)
		return result;
	while ((result.err = recording_next(recording, &item, &diag)) == 1) {
		assert_false(result.cut);
		if (is_own_loss(&item)) {
			assert_true(item.lost.count > 0);
			result.lost += item.lost.count;
			result.lost_runs++;
			at += item.lost.count;
		} else if (item.kind == ITEM_END && same_string(item.end.exit_reason, "recording cut")) {
			result.cut = true;
		} else {
			if (at >= count || !same_item(&item, &items[at].item))
				fail_msg("item %llu is wrong", (unsigned long long)at);
			at++;
			result.given++;
		}
	}
	assert_true(at - result.cut <= count);
	if (!result.cut && result.err == 0)
		assert_int_equal(at, count);
	result.damaged = recording_damage(recording) != NULL;
	recording_free(recording);
	return result;
}

static inline struct recording *opened(int fd)
{
	struct recording *recording;
	struct diag diag;

	lseek(fd, 0, SEEK_SET);
	assert_int_equal(recording_open(fd, &recording, &diag), 0);
	return recording;
}

static inline int next(struct recording *recording, struct item *ret_item)
{
	struct diag diag;

	return recording_next(recording, ret_item, &diag);
}

#endif
