/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_PROGRAM_H
#define PROBE_PROGRAM_H

#include <limits.h>

/*
 * What execvp() would start for a command, and with which dynamic loader. To be called with the rights of the command's user: the files
 * are his.
 */
struct program {
	char path[PATH_MAX];   /* of the ELF file, after following #! lines */
	char loader[PATH_MAX]; /* its PT_INTERP; "" if it has none */
};

/* 0, -ENOENT (no such command), -ENOEXEC (neither ELF nor script), -ELOOP (more than 4 scripts deep), -errno. */
int program_find(const char *name, char *const *environment, struct program *ret);

/* A variable's value, or NULL. */
const char *program_getenv(char *const *environment, const char *name);

#endif
