/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/escape.h"
#include "base/log.h"
#include "cli/session.h"

/* The kernel side's count against ours: one more, or one less, is a loss that nobody knew of. */
static void say_cpus(const struct session *session)
{
	const struct arrivals *arrivals = &session->pipe.decoder.arrivals;
	int count = attach_cpu_count();
	struct vt_stats *stats = count > 0 ? calloc((size_t)count, sizeof(*stats)) : NULL;

	if (!stats || attach_read_cpu_stats(session->attach, stats))
		count = 0;
	for (int cpu = 0; cpu < count; cpu++) {
		uint64_t delivered = (uint32_t)cpu < arrivals->cpu_count ? arrivals->cpus[cpu] : 0;
		uint64_t produced = stats[cpu].produced, lost = stats[cpu].lost_ring;

		if (produced != delivered + lost)
			log_warn("stats: cpu %d: produced %" PRIu64 " is not delivered %" PRIu64 " + lost %" PRIu64
				 ": the difference is lost without a trace",
				 cpu, produced, delivered, lost);
		else if (produced)
			log_dbg("stats: cpu %d: produced %" PRIu64 " = delivered %" PRIu64 " + lost %" PRIu64, cpu,
				produced, delivered, lost);
	}
	free(stats);
}

static void say_process(const struct arrivals_process *process)
{
	struct buf comm = BUF_INIT;
	const char *name;

	escape_text(&comm, process->comm, strlen(process->comm));
	name = comm.data ? comm.data : "?";
	if (!process->ended)
		log_dbg("stats: process %u (%s): delivered %" PRIu64 ", its end was not seen", process->tgid, name,
			process->delivered);
	else if (arrivals_is_even(process))
		log_dbg("stats: process %u (%s): produced %" PRIu64 " = delivered %" PRIu64 " + lost %" PRIu64,
			process->tgid, name, process->produced, process->delivered, process->lost);
	else
		log_warn("stats: process %u (%s): produced %" PRIu64 " is not delivered %" PRIu64 " + lost %" PRIu64,
			 process->tgid, name, process->produced, process->delivered, process->lost);
	buf_fini(&comm);
}

static void say_processes(const struct arrivals *arrivals)
{
	struct map_slot *slot;

	for (size_t i = 0; i < arrivals->ended_count; i++)
		say_process(arrivals->ended[i]);
	for (size_t i = 0; (slot = map_next(&arrivals->live, &i));)
		say_process(slot->value);
	if (arrivals->forgotten)
		log_dbg("stats: %" PRIu64 " more processes, none of which came out uneven", arrivals->forgotten);
	if (arrivals->uneven)
		log_warn("stats: %" PRIu64 " more processes: produced is not delivered + lost", arrivals->uneven);
}

/* What was entered and has neither returned nor died: a free among them shows as a live block. */
static void say_unfinished(const struct vt_stats *stats)
{
	__u64 settled = stats->returned + stats->missed_return + stats->killed_in_call;

	if (stats->entered > settled)
		log_info("%llu calls were still running when the trace ended: what they came to is not known",
			 (unsigned long long)(stats->entered - settled));
}

void session_say_stats(const struct session *session, const struct vt_stats *stats)
{
	if (!attach_entry_only(session->attach))
		say_unfinished(stats);
#define STAT(name, text) log_dbg("stats: " #name " %llu", (unsigned long long)stats->name);
	VT_STATS(STAT)
#undef STAT
	log_dbg("stats: delivered %llu", (unsigned long long)session->pipe.decoder.delivered);
	say_cpus(session);
	say_processes(&session->pipe.decoder.arrivals);
}
