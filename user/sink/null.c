/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

/* Prints nothing: --quiet, and what a run costs without its output. It has no writer: sink_emit() is never reached. */

static int null_open(struct sink *sink)
{
	(void)sink;
	return 0;
}

static void null_attached(struct sink *sink, const struct sink_attached *attached)
{
	(void)sink;
	(void)attached;
}

static void null_notice(struct sink *sink, const struct notice *notice)
{
	(void)sink;
	(void)notice;
}

static void null_table(struct sink *sink, const struct ledger *ledger, uint64_t time_ns)
{
	(void)sink;
	(void)ledger;
	(void)time_ns;
}

static void null_summary(struct sink *sink, const struct ledger *ledger, const struct sink_end *end)
{
	(void)sink;
	(void)ledger;
	(void)end;
}

static void null_close(struct sink *sink)
{
	(void)sink;
}

const struct sink_ops null_ops = {
	.open = null_open,
	.attached = null_attached,
	.notice = null_notice,
	.table = null_table,
	.summary = null_summary,
	.close = null_close,
};
