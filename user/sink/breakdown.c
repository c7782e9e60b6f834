/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include <stdlib.h>

#include "probe/table.h"
#include "sink/holders.h"
#include "sink/trust.h"

/* The ledger in JSON, taken apart: by kind, placement, purpose, caller, and who holds what on which device. */

/* A slice that is not known by what it holds, entry-only, is known by what was asked for. */
struct share {
	struct tally held;
	struct tally allocated;
};

static struct share share_of(const struct process *process, const struct slice *slice)
{
	return (struct share) { .held = *slice_held(process, slice), .allocated = slice->allocated };
}

static void add_share(struct json *json, const char *name, const struct share *share, bool entry_only)
{
	json_object_begin(json, name);
	json_number(json, "bytes", !entry_only, share->held.bytes);
	json_number(json, "count", !entry_only, share->held.count);
	if (entry_only) {
		json_u64(json, "requested_bytes", share->allocated.bytes);
		json_u64(json, "requested_count", share->allocated.count);
	}
	json_object_end(json);
}

static void add_by_kind(struct json *json, const struct process *process, bool entry_only)
{
	json_object_begin(json, "by_kind");
	for (unsigned int kind = 0; kind < VT_KIND_COUNT; kind++) {
		struct share share = share_of(process, &process->by_kind[kind]);

		if (share.allocated.count)
			add_share(json, kind_name((enum vt_kind)kind), &share, entry_only);
	}
	json_object_end(json);
}

static void add_cell(struct share *sum, const struct process *process, const struct cell *cell)
{
	tally_add(&sum->held, slice_held(process, &cell->slice));
	tally_add(&sum->allocated, &cell->slice.allocated);
}

static void add_by_placement(struct json *json, const struct process *process, bool entry_only)
{
	struct share shares[PLACEMENT_COUNT] = { 0 };
	struct cell made[VT_KIND_COUNT];
	size_t count;
	const struct cell *cells = holders_cells(process, made, &count);

	for (size_t i = 0; i < count; i++) {
		const struct cell *cell = &cells[i];

		if (!cell->borrowed && cell->placement < PLACEMENT_COUNT)
			add_cell(&shares[cell->placement], process, cell);
	}
	json_object_begin(json, "by_placement");
	for (unsigned int placement = 0; placement < PLACEMENT_COUNT; placement++) {
		if (shares[placement].allocated.count)
			add_share(json, placement_name((enum placement)placement), &shares[placement], entry_only);
	}
	json_object_end(json);
}

/* Nothing declares a purpose yet, so all of it is of unknown purpose. */
static void add_by_purpose(struct json *json, const struct process *process, bool entry_only)
{
	struct share share = share_of(process, &process->total);

	json_object_begin(json, "by_purpose");
	if (share.allocated.count)
		add_share(json, purpose_name(PURPOSE_UNKNOWN), &share, entry_only);
	json_object_end(json);
}

static void add_by_caller(struct json *json, const struct process *process, bool entry_only)
{
	json_object_begin(json, "by_caller");
	for (size_t i = 0; i < process->caller_count; i++) {
		const struct caller_slice *item = &process->by_caller[i];
		struct share share = share_of(process, &item->slice);

		json_key_object_begin(json, item->caller ? item->caller->name : "?");
		json_number(json, "bytes", !entry_only, share.held.bytes);
		json_number(json, "count", !entry_only, share.held.count);
		json_number(json, "peak_bytes", !entry_only, item->slice.peak_bytes);
		json_number(json, "allocated_bytes", !entry_only, share.allocated.bytes);
		json_number(json, "allocated_count", !entry_only, share.allocated.count);
		if (entry_only) {
			json_u64(json, "requested_bytes", share.allocated.bytes);
			json_u64(json, "requested_count", share.allocated.count);
		}
		json_object_end(json);
	}
	json_object_end(json);
}

void breakdown_add_slices(struct json *json, const struct process *process, bool entry_only)
{
	add_by_kind(json, process, entry_only);
	add_by_placement(json, process, entry_only);
	add_by_purpose(json, process, entry_only);
	add_by_caller(json, process, entry_only);
}

static const struct ledger_gpu *gpu_of_group(const struct ledger *ledger, int group)
{
	return group < 0 ? NULL : ledger_gpu(ledger, (size_t)group);
}

static void add_holder(struct json *json, const struct totals_view *view, const struct process *process,
		       const struct holder *holder)
{
	const struct cell *cell = holder->cell;
	const struct tally *held = process->ended ? &holder->at_exit : &holder->live;
	bool entry_only = ledger_entry_only(view->ledger);
	bool live = holder->since_ns && holder->since_ns <= view->time_ns;

	json_object_begin(json, NULL);
	json_gpu(json, gpu_of_group(view->ledger, holder->group));
	json_string(json, "kind", kind_name((enum vt_kind)cell->kind));
	json_string(json, "placement", placement_name((enum placement)cell->placement));
	json_string(json, "library", cell->library);
	json_bool(json, "borrowed", cell->borrowed);
	json_bool(json, "computed", holder->computed);
	json_number(json, "bytes", !entry_only, held->bytes);
	json_number(json, "count", !entry_only, held->count);
	json_number(json, "peak_bytes", !entry_only && holder->peak_known, holder->peak_bytes);
	json_number(json, "age_ns", live, view->time_ns - holder->since_ns);
	json_number(json, "allocated_bytes", !entry_only, holder->allocated.bytes);
	json_number(json, "allocated_count", !entry_only, holder->allocated.count);
	if (entry_only) {
		json_u64(json, "requested_bytes", holder->allocated.bytes);
		json_u64(json, "requested_count", holder->allocated.count);
	}
	json_object_end(json);
}

/* The device's VRAM in a process, and what graphs keep there as the program was told. */
static void add_device(struct json *json, const struct totals_view *view, const struct process *process,
		       const struct holders *holders, int group)
{
	struct holder_sum sum = holders_sum(view->ledger, process, holders, group, PLACEMENT_VRAM);
	const struct tally *held = process->ended ? &sum.at_exit : &sum.live;
	bool entry_only = ledger_entry_only(view->ledger);
	uint64_t graph_reserved = 0;
	bool graph_known = false;

	for (size_t i = 0; i < process->place_count; i++) {
		const struct place *place = &process->places[i];

		if (!place->graph_known || holder_group_of(view->ledger, process, (uint16_t)i, PLACEMENT_VRAM) != group)
			continue;
		graph_known = true;
		graph_reserved = place->graph_reserved;
	}
	json_object_begin(json, NULL);
	json_gpu(json, gpu_of_group(view->ledger, group));
	json_number(json, "vram_bytes", !entry_only, held->bytes);
	json_number(json, "vram_count", !entry_only, held->count);
	json_number(json, "vram_peak_bytes", !entry_only && sum.peak_known, sum.peak_bytes);
	json_number(json, "graph_reserved_bytes", graph_known, graph_reserved);
	json_object_end(json);
}

/* Holders stand by group; host memory is of no device. */
static void add_devices(struct json *json, const struct totals_view *view, const struct process *process,
			const struct holders *holders)
{
	json_array_begin(json, "devices");
	for (size_t i = 0; i < holders->count; i++) {
		int group = holders->items[i].group;

		if (group != HOLDER_HOST && (i == 0 || holders->items[i - 1].group != group))
			add_device(json, view, process, holders, group);
	}
	json_array_end(json);
}

static void add_pools(struct json *json, const struct ledger *ledger, const struct process *process)
{
	json_array_begin(json, "pools");
	for (size_t i = 0; i < process->pool_count; i++) {
		const struct pool *pool = &process->pools[i];
		int group = holder_group_of(ledger, process, pool->place, (enum placement)pool->placement);

		if (pool->ended)
			continue;
		json_object_begin(json, NULL);
		json_address(json, "addr", pool->handle);
		json_gpu(json, gpu_of_group(ledger, group));
		json_string(json, "placement", placement_name((enum placement)pool->placement));
		json_number(json, "reserved_bytes", pool->reserved_known, pool->reserved);
		json_number(json, "used_bytes", pool->used_known, pool->used);
		json_u64(json, "live_bytes", pool->live.bytes);
		json_u64(json, "live_count", pool->live.count);
		json_object_end(json);
	}
	json_array_end(json);
}

void breakdown_add_holders(struct json *json, const struct totals_view *view, const struct process *process)
{
	struct holders holders;

	if (holders_find(view->ledger, process, &holders) < 0) {
		json->buf->failed = true; /* counted as a lost line */
		return;
	}
	add_devices(json, view, process, &holders);
	add_pools(json, view->ledger, process);
	json_array_begin(json, "holders");
	for (size_t i = 0; i < holders.count; i++)
		add_holder(json, view, process, &holders.items[i]);
	json_array_end(json);
	holders_fini(&holders);
}
