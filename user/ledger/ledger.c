/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/account.h"
#include "ledger/books.h"
#include "probe/table.h"

int ledger_new(const struct ledger_settings *settings, struct ledger **ret_ledger)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		return -ENOMEM;
	ledger->settings = *settings;
	map_init(&ledger->processes.live);
	if (gpus_init(ledger)) {
		ledger_free(ledger);
		return -ENOMEM;
	}
	*ret_ledger = ledger;
	return 0;
}

void ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return;
	processes_fini(&ledger->processes);
	shares_fini(ledger);
	gpus_fini(ledger);
	free(ledger);
}

void ledger_tell(struct ledger *ledger, const struct notice *notice)
{
	if (ledger->settings.fn)
		ledger->settings.fn(ledger->settings.ctx, notice);
}

void ledger_tell_process(struct ledger *ledger, const struct process *process, const struct event *event)
{
	struct notice notice = {
		.kind = NOTICE_PROCESS,
		.time_ns = event->time_ns,
		.tid = event->tid,
		.process = process,
		.placement = PLACEMENT_UNKNOWN,
		.purpose = PURPOSE_UNKNOWN,
		.live_bytes = process->total.live.bytes,
		.process_event = event->kind,
	};

	ledger_tell(ledger, &notice);
}

/* A recording tells any number: what was lost never comes to nothing again. */
static void count_lost(uint64_t *sum, uint64_t count)
{
	if (__builtin_add_overflow(*sum, count, sum))
		*sum = UINT64_MAX;
}

void ledger_lose(struct ledger *ledger, struct process *process, const struct event *event, enum lost_cause cause,
		 uint64_t count)
{
	struct notice notice = {
		.kind = NOTICE_LOST,
		.time_ns = event->time_ns,
		.tid = event->tid,
		.process = process,
		.placement = PLACEMENT_UNKNOWN,
		.purpose = PURPOSE_UNKNOWN,
		.lost_cause = cause,
		.lost_count = count,
	};

	if ((unsigned int)cause >= LOST_CAUSE_COUNT)
		return;
	count_lost(&ledger->lost[cause], count);
	count_lost(process ? &process->lost : &ledger->lost_global, count);
	ledger_tell(ledger, &notice);
}

void ledger_apply(struct ledger *ledger, const struct event *event, const struct caller *caller)
{
	switch (event->kind) {
	case EVENT_ALLOC:
	case EVENT_ALLOC_FAILED:
	case EVENT_FREE:
	case EVENT_FREE_FAILED:
	case EVENT_DONE:
	case EVENT_FAILED:
	case EVENT_ENTERED:
		call_apply(ledger, event, caller);
		break;
	case EVENT_PROCESS:
	case EVENT_FORK:
	case EVENT_EXEC:
	case EVENT_EXIT:
		life_apply(ledger, event);
		break;
	case EVENT_LOST:
		ledger_lose(ledger, processes_find_any(&ledger->processes, event->tgid), event, event->lost_cause,
			    event->lost_count);
		break;
	}
}

void ledger_expect(struct ledger *ledger, const struct upcoming *upcoming, enum ledger_distance distance)
{
	const struct probe_row *row = probe_row(upcoming->row);
	const struct process *process;

	/* An allocation finds no block where it goes: nothing more to fetch than the place. */
	if (!row || (distance == LEDGER_NEAR && row->op == VT_OP_ALLOC))
		return;
	process = processes_find(&ledger->processes, upcoming->tgid);
	if (process)
		books_expect(process, upcoming, distance);
}

int ledger_attach_late(struct ledger *ledger, uint32_t tgid, uint32_t ns_tgid, uint64_t start_ns, const char *comm,
		       uint64_t time_ns)
{
	struct event event = { .kind = EVENT_PROCESS, .tgid = tgid, .tid = tgid, .time_ns = time_ns };
	struct process *process = processes_find(&ledger->processes, tgid);

	event.uid = process ? process->uid : 0; /* not known here */
	event.ns_tgid = ns_tgid;
	event.start_ns = start_ns;
	memcpy(event.comm, comm, strnlen(comm, sizeof(event.comm) - 1));
	return life_attach_late(ledger, &event);
}

size_t ledger_process_count(const struct ledger *ledger)
{
	return ledger->processes.count;
}

const struct process *ledger_process(const struct ledger *ledger, size_t index)
{
	return index < ledger->processes.count ? ledger->processes.items[index] : NULL;
}

uint64_t ledger_lost(const struct ledger *ledger)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < LOST_CAUSE_COUNT; i++)
		count_lost(&sum, ledger->lost[i]);
	return sum;
}

uint64_t ledger_lost_unknown(const struct ledger *ledger)
{
	return ledger->lost_global;
}

uint64_t ledger_lost_of(const struct ledger *ledger, enum lost_cause cause)
{
	return (unsigned int)cause < LOST_CAUSE_COUNT ? ledger->lost[cause] : 0;
}

uint64_t ledger_forgotten(const struct ledger *ledger)
{
	return ledger->processes.forgotten;
}

/* A loss that names no process may be of any, also of one that had ended when it was noticed. */
bool ledger_complete(const struct ledger *ledger, const struct process *process)
{
	if (ledger->settings.entry_only)
		return false;
	if (!process)
		return ledger_lost(ledger) == 0;
	return !ledger->lost_global && !process->lost && !process->uncovered && !process->attached_late &&
	       !process->entered && !process->maybe_captured && !process->unsized;
}

uint64_t ledger_ends(const struct ledger *ledger)
{
	return ledger->ends;
}

bool ledger_entry_only(const struct ledger *ledger)
{
	return ledger->settings.entry_only;
}
