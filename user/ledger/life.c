/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "ledger/account.h"
#include "ledger/books.h"

/* The start time that /proc tells is the kernel's, cut to ticks of 1/100 s (USER_HZ): it names the same process. */
#define TICK_NS 10000000u

static bool same_start(uint64_t a, uint64_t b)
{
	if (!a || !b || a == b)
		return true;
	return a / TICK_NS == b / TICK_NS && (a % TICK_NS == 0 || b % TICK_NS == 0);
}

struct leaving {
	struct ledger *ledger;
	struct process *process;
	const struct event *event;
	enum free_reason reason;
};

static void tell_leaving(void *ctx, const struct block *block)
{
	const struct leaving *leaving = ctx;

	ledger_tell_gone(leaving->ledger, leaving->process, leaving->event, block, leaving->reason);
	stream_left(leaving->process, block);
	share_freed(leaving->ledger, leaving->process, leaving->event, block);
}

/* What it shares first: others may hold it on. Then in the order of allocation, so that the same events always give the same output. */
void ledger_free_all(struct ledger *ledger, struct process *process, const struct event *event, enum free_reason reason)
{
	struct settlings *settlings = books_settlings(process);
	struct leaving leaving = { ledger, process, event, reason };
	struct block block;

	share_ended(ledger, process, event, reason);
	while (settlings && settlings_take_oldest(settlings, &block))
		ledger_tell_gone(ledger, process, event, &block, FREE_CALL);
	books_drain(process, tell_leaving, &leaving);
}

static void end_process(struct ledger *ledger, struct process *process, const struct event *event, int32_t exit_code)
{
	ledger_free_all(ledger, process, event, FREE_EXIT);
	process->ended = true;
	process->ended_ns = event->time_ns;
	process->end_number = ++ledger->ends;
	process->exit_code = exit_code;
	ledger_tell_process(ledger, process, event);
	processes_end(&ledger->processes, process);
}

/*
 * Is the live process of this tgid another one than the event's? Then its end was not told. A process that is known by its
 * calls only has no start time; but a fork makes a new process, so whoever called before it is not the child.
 */
static bool is_other(const struct process *process, const struct event *event)
{
	if (event->kind == EVENT_FORK && !process->start_ns && process->first_ns < event->time_ns)
		return true;
	return !same_start(process->start_ns, event->start_ns);
}

static struct process *add_process(struct ledger *ledger, const struct event *event)
{
	struct process *process = processes_add(&ledger->processes, event->tgid, event->time_ns);

	if (!process)
		ledger_lose(ledger, NULL, event, LOST_MEMORY, 1);
	return process;
}

struct process *life_process(struct ledger *ledger, const struct event *event)
{
	struct process *process = processes_find(&ledger->processes, event->tgid);

	if (process)
		return process;
	process = add_process(ledger, event);
	if (process)
		ledger_tell_process(ledger, process, event);
	return process;
}

static void describe(struct process *process, const struct event *event)
{
	/* The kernel's start time is exact, that of /proc cut to ticks: the exact one is kept. */
	if (event->start_ns && (!process->start_ns || process->start_ns % TICK_NS == 0))
		process->start_ns = event->start_ns;
	if (event->ns_tgid)
		process->ns_tgid = event->ns_tgid;
	if (event->parent_tgid)
		process->parent_tgid = event->parent_tgid;
	process->uid = event->uid;
	if (event->comm[0])
		memcpy(process->comm, event->comm, sizeof(process->comm));
	process->comm[sizeof(process->comm) - 1] = '\0';
}

static void apply_exit(struct ledger *ledger, const struct event *event)
{
	struct process *process = processes_find(&ledger->processes, event->tgid);

	if (!process)
		return;
	if (is_other(process, event)) {
		end_process(ledger, process, event, PROCESS_EXIT_UNKNOWN);
		return;
	}
	describe(process, event);
	end_process(ledger, process, event, event->exit_code);
}

static void apply_birth(struct ledger *ledger, const struct event *event)
{
	struct process *process = processes_find(&ledger->processes, event->tgid);
	bool news = event->kind != EVENT_PROCESS;

	if (process && is_other(process, event)) {
		end_process(ledger, process, event, PROCESS_EXIT_UNKNOWN);
		process = NULL;
	}
	if (!process) {
		process = add_process(ledger, event);
		if (!process)
			return;
		news = true;
	} else if (event->kind == EVENT_EXEC) {
		ledger_free_all(ledger, process, event, FREE_EXEC);
		contexts_fini(process);
		streams_fini(process);
	}
	/* A process that was known by its calls only gets its name now. */
	if (process->comm[0] == '?' && !process->start_ns)
		news = true;
	describe(process, event);
	if (news)
		ledger_tell_process(ledger, process, event);
}

/* Nothing is told: whoever attaches says so, with what the driver knows of the process. */
int life_attach_late(struct ledger *ledger, const struct event *event)
{
	struct process *process = processes_find(&ledger->processes, event->tgid);

	if (!process)
		process = add_process(ledger, event);
	if (!process)
		return -ENOMEM;
	describe(process, event);
	process->attached_late = true;
	return 0;
}

void life_apply(struct ledger *ledger, const struct event *event)
{
	if (event->kind == EVENT_EXIT)
		apply_exit(ledger, event);
	else
		apply_birth(ledger, event);
}
