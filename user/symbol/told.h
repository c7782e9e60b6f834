/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYMBOL_TOLD_H
#define SYMBOL_TOLD_H

#include "source/recording.h"
#include "symbol/caller.h"

/*
 * Callers as a recording tells them: one object per place, as callers_resolve() gives in a live run, and ids in the order of first use.
 * The recording defines its callers again in every frame; equal ones become one here.
 */
struct told;

int told_new(struct told **ret_told); /* 0 or -ENOMEM */
void told_free(struct told *told);

/* Never NULL: NULL, and a caller without a name or past our bounds, is the unknown one. Valid until told_free. */
const struct caller *told_caller(struct told *told, const struct item_caller *item);

#endif
