/* SPDX-License-Identifier: Apache-2.0 */
#include "base/escape.h"

#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"

/* One character of the input. */
struct character {
	uint32_t code; /* meaningless if bad */
	size_t length; /* bytes, at least 1 */
	bool bad;      /* not UTF-8: one byte is taken */
};

static struct character next_character(const char *string, size_t length)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 }; /* by length: less is an overlong form */
	const unsigned char *s = (const unsigned char *)string;
	struct character bad = { .length = 1, .bad = true };
	struct character c = { .code = s[0], .length = 1 };

	if (s[0] < 0x80)
		return c;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		c = (struct character) { .code = s[0] & 0x1f, .length = 2 };
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		c = (struct character) { .code = s[0] & 0x0f, .length = 3 };
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		c = (struct character) { .code = s[0] & 0x07, .length = 4 };
	else
		return bad;
	if (c.length > length)
		return bad;
	for (size_t i = 1; i < c.length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return bad;
		c.code = c.code << 6 | (s[i] & 0x3f);
	}
	if (c.code < least[c.length] || c.code > 0x10ffff || (c.code >= 0xd800 && c.code <= 0xdfff))
		return bad;
	return c;
}

/* Controls, and characters that reorder, hide or join what stands around them. */
static bool is_unsafe(uint32_t code)
{
	static const struct {
		uint32_t first;
		uint32_t last;
	} ranges[] = {
		{ 0x00, 0x1f },	    { 0x7f, 0x9f },	{ 0x61c, 0x61c },   { 0x200b, 0x200f },	  { 0x2028, 0x202e },
		{ 0x2060, 0x206f }, { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe0000, 0xe007f },
	};

	if (code >= 0x20 && code < 0x7f)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	}
	return false;
}

/* Plain ASCII, nearly all there is, is copied in runs. */
static size_t plain_run(const char *string, size_t length)
{
	size_t n = 0;

	while (n < length && string[n] >= 0x20 && string[n] < 0x7f && string[n] != '\\' && string[n] != '"')
		n++;
	return n;
}

static void add_byte(struct buf *buf, unsigned char byte)
{
	static const char digits[] = "0123456789abcdef";
	char text[4] = { '\\', 'x', digits[byte >> 4], digits[byte & 15] };

	buf_add(buf, text, sizeof(text));
}

void escape_text(struct buf *buf, const char *string, size_t length)
{
	while (length > 0) {
		size_t n = plain_run(string, length);

		if (n > 0) {
			buf_add(buf, string, n);
		} else {
			struct character c = next_character(string, length);

			n = c.length;
			if (!c.bad && c.code == '\\')
				buf_add(buf, "\\\\", 2);
			else if (!c.bad && !is_unsafe(c.code))
				buf_add(buf, string, n);
			else
				for (size_t i = 0; i < n; i++)
					add_byte(buf, (unsigned char)string[i]);
		}
		string += n;
		length -= n;
	}
}

void escape_defuse(char *text, size_t length)
{
	while (length > 0) {
		struct character c = next_character(text, length);

		if (c.bad || is_unsafe(c.code))
			memset(text, c.bad || c.code >= 0x7f ? '?' : ' ', c.length);
		text += c.length;
		length -= c.length;
	}
}

bool escape_is_utf8(const char *string, size_t length)
{
	while (length > 0) {
		struct character c = next_character(string, length);

		if (c.bad)
			return false;
		string += c.length;
		length -= c.length;
	}
	return true;
}

static void add_unit(struct buf *buf, uint32_t unit)
{
	static const char digits[] = "0123456789abcdef";
	char text[6] = { '\\', 'u' };

	for (int i = 0; i < 4; i++)
		text[2 + i] = digits[unit >> (12 - 4 * i) & 15];
	buf_add(buf, text, sizeof(text));
}

static void add_json_character(struct buf *buf, const char *string, const struct character *c)
{
	if (c->bad) {
		add_unit(buf, 0xfffd);
	} else if (c->code == '\\' || c->code == '"') {
		buf_char(buf, '\\');
		buf_char(buf, (char)c->code);
	} else if (!is_unsafe(c->code)) {
		buf_add(buf, string, c->length);
	} else if (c->code > 0xffff) {
		add_unit(buf, 0xd800 + ((c->code - 0x10000) >> 10));
		add_unit(buf, 0xdc00 + ((c->code - 0x10000) & 0x3ff));
	} else {
		add_unit(buf, c->code);
	}
}

void escape_json(struct buf *buf, const char *string, size_t length)
{
	while (length > 0) {
		size_t n = plain_run(string, length);

		if (n > 0) {
			buf_add(buf, string, n);
		} else {
			struct character c = next_character(string, length);

			n = c.length;
			add_json_character(buf, string, &c);
		}
		string += n;
		length -= n;
	}
}

/* A spreadsheet would take it for a formula; some take the wide forms of the signs as well. */
static bool begins_formula(const char *string, size_t length)
{
	static const uint32_t signs[] = { '=', '+', '-', '@', 0xff1d, 0xff0b, 0xff0d, 0xff20 };
	struct character c = next_character(string, length);

	for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
		if (!c.bad && c.code == signs[i])
			return true;
	}
	return false;
}

void escape_csv(struct buf *buf, const char *string, size_t length)
{
	bool quoted = memchr(string, ',', length) || memchr(string, '"', length);

	if (quoted)
		buf_char(buf, '"');
	if (length > 0 && begins_formula(string, length))
		buf_char(buf, '\'');
	while (length > 0) {
		const char *quote = memchr(string, '"', length);
		size_t n = quote ? (size_t)(quote - string) : length;

		escape_text(buf, string, n);
		if (quote) {
			buf_add(buf, "\"\"", 2);
			n++;
		}
		string += n;
		length -= n;
	}
	if (quoted)
		buf_char(buf, '"');
}
