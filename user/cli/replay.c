/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "cli/output.h"
#include "cli/pipe.h"
#include "cli/product.h"
#include "cli/status.h"

/* Ticks that a recording's own times call for between two of its items; a jump in time past that is a hole, not a long table. */
#define TICKS_MAX 3600
#define TIME_END UINT64_MAX /* no tick comes after it, whatever time a hostile item claims */

struct replay {
	const struct options *options;
	struct recording *recording;
	const struct recording_head *head;
	struct told *told;
	struct pipe_line pipe;
	int fd;
	int output_fd;
	bool own_ticks;	  /* INTERVAL is not the one of the run: ticks go by the items' times */
	uint64_t next_ns; /* own ticks: the next one */
	uint64_t tables;
	bool ended;
};

static int open_recording(struct replay *replay, struct diag *diag)
{
	const char *path = replay->options->replay;
	struct diag why;
	int err;

	replay->fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : dup(STDIN_FILENO);
	if (replay->fd < 0)
		return diag_err(diag, -errno, "-r %s: %s", path, strerror(errno));
	err = recording_open(replay->fd, &replay->recording, &why);
	if (err)
		return diag_err(diag, err, "-r %s: %s", path, why.text);
	replay->head = recording_head(replay->recording);
	return 0;
}

static void say_head(const struct recording_head *head)
{
	const uint64_t wall_ns = head->begin_ns + (uint64_t)head->wall_minus_mono_ns;
	char time[CLOCK_RFC3339_BYTES];
	struct buf host = BUF_INIT;

	clock_format_rfc3339(wall_ns, time);
	if (head->host)
		escape_text(&host, head->host, strlen(head->host));
	log_dbg("recorded on %s at %s", host.data ? host.data : "?", time);
	buf_fini(&host);
}

static int open_pipe(struct replay *replay, struct diag *diag)
{
	const struct recording_head *head = replay->head;
	const struct clock_model clock = { head->wall_minus_mono_ns, head->utc_offset_s };
	const struct product_place place = {
		.fd = replay->output_fd >= 0 ? replay->output_fd : STDOUT_FILENO,
		.patient = true,
	};
	struct pipe_settings settings = { .head = head };
	int err;

	clock_set(&clock);
	if (told_new(&replay->told))
		return diag_err(diag, -ENOMEM, "out of memory");
	settings.told = replay->told;
	err = product_open(replay->options, head, &place, &settings.sink, diag);
	if (err)
		return err;
	if (pipe_init(&replay->pipe, &settings))
		return diag_err(diag, -ENOMEM, "out of memory");
	replay->pipe.simulated = head->simulated;
	return 0;
}

static void table(struct replay *replay, uint64_t time_ns)
{
	const struct item item = { .kind = ITEM_TABLE, .time_ns = time_ns };

	if (replay->options->count && replay->tables >= replay->options->count)
		return;
	replay->tables++;
	pipe_take(&replay->pipe, &item);
}

static void tick(struct replay *replay, uint64_t time_ns)
{
	const uint64_t interval_ns = replay->options->interval_ns;

	if (time_ns < replay->next_ns)
		return;
	if ((time_ns - replay->next_ns) / interval_ns > TICKS_MAX)
		replay->next_ns = time_ns - (time_ns - replay->next_ns) % interval_ns;
	for (int i = 0; i <= TICKS_MAX && replay->next_ns <= time_ns && replay->next_ns < TIME_END; i++) {
		table(replay, replay->next_ns);
		if (__builtin_add_overflow(replay->next_ns, interval_ns, &replay->next_ns))
			replay->next_ns = TIME_END;
	}
}

/* In the file causes go by name: numbers may differ between builds. */
static void take_lost(struct replay *replay, struct item *item)
{
	item->lost.cause = LOST_RECORDING; /* a cause that a later build knew */
	for (unsigned int cause = 0; item->lost.cause_name && cause < LOST_CAUSE_COUNT; cause++)
		if (!strcmp(item->lost.cause_name, lost_cause_name((enum lost_cause)cause)))
			item->lost.cause = cause;
	pipe_take(&replay->pipe, item);
}

/* What a recorder always names, a file may leave out. */
static void fill_names(struct item *item)
{
	switch (item->kind) {
	case ITEM_ATTACHED:
	case ITEM_LATE:
	case ITEM_GONE:
		item->process.comm = item->process.comm ? item->process.comm : "?";
		break;
	case ITEM_END:
		item->end.exit_reason = item->end.exit_reason ? item->end.exit_reason : "?";
		break;
	default:
		break;
	}
}

static void take(struct replay *replay, struct item *item)
{
	fill_names(item);
	if (replay->own_ticks)
		tick(replay, item->time_ns);
	switch (item->kind) {
	case ITEM_TABLE:
		if (replay->options->interval_ns && !replay->own_ticks)
			table(replay, item->time_ns);
		break;
	case ITEM_LOST:
		take_lost(replay, item);
		break;
	case ITEM_END:
		replay->ended = true;
		pipe_take(&replay->pipe, item);
		break;
	default:
		pipe_take(&replay->pipe, item);
	}
}

static int take_all(struct replay *replay, struct diag *diag)
{
	const struct options *options = replay->options;
	struct item item;
	int more;

	replay->own_ticks = options->interval_ns && options->interval_ns != replay->head->interval_ns;
	replay->next_ns = replay->head->begin_ns + options->interval_ns;
	while (!replay->ended && !sink_error(replay->pipe.sink)) {
		more = recording_next(replay->recording, &item, diag);
		if (more <= 0)
			return more;
		take(replay, &item);
	}
	return 0;
}

static void say_damage(const struct replay *replay)
{
	const char *damage = recording_damage(replay->recording);

	if (damage)
		log_warn("-r %s: %s", replay->options->replay, damage);
}

static int finish_output(struct replay *replay)
{
	int err = sink_flush(replay->pipe.sink);

	if (err && err != -EPIPE)
		log_err("cannot write the output: %s", strerror(-err));
	return err;
}

static int run(struct replay *replay, struct diag *diag)
{
	const struct options *options = replay->options;
	int err, written;

	err = open_recording(replay, diag);
	if (!err && options->output) {
		replay->output_fd = output_open("--output", options->output, diag);
		err = replay->output_fd < 0 ? replay->output_fd : 0;
	}
	if (!err)
		err = open_pipe(replay, diag);
	if (err)
		return err;
	say_head(replay->head);
	err = take_all(replay, diag);
	say_damage(replay);
	written = finish_output(replay);
	return err ? err : written;
}

int replay_run(const struct options *options)
{
	struct replay replay = { .options = options, .fd = -1, .output_fd = -1 };
	struct diag diag = { .text = "" };
	int status = STATUS_OK;

	if (run(&replay, &diag)) {
		if (diag.text[0])
			log_err("%s", diag.text);
		status = STATUS_FAILED;
	} else if (options->strict && ledger_lost(replay.pipe.ledger)) {
		status = STATUS_LOST;
	}
	if (replay.pipe.ledger || replay.pipe.sink)
		pipe_fini(&replay.pipe);
	told_free(replay.told);
	recording_free(replay.recording);
	cleanup_close(&replay.output_fd);
	cleanup_close(&replay.fd);
	return status;
}
