/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/size.h"
#include "cli/gpu_list.h"
#include "cli/output.h"
#include "cli/session.h"
#include "version.h"

/* The facts of this run and machine: what the product says of them, and the head of a recording. */

#define CLOCK_STEP_NS (1000 * 1000) /* less is the jitter of measuring, or a clock being slewed */

static int64_t boot_minus_mono_ns(void)
{
	struct timespec boot, mono;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (boot.tv_sec - mono.tv_sec) * INT64_C(1000000000) + (boot.tv_nsec - mono.tv_nsec);
}

static void read_boot_id(char *ret_text, size_t size)
{
	CLEANUP_FCLOSE FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	ret_text[0] = '\0';
	if (!file || !fgets(ret_text, (int)size, file))
		ret_text[0] = '\0';
	ret_text[strcspn(ret_text, "\n")] = '\0';
}

void session_describe(struct session *session)
{
	const struct options *options = session->options;
	struct recording_head *head = &session->head;
	struct utsname names;

	session->clock = clock_measure();
	clock_set(&session->clock);
	if (gethostname(session->host, sizeof(session->host) - 1))
		session->host[0] = '\0';
	if (!uname(&names))
		memcpy(session->kernel, names.release, sizeof(session->kernel));
	read_boot_id(session->boot_id, sizeof(session->boot_id));
	*head = (struct recording_head) {
		.version = VRAMTRACE_VERSION,
		.host = session->host,
		.boot_id = session->boot_id,
		.kernel = session->kernel,
		.command = options->command ? options->command[0] : NULL,
		.begin_ns = clock_mono_ns(),
		.wall_minus_mono_ns = session->clock.wall_minus_mono_ns,
		.boot_minus_mono_ns = boot_minus_mono_ns(),
		.utc_offset_s = session->clock.utc_offset_s,
		.interval_ns = options->interval_ns,
		.driver_probed = options->driver,
		.entry_only = attach_entry_only(session->attach),
		.simulated = session->libraries.simulated,
	};
	if (!session->gpus)
		return;
	head->driver = session->gpus->driver_version;
	gpu_list_add(&session->gpu_list, session->gpus);
	head->gpus = session->gpu_list.data;
}

int session_open_record(struct session *session, struct diag *diag)
{
	if (!session->options->record)
		return 0;
	session->record_fd = output_open("-w", session->options->record, diag);
	return session->record_fd < 0 ? session->record_fd : 0;
}

int session_begin_record(struct session *session, struct diag *diag)
{
	int err;

	if (session->record_fd < 0)
		return 0;
	err = recorder_new(session->record_fd, &session->head, &session->recorder, diag);
	session->pipe.recorder = err ? NULL : session->recorder;
	return err;
}

/* Said once when it begins, and with its size at the end. */
static void say_record_lost(struct session *session, bool final)
{
	int err;
	uint64_t lost = recorder_lost(session->recorder, &err);

	if (!lost || (session->told_record_lost && !final))
		return;
	session->told_record_lost = true;
	if (final)
		log_err("-w: the recording is incomplete: %" PRIu64 " items are not in it (%s)", lost,
			err == -ENOBUFS ? "the disk was too slow" : strerror(-err));
	else
		log_warn("-w: cannot write the recording: %s; tracing goes on, and later parts are tried again",
			 err == -ENOBUFS ? "the disk is too slow" : strerror(-err));
}

void session_keep_record(struct session *session)
{
	struct clock_model now = clock_measure();
	int64_t step = now.wall_minus_mono_ns - session->clock.wall_minus_mono_ns;

	if (step > CLOCK_STEP_NS || step < -CLOCK_STEP_NS || now.utc_offset_s != session->clock.utc_offset_s) {
		struct item item = {
			.kind = ITEM_CLOCK,
			.time_ns = clock_mono_ns(),
			.clock = { now.wall_minus_mono_ns, now.utc_offset_s },
		};

		session->clock = now;
		pipe_take(&session->pipe, &item);
	}
	if (!session->recorder)
		return;
	recorder_flush(session->recorder);
	say_record_lost(session, false);
}

bool session_end_record(struct session *session)
{
	char size[SIZE_TEXT_BYTES];
	struct buf path = BUF_INIT;
	int err;

	if (!session->recorder)
		return true;
	recorder_finish(session->recorder);
	say_record_lost(session, true);
	size_format(recorder_bytes(session->recorder), size);
	escape_text(&path, session->options->record, strlen(session->options->record));
	log_dbg("recorded %s into %s", size, path.data ? path.data : "?");
	buf_fini(&path);
	return !recorder_lost(session->recorder, &err);
}
