/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/escape.h"
#include "base/json.h"

#define ROUNDS 100000
#define LENGTH_MAX 40

static uint64_t random_state = 88172645463325252ULL;

static uint32_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16);
}

static void encode(char **at, uint32_t code)
{
	unsigned char *s = (unsigned char *)*at;

	if (code < 0x80) {
		*s++ = (unsigned char)code;
	} else if (code < 0x800) {
		*s++ = (unsigned char)(0xc0 | code >> 6);
		*s++ = (unsigned char)(0x80 | (code & 63));
	} else if (code < 0x10000) {
		*s++ = (unsigned char)(0xe0 | code >> 12);
		*s++ = (unsigned char)(0x80 | (code >> 6 & 63));
		*s++ = (unsigned char)(0x80 | (code & 63));
	} else {
		*s++ = (unsigned char)(0xf0 | code >> 18);
		*s++ = (unsigned char)(0x80 | (code >> 12 & 63));
		*s++ = (unsigned char)(0x80 | (code >> 6 & 63));
		*s++ = (unsigned char)(0x80 | (code & 63));
	}
	*at = (char *)s;
}

/* Bytes, ASCII and characters of all planes (surrogates too, which are not UTF-8), mixed. */
static size_t random_string(char *string)
{
	static const uint32_t nasty[] = { 0x61c,  0x200b,  0x200f,  0x202e, 0x2066, 0x206f, 0xfeff,
					  0xfffb, 0xe0001, 0xe007f, 0x85,   0x9b,   0x7f };
	char *at = string;

	for (uint32_t n = next_random() % (LENGTH_MAX / 4); n > 0; n--) {
		switch (next_random() % 4) {
		case 0:
			*at++ = (char)next_random();
			break;
		case 1:
			*at++ = (char)(next_random() % 128);
			break;
		case 2:
			encode(&at, nasty[next_random() % (sizeof(nasty) / sizeof(nasty[0]))]);
			break;
		default:
			encode(&at, next_random() % 0x110000);
		}
	}
	return (size_t)(at - string);
}

/* Strict UTF-8, written from the table in the Unicode standard and not from escape.c. 0: not one. */
static size_t take(const unsigned char *s, size_t n, uint32_t *ret_code)
{
	if (s[0] < 0x80) {
		*ret_code = s[0];
		return 1;
	}
	if (n >= 2 && s[0] >= 0xc2 && s[0] <= 0xdf && s[1] >= 0x80 && s[1] <= 0xbf) {
		*ret_code = (uint32_t)(s[0] & 31) << 6 | (s[1] & 63);
		return 2;
	}
	if (n >= 3 && s[0] >= 0xe0 && s[0] <= 0xef && s[1] >= (s[0] == 0xe0 ? 0xa0 : 0x80) &&
	    s[1] <= (s[0] == 0xed ? 0x9f : 0xbf) && s[2] >= 0x80 && s[2] <= 0xbf) {
		*ret_code = (uint32_t)(s[0] & 15) << 12 | (uint32_t)(s[1] & 63) << 6 | (s[2] & 63);
		return 3;
	}
	if (n >= 4 && s[0] >= 0xf0 && s[0] <= 0xf4 && s[1] >= (s[0] == 0xf0 ? 0x90 : 0x80) &&
	    s[1] <= (s[0] == 0xf4 ? 0x8f : 0xbf) && s[2] >= 0x80 && s[2] <= 0xbf && s[3] >= 0x80 && s[3] <= 0xbf) {
		*ret_code = (uint32_t)(s[0] & 7) << 18 | (uint32_t)(s[1] & 63) << 12 | (uint32_t)(s[2] & 63) << 6 |
			    (s[3] & 63);
		return 4;
	}
	return 0;
}

static bool is_forbidden(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

static void assert_safe(const struct buf *out)
{
	const unsigned char *s = (const unsigned char *)out->data;
	uint32_t code;

	for (size_t i = 0; i < out->length;) {
		size_t n = take(s + i, out->length - i, &code);

		assert_true(n > 0);
		assert_false(is_forbidden(code));
		i += n;
	}
}

static bool is_valid(const char *string, size_t length)
{
	uint32_t code;

	for (size_t n, i = 0; i < length; i += n) {
		n = take((const unsigned char *)string + i, length - i, &code);
		if (!n)
			return false;
	}
	return true;
}

static int hex(char c)
{
	return c >= 'a' ? c - 'a' + 10 : c - '0';
}

/* escape_text loses nothing: undone, it is the input again. */
static void assert_text_undone(const struct buf *out, const char *string, size_t length)
{
	size_t at = 0;

	for (size_t i = 0; i < out->length; at++) {
		char c = out->data[i++];

		if (c == '\\' && out->data[i] == '\\') {
			i++;
		} else if (c == '\\') {
			assert_int_equal(out->data[i], 'x');
			c = (char)(hex(out->data[i + 1]) << 4 | hex(out->data[i + 2]));
			i += 3;
		}
		assert_true(at < length);
		assert_int_equal(c, string[at]);
	}
	assert_int_equal(at, length);
}

static void test_random_strings(void **state)
{
	char string[LENGTH_MAX + 8];
	struct buf out = BUF_INIT;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		size_t length = random_string(string);

		if (!length)
			continue;
		buf_clear(&out);
		escape_text(&out, string, length);
		assert_safe(&out);
		assert_text_undone(&out, string, length);
		buf_clear(&out);
		escape_json(&out, string, length);
		assert_safe(&out);
		buf_clear(&out);
		escape_csv(&out, string, length);
		assert_safe(&out);
		assert_null(strpbrk("=+-@", (char[]) { out.data[0], '\0' }));
		out.length = 0;
		buf_add(&out, string, length);
		escape_defuse(out.data, out.length);
		assert_int_equal(out.length, length);
		assert_safe(&out);
		assert_int_equal(escape_is_utf8(string, length), is_valid(string, length));
	}
	buf_fini(&out);
}

static void test_every_byte(void **state)
{
	struct buf out = BUF_INIT;

	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		char c = (char)byte;
		char expected[8];

		buf_clear(&out);
		escape_text(&out, &c, 1);
		if (c == '\\')
			snprintf(expected, sizeof(expected), "\\\\");
		else if (byte >= 0x20 && byte < 0x7f)
			snprintf(expected, sizeof(expected), "%c", c);
		else
			snprintf(expected, sizeof(expected), "\\x%02x", byte);
		assert_string_equal(out.data, expected);
		buf_clear(&out);
		escape_json(&out, &c, 1);
		if (c == '\\' || c == '"')
			snprintf(expected, sizeof(expected), "\\%c", c);
		else if (byte >= 0x20 && byte < 0x7f)
			snprintf(expected, sizeof(expected), "%c", c);
		else
			snprintf(expected, sizeof(expected), "\\u%04x", byte < 0x80 ? byte : 0xfffd);
		assert_string_equal(out.data, expected);
	}
	buf_fini(&out);
}

static void expect(void (*escape)(struct buf *, const char *, size_t), const char *in, const char *expected)
{
	struct buf out = BUF_INIT;

	buf_str(&out, "");
	escape(&out, in, strlen(in));
	assert_string_equal(out.data, expected);
	buf_fini(&out);
}

static void test_known_cases(void **state)
{
	(void)state;
	expect(escape_text, "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80", "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80");
	expect(escape_text, "\xe2\x80\xae", "\\xe2\\x80\\xae");
	expect(escape_text, "\xc0\xaf", "\\xc0\\xaf");		/* overlong */
	expect(escape_text, "\xed\xa0\x80", "\\xed\\xa0\\x80"); /* surrogate */
	expect(escape_text, "a\xe2\x82", "a\\xe2\\x82");	/* cut */
	expect(escape_json, "\xf3\xa0\x80\x81\n\"", "\\udb40\\udc01\\u000a\\\"");
	expect(escape_text, "\xe0\x9f\xbf", "\\xe0\\x9f\\xbf");		 /* the last overlong form of three, */
	expect(escape_text, "\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf"); /* of four, */
	expect(escape_text, "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* the first past the end */
	expect(escape_text, "\xe0\xa0\x80\xf0\x90\x80\x80", "\xe0\xa0\x80\xf0\x90\x80\x80");
	expect(escape_json, "\xe2\x82", "\\ufffd\\ufffd");
	expect(escape_csv, "plain", "plain");
	expect(escape_csv, "a,b", "\"a,b\"");
	expect(escape_csv, "a\"b", "\"a\"\"b\"");
	expect(escape_csv, "=1+1", "'=1+1");
	expect(escape_csv, "@x,y", "\"'@x,y\"");
	expect(escape_csv, "\xef\xbc\x9d\x31", "'\xef\xbc\x9d\x31"); /* a wide equals sign */
	expect(escape_csv, "\xef\xbc", "\\xef\\xbc");
	expect(escape_csv, "a\nb", "a\\x0ab");
	expect(escape_csv, "", "");
}

/* Backslashes stay: what was escaped already stays readable. */
static void test_defuse(void **state)
{
	char line[] = "a\\x1b \x1b[31m\n\xc2\x9b\xe2\x80\xae\xff\x7f\xc3\xa9";

	(void)state;
	escape_defuse(line, strlen(line));
	assert_string_equal(line, "a\\x1b  [31m ???????\xc3\xa9");
}

/* A key that is no UTF-8, and one that looks like what it becomes, are two. */
static void test_keys_stay_apart(void **state)
{
	static const char *const keys[] = { "plain",   "\xff", "\xfe",	   "\\xff",
					    "\\\\xff", "\x1b", "\x1b\xff", "\xef\xbf\xbd" };
	struct buf out = BUF_INIT;
	struct json json;

	(void)state;
	json_init(&json, &out);
	json_object_begin(&json, NULL);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		json_key_object_begin(&json, keys[i]);
		json_object_end(&json);
	}
	json_object_end(&json);
	assert_string_equal(out.data, "{\"plain\":{},\"\\\\xff\":{},\"\\\\xfe\":{},\"\\\\\\\\xff\":{},"
				      "\"\\\\\\\\\\\\\\\\xff\":{},\"\\u001b\":{},\"\\\\x1b\\\\xff\":{},"
				      "\"\xef\xbf\xbd\":{}}");
	buf_fini(&out);
}

/* What a JSON parser reads back: valid characters as they were, every other byte as U+FFFD. */
static void add_expected(struct buf *out, const char *string, size_t length)
{
	uint32_t code;

	for (size_t i = 0; i < length;) {
		size_t n = take((const unsigned char *)string + i, length - i, &code);

		if (n)
			buf_printf(out, "%x ", code);
		else
			buf_str(out, "fffd ");
		i += n ? n : 1;
	}
}

static void test_json_round_trip(void **state)
{
	static const char script[] = "import json,sys\n"
				     "for line in sys.stdin.buffer:\n"
				     "  text, codes = json.loads(line.decode())\n"
				     "  assert [int(c, 16) for c in codes.split()] == [ord(c) for c in text], line\n";
	char string[LENGTH_MAX + 8];
	struct buf codes = BUF_INIT;
	struct buf out = BUF_INIT;
	FILE *python;

	(void)state;
	if (system("command -v python3 >/dev/null") != 0) {
		print_message("SKIP: no python3\n");
		skip();
	}
	setenv("SCRIPT", script, 1);
	python = popen("python3 -c \"$SCRIPT\"", "w");
	assert_non_null(python);
	for (int i = 0; i < ROUNDS; i++) {
		size_t length = random_string(string);

		buf_clear(&codes);
		add_expected(&codes, string, length);
		buf_clear(&out);
		buf_str(&out, "[\"");
		escape_json(&out, string, length);
		buf_printf(&out, "\",\"%s\"]\n", codes.length ? codes.data : "");
		assert_int_equal(fwrite(out.data, 1, out.length, python), out.length);
	}
	assert_int_equal(pclose(python), 0);
	buf_fini(&codes);
	buf_fini(&out);
}

static void test_json_structure(void **state)
{
	struct buf out = BUF_INIT;
	struct json json;

	(void)state;
	json_init(&json, &out);
	json_object_begin(&json, NULL);
	json_u64(&json, "a", UINT64_MAX);
	json_i64(&json, "b", INT64_MIN);
	json_array_begin(&json, "c");
	json_array_end(&json);
	json_array_begin(&json, "d");
	json_string(&json, NULL, "x\n");
	json_null(&json, NULL);
	json_object_begin(&json, NULL);
	json_object_end(&json);
	json_bool(&json, NULL, true);
	json_array_end(&json);
	json_key_object_begin(&json, "k\"\xff");
	json_address(&json, "addr", 0xabc0);
	json_object_end(&json);
	json_string(&json, "e", NULL);
	json_object_end(&json);
	assert_string_equal(
		out.data,
		"{\"a\":18446744073709551615,\"b\":-9223372036854775808,\"c\":[],\"d\":[\"x\\u000a\",null,{},true],"
		"\"k\\\"\\\\xff\":{\"addr\":\"0xabc0\"},\"e\":null}");
	buf_clear(&out);
	json_init(&json, &out);
	for (int i = 0; i < 64; i++)
		json_array_begin(&json, NULL);
	assert_false(out.failed);
	json_array_begin(&json, NULL);
	assert_true(out.failed);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_byte),     cmocka_unit_test(test_known_cases),
		cmocka_unit_test(test_defuse),	       cmocka_unit_test(test_keys_stay_apart),
		cmocka_unit_test(test_random_strings), cmocka_unit_test(test_json_round_trip),
		cmocka_unit_test(test_json_structure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
