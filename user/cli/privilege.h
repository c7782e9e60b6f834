/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PRIVILEGE_H
#define CLI_PRIVILEGE_H

#include "base/diag.h"

/* Whether we may trace: the capabilities in effect and the PID namespace. 0, or -EPERM with a text that names what is missing. */
int privilege_check(struct diag *diag);

#endif
