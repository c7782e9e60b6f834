/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/escape.h"

#define PREFIX "vramtrace: "

/* Read by every thread, written at start: no ordering is needed, only that a read is whole. */
static enum log_level threshold = LOG_INFO;

void log_set_level(enum log_level level)
{
	__atomic_store_n(&threshold, level, __ATOMIC_RELAXED);
}

enum log_level log_get_level(void)
{
	return __atomic_load_n(&threshold, __ATOMIC_RELAXED);
}

void log_at(enum log_level level, const char *format, ...)
{
	char line[2048] = PREFIX;
	size_t length = sizeof(PREFIX) - 1;
	int saved = errno;
	va_list args;
	int n;

	if (level > log_get_level())
		return;
	va_start(args, format);
	n = vsnprintf(line + length, sizeof(line) - length, format, args);
	va_end(args);
	if (n > 0)
		length += (size_t)n;
	if (length > sizeof(line) - 1)
		length = sizeof(line) - 1;
	/* The second line of defence: a caller that forgot to escape cannot send control sequences or forge a line. */
	escape_defuse(line, length);
	line[length++] = '\n'; /* over the NUL */

	/* One write per line, so that lines of several threads and of the traced child do not mix. */
	if (write(STDERR_FILENO, line, length) < 0)
		length = 0; /* nobody left to tell */
	errno = saved;
}
