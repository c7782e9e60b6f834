/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include <sys/types.h>

/*
 * Kills a child of ours and waits for it, a fifth of a second at most: one that hangs in the kernel (a dead network file system) dies
 * when it comes back, and stays a zombie until we end.
 */
void child_end(pid_t child);

#endif
