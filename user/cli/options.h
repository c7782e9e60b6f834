/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The command line, checked. Strings belong to argv. */

#define OPTIONS_PIDS_MAX 1024
#define OPTIONS_LIBRARIES_MAX 64

enum color {
	COLOR_AUTO,
	COLOR_ALWAYS,
	COLOR_NEVER,
};

struct options {
	pid_t pids[OPTIONS_PIDS_MAX];
	size_t pid_count;
	char **command; /* after `--`, NULL-terminated; NULL: none */
	const char *libraries[OPTIONS_LIBRARIES_MAX];
	size_t library_count;

	bool driver; /* --layer */
	bool runtime;
	bool follow;
	bool strict;
	uint64_t duration_ns; /* 0: no limit */
	uint64_t interval_ns; /* 0: events, no tables */
	uint64_t count;	      /* of tables; 0: no limit */
	uint64_t ring_bytes;
	unsigned int without; /* enum attach_without: what this kernel is taken not to have; for tests */
	uint32_t map_entries; /* 0: the default; for tests */

	const char *format;
	const char *output; /* NULL: stdout */
	const char *record; /* -w: a file to be made; NULL: none */
	const char *replay; /* -r: a recording, "-" for stdin; NULL: live */
	bool quiet;
	uint64_t min_size;
	int only_kind; /* enum vt_kind, -1: all */
	bool exact_bytes;
	enum color color;

	const char *user; /* -u; NULL: the calling user */
	bool as_root;

	bool list_probes;
	bool json_schema;
};

/* Prints its own message and ends the program on --help and --version (0) and on bad usage (2). */
void options_parse(int argc, char **argv, struct options *ret_options);

/* The hidden option --without=FEATURE[,FEATURE]...: enum attach_without. Cuts the text up. 0 or -EINVAL. */
int options_without(char *text, unsigned int *ret_bits);
#define OPTIONS_WITHOUT_USAGE "--without: expected multi, task_storage or return_probes, or several with commas"

#endif
