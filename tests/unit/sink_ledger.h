/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SINK_LEDGER_H
#define SINK_LEDGER_H

#include "sink_capture.h"

#include "ledger/ledger.h"

/*
 * A ledger as a test wants it: the views that sinks see of one, filled by hand. It stands in for the real one, so that what is printed of
 * any state is shown without the calls that lead to it. Included by test_sink_*.c only.
 */

#define FAKE_MAX 40

struct ledger {
	struct process *processes[4];
	size_t process_count;
	const struct ledger_gpu *gpus;
	size_t gpu_count;
	uint64_t lost_unknown;
	bool entry_only;
};

struct fake_process {
	struct process process;
	struct cell cells[FAKE_MAX];
	struct place places[6];
	struct pool pools[16];
};

size_t ledger_process_count(const struct ledger *ledger)
{
	return ledger->process_count;
}

const struct process *ledger_process(const struct ledger *ledger, size_t index)
{
	return index < ledger->process_count ? ledger->processes[index] : NULL;
}

uint64_t ledger_lost(const struct ledger *ledger)
{
	uint64_t sum = ledger->lost_unknown;

	for (size_t i = 0; i < ledger->process_count; i++)
		sum += ledger->processes[i]->lost;
	return sum;
}

uint64_t ledger_lost_unknown(const struct ledger *ledger)
{
	return ledger->lost_unknown;
}

uint64_t ledger_lost_of(const struct ledger *ledger, enum lost_cause cause)
{
	return cause == LOST_RING ? ledger_lost(ledger) : 0;
}

uint64_t ledger_forgotten(const struct ledger *ledger)
{
	(void)ledger;
	return 0;
}

bool ledger_complete(const struct ledger *ledger, const struct process *process)
{
	if (ledger->entry_only)
		return false;
	if (!process)
		return ledger_lost(ledger) == 0;
	return !ledger->lost_unknown && !process->lost && !process->uncovered && !process->attached_late &&
	       !process->maybe_captured && !process->unsized;
}

bool ledger_entry_only(const struct ledger *ledger)
{
	return ledger->entry_only;
}

uint64_t ledger_ends(const struct ledger *ledger)
{
	(void)ledger;
	return 0;
}

const struct ledger_gpu *ledger_gpu(const struct ledger *ledger, size_t index)
{
	return index < ledger->gpu_count ? &ledger->gpus[index] : NULL;
}

int ledger_gpu_of(const struct ledger *ledger, const struct process *process, uint16_t place)
{
	return ledger->gpu_count == 1 ? 0 : process->places[place].gpu;
}

static inline void fake_init(struct fake_process *fake, uint32_t tgid, const char *comm)
{
	*fake = (struct fake_process) { .process = { .tgid = tgid, .parent_tgid = 1, .has_cuda = true } };
	snprintf(fake->process.comm, sizeof(fake->process.comm), "%s", comm);
	fake->process.cells = fake->cells;
	fake->process.places = fake->places;
	fake->process.pools = fake->pools;
	fake->process.place_count = 4;
	fake->places[0] = (struct place) { .ordinal = -1, .gpu = -1 };
	for (int i = 1; i < 4; i++) /* 1 and 3 are the same GPU */
		fake->places[i] = (struct place) { .ordinal = i - 1, .gpu = i == 3 ? 0 : i - 1 };
}

static inline struct slice fake_slice(uint64_t bytes, uint64_t count, uint64_t peak)
{
	return (struct slice) { .live = { bytes, count },
				.allocated = { bytes + peak, count + 1 },
				.peak_bytes = peak };
}

/* A live cell; its bytes go into the sums that sinks look at. */
static inline struct cell *fake_hold(struct fake_process *fake, const char *library, uint16_t place, enum vt_kind kind,
				     struct slice slice)
{
	struct process *process = &fake->process;
	struct cell *cell = &fake->cells[process->cell_count++];
	enum placement placement = kind == VT_KIND_PINNED    ? PLACEMENT_HOST
				   : kind == VT_KIND_MANAGED ? PLACEMENT_MIGRATABLE
							     : PLACEMENT_VRAM;

	assert_true(process->cell_count <= FAKE_MAX);
	*cell = (struct cell) { .library = library,
				.place = place,
				.kind = (uint8_t)kind,
				.placement = (uint8_t)placement,
				.slice = slice,
				.since_ns = slice.live.count ? 1000000000 : 0 };
	process->total.live.bytes += slice.live.bytes;
	process->total.live.count += slice.live.count;
	process->total.allocated.bytes += slice.allocated.bytes;
	process->total.allocated.count += slice.allocated.count;
	process->total.peak_bytes += slice.peak_bytes;
	if (placement == PLACEMENT_VRAM && kind != VT_KIND_IMPORTED)
		fake->places[place].vram.peak_bytes += slice.peak_bytes;
	return cell;
}

#endif
