/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/trace.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/output.h"
#include "cli/privilege.h"
#include "cli/product.h"
#include "cli/session.h"
#include "cli/status.h"

bool session_is_listed(const struct session *session)
{
	return session->options->pid_count || session->options->command;
}

/* What must exist before anything is probed. The ELF child comes first: it should inherit as little as possible. */
static int prepare(struct session *session, struct diag *diag)
{
	const struct options *options = session->options;
	int err;

	err = privilege_check(diag);
	if (!err)
		err = child_user_find(options->user, options->as_root, &session->user, diag);
	if (!err)
		err = reader_new(&session->reader, diag);
	if (!err && options->output) {
		session->output_fd = output_open("--output", options->output, diag);
		err = session->output_fd < 0 ? session->output_fd : 0;
	}
	if (!err)
		err = session_open_record(session, diag);
	if (!err && options->command)
		err = child_hold(options->command, &session->user, !options->output && !options->quiet, &session->child,
				 diag);
	if (!err)
		err = mappings_open(&session->mappings, diag);
	if (!err)
		err = callers_new(session->reader, session->mappings, &session->callers, diag);
	return err;
}

static int load(struct session *session, struct diag *diag)
{
	const struct options *options = session->options;
	struct attach_settings settings = {
		.listed_only = session_is_listed(session),
		.follow = options->follow,
		.own_tgid = (uint32_t)getpid(),
		.runtime_only = !options->driver,
		.ring_bytes = options->ring_bytes,
		.without = options->without,
		.map_entries = options->map_entries,
	};
	int err;

	err = attach_new(&settings, &session->attach, diag);
	if (err)
		return err;
	session_say_kernel(session);
	/* Entries alone do not show which call is within which: the driver is the truth. */
	libraries_init(&session->libraries, session->attach, session->reader, options->driver,
		       options->runtime && !(options->driver && attach_entry_only(session->attach)));
	for (size_t i = 0; !err && i < options->library_count; i++)
		err = libraries_add_named(&session->libraries, options->libraries[i], diag);
	return err;
}

static void ask_driver(struct session *session)
{
	struct diag diag;

	session->gpus = calloc(1, sizeof(*session->gpus));
	if (session->gpus && gpus_query(session->gpus, &diag)) {
		log_dbg("no answer from NVML: %s", diag.text);
		free(session->gpus);
		session->gpus = NULL;
	}
}

/* The pipe, from its far end: product, ledger, recorder, then the ring. */
static int open_pipe(struct session *session, struct diag *diag)
{
	const struct product_place place = {
		.fd = session->output_fd >= 0 ? session->output_fd : STDOUT_FILENO,
	};
	struct pipe_settings settings = {
		.callers = session->callers,
		.head = &session->head,
	};
	int err;

	err = product_open(session->options, &session->head, &place, &settings.sink, diag);
	if (err)
		return err;
	if (pipe_init(&session->pipe, &settings))
		return diag_err(diag, -ENOMEM, "out of memory");
	session->pipe.simulated = session->head.simulated;
	err = session_begin_record(session, diag);
	if (err)
		return err;
	session_watch_losses(session);
	map_init(&session->descriptors);
	libraries_tell(&session->libraries, &session->pipe);
	err = source_open_ring(attach_ring_fd(session->attach), pipe_record, &session->pipe, &session->source, diag);
	if (err)
		return err;
	source_look_ahead(session->source, pipe_ahead);
	return 0;
}

/* The libraries that the held command's loader is about to map. */
static void probe_command(struct session *session)
{
	struct candidates candidates = { 0 };
	struct search_command command = {
		.argv = session->options->command,
		.environment = child_environment(&session->user),
		.uid = session->user.uid,
		.gid = session->user.gid,
	};

	if (command.environment && !search_command(&command, &candidates))
		libraries_add_all(&session->libraries, &candidates);
	candidates_fini(&candidates);
	child_environment_free((char **)command.environment);
}

static int choose_targets(struct session *session, struct diag *diag)
{
	int err;

	if (session->options->command) {
		probe_command(session);
		err = attach_add_process(session->attach, (uint32_t)session->child.pid);
		if (!err)
			callers_load_process(session->callers, (uint32_t)session->child.pid);
		return err ? diag_err(diag, err, "cannot list the command's process: %s", strerror(-err)) : 0;
	}
	if (session->options->pid_count)
		return session_add_targets(session, diag);
	return session_add_present(session);
}

static int start(struct session *session, struct diag *diag)
{
	int err;

	err = load(session, diag);
	if (!err) {
		ask_driver(session);
		session_describe(session);
		err = open_pipe(session, diag);
	}
	if (!err)
		err = choose_targets(session, diag);
	if (err)
		return err;
	if (session->libraries.simulated)
		pipe_simulated(&session->pipe);
	attach_enable(session->attach);
	session->begin_ns = clock_mono_ns();
	if (session->options->command)
		err = child_release(&session->child, session->options->command[0], diag);
	return err;
}

static void stop(struct session *session)
{
	struct item end = { .kind = ITEM_END, .end = { .exit_reason = session->exit_reason } };

	attach_disable(session->attach);
	if (!attach_detach_is_slow(session->attach))
		session_detach(session);
	callers_drain(session->callers);
	source_drain(session->source, 0);
	session_losses(session, true);
	if (session->libraries.simulated)
		pipe_simulated(&session->pipe);
	end.time_ns = clock_mono_ns();
	end.end.wall_ns = end.time_ns - session->begin_ns;
	end.end.mappings_lost = mappings_lost(session->mappings);
	pipe_take(&session->pipe, &end);
}

/* A reader that does not read can hold the last output up for ever: from here on a signal ends us as it ends anyone. */
static void let_signals_end_us(void)
{
	const struct timespec now = { 0, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	while (sigtimedwait(&set, NULL, &now) > 0)
		; /* came while we were stopping: obeyed already */
	/* Ignored from birth where a script started us in the background, and still how it stops us. */
	signal(SIGINT, SIG_DFL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* Nothing was traced: what is in the files is of no use. */
static void discard(const struct session *session)
{
	if (session->output_fd >= 0)
		output_discard(session->options->output, session->output_fd);
	if (session->record_fd >= 0)
		output_discard(session->options->record, session->record_fd);
}

static void finish(struct session *session)
{
	pipe_fini(&session->pipe);
	recorder_free(session->recorder);
	source_free(session->source);
	libraries_fini(&session->libraries);
	attach_free(session->attach);
	callers_free(session->callers);
	mappings_free(session->mappings);
	session_forget_losses(session);
	session_forget_targets(session);
	child_fini(&session->child);
	reader_free(session->reader);
	free(session->gpus);
	buf_fini(&session->gpu_list);
	map_fini(&session->descriptors);
	cleanup_close(&session->output_fd);
	cleanup_close(&session->record_fd);
}

static int final_status(struct session *session, bool is_written)
{
	if (!is_written)
		return STATUS_FAILED;
	if (session->options->strict && (ledger_lost(session->pipe.ledger) || sink_dropped(session->pipe.sink)))
		return STATUS_LOST;
	return session->child.reaped ? child_status(&session->child) : STATUS_OK;
}

static int start_status(const struct session *session, int err)
{
	if (!session->child.pid || session->child.go_fd >= 0)
		return STATUS_FAILED;
	return err == -ENOENT ? STATUS_COMMAND_MISSING : STATUS_COMMAND_UNUSABLE;
}

int trace_run(const struct options *options)
{
	struct session session = { .options = options,
				   .output_fd = -1,
				   .record_fd = -1,
				   .child = { .pidfd = -1, .go_fd = -1, .error_fd = -1 } };
	struct diag diag = { .text = "" };
	int status, err, written;
	bool recorded;

	err = prepare(&session, &diag);
	if (!err)
		err = start(&session, &diag);
	if (err) {
		log_err("%s", diag.text);
		status = start_status(&session, err);
		discard(&session);
		goto out;
	}
	err = session_loop(&session, &diag);
	if (err)
		log_err("%s", diag.text);
	stop(&session);
	let_signals_end_us();
	written = sink_flush(session.pipe.sink);
	if (written && written != -EPIPE)
		log_err("cannot write the output: %s", strerror(-written));
	recorded = session_end_record(&session);
	session_detach(&session); /* where it takes its time, what was asked for is out before */
	status = final_status(&session, !written && recorded && !err);
out:
	finish(&session);
	return status;
}
