/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_FAULT_H
#define VRAMSIM_FAULT_H

/* Counts this call of @call; the code that VRAMSIM_FAIL wants of it, or 0. */
int fault_code(const char *call);

/* Waits VRAMSIM_FREE_DELAY_US. */
void fault_delay_free(void);

/* Takes the page of @out away if it is this one's turn (VRAMSIM_HIDE). */
void fault_hide(void *out);

/* True, up to VRAMSIM_NEST times within each other on a thread: fault_nest_end() ends one. */
int fault_nest(void);
void fault_nest_end(void);

#endif
