/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/arrivals.h"

#include <stdlib.h>
#include <string.h>

void arrivals_init(struct arrivals *arrivals)
{
	*arrivals = (struct arrivals) { 0 };
	map_init(&arrivals->live);
}

void arrivals_fini(struct arrivals *arrivals)
{
	struct map_slot *slot;

	for (size_t i = 0; (slot = map_next(&arrivals->live, &i));)
		free(slot->value);
	map_fini(&arrivals->live);
	for (size_t i = 0; i < arrivals->ended_count; i++)
		free(arrivals->ended[i]);
	free(arrivals->ended);
	free(arrivals->cpus);
	*arrivals = (struct arrivals) { 0 };
}

bool arrivals_is_even(const struct arrivals_process *process)
{
	return process->produced == process->delivered + process->lost;
}

static void count_cpu(struct arrivals *arrivals, uint16_t cpu)
{
	uint64_t *grown;

	if (cpu >= arrivals->cpu_count) {
		grown = reallocarray(arrivals->cpus, cpu + 1u, sizeof(*grown));
		if (!grown)
			return; /* it will not come out even, and be said */
		memset(grown + arrivals->cpu_count, 0, (cpu + 1u - arrivals->cpu_count) * sizeof(*grown));
		arrivals->cpus = grown;
		arrivals->cpu_count = cpu + 1u;
	}
	arrivals->cpus[cpu]++;
}

static void keep_ended(struct arrivals *arrivals, struct arrivals_process *process)
{
	struct arrivals_process **grown = NULL;

	if (arrivals->last == process)
		arrivals->last = NULL;
	map_del(&arrivals->live, process->tgid);
	if (arrivals->ended_count < ARRIVALS_ENDED_MAX)
		grown = reallocarray(arrivals->ended, arrivals->ended_count + 1, sizeof(struct arrivals_process *));
	if (grown) {
		arrivals->ended = grown;
		arrivals->ended[arrivals->ended_count++] = process;
		return;
	}
	if (!process->ended || arrivals_is_even(process))
		arrivals->forgotten++;
	else
		arrivals->uneven++;
	free(process);
}

static struct arrivals_process *add(struct arrivals *arrivals, uint32_t tgid)
{
	struct arrivals_process *process = NULL;

	if (arrivals->live.count < ARRIVALS_LIVE_MAX)
		process = calloc(1, sizeof(*process));
	if (!process)
		return NULL;
	process->tgid = tgid;
	if (!map_put(&arrivals->live, tgid, process, NULL))
		return process;
	free(process);
	return NULL;
}

/* The one of that tgid which is alive. birth: its first record, where that is one; another process may have had the tgid before it. */
static struct arrivals_process *find(struct arrivals *arrivals, uint32_t tgid, const struct vt_process *birth)
{
	struct arrivals_process *process = arrivals->last;

	if (!process || process->tgid != tgid)
		process = map_get(&arrivals->live, tgid);
	if (process && birth && process->start_ns && process->start_ns != birth->start_ns) {
		keep_ended(arrivals, process);
		process = NULL;
	}
	if (!process)
		process = add(arrivals, tgid);
	arrivals->last = process;
	return process;
}

void arrivals_record(struct arrivals *arrivals, const struct vt_header *header, const struct vt_process *process)
{
	struct arrivals_process *found;

	count_cpu(arrivals, header->cpu);
	found = find(arrivals, header->tgid, process);
	if (!found)
		return;
	if (process) {
		memcpy(found->comm, process->comm, sizeof(process->comm));
		found->start_ns = process->start_ns;
	}
	if (header->kind != VT_RECORD_EXIT) {
		found->delivered++;
		return;
	}
	found->ended = true;
	found->produced = process->produced;
	found->lost = process->lost;
	keep_ended(arrivals, found);
}

static bool has_ended(const struct arrivals *arrivals, uint32_t tgid, uint64_t start_ns)
{
	for (size_t i = arrivals->ended_count; i > 0; i--)
		if (arrivals->ended[i - 1]->tgid == tgid && arrivals->ended[i - 1]->start_ns == start_ns)
			return true;
	return false;
}

void arrivals_lost_exit(struct arrivals *arrivals, uint32_t tgid, const struct vt_process_state *state)
{
	struct arrivals_process *process;

	if (has_ended(arrivals, tgid, state->start_ns))
		return;
	process = map_get(&arrivals->live, tgid);
	if (!process && arrivals->ended_count == ARRIVALS_ENDED_MAX)
		return; /* its EXIT may have arrived and not been kept: then it was judged */
	if (process && process->start_ns && process->start_ns != state->start_ns)
		return; /* an earlier owner of the tgid, of whom more may arrive */
	process = find(arrivals, tgid, NULL);
	if (!process)
		return;
	process->ended = true;
	process->start_ns = state->start_ns;
	process->produced = state->produced;
	process->lost = state->lost[VT_LOST_RING];
}
