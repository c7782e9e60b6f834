/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/product.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/gpu_list.h"

static bool wants_color(enum color color, int fd)
{
	if (color == COLOR_AUTO)
		return isatty(fd) && !getenv("NO_COLOR");
	return color == COLOR_ALWAYS;
}

int product_open(const struct options *options, const struct recording_head *head, const struct product_place *place,
		 struct sink **ret_sink, struct diag *diag)
{
	struct sink_settings settings = {
		.fd = place->fd,
		.patient = place->patient,
		.exact_bytes = options->exact_bytes,
		.color = wants_color(options->color, place->fd),
		.events = !options->interval_ns,
		.entry_only = head->entry_only,
		.min_size = options->min_size,
		.only_kind = options->only_kind,
		.simulated = head->simulated,
		.host = head->host,
	};
	struct ledger_gpu *gpus;
	int err;

	if (gpu_list_parse(head->gpus, &gpus, &settings.gpu_count))
		return diag_err(diag, -ENOMEM, "out of memory");
	settings.gpus = gpus;
	err = sink_new(options->quiet ? "null" : options->format, &settings, ret_sink, diag);
	free(gpus);
	return err;
}
