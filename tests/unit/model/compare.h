/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_COMPARE_H
#define MODEL_COMPARE_H

#include "model.h"

void compare_listen(void *ctx, const struct notice *notice); /* the ledger's next stage */
void compare_show_event(void);				     /* the last one that was told */

#endif
