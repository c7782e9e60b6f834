/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
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

static void say_late(const struct library_news *news, uint64_t gap_ns)
{
	struct buf path = BUF_INIT;
	char gap[DURATION_TEXT_BYTES];

	escape_text(&path, news->path, strlen(news->path));
	duration_format(gap_ns, gap);
	log_info("process %" PRIu32 " mapped %s: probed %s later; calls made in between are unseen", news->tgid,
		 path.data ? path.data : "?", gap);
	buf_fini(&path);
}

/* The mapping itself is the surest name of the file; the path serves when the process has gone on. */
static int probe_news(struct session *session, const struct library_news *news, enum vt_layer layer)
{
	char *open_path = NULL;
	struct candidate candidate = { .shown_path = (char *)news->path, .layer = layer };
	int done = -1;

	if (asprintf(&open_path, "/proc/%" PRIu32 "/map_files/%" PRIx64 "-%" PRIx64, news->tgid, news->start, news->end) < 0)
		return -1;
	candidate.open_path = open_path;
	done = libraries_add(&session->libraries, &candidate);
	free(open_path);
	if (done >= 0)
		return done;
	candidate.open_path = (char *)news->path;
	return libraries_add(&session->libraries, &candidate);
}

/* The driver's calls are the truth; without them probed (--layer runtime) the runtime's are. */
static bool is_truth(const struct session *session, enum vt_layer layer)
{
	return layer == VT_LAYER_DRIVER || !session->options->driver;
}

void session_late_libraries(struct session *session)
{
	struct library_news news;
	enum vt_layer layer;

	while (callers_next_library(session->callers, &news)) {
		if (session_is_listed(session) && !attach_has_process(session->attach, news.tgid))
			continue;
		if (!library_name_matches(news.path, &layer) || probe_news(session, &news, layer) != 1)
			continue;
		say_late(&news, clock_mono_ns() - news.time_ns);
		if (is_truth(session, layer))
			ledger_attach_late(session->pipe.ledger, news.tgid, 0, 0, "");
		if (session->libraries.simulated)
			sink_set_simulated(session->pipe.sink);
	}
}
