/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_mono_ns(void); /* CLOCK_MONOTONIC: the clock of the records */

/* Wall-clock time (ns since 1970) of a CLOCK_MONOTONIC instant, by the offset between the two clocks now. */
uint64_t clock_wall_of(uint64_t mono_ns);

#define CLOCK_RFC3339_BYTES 31 /* 2026-11-24T22:36:50.123456789Z and NUL */
void clock_format_rfc3339(uint64_t wall_ns, char ret_text[CLOCK_RFC3339_BYTES]);

#define CLOCK_LOCAL_BYTES 16 /* 22:36:50.123456 and NUL, local time */
void clock_format_local(uint64_t wall_ns, char ret_text[CLOCK_LOCAL_BYTES]);

#endif
