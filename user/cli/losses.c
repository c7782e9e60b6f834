/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/session.h"

static void say_stats(const struct session *session, const struct vt_stats *stats)
{
#define STAT(name, text) log_dbg("stats: " #name " %llu", (unsigned long long)stats->name);
	VT_STATS(STAT)
#undef STAT
	log_dbg("stats: delivered %llu", (unsigned long long)session->pipe.decoder.delivered);
}

static void tell(struct session *session, enum lost_cause cause, __u64 now, __u64 *told)
{
	if (now > *told)
		pipe_lost(&session->pipe, cause, now - *told);
	*told = now;
}

/* What was entered and has neither returned nor died: a free among them shows as a live block. */
static void say_unfinished(const struct vt_stats *stats)
{
	__u64 settled = stats->returned + stats->missed_return + stats->killed_in_call;

	if (stats->entered > settled)
		log_info("%llu calls were still running when the trace ended: what they came to is not known",
			 (unsigned long long)(stats->entered - settled));
}

void session_losses(struct session *session, bool final)
{
	struct vt_stats stats;

	if (attach_read_stats(session->attach, &stats)) {
		log_warn("cannot read the kernel side's counters: totals may be incomplete");
		return;
	}
	tell(session, LOST_NESTED, stats.lost_nested, &session->told.lost_nested);
	tell(session, LOST_STATE, stats.lost_state, &session->told.lost_state);
	tell(session, LOST_PROCESS, stats.lost_process, &session->told.lost_process);
	tell(session, LOST_RETURN, stats.missed_return, &session->told.missed_return);
	if (!final)
		return;
	decode_final_losses(&session->pipe.decoder, stats.lost_ring);
	say_unfinished(&stats);
	say_stats(session, &stats);
}

void session_find_gone(const struct session *session, struct session_gone *ret_gone)
{
	const struct ledger *ledger = session->pipe.ledger;

	ret_gone->count = 0;
	for (size_t i = 0; i < ledger_process_count(ledger) && ret_gone->count < SESSION_GONE_MAX; i++) {
		const struct process *process = ledger_process(ledger, i);

		if (process->ended || !kill((pid_t)process->tgid, 0) || errno != ESRCH)
			continue;
		ret_gone->items[ret_gone->count].tgid = process->tgid;
		ret_gone->items[ret_gone->count++].start_ns = process->start_ns;
	}
}

static const struct process *find_alive(const struct ledger *ledger, uint32_t tgid, uint64_t start_ns)
{
	for (size_t i = ledger_process_count(ledger); i-- > 0;) {
		const struct process *process = ledger_process(ledger, i);

		if (!process->ended && process->tgid == tgid && process->start_ns == start_ns)
			return process;
	}
	return NULL;
}

void session_end_gone(struct session *session, const struct session_gone *gone)
{
	struct event event = { .kind = EVENT_EXIT, .time_ns = clock_mono_ns(), .exit_code = PROCESS_EXIT_UNKNOWN };

	for (size_t i = 0; i < gone->count; i++) {
		const struct process *process;

		event.tgid = event.tid = gone->items[i].tgid;
		event.start_ns = gone->items[i].start_ns;
		process = find_alive(session->pipe.ledger, event.tgid, event.start_ns);
		if (!process)
			continue;
		event.uid = process->uid;
		ledger_apply(session->pipe.ledger, &event, NULL);
	}
}
