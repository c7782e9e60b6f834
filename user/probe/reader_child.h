/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_READER_CHILD_H
#define PROBE_READER_CHILD_H

#include <stdint.h>

#include "probe/elf.h"

/* The inside of the confined child of probe/reader.h, and what goes over its socket (SOCK_SEQPACKET, one message each). */

enum reader_op {
	READER_EXPORTS = 1,
	READER_PLACE,
};

/* Comes with one descriptor (SCM_RIGHTS): the file. */
struct reader_request {
	uint32_t op;
	uint32_t layer;	      /* EXPORTS */
	uint64_t file_offset; /* PLACE */
};

struct reader_answer {
	int32_t err;
	uint32_t op;
	union {
		struct elf_exports exports;
		struct elf_place place;
	};
};

/* The first message: whether the child could lock itself in. */
struct reader_hello {
	int32_t err;
	char step[32]; /* what failed */
};

#define READER_CPU_MS 4000	   /* of one request; less than the parent's patience */
#define READER_CPU_DEMANGLE_MS 200 /* of one name: some short ones unfold to gigabytes */

/*
 * Gives up everything that reading does not need: descriptors (the socket becomes 3), signals of the terminal, memory, privileges; then
 * installs the system call filter. Only for a process that will do nothing else. parent: pid of the process that forked it, whose death
 * kills it. 0, or -errno and the step that failed.
 */
int reader_confine(int socket, int parent, const char **ret_step);

/* Opens the C++ library, confines itself, says hello, answers requests until the socket ends. */
void reader_child_run(int socket, int parent) __attribute__((noreturn));

#endif
