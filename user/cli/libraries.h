/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LIBRARIES_H
#define CLI_LIBRARIES_H

#include "attach/attach.h"
#include "probe/search.h"

/* Which CUDA libraries are probed in this run: opens candidates, attaches each file once, says what it did. */
struct libraries {
	struct attach *attach;
	struct reader *reader;
	bool wanted[VT_LAYER_RUNTIME + 1];   /* by enum vt_layer */
	unsigned int probed[VT_LAYER_RUNTIME + 1];
	bool simulated;                      /* one of them is the simulated card */
};

void libraries_init(struct libraries *ret_libraries, struct attach *attach, struct reader *reader, bool driver, bool runtime);

/* A file the user named (--library): every failure is an error. */
int libraries_add_named(struct libraries *libraries, const char *path, struct diag *diag);

/* 1: now probed, 0: not wanted or already probed, -errno: could not be (logged, and the run goes on). */
int libraries_add(struct libraries *libraries, const struct candidate *candidate);
void libraries_add_all(struct libraries *libraries, const struct candidates *candidates);

#endif
