/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_DEVICE_H
#define LEDGER_DEVICE_H

#include "ledger/books.h"

/* GPUs by UUID: the machine's, and those that only a process has told of. */

/* Index of ledger_gpu() of the UUID that a DEVICE_UUID event tells, added if need be. -1: too many, or out of memory. */
int device_gpu(struct ledger *ledger, const struct event *event);

#endif
