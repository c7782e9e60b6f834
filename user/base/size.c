/* SPDX-License-Identifier: Apache-2.0 */
#include "base/size.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

/* bytes / unit in tenths, rounded; no overflow for any input. */
static uint64_t tenths_of(uint64_t value, uint64_t unit)
{
	return value / unit * 10 + (value % unit * 10 + unit / 2) / unit;
}

void size_format(uint64_t bytes, char ret_text[SIZE_TEXT_BYTES])
{
	static const char *const labels[] = { "KB", "MB", "GB", "TB" };
	uint64_t unit = 1024;
	size_t i = 0;
	uint64_t tenths;

	if (bytes < unit) {
		snprintf(ret_text, SIZE_TEXT_BYTES, "%u B", (unsigned int)bytes);
		return;
	}
	/* By the rounded value: 1048575 bytes are 1 MB, not 1024 KB. In TB any value fits 32 bits. */
	while (i + 1 < ARRAY_SIZE(labels) && tenths_of(bytes, unit) >= 10240) {
		unit *= 1024;
		i++;
	}
	tenths = tenths_of(bytes, unit);
	if (tenths % 10)
		snprintf(ret_text, SIZE_TEXT_BYTES, "%u.%u %s", (unsigned int)(tenths / 10),
			 (unsigned int)(tenths % 10), labels[i]);
	else
		snprintf(ret_text, SIZE_TEXT_BYTES, "%u %s", (unsigned int)(tenths / 10), labels[i]);
}

/* digits[.digits] as an exact fraction: whole + part / scale. */
struct decimal {
	uint64_t whole;
	uint64_t part;
	uint64_t scale; /* power of ten; 1: there is no fraction */
};

static int parse_decimal(const char *text, struct decimal *ret, const char **ret_rest)
{
	struct decimal d = { .scale = 1 };

	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (__builtin_mul_overflow(d.whole, 10, &d.whole) ||
		    __builtin_add_overflow(d.whole, (uint64_t)(*text - '0'), &d.whole))
			return -ERANGE;
	}
	if (*text == '.') {
		text++;
		if (*text < '0' || *text > '9')
			return -EINVAL;
		for (; *text >= '0' && *text <= '9'; text++) {
			if (d.scale >= NS_PER_S * NS_PER_S)
				continue; /* digits that can no longer matter */
			d.part = d.part * 10 + (uint64_t)(*text - '0');
			d.scale *= 10;
		}
	}
	*ret = d;
	*ret_rest = text;
	return 0;
}

static int scale_decimal(const struct decimal *d, uint64_t unit, uint64_t *ret)
{
	unsigned __int128 value = (unsigned __int128)d->whole * unit + (unsigned __int128)d->part * unit / d->scale;

	if (value > UINT64_MAX)
		return -ERANGE;
	*ret = (uint64_t)value;
	return 0;
}

static int size_unit(const char *suffix, uint64_t *ret_unit)
{
	static const char letters[] = "kmgt";
	uint64_t unit = 1024;

	if (!*suffix || strcasecmp(suffix, "b") == 0) {
		*ret_unit = 1;
		return 0;
	}
	for (const char *letter = letters; *letter; letter++, unit *= 1024) {
		if ((*suffix | 0x20) != *letter)
			continue;
		suffix++;
		if (*suffix && strcasecmp(suffix, "b") != 0 && strcasecmp(suffix, "ib") != 0)
			return -EINVAL;
		*ret_unit = unit;
		return 0;
	}
	return -EINVAL;
}

int size_parse(const char *text, uint64_t *ret_bytes)
{
	const char *suffix;
	struct decimal d;
	uint64_t unit;
	int err;

	err = parse_decimal(text, &d, &suffix);
	if (err < 0)
		return err;
	if (*suffix == ' ')
		suffix++;
	err = size_unit(suffix, &unit);
	if (err < 0)
		return err;
	if (unit == 1 && d.scale > 1)
		return -EINVAL; /* half a byte */
	return scale_decimal(&d, unit, ret_bytes);
}

int duration_parse(const char *text, uint64_t *ret_ns)
{
	static const struct {
		const char *suffix;
		uint64_t ns;
	} units[] = {
		{ "", NS_PER_S }, { "s", NS_PER_S },	  { "ms", NS_PER_MS },	    { "us", NS_PER_US },
		{ "ns", 1 },	  { "m", 60 * NS_PER_S }, { "h", 3600 * NS_PER_S }, { "d", 86400 * NS_PER_S },
	};
	const char *suffix;
	struct decimal d;
	uint64_t ns;
	int err;

	err = parse_decimal(text, &d, &suffix);
	if (err < 0)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(suffix, units[i].suffix) != 0)
			continue;
		err = scale_decimal(&d, units[i].ns, &ns);
		if (err < 0)
			return err;
		if (ns == 0)
			return -ERANGE;
		*ret_ns = ns;
		return 0;
	}
	return -EINVAL;
}

static void format_long(uint64_t seconds, char ret_text[DURATION_TEXT_BYTES])
{
	unsigned long long s = seconds;

	if (s < 3600)
		snprintf(ret_text, DURATION_TEXT_BYTES, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(ret_text, DURATION_TEXT_BYTES, "%lluh%02llum", s / 3600, s / 60 % 60);
	else
		snprintf(ret_text, DURATION_TEXT_BYTES, "%llud%02lluh", s / 86400, s / 3600 % 24);
}

void duration_format(uint64_t ns, char ret_text[DURATION_TEXT_BYTES])
{
	static const struct {
		const char *label;
		uint64_t ns;
		uint64_t below; /* tenths: what rounds up to this belongs to the next unit */
	} units[] = { { "us", NS_PER_US, 10000 }, { "ms", NS_PER_MS, 10000 }, { "s", NS_PER_S, 600 } };

	if (ns < NS_PER_US) {
		snprintf(ret_text, DURATION_TEXT_BYTES, "%u ns", (unsigned int)ns);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		uint64_t tenths = tenths_of(ns, units[i].ns);

		if (tenths >= units[i].below)
			continue;
		snprintf(ret_text, DURATION_TEXT_BYTES, "%u.%u %s", (unsigned int)(tenths / 10),
			 (unsigned int)(tenths % 10), units[i].label);
		return;
	}
	format_long((ns + NS_PER_S / 20) / NS_PER_S, ret_text);
}
