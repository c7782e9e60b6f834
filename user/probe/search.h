/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_SEARCH_H
#define PROBE_SEARCH_H

#include <stddef.h>
#include <sys/types.h>

#include "base/diag.h"
#include "probe/library.h"

/* Where CUDA libraries are: in a process, on the machine, and in what a command's loader is about to map. Only looks; opens nothing for good. */

struct candidate {
	char *open_path; /* /proc/PID/map_files/RANGE (works for deleted files and other mount namespaces), or a plain path */
	char *shown_path; /* as the process names it */
	enum vt_layer layer;
};

struct candidates {
	struct candidate *items;
	size_t count;
};

void candidates_fini(struct candidates *candidates);
int candidates_add(struct candidates *candidates, const char *open_path, const char *shown_path, enum vt_layer layer);

/* Executable mappings of a process. 0, -ESRCH (gone), -errno. */
int search_process(pid_t pid, struct candidates *candidates);

/* Every process, then the loader's cache (/etc/ld.so.cache). Processes that end meanwhile are no error. */
int search_machine(struct candidates *candidates);

/*
 * What the loader of `argv` would map, in the environment and as the user of the command: the program's interpreter is asked
 * (--list) in a child with that uid/gid and environment; then libcuda.so.1, which runtimes open late, is looked up as the loader would
 * (LD_LIBRARY_PATH of the environment, then the loader's cache). Scripts are followed to their interpreter. Statically linked programs are no error. A time limit
 * of 5 s on the child.
 */
struct search_command {
	char *const *argv;
	char *const *environment;
	uid_t uid;
	gid_t gid;
};
int search_command(const struct search_command *command, struct candidates *candidates);

#endif
