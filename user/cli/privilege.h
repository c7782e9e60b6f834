/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PRIVILEGE_H
#define CLI_PRIVILEGE_H

#include <stdbool.h>

#include "base/diag.h"

/* The capabilities that tracing needs, and whether we have them in effect. */
#define PRIVILEGE_COUNT 5
#define PRIVILEGE_SEE_OTHERS 2 /* the index of the one for other users' processes */

struct privilege {
	const char *name; /* "CAP_BPF" */
	bool held;
};

void privilege_list(struct privilege ret_list[PRIVILEGE_COUNT]);
bool privilege_in_initial_namespace(void); /* of process ids; also where that cannot be told */

/* Whether we may trace: the capabilities in effect and the PID namespace. 0, or -EPERM with a text that names what is missing. */
int privilege_check(struct diag *diag);

#endif
