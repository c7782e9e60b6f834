/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000ULL
#define S_PER_DAY 86400
#define OFFSET_TRIES 4
#define OFFSET_GOOD_NS 5000 /* between the two readings around the wall clock: else we were interrupted */

static uint64_t read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

static int64_t measure_offset(void)
{
	uint64_t best = UINT64_MAX;
	uint64_t offset = 0;

	for (int i = 0; i < OFFSET_TRIES && best > OFFSET_GOOD_NS; i++) {
		uint64_t before = read_ns(CLOCK_MONOTONIC);
		uint64_t wall = read_ns(CLOCK_REALTIME);
		uint64_t width = read_ns(CLOCK_MONOTONIC) - before;

		if (width < best) {
			best = width;
			offset = wall - (before + width / 2);
		}
	}
	return (int64_t)offset;
}

/* Atomic, for any thread may log or format; a model is set by the thread that formats. */
static atomic_int_fast64_t wall_minus_mono_ns;
static atomic_int_fast32_t utc_offset_s;
static atomic_bool known;

struct clock_model clock_measure(void)
{
	struct clock_model model = { .wall_minus_mono_ns = measure_offset() };
	time_t now = time(NULL);
	struct tm tm;

	if (localtime_r(&now, &tm))
		model.utc_offset_s = (int32_t)tm.tm_gmtoff;
	return model;
}

void clock_set(const struct clock_model *model)
{
	atomic_store(&wall_minus_mono_ns, model->wall_minus_mono_ns);
	atomic_store(&utc_offset_s, model->utc_offset_s);
	atomic_store(&known, true);
}

static void need_model(void)
{
	struct clock_model model;

	if (atomic_load_explicit(&known, memory_order_acquire))
		return;
	model = clock_measure();
	clock_set(&model);
}

uint64_t clock_wall_of(uint64_t mono_ns)
{
	need_model();
	return mono_ns + (uint64_t)atomic_load_explicit(&wall_minus_mono_ns, memory_order_relaxed);
}

static void put_digits(char *text, uint64_t value, unsigned int width)
{
	while (width > 0) {
		text[--width] = (char)('0' + value % 10);
		value /= 10;
	}
}

/* Calendar arithmetic is slow and events come many to a second: the text of the last second is kept. */
void clock_format_rfc3339(uint64_t wall_ns, char ret_text[CLOCK_RFC3339_BYTES])
{
	static __thread char kept[CLOCK_RFC3339_BYTES] = "1970-01-01T00:00:00.000000000Z";
	static __thread uint64_t kept_s;
	uint64_t s = wall_ns / NS_PER_S;

	if (s != kept_s) {
		time_t seconds = (time_t)s;
		struct tm tm;

		gmtime_r(&seconds, &tm); /* 64 bits of nanoseconds end in the year 2554: always four digits */
		put_digits(kept, (uint64_t)tm.tm_year + 1900, 4);
		put_digits(kept + 5, (uint64_t)tm.tm_mon + 1, 2);
		put_digits(kept + 8, (uint64_t)tm.tm_mday, 2);
		put_digits(kept + 11, (uint64_t)tm.tm_hour, 2);
		put_digits(kept + 14, (uint64_t)tm.tm_min, 2);
		put_digits(kept + 17, (uint64_t)tm.tm_sec, 2);
		kept_s = s;
	}
	memcpy(ret_text, kept, sizeof(kept));
	put_digits(ret_text + 20, wall_ns % NS_PER_S, 9);
}

void clock_format_local(uint64_t wall_ns, char ret_text[CLOCK_LOCAL_BYTES])
{
	static __thread char kept[CLOCK_LOCAL_BYTES] = "00:00:00.000000";
	static __thread int64_t kept_s;
	int64_t s;

	need_model();
	s = (int64_t)(wall_ns / NS_PER_S) + atomic_load_explicit(&utc_offset_s, memory_order_relaxed);
	s = (s % S_PER_DAY + S_PER_DAY) % S_PER_DAY;
	if (s != kept_s) {
		put_digits(kept, (uint64_t)s / 3600, 2);
		put_digits(kept + 3, (uint64_t)s / 60 % 60, 2);
		put_digits(kept + 6, (uint64_t)s % 60, 2);
		kept_s = s;
	}
	memcpy(ret_text, kept, sizeof(kept));
	put_digits(ret_text + 9, wall_ns % NS_PER_S / 1000, 6);
}
