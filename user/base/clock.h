/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_mono_ns(void); /* CLOCK_MONOTONIC: the clock of the records */

/*
 * How CLOCK_MONOTONIC is told as time of day, in the whole process. Nothing is measured per event: the same records under the same model
 * give the same text, now and in a replay.
 */
struct clock_model {
	int64_t wall_minus_mono_ns;
	int32_t utc_offset_s; /* local time minus UTC */
};

struct clock_model clock_measure(void); /* as the machine's clocks stand now */
/* From here on. Without it, clock_measure() at the first use below. */
void clock_set(const struct clock_model *model);

uint64_t clock_wall_of(uint64_t mono_ns); /* ns since 1970 of a CLOCK_MONOTONIC instant */

#define CLOCK_RFC3339_BYTES 31 /* 2026-11-24T22:36:50.123456789Z and NUL */
void clock_format_rfc3339(uint64_t wall_ns, char ret_text[CLOCK_RFC3339_BYTES]);

#define CLOCK_LOCAL_BYTES 16 /* 22:36:50.123456 and NUL, local time by the model */
void clock_format_local(uint64_t wall_ns, char ret_text[CLOCK_LOCAL_BYTES]);

#endif
