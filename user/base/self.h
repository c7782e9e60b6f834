/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SELF_H
#define BASE_SELF_H

#include <stdint.h>

/*
 * Where a function of our own program lies in the program's file, so that it can be probed. The file is opened for reading and is the
 * caller's; it has been seen to hold that code. 0; -ENOENT: no place of our program; -ESTALE: the kernel names another file as our program
 * (we were started through the dynamic linker, which every process has mapped: a probe must not go there); -errno of the file.
 */
int self_open(uintptr_t code, int *ret_fd, uint64_t *ret_offset);

#endif
