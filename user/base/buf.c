/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 256
#define U64_DIGITS 20
#define U64_NIBBLES 16

void buf_fini(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf)BUF_INIT;
}

void buf_clear(struct buf *buf)
{
	buf->length = 0;
	buf->failed = false;
	if (buf->data)
		buf->data[0] = '\0';
}

/* Makes room for `length` more bytes and a NUL. */
static bool grow(struct buf *buf, size_t length)
{
	size_t capacity = buf->capacity ? buf->capacity : FIRST_BYTES;
	char *data;

	if (buf->failed)
		return false;
	if (length >= SIZE_MAX / 2 - buf->length) {
		buf->failed = true;
		return false;
	}
	while (capacity < buf->length + length + 1)
		capacity *= 2;
	data = realloc(buf->data, capacity);
	if (!data) {
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->capacity = capacity;
	return true;
}

static inline bool fits(struct buf *buf, size_t length)
{
	if (!buf->failed && length < buf->capacity - buf->length)
		return true;
	return grow(buf, length);
}

void buf_add(struct buf *buf, const void *data, size_t length)
{
	if (!fits(buf, length))
		return;
	if (length > 0)
		memcpy(buf->data + buf->length, data, length);
	buf->length += length;
	buf->data[buf->length] = '\0';
}

void buf_str(struct buf *buf, const char *string)
{
	buf_add(buf, string, strlen(string));
}

void buf_char(struct buf *buf, char c)
{
	buf_add(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	va_list again;
	size_t space;
	int n;

	if (!fits(buf, 0))
		return;
	va_start(args, format);
	va_copy(again, args);
	space = buf->capacity - buf->length;
	n = vsnprintf(buf->data + buf->length, space, format, args);
	if (n < 0) {
		buf->data[buf->length] = '\0';
		buf->failed = true;
	} else if ((size_t)n < space) {
		buf->length += (size_t)n;
	} else if (grow(buf, (size_t)n)) {
		vsnprintf(buf->data + buf->length, (size_t)n + 1, format, again);
		buf->length += (size_t)n;
	} else {
		buf->data[buf->length] = '\0'; /* take back what was cut */
	}
	va_end(again);
	va_end(args);
}

void buf_u64(struct buf *buf, unsigned long long value)
{
	char digits[U64_DIGITS];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	buf_add(buf, digits + at, sizeof(digits) - at);
}

void buf_hex(struct buf *buf, unsigned long long value)
{
	char digits[U64_NIBBLES + 2];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value);
	digits[--at] = 'x';
	digits[--at] = '0';
	buf_add(buf, digits + at, sizeof(digits) - at);
}
