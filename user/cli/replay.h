/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_REPLAY_H
#define CLI_REPLAY_H

#include "cli/options.h"

/* -r: a recording through the pipe, by any user and without BPF. Returns the exit status, which is never that of a traced command. */
int replay_run(const struct options *options);

#endif
