/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/processes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/books.h"

struct kept {
	struct process process; /* first: freed through it */
	struct own own;
};

static void drop_own(struct process *process)
{
	vmm_fini(process);
	streams_fini(process);
	contexts_fini(process);
	books_fini(process);
}

static void process_free(struct process *process)
{
	drop_own(process);
	free(process->by_caller);
	free(process->cells);
	free(process->places);
	free(process->pools);
	free(process);
}

void processes_fini(struct processes *processes)
{
	for (size_t i = 0; i < processes->count; i++)
		process_free(processes->items[i]);
	free(processes->items);
	map_fini(&processes->live);
	*processes = (struct processes) { 0 };
}

struct process *processes_find(struct processes *processes, uint32_t tgid)
{
	struct process *process = processes->last;

	if (process && process->tgid == tgid)
		return process;
	process = map_get(&processes->live, tgid);
	if (process)
		processes->last = process;
	return process;
}

/* Linear where it has ended: asked for losses only. */
struct process *processes_find_any(struct processes *processes, uint32_t tgid)
{
	struct process *process = processes_find(processes, tgid);

	for (size_t i = processes->count; !process && i > 0; i--) {
		if (processes->items[i - 1]->tgid == tgid)
			process = processes->items[i - 1];
	}
	return process;
}

static int grow(struct processes *processes)
{
	size_t capacity = processes->capacity ? processes->capacity * 2 : 16;
	struct process **items = reallocarray(processes->items, capacity, sizeof(struct process *));

	if (!items)
		return -ENOMEM;
	processes->items = items;
	processes->capacity = capacity;
	return 0;
}

struct process *processes_add(struct processes *processes, uint32_t tgid, uint64_t now_ns)
{
	struct kept *kept;

	if (processes->count >= PROCESSES_MAX)
		return NULL;
	if (processes->count == processes->capacity && grow(processes) < 0)
		return NULL;
	kept = calloc(1, sizeof(*kept));
	if (!kept)
		return NULL;
	kept->process.own = &kept->own;
	kept->process.places = calloc(1, sizeof(*kept->process.places));
	if (!kept->process.places) {
		free(kept);
		return NULL;
	}
	kept->process.places[0] = (struct place) { .ordinal = -1, .gpu = -1 };
	kept->process.place_count = 1;
	kept->process.tgid = tgid;
	kept->process.comm[0] = '?';
	kept->process.first_ns = now_ns;
	if (map_put(&processes->live, tgid, &kept->process, NULL) < 0) {
		process_free(&kept->process);
		return NULL;
	}
	processes->items[processes->count++] = &kept->process;
	return &kept->process;
}

static void drop(struct processes *processes, size_t index)
{
	process_free(processes->items[index]);
	processes->count--;
	processes->ended--;
	memmove(&processes->items[index], &processes->items[index + 1],
		(processes->count - index) * sizeof(struct process *));
}

/* Short-lived processes stand near the end, so a search from there is short. */
static size_t index_of(const struct processes *processes, const struct process *process)
{
	size_t i = processes->count;

	while (i > 0 && processes->items[i - 1] != process)
		i--;
	return i - 1;
}

static void drop_oldest_ended(struct processes *processes)
{
	for (size_t i = 0; i < processes->count; i++) {
		if (!processes->items[i]->ended)
			continue;
		drop(processes, i);
		processes->forgotten++;
		return;
	}
}

void processes_end(struct processes *processes, struct process *process)
{
	map_del(&processes->live, process->tgid);
	processes->last = NULL;
	processes->ended++;
	if (!process->has_cuda && !process->attached_late && !process->lost) {
		drop(processes, index_of(processes, process));
		return;
	}
	drop_own(process);
	if (processes->ended > PROCESSES_ENDED_MAX)
		drop_oldest_ended(processes);
}
