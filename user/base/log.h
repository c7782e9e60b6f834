/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/*
 * Diagnostics, always on stderr, one line each with the prefix `vramtrace: `. Text that came from a traced process must be
 * escaped (escape.h) by the caller. errno is kept.
 */
enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,  /* the default: what a user of the tool wants to be told once */
	LOG_DEBUG, /* -v */
	LOG_TRACE, /* -vv */
};

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
void log_at(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_err(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_dbg(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_trace(...) log_at(LOG_TRACE, __VA_ARGS__)

#endif
