/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "base/diag.h"

/*
 * The file of --output or -w (option, for the text): must not exist (devices and pipes may), is never a link, mode 0640, belongs to the
 * calling user under sudo. Returns a descriptor or -errno with a text.
 */
int output_open(const char *option, const char *path, struct diag *diag);

/* Takes back a file that output_open() made and that came to nothing, so that the same command line can be tried again. */
void output_discard(const char *path, int fd);

#endif
