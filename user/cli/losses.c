/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/session.h"

/* What the ledger was told of a process. */
struct told_process {
	uint64_t start_ns;
	uint64_t lost[VT_LOST_COUNT];
};

/* The totals that processes' losses are parts of. */
static const struct {
	enum lost_cause cause;
	size_t total; /* offset in struct vt_stats */
} causes[VT_LOST_COUNT] = {
	[VT_LOST_RING] = { LOST_RING, offsetof(struct vt_stats, lost_ring) },
	[VT_LOST_NESTED] = { LOST_NESTED, offsetof(struct vt_stats, lost_nested) },
	[VT_LOST_STATE] = { LOST_STATE, offsetof(struct vt_stats, lost_state) },
	[VT_LOST_RETURN] = { LOST_RETURN, offsetof(struct vt_stats, lost_return) },
	[VT_LOST_KILLED] = { LOST_KILLED, offsetof(struct vt_stats, lost_killed) },
};

static __u64 *total_of(struct vt_stats *stats, int lost)
{
	return (__u64 *)((char *)stats + causes[lost].total);
}

#define READ_AT_ONCE 64 /* ended processes whose entries go */

struct pull {
	struct session *session;
	uint64_t untold[VT_LOST_COUNT]; /* of the totals */
	uint32_t ended[READ_AT_ONCE];
	size_t ended_count;
	bool is_more; /* ended, and not all of them could go */
};

/* A process that has the tgid of another, or counts anew, begins at 0. */
static struct told_process *told_of(struct losses *losses, uint32_t tgid, const struct vt_process_state *state)
{
	struct told_process *told = map_get(&losses->processes, tgid);
	bool other = told && told->start_ns && state->start_ns && told->start_ns != state->start_ns;

	for (int i = 0; told && i < VT_LOST_COUNT; i++)
		other |= state->lost[i] < told->lost[i];
	if (other)
		*told = (struct told_process) { 0 };
	if (!told) {
		told = calloc(1, sizeof(*told));
		if (told && map_put(&losses->processes, tgid, told, NULL)) {
			free(told);
			told = NULL;
		}
	}
	if (told && state->start_ns)
		told->start_ns = state->start_ns;
	return told;
}

static void let_go(struct pull *pull, uint32_t tgid, const struct vt_process_state *state)
{
	if (pull->ended_count == READ_AT_ONCE) {
		pull->is_more = true;
		return;
	}
	arrivals_lost_exit(&pull->session->pipe.decoder.arrivals, tgid, state);
	pull->ended[pull->ended_count++] = tgid;
}

#define TICK_NS UINT64_C(10000000) /* a start time from /proc is cut to ticks */

/* The process that the ledger would take for that tgid: the living one, else the last. */
static const struct process *find_named(const struct ledger *ledger, uint32_t tgid)
{
	const struct process *found = NULL;

	for (size_t i = ledger_process_count(ledger); i-- > 0;) {
		const struct process *process = ledger_process(ledger, i);

		if (process->tgid == tgid && !process->ended)
			return process;
		if (process->tgid == tgid && !found)
			found = process;
	}
	return found;
}

/*
 * Whom the ledger is told of, 0: no known process. The table runs ahead of the stream: the ledger may know an earlier owner of the tgid
 * alone, whose loss this is not, and the later one would pass for complete.
 */
static uint32_t owner_of(const struct session *session, uint32_t tgid, const struct vt_process_state *state)
{
	const struct process *process = find_named(session->pipe.ledger, tgid);
	uint64_t a, b;

	if (!process)
		return tgid;
	a = process->start_ns;
	b = state->start_ns;
	if (!a || !b)
		return process->ended ? 0 : tgid;
	return (a > b ? a - b : b - a) < TICK_NS ? tgid : 0;
}

static void on_state(void *ctx, uint32_t tgid, const struct vt_process_state *state)
{
	struct pull *pull = ctx;
	struct told_process *told = NULL;
	bool all = true;

	for (int i = 0; i < VT_LOST_COUNT; i++) {
		uint64_t count;

		if (!state->lost[i])
			continue;
		if (!told)
			told = told_of(&pull->session->losses, tgid, state);
		if (!told)
			return; /* no memory: of no known process then */
		count = state->lost[i] - told->lost[i];
		all &= count <= pull->untold[i];
		if (count > pull->untold[i])
			count = pull->untold[i];
		if (count)
			pipe_lost_of(&pull->session->pipe, owner_of(pull->session, tgid, state), causes[i].cause,
				     count);
		told->lost[i] += count;
		pull->untold[i] -= count;
	}
	if (state->ended && all)
		let_go(pull, tgid, state);
	else if (state->ended)
		pull->is_more = true;
}

/*
 * Tells what the totals have and the ledger has not. The table of processes is read after the totals, and a process counts a loss before
 * the totals do: what is not found there is of no known process (it has ended, and another one has its place). What is there
 * and not yet in the totals waits for the next time, so no loss is told twice.
 */
static void pull_losses(struct session *session, struct vt_stats *stats, bool with_ring)
{
	struct losses *losses = &session->losses;
	struct pull pull = { .session = session };
	bool any = losses->is_more || stats->kept_ended != losses->told.kept_ended;

	for (int i = 0; i < VT_LOST_COUNT; i++) {
		if (i != VT_LOST_RING || with_ring)
			pull.untold[i] = *total_of(stats, i) - *total_of(&losses->told, i);
		any |= pull.untold[i] != 0;
	}
	if (!any)
		return;
	if (attach_each_process(session->attach, on_state, &pull))
		log_dbg("cannot read the table of processes: losses are told of no known process");
	for (int i = 0; i < VT_LOST_COUNT; i++) {
		pipe_lost(&session->pipe, causes[i].cause, pull.untold[i]);
		if (i != VT_LOST_RING || with_ring)
			*total_of(&losses->told, i) = *total_of(stats, i);
	}
	for (size_t i = 0; i < pull.ended_count; i++) {
		if (!attach_has_process(session->attach, pull.ended[i])) /* it may have a new owner by now */
			attach_remove_process(session->attach, pull.ended[i]);
		free(map_del(&losses->processes, pull.ended[i]));
	}
	losses->is_more = pull.is_more;
	losses->told.kept_ended = stats->kept_ended;
}

/* Called in the place of the stream where decode notes a loss, or the end of a process: what it lost comes before it. */
static void on_noted(void *ctx, uint64_t noted_total)
{
	struct session *session = ctx;
	struct losses *losses = &session->losses;
	struct vt_stats stats;

	if (noted_total <= losses->told.lost_ring && noted_total)
		return;
	if (!attach_read_stats(session->attach, &stats)) {
		pull_losses(session, &stats, true);
	} else if (noted_total) {
		pipe_lost(&session->pipe, LOST_RING, noted_total - losses->told.lost_ring);
		losses->told.lost_ring = noted_total;
	}
}

void session_watch_losses(struct session *session)
{
	map_init(&session->losses.processes);
	session->pipe.ring_lost_ctx = session;
	session->pipe.ring_lost = on_noted;
}

void session_forget_losses(struct session *session)
{
	struct map_slot *slot;

	for (size_t i = 0; (slot = map_next(&session->losses.processes, &i));)
		free(slot->value);
	map_fini(&session->losses.processes);
}

void session_losses(struct session *session, bool final)
{
	struct losses *losses = &session->losses;
	struct vt_stats stats;

	if (attach_read_stats(session->attach, &stats)) {
		log_warn("cannot read the kernel side's counters: totals may be incomplete");
		return;
	}
	/* Losses of the ring have their place in the stream, unless nothing more comes. */
	pull_losses(session, &stats, final);
	pipe_lost(&session->pipe, LOST_PROCESS, stats.lost_process - losses->told.lost_process);
	losses->told.lost_process = stats.lost_process;
	if (final)
		session_say_stats(session, &stats);
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
	struct item item = { .kind = ITEM_GONE, .time_ns = clock_mono_ns() };

	for (size_t i = 0; i < gone->count; i++) {
		const struct process *process;

		process = find_alive(session->pipe.ledger, gone->items[i].tgid, gone->items[i].start_ns);
		if (!process)
			continue;
		item.process.tgid = process->tgid;
		item.process.start_ns = process->start_ns;
		item.process.uid = process->uid;
		pipe_take(&session->pipe, &item);
	}
}
