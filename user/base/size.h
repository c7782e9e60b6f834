/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SIZE_H
#define BASE_SIZE_H

#include <stdint.h>

/*
 * Sizes and durations as people write them. Sizes go in steps of 1024 and are labelled B, KB, MB, GB, TB (DESIGN 7):
 * "1.5 GB", "64 MB", "512 B"; never "0" for something. At most one decimal, none when it would be .0.
 */
#define SIZE_TEXT_BYTES 24
void size_format(uint64_t bytes, char ret_text[SIZE_TEXT_BYTES]);

/* "4096", "64K", "64KB", "64KiB", "1.5G" ...; case does not matter. 0 or -EINVAL / -ERANGE. */
int size_parse(const char *text, uint64_t *ret_bytes);

/* "10", "1.5" (seconds), "200ms", "10s", "5m", "1h", "1d". 0 or -EINVAL / -ERANGE; never 0 ns. */
int duration_parse(const char *text, uint64_t *ret_ns);

/* "850 ns", "12.3 us", "4.0 ms", "2.5 s", "3m20s", "2h05m", "4d03h" */
#define DURATION_TEXT_BYTES 24
void duration_format(uint64_t ns, char ret_text[DURATION_TEXT_BYTES]);

#endif
