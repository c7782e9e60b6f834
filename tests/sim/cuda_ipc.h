/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CUDA_IPC_H
#define VRAMSIM_CUDA_IPC_H

/* Blocks of one process in another, by 64 bytes that name an object of the card and know its key. */
#include "card.h"
#include "cuda.h"
#include "truth.h"

/* The handle of the block of one of @kinds in which truth->addr lies: the same each time. */
CUresult ipc_export(struct truth *truth, unsigned int kinds, void *ret_handle);

/* -ENOENT: there is no such block, or none any more. */
int ipc_find(const void *handle, struct card_object *ret_object);

#endif
