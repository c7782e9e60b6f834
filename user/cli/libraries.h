/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LIBRARIES_H
#define CLI_LIBRARIES_H

#include "attach/attach.h"
#include "cli/pipe.h"
#include "probe/search.h"

#define LIBRARIES_COMPLAINTS_MAX 64

/* Which CUDA libraries are probed in this run: opens candidates, attaches each file once, says what it did. */
struct libraries {
	struct attach *attach;
	struct reader *reader;
	bool wanted[VT_LAYER_RUNTIME + 1]; /* by enum vt_layer */
	unsigned int probed[VT_LAYER_RUNTIME + 1];
	bool simulated;	   /* one of them is the simulated card */
	struct item *told; /* LIBRARY items of what is probed; paths are ours */
	size_t told_count;
	struct pipe_line *pipe;			    /* gets them; NULL: not yet */
	char *complaints[LIBRARIES_COMPLAINTS_MAX]; /* names of files that were said not to be probed */
	size_t complaint_count;
};

void libraries_init(struct libraries *ret_libraries, struct attach *attach, struct reader *reader, bool driver,
		    bool runtime);
void libraries_fini(struct libraries *libraries); /* safe on a zeroed object */

/* A file the user named (--library): every failure is an error. */
int libraries_add_named(struct libraries *libraries, const char *path, struct diag *diag);

/* From here on the pipe hears of every library that is probed, also of those that were before. */
void libraries_tell(struct libraries *libraries, struct pipe_line *pipe);

/*
 * 0: probed since *ret_since_ns (CLOCK_MONOTONIC, maybe just now), or not wanted (0). -errno: could not be; logged unless the file is
 * gone, and the run goes on.
 */
int libraries_add(struct libraries *libraries, const struct candidate *candidate, uint64_t *ret_since_ns);
void libraries_add_all(struct libraries *libraries, const struct candidates *candidates);

#endif
