/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PRODUCT_H
#define CLI_PRODUCT_H

#include "cli/options.h"
#include "sink/sink.h"
#include "source/recording.h"

/*
 * What is printed of a run: by the options of this command line, and the facts of the machine that was traced, which are the head of a
 * recording whether one is kept or not. So a live run and its replay print by the same settings.
 */
struct product_place {
	int fd;
	bool patient; /* lines wait for a slow reader: a replay; a live run counts what does not fit */
};

int product_open(const struct options *options, const struct recording_head *head, const struct product_place *place,
		 struct sink **ret_sink, struct diag *diag);

#endif
