/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "sink/backend.h"

static const struct sink_ops *find_ops(const char *format)
{
	static const struct {
		const char *format;
		const struct sink_ops *ops;
	} backends[] = { { "text", &text_ops }, { "json", &json_ops }, { "csv", &csv_ops }, { "null", &null_ops } };

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		if (strcmp(format, backends[i].format) == 0)
			return backends[i].ops;
	}
	return NULL;
}

static int copy_string(const char **string)
{
	if (!*string)
		return 0;
	*string = strdup(*string);
	return *string ? 0 : -ENOMEM;
}

static int copy_gpus(struct sink_settings *settings)
{
	struct ledger_gpu *gpus = NULL;

	if (settings->gpu_count) {
		gpus = calloc(settings->gpu_count, sizeof(*gpus));
		if (gpus)
			memcpy(gpus, settings->gpus, settings->gpu_count * sizeof(*gpus));
	}
	settings->gpus = gpus;
	return gpus || !settings->gpu_count ? 0 : -ENOMEM;
}

/* All of them: what is not copied must not be freed as ours. */
static int copy_settings(struct sink_settings *settings)
{
	int err = copy_string(&settings->host);
	int err_gpus = copy_gpus(settings);

	return err < 0 ? err : err_gpus;
}

int sink_new(const char *format, const struct sink_settings *settings, struct sink **ret_sink, struct diag *diag)
{
	const struct sink_ops *ops = find_ops(format);
	struct sink *sink;
	int err;

	if (!ops)
		return diag_err(diag, -EINVAL, "output format is none of text, json, csv, null");
	sink = calloc(1, sizeof(*sink));
	if (!sink)
		return diag_err(diag, -ENOMEM, "out of memory for the output");
	sink->settings = *settings;
	err = copy_settings(&sink->settings);
	if (err < 0) {
		diag_err(diag, err, "out of memory for the output");
		goto out;
	}
	err = ops == &null_ops ? 0 : writer_new(settings->fd, &sink->writer);
	if (err < 0) {
		diag_err(diag, err, "cannot start the thread that writes the output: %s", strerror(-err));
		goto out;
	}
	sink->ops = ops;
	sink->unbounded = true;
	err = ops->open(sink);
	sink->unbounded = false;
	if (err < 0) {
		diag_err(diag, err, "cannot start the %s output: %s", format, strerror(-err));
		goto out;
	}
	*ret_sink = sink;
	sink = NULL;
out:
	sink_free(sink);
	return err;
}

void sink_free(struct sink *sink)
{
	if (!sink)
		return;
	if (sink->ops)
		sink->ops->close(sink);
	writer_free(sink->writer);
	buf_fini(&sink->line);
	buf_fini(&sink->fragment);
	free((void *)sink->settings.host);
	free((void *)sink->settings.gpus);
	free(sink);
}

void sink_emit(struct sink *sink)
{
	struct buf *line = &sink->line;
	bool accepted = false;

	if (!line->length && !line->failed)
		return;
	if (line->failed)
		accepted = false; /* cut by lack of memory: no line, so it counts as lost */
	else if (sink->unbounded)
		accepted = writer_put_always(sink->writer, line->data, line->length);
	else if (sink->settings.patient)
		accepted = writer_put_wait(sink->writer, line->data, line->length);
	else
		accepted = writer_put(sink->writer, line->data, line->length);
	if (!accepted)
		sink->dropped++;
	buf_clear(line);
}

/* Says in the output itself what was dropped since this was last said. */
static void tell_dropped(struct sink *sink)
{
	uint64_t before = sink->dropped;
	struct notice notice = {
		.kind = NOTICE_LOST,
		.time_ns = clock_mono_ns(),
		.lost_cause = LOST_OUTPUT,
		.lost_count = before - sink->dropped_told,
	};

	if (!notice.lost_count)
		return;
	sink->ops->notice(sink, &notice);
	if (sink->dropped == before)
		sink->dropped_told = before;
	sink->dropped = before; /* the line that says so is not one of the lost */
}

/* Of blocks, whole or in part. */
static bool is_of_block(const struct notice *notice)
{
	switch (notice->kind) {
	case NOTICE_ALLOC:
	case NOTICE_FREE:
	case NOTICE_TAKEN:
	case NOTICE_MAP:
	case NOTICE_UNMAP:
	case NOTICE_EXPORT:
	case NOTICE_ADVISE:
	case NOTICE_PREFETCH:
		return true;
	case NOTICE_ENTERED:
		return notice->op == VT_OP_ALLOC;
	default:
		return false;
	}
}

/* Failures and oddities are told whatever the size: --min-size speaks of blocks. */
static bool is_wanted(const struct sink_settings *settings, const struct notice *notice)
{
	bool block = is_of_block(notice);

	if (block && notice_bytes(notice) < settings->min_size)
		return false;
	if (settings->only_kind >= 0 && (block || notice->kind == NOTICE_ALLOC_FAILED))
		return (int)notice->memory_kind == settings->only_kind;
	return true;
}

void sink_notice(struct sink *sink, const struct notice *notice)
{
	if (!is_wanted(&sink->settings, notice))
		return;
	if (sink->dropped != sink->dropped_told) {
		if (writer_full(sink->writer)) {
			sink->dropped++;
			return;
		}
		tell_dropped(sink);
	}
	sink->ops->notice(sink, notice);
}

void sink_attached(struct sink *sink, const struct sink_attached *attached)
{
	sink->ops->attached(sink, attached);
}

void sink_table(struct sink *sink, const struct ledger *ledger, uint64_t time_ns)
{
	sink->ops->table(sink, ledger, time_ns);
}

void sink_summary(struct sink *sink, const struct ledger *ledger, const struct sink_end *end)
{
	if (end->simulated)
		sink_set_simulated(sink);
	sink->unbounded = true; /* what a run comes to is never lost to a slow reader */
	tell_dropped(sink);
	sink->ops->summary(sink, ledger, end);
	sink->unbounded = false;
}

void sink_set_simulated(struct sink *sink)
{
	sink->settings.simulated = true;
}

uint64_t sink_dropped(const struct sink *sink)
{
	return sink->dropped;
}

int sink_error(const struct sink *sink)
{
	return sink->writer ? writer_error(sink->writer) : 0;
}

int sink_flush(struct sink *sink)
{
	return sink->writer ? writer_flush(sink->writer) : 0;
}
