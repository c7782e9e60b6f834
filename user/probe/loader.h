/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_LOADER_H
#define PROBE_LOADER_H

#include "probe/search.h"

/* What the dynamic loader would map for a command. See search_command(). */

/* Adds what the command's own loader lists. Nothing to list is no error. 0 or -errno of ours. */
int loader_list(const struct search_command *command, struct candidates *candidates);

/* Adds libcuda.so.1 where dlopen() would find it; nothing if the candidates have a driver library already. */
int loader_find_driver(const struct search_command *command, struct candidates *candidates);

/* What `loader --list` printed, NUL-terminated; changed by the parser. 0 or -ENOMEM. */
int loader_parse_list(char *text, struct candidates *candidates);

#endif
