/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

/*
 * The text beside an error code. Start-up stages never print: they fill a diag and return the code; cli/ prints it. The
 * text names the thing that failed and, where there is one, the way out. No trailing full stop or newline.
 */
struct diag {
	char text[768];
};

/* Stores the formatted text (cut to fit) and returns err, so that a failing line can say `return diag_err(d, -ENOENT, ...)`. */
int diag_err(struct diag *diag, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
