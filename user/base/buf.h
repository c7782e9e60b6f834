/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A growable byte string. data is NUL-terminated once anything was added (else NULL). Out of memory is sticky: `failed` is
 * set, later additions do nothing, the content stays what it was.
 */
struct buf {
	char *data;
	size_t length;
	size_t capacity;
	bool failed;
};

#define BUF_INIT                                                                                                       \
	{                                                                                                              \
		NULL, 0, 0, false                                                                                      \
	}

void buf_fini(struct buf *buf);	 /* frees; safe on a zeroed object */
void buf_clear(struct buf *buf); /* length 0, memory kept, failed reset */
void buf_add(struct buf *buf, const void *data, size_t length);
void buf_str(struct buf *buf, const char *string);
void buf_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_u64(struct buf *buf, unsigned long long value); /* decimal, without printf: for the event path */
void buf_hex(struct buf *buf, unsigned long long value); /* 0x..., lower case */

#endif
