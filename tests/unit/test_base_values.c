/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/log.h"
#include "base/size.h"

static void test_size_format(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{ 0, "0 B" },
		{ 1, "1 B" },
		{ 1023, "1023 B" },
		{ 1024, "1 KB" },
		{ 1536, "1.5 KB" },
		{ 1048575, "1 MB" },
		{ 64 << 20, "64 MB" },
		{ (64 << 20) + 1, "64 MB" },
		{ 1610612736, "1.5 GB" },
		{ 1023 << 20, "1023 MB" },
		{ (1ULL << 30) - 1, "1 GB" },
		{ 1ULL << 40, "1 TB" },
		{ 2048ULL << 40, "2048 TB" },
		{ UINT64_MAX, "16777216 TB" },
	};
	char text[SIZE_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_format(rows[i].bytes, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void test_size_never_zero_for_something(void **state)
{
	char text[SIZE_TEXT_BYTES];
	uint64_t back;

	(void)state;
	for (uint64_t bytes = 1; bytes < 1ULL << 62; bytes += bytes / 3 + 1) {
		size_format(bytes, text);
		assert_true(text[0] != '0');
		assert_int_equal(size_parse(text, &back), 0);
		assert_true(back >= bytes - bytes / 20 && back <= bytes + bytes / 20);
	}
}

static void test_size_parse(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint64_t bytes;
	} rows[] = {
		{ "4096", 0, 4096 },
		{ "0", 0, 0 },
		{ "64K", 0, 65536 },
		{ "64KB", 0, 65536 },
		{ "64KiB", 0, 65536 },
		{ "64kib", 0, 65536 },
		{ "1.5G", 0, 1610612736 },
		{ "1.5 GB", 0, 1610612736 },
		{ "1t", 0, 1ULL << 40 },
		{ "10B", 0, 10 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "16777216T", -ERANGE, 0 },
		{ "0.3333333333333333333333333333K", 0, 341 },
		{ "", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ "1.5", -EINVAL, 0 },
		{ "1.", -EINVAL, 0 },
		{ ".5G", -EINVAL, 0 },
		{ "K", -EINVAL, 0 },
		{ "1KK", -EINVAL, 0 },
		{ "1X", -EINVAL, 0 },
		{ "1 ", 0, 1 },
		{ " 1", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "1e3", -EINVAL, 0 },
	};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bytes = 77;
		if (size_parse(rows[i].text, &bytes) != rows[i].err)
			fail_msg("%s", rows[i].text);
		assert_int_equal(bytes, rows[i].err ? 77 : rows[i].bytes); /* untouched on failure */
	}
}

static void test_duration(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint64_t ns;
		const char *shown;
	} rows[] = {
		{ "850ns", 0, 850, "850 ns" },
		{ "12.34us", 0, 12340, "12.3 us" },
		{ "4ms", 0, 4000000, "4.0 ms" },
		{ "999.96us", 0, 999960, "1.0 ms" },
		{ "10", 0, 10000000000, "10.0 s" },
		{ "2.5", 0, 2500000000, "2.5 s" },
		{ "59.97s", 0, 59970000000, "1m00s" },
		{ "200s", 0, 200000000000, "3m20s" },
		{ "5m", 0, 300000000000, "5m00s" },
		{ "125m", 0, 7500000000000, "2h05m" },
		{ "99h", 0, 356400000000000, "4d03h" },
		{ "1d", 0, 86400000000000, "1d00h" },
		{ "0", -ERANGE, 0, NULL },
		{ "0.5ns", -ERANGE, 0, NULL },
		{ "1000000d", -ERANGE, 0, NULL },
		{ "", -EINVAL, 0, NULL },
		{ "s", -EINVAL, 0, NULL },
		{ "-1", -EINVAL, 0, NULL },
		{ "1y", -EINVAL, 0, NULL },
		{ "inf", -EINVAL, 0, NULL },
	};
	char text[DURATION_TEXT_BYTES];
	uint64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ns = 77;
		if (duration_parse(rows[i].text, &ns) != rows[i].err)
			fail_msg("%s", rows[i].text);
		assert_int_equal(ns, rows[i].err ? 77 : rows[i].ns);
		if (!rows[i].shown)
			continue;
		duration_format(ns, text);
		assert_string_equal(text, rows[i].shown);
	}
}

static void test_clock(void **state)
{
	uint64_t mono = clock_mono_ns();
	uint64_t wall;
	char text[CLOCK_RFC3339_BYTES];
	char local[CLOCK_LOCAL_BYTES];
	struct timespec ts;
	uint64_t now;

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	wall = clock_wall_of(mono);
	clock_gettime(CLOCK_REALTIME, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	assert_true(now >= wall - 1000000 && now - wall < 10000000000);
	assert_int_equal(clock_wall_of(mono + 12345) - wall, 12345);
	clock_format_rfc3339(1795646210123456789, text);
	assert_string_equal(text, "2026-11-25T22:36:50.123456789Z");
	clock_format_rfc3339(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000000000Z");
	clock_format_rfc3339(951782400000000001, text);
	assert_string_equal(text, "2000-02-29T00:00:00.000000001Z");
	clock_format_rfc3339(UINT64_MAX, text);
	assert_string_equal(text, "2554-07-21T23:34:33.709551615Z");
	setenv("TZ", "UTC-1", 1);
	tzset();
	assert_int_equal(clock_measure().utc_offset_s, 3600);
	clock_format_local(1795646210123456789, local); /* by the model, which was made before */
	assert_string_equal(local, "22:36:50.123456");
}

/* A replay tells the time of the machine where it was recorded, whatever the clocks and the zone here. */
static void test_clock_model(void **state)
{
	static const struct {
		struct clock_model model;
		uint64_t mono_ns;
		const char *rfc3339;
		const char *local;
	} rows[] = {
		{ { 1795646210000000000, 3600 }, 123456789, "2026-11-25T22:36:50.123456789Z", "23:36:50.123456" },
		{ { 1795646210000000000, 7200 }, 123456789, "2026-11-25T22:36:50.123456789Z", "00:36:50.123456" },
		{ { 1795646210000000000, -12600 }, 123456789, "2026-11-25T22:36:50.123456789Z", "19:06:50.123456" },
		{ { 0, -3600 }, 1000, "1970-01-01T00:00:00.000001000Z", "23:00:00.000001" },
		{ { -5000000000, 0 }, 6000000000, "1970-01-01T00:00:01.000000000Z", "00:00:01.000000" },
		{ { 0, INT32_MIN }, 0, "1970-01-01T00:00:00.000000000Z", "20:45:52.000000" },
		{ { INT64_MIN, INT32_MAX }, 0, "2262-04-11T23:47:16.854775808Z", "03:01:23.854775" },
	};
	char text[CLOCK_RFC3339_BYTES];
	char local[CLOCK_LOCAL_BYTES];
	struct clock_model now;

	(void)state;
	setenv("TZ", "UTC+9", 1);
	tzset();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		clock_set(&rows[i].model);
		clock_format_rfc3339(clock_wall_of(rows[i].mono_ns), text);
		assert_string_equal(text, rows[i].rfc3339);
		clock_format_local(clock_wall_of(rows[i].mono_ns), local);
		assert_string_equal(local, rows[i].local);
	}
	now = clock_measure();
	assert_int_equal(now.utc_offset_s, -9 * 3600);
	assert_true(llabs(now.wall_minus_mono_ns - clock_measure().wall_minus_mono_ns) < 1000000);
}

static void test_buf(void **state)
{
	struct buf buf = BUF_INIT;
	char expected[3001];

	(void)state;
	buf_str(&buf, "x");
	buf_clear(&buf);
	assert_int_equal(buf.length, 0);
	buf_printf(&buf, "%s", "");
	assert_string_equal(buf.data, "");
	memset(expected, 'a', 3000);
	expected[3000] = '\0';
	buf_printf(&buf, "%s", expected); /* past the first growth */
	assert_string_equal(buf.data, expected);
	buf_clear(&buf);
	buf_u64(&buf, 0);
	buf_char(&buf, ' ');
	buf_u64(&buf, UINT64_MAX);
	buf_char(&buf, ' ');
	buf_hex(&buf, 0);
	buf_char(&buf, ' ');
	buf_hex(&buf, UINT64_MAX);
	assert_string_equal(buf.data, "0 18446744073709551615 0x0 0xffffffffffffffff");
	buf_add(&buf, "y", SIZE_MAX - 10); /* cannot be had: sticky, content kept */
	assert_true(buf.failed);
	buf_str(&buf, "z");
	assert_string_equal(buf.data, "0 18446744073709551615 0x0 0xffffffffffffffff");
	buf_fini(&buf);
	assert_null(buf.data);
	buf_fini(&buf);
}

static void test_diag_is_cut(void **state)
{
	struct diag diag;
	char text[2000];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(diag_err(&diag, -ENOENT, "%d %s", 5, text), -ENOENT);
	assert_int_equal(strlen(diag.text), sizeof(diag.text) - 1);
	assert_memory_equal(diag.text, "5 aaa", 5);
}

static void test_log(void **state)
{
	char got[4096] = "";
	int saved = dup(STDERR_FILENO);
	char text[3000];
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	dup2(fds[1], STDERR_FILENO);
	log_dbg("not shown");
	errno = EBADF;
	log_warn("two\nlines\033[31m %d", 7);
	assert_int_equal(errno, EBADF);
	log_set_level(LOG_ERROR);
	log_info("not shown");
	log_err("%s", text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	assert_true(read(fds[0], got, sizeof(got) - 1) > 0);
	close(fds[0]);
	assert_memory_equal(got, "vramtrace: two lines [31m 7\nvramtrace: aaa", 42);
	assert_int_equal(got[strlen(got) - 1], '\n');
	assert_null(strstr(got, "not shown"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_format), cmocka_unit_test(test_size_never_zero_for_something),
		cmocka_unit_test(test_size_parse),  cmocka_unit_test(test_duration),
		cmocka_unit_test(test_clock),	    cmocka_unit_test(test_clock_model),
		cmocka_unit_test(test_buf),	    cmocka_unit_test(test_diag_is_cut),
		cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
