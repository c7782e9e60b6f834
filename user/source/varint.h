/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOURCE_VARINT_H
#define SOURCE_VARINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * The numbers and strings inside a recording's payloads. A number: seven bits a byte, the lowest first, the top bit set in all bytes
 * but the last. A difference: its sign goes to bit 0 (0, -1, 1, -2 ... become 0, 1, 2, 3 ...), so that small ones are short. Differences
 * wrap at 64 bits: every value can follow every other.
 */
#define VARINT_BYTES_MAX 10

static inline uint8_t *varint_put(uint8_t *at, uint64_t value)
{
	while (value >= 0x80) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

static inline uint64_t varint_fold(uint64_t difference)
{
	return difference << 1 ^ (difference >> 63 ? UINT64_MAX : 0);
}

static inline uint64_t varint_unfold(uint64_t value)
{
	return value >> 1 ^ (value & 1 ? UINT64_MAX : 0);
}

/* A payload being read. A failure is sticky; all that comes after it is 0 or NULL. */
struct cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

static inline uint64_t cursor_u64(struct cursor *cursor)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
		uint64_t byte = *cursor->at++;

		value |= (byte & 0x7f) << shift;
		if (shift == 63 && byte > 1)
			break;
		if (byte < 0x80)
			return value;
	}
	cursor->failed = true;
	cursor->at = cursor->end;
	return 0;
}

/* A number of at most max. */
static inline uint64_t cursor_upto(struct cursor *cursor, uint64_t max)
{
	uint64_t value = cursor_u64(cursor);

	if (value <= max)
		return value;
	cursor->failed = true;
	cursor->at = cursor->end;
	return 0;
}

static inline uint64_t cursor_delta(struct cursor *cursor, uint64_t base)
{
	return base + varint_unfold(cursor_u64(cursor));
}

/* Borrowed from the payload. */
static inline const void *cursor_bytes(struct cursor *cursor, uint64_t length)
{
	const void *bytes = cursor->at;

	if (length > (uint64_t)(cursor->end - cursor->at)) {
		cursor->failed = true;
		cursor->at = cursor->end;
		return NULL;
	}
	cursor->at += length;
	return bytes;
}

#endif
