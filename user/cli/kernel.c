/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/log.h"
#include "cli/session.h"

void session_say_kernel(const struct session *session)
{
	const struct features *features = attach_features(session->attach);

	if (!features->return_probes)
		log_warn("no return probes (%s): calls are told as they are entered; what came of them, and what is "
			 "alive, is not "
			 "known",
			 features->return_probes_why);
	if (!features->uprobe_multi)
		log_dbg("no uprobe_multi: a link per probe, removed one by one at the end");
	if (!features->task_storage)
		log_dbg("no task storage for uprobes: the state of threads is in a hash table");
}

#define TELL_MS 1000

void session_detach(struct session *session)
{
	uint64_t begin_ns = clock_mono_ns();
	bool told = false;
	size_t left;

	if (!attach_detach_is_slow(session->attach)) {
		attach_detach(session->attach);
		return;
	}
	attach_detach_begin(session->attach);
	while ((left = attach_detach_wait(session->attach, TELL_MS))) {
		log_info("removing probes one by one, as this kernel does it: %zu left%s", left,
			 told ? "" : " (if vramtrace is ended now, they are removed all the same)");
		told = true;
	}
	if (told)
		log_info("all probes are removed, after %.1f s", (double)(clock_mono_ns() - begin_ns) / 1e9);
}
