/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_MAPS_H
#define PROBE_MAPS_H

#include <stdbool.h>
#include <stdint.h>

/* One line of /proc/PID/maps. */
struct maps_line {
	uint64_t start;
	uint64_t end;
	uint64_t offset; /* in the file */
	bool executable;
	const char *path; /* inside the parsed line; "" for anonymous memory; the kernel writes a newline as \012 */
};

/* Parses in place (the newline at the end is cut off). False: not such a line. */
bool maps_parse(char *line, struct maps_line *ret);

#endif
