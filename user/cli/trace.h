/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include "cli/options.h"

/* The default subcommand: builds the pipe in order, runs it, takes it down in reverse. Returns the exit status. */
int trace_run(const struct options *options);

#endif
