/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/size.h"
#include "cli/session.h"
#include "probe/table.h"

/* The driver's calls are the truth; without them probed (--layer runtime) the runtime's are. */
static bool is_truth(const struct session *session, enum vt_layer layer)
{
	return layer == VT_LAYER_DRIVER || !session->options->driver;
}

static void say_late(const struct library_news *news, uint64_t gap_ns, bool truth)
{
	const char *meaning =
		truth ? "calls made in between are unseen" : "calls made in between go by their driver call's name";
	struct buf path = BUF_INIT;
	char gap[DURATION_TEXT_BYTES];

	escape_text(&path, news->path, strlen(news->path));
	duration_format(gap_ns, gap);
	log_at(truth ? LOG_INFO : LOG_DEBUG, "process %" PRIu32 " mapped %s: probed %s later; %s", news->tgid,
	       path.data ? path.data : "?", gap, meaning);
	buf_fini(&path);
}

/* The mapping itself is the surest name of the file; the path serves when the process has gone on. As libraries_add(). */
static int probe_news(struct session *session, const struct library_news *news, enum vt_layer layer,
		      uint64_t *ret_since_ns)
{
	struct candidate candidate = { .shown_path = (char *)news->path, .layer = layer };
	char *open_path = NULL;
	int err;

	if (asprintf(&open_path, "/proc/%" PRIu32 "/map_files/%" PRIx64 "-%" PRIx64, news->tgid, news->start,
		     news->end) < 0)
		return -ENOMEM;
	candidate.open_path = open_path;
	err = libraries_add(&session->libraries, &candidate, ret_since_ns);
	free(open_path);
	if (err != -ENOENT && err != -ESRCH)
		return err;
	candidate.open_path = (char *)news->path;
	return libraries_add(&session->libraries, &candidate, ret_since_ns);
}

static bool is_ours(const struct session *session, uint32_t tgid)
{
	const struct options *options = session->options;

	if (!session_is_listed(session) || tgid == (uint32_t)session->child.pid ||
	    attach_has_process(session->attach, tgid))
		return true;
	for (size_t i = 0; i < options->pid_count; i++)
		if (options->pids[i] == (pid_t)tgid)
			return true;
	return false;
}

/*
 * Gone by now: nothing tells any more whether it was started by one of ours, and what it used is probed for those to come. But
 * not what came and went before the probes were in effect: the loader that we asked for a list, NVML's child, or a stranger.
 */
static bool concerns_us(const struct session *session, const struct library_news *news)
{
	if (kill((pid_t)news->tgid, 0) && errno == ESRCH)
		return news->time_ns >= session->begin_ns;
	return is_ours(session, news->tgid);
}

static void take_library(struct session *session, const struct library_news *news, enum vt_layer layer)
{
	uint64_t since_ns;

	if (probe_news(session, news, layer, &since_ns) || !since_ns)
		return;
	if (since_ns < session->begin_ns)
		since_ns = session->begin_ns; /* before that no probe was in effect */
	if (news->time_ns >= since_ns)
		return;
	say_late(news, since_ns - news->time_ns, is_truth(session, layer));
	if (is_truth(session, layer) && is_ours(session, news->tgid))
		session_came_late(session, news->tgid, 0, "");
	if (session->libraries.simulated)
		pipe_simulated(&session->pipe);
}

void session_late_libraries(struct session *session)
{
	struct library_news news;
	enum vt_layer layer;

	while (callers_next_library(session->callers, &news))
		if (library_name_matches(news.path, &layer) && concerns_us(session, &news))
			take_library(session, &news, layer);
}

void session_missed_libraries(struct session *session)
{
	uint64_t lost = mappings_lost(session->mappings) + callers_libraries_lost(session->callers);

	if (lost == session->news_lost)
		return;
	log_dbg("%" PRIu64 " mapping events were lost: looking at what is mapped", lost - session->news_lost);
	session->news_lost = lost;
	session_look_again(session);
}
