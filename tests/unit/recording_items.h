/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECORDING_ITEMS_H
#define RECORDING_ITEMS_H

/* Whole runs of random items, and whether two items are the same. */
#include "recording_dice.h"

static inline void dice_other(struct item *item)
{
	item->time_ns = dice_number();
	switch (item->kind) {
	case ITEM_LOST:
		item->lost.cause_name = dice_strings[dice(DICE_CALLERS)];
		item->lost.tgid = (uint32_t)dice_number();
		item->lost.count = dice_number();
		break;
	case ITEM_ATTACHED:
	case ITEM_LATE:
	case ITEM_GONE:
		item->process.comm = dice(5) ? dice_strings[dice(DICE_CALLERS)] : NULL;
		item->process.tgid = (uint32_t)dice_number();
		item->process.ns_tgid = (uint32_t)dice_number();
		item->process.nvml_answers = dice(2);
		item->process.nvml_bytes = dice_number();
		item->process.start_ns = dice_number();
		item->process.uid = (uint32_t)dice_number();
		break;
	case ITEM_LIBRARY:
		item->library.path = dice_strings[dice(DICE_CALLERS)];
		item->library.layer = 1 + (uint32_t)dice(2);
		item->library.probed = (uint32_t)dice(30);
		item->library.build_id_length = (uint32_t)dice(21);
		for (size_t i = 0; i < item->library.build_id_length; i++)
			item->library.build_id[i] = (uint8_t)dice(256);
		item->library.dev = dice_number();
		item->library.ino = dice_number();
		break;
	case ITEM_CLOCK:
		item->clock.wall_minus_mono_ns = (int64_t)dice_number();
		item->clock.utc_offset_s = (int32_t)dice_number();
		break;
	case ITEM_CLOSED:
		item->closed.tgid = (uint32_t)dice_number();
		item->closed.descriptor = (uint32_t)dice_number();
		break;
	case ITEM_END:
		item->end.exit_reason = dice_strings[dice(DICE_CALLERS)];
		item->end.wall_ns = dice_number();
		item->end.mappings_lost = dice_number();
		item->end.failed = dice(2);
		break;
	default:
		break;
	}
}

/* Item `index` of a run; the last one is the end. */
static inline void dice_item(struct dice_item *made, uint64_t index, bool last)
{
	memset(&made->item, 0, sizeof(made->item));
	made->item.kind = last ? ITEM_END : dice(15) ? ITEM_RECORD : (enum item_kind)(1 + dice(ITEM_END - 1));
	if (made->item.kind == ITEM_TABLE && dice(2))
		made->item.kind = ITEM_CLOSED;
	if (made->item.kind == ITEM_RECORD)
		dice_record(made, index);
	else
		dice_other(&made->item);
}

static inline struct dice_item *dice_items(size_t count)
{
	struct dice_item *items = calloc(count, sizeof(*items));

	assert_non_null(items);
	for (size_t i = 0; i < count; i++)
		dice_item(&items[i], i, i + 1 == count);
	return items;
}

static inline bool same_string(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static inline bool same_caller(const struct item_caller *a, const struct item_caller *b)
{
	if (!a || !b)
		return a == b;
	return same_string(a->module, b->module) && same_string(a->symbol, b->symbol) &&
	       same_string(a->demangled, b->demangled) && same_string(a->name, b->name) && a->offset == b->offset;
}

static inline bool same_item(const struct item *a, const struct item *b)
{
	if (a->kind != b->kind || a->time_ns != b->time_ns)
		return false;
	switch (a->kind) {
	case ITEM_RECORD:
		return a->record.length == b->record.length &&
		       !memcmp(a->record.data, b->record.data, a->record.length) &&
		       same_caller(a->record.caller, b->record.caller);
	case ITEM_LOST:
		return same_string(a->lost.cause_name, b->lost.cause_name) && a->lost.tgid == b->lost.tgid &&
		       a->lost.count == b->lost.count;
	case ITEM_ATTACHED:
	case ITEM_LATE:
	case ITEM_GONE:
		return same_string(a->process.comm, b->process.comm) && a->process.tgid == b->process.tgid &&
		       a->process.ns_tgid == b->process.ns_tgid && a->process.nvml_answers == b->process.nvml_answers &&
		       a->process.nvml_bytes == b->process.nvml_bytes && a->process.start_ns == b->process.start_ns &&
		       a->process.uid == b->process.uid;
	case ITEM_CLOSED:
		return a->closed.tgid == b->closed.tgid && a->closed.descriptor == b->closed.descriptor;
	case ITEM_LIBRARY:
		return same_string(a->library.path, b->library.path) && a->library.layer == b->library.layer &&
		       a->library.probed == b->library.probed && a->library.dev == b->library.dev &&
		       a->library.ino == b->library.ino && a->library.build_id_length == b->library.build_id_length &&
		       !memcmp(a->library.build_id, b->library.build_id, sizeof(a->library.build_id));
	case ITEM_CLOCK:
		return a->clock.wall_minus_mono_ns == b->clock.wall_minus_mono_ns &&
		       a->clock.utc_offset_s == b->clock.utc_offset_s;
	case ITEM_END:
		return same_string(a->end.exit_reason, b->end.exit_reason) && a->end.wall_ns == b->end.wall_ns &&
		       a->end.mappings_lost == b->end.mappings_lost && a->end.failed == b->end.failed;
	default:
		return true;
	}
}

#endif
