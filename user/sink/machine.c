/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include <stdlib.h>

#include "sink/holders.h"
#include "sink/trust.h"

/* The machine's GPUs in JSON: what all processes that live hold of each. */

struct device_sum {
	struct tally by_placement[PLACEMENT_COUNT];
	uint64_t processes; /* that have had any of it */
	size_t last;	    /* of these, the last: its number + 1 */
	bool computed;	    /* a size in it */
	struct trust trust;
};

struct machine {
	const struct ledger *ledger;
	struct device_sum *sums; /* the GPUs, then memory of no known device */
	size_t gpu_count;
	struct tally by_placement[PLACEMENT_COUNT]; /* over all, host memory too */
};

static void sum_cell(struct machine *machine, size_t number, const struct process *process, const struct cell *cell)
{
	int group = holder_group_of(machine->ledger, process, cell->place, (enum placement)cell->placement);
	struct device_sum *sum;
	struct trust trust;

	if (cell->borrowed || cell->placement >= PLACEMENT_COUNT)
		return;
	tally_add(&machine->by_placement[cell->placement], &cell->slice.live);
	if (group == HOLDER_HOST)
		return;
	sum = &machine->sums[group >= 0 && (size_t)group < machine->gpu_count ? (size_t)group : machine->gpu_count];
	tally_add(&sum->by_placement[cell->placement], &cell->slice.live);
	sum->computed = sum->computed || (cell->computed && cell->slice.live.count);
	if (sum->last == number + 1)
		return;
	sum->last = number + 1;
	sum->processes++;
	trust = trust_of(machine->ledger, process);
	trust_add(&sum->trust, &trust);
}

static int sum_up(struct machine *machine)
{
	while (ledger_gpu(machine->ledger, machine->gpu_count))
		machine->gpu_count++;
	machine->sums = calloc(machine->gpu_count + 1, sizeof(*machine->sums));
	if (!machine->sums)
		return -1;
	for (size_t i = 0; i <= machine->gpu_count; i++)
		machine->sums[i].trust = trust_none(machine->ledger);
	for (size_t i = 0; i < ledger_process_count(machine->ledger); i++) {
		const struct process *process = ledger_process(machine->ledger, i);

		for (size_t k = 0; !process->ended && k < process->cell_count; k++)
			sum_cell(machine, i, process, &process->cells[k]);
	}
	return 0;
}

static void add_tally(struct json *json, const char *bytes, const char *count, const struct tally *tally, bool known)
{
	json_number(json, bytes, known, tally->bytes);
	json_number(json, count, known, tally->count);
}

static void add_device(struct json *json, const struct machine *machine, size_t at)
{
	const struct device_sum *sum = &machine->sums[at];
	bool known = !ledger_entry_only(machine->ledger);
	struct trust trust = sum->trust;

	trust.computed = sum->computed; /* not those of a process' other devices */
	json_object_begin(json, NULL);
	json_gpu(json, ledger_gpu(machine->ledger, at));
	add_tally(json, "vram_bytes", "vram_count", &sum->by_placement[PLACEMENT_VRAM], known);
	add_tally(json, "migratable_bytes", "migratable_count", &sum->by_placement[PLACEMENT_MIGRATABLE], known);
	add_tally(json, "unknown_bytes", "unknown_count", &sum->by_placement[PLACEMENT_UNKNOWN], known);
	json_u64(json, "processes", sum->processes);
	json_bool(json, "complete", sum->trust.complete);
	json_trust(json, &trust);
	json_object_end(json);
}

static void add_by_placement(struct json *json, const struct machine *machine)
{
	bool known = !ledger_entry_only(machine->ledger);

	json_object_begin(json, "by_placement");
	for (unsigned int placement = 0; placement < PLACEMENT_COUNT; placement++) {
		json_object_begin(json, placement_name((enum placement)placement));
		add_tally(json, "bytes", "count", &machine->by_placement[placement], known);
		json_object_end(json);
	}
	json_object_end(json);
}

void machine_add(struct json *json, const struct ledger *ledger)
{
	struct machine machine = { .ledger = ledger };

	if (sum_up(&machine) < 0) {
		json->buf->failed = true; /* counted as a lost line */
		return;
	}
	add_by_placement(json, &machine);
	json_array_begin(json, "devices");
	for (size_t i = 0; i <= machine.gpu_count; i++) {
		if (i < machine.gpu_count || machine.sums[i].processes)
			add_device(json, &machine, i);
	}
	json_array_end(json);
	free(machine.sums);
}
