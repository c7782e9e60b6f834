/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "probe/maps.h"

/* Digits, then that character. */
static bool take_number(char **at, int base, char end, uint64_t *ret)
{
	char first = **at;
	bool digit = (first >= '0' && first <= '9') || (base == 16 && first >= 'a' && first <= 'f');

	if (!digit)
		return false;
	errno = 0;
	*ret = strtoull(*at, at, base);
	if (errno || **at != end)
		return false;
	++*at;
	return true;
}

/* 7f0c-7f0d r-xp 00001000 fd:01 1234      /path */
bool maps_parse(char *line, struct maps_line *ret)
{
	struct maps_line parsed;
	uint64_t major, minor, inode;
	char *at = line;

	line[strcspn(line, "\n")] = '\0';
	if (!take_number(&at, 16, '-', &parsed.start) || !take_number(&at, 16, ' ', &parsed.end))
		return false;
	if (strnlen(at, 5) < 5 || at[4] != ' ')
		return false;
	parsed.executable = at[2] == 'x';
	at += 5;
	if (!take_number(&at, 16, ' ', &parsed.offset) || !take_number(&at, 16, ':', &major) ||
	    !take_number(&at, 16, ' ', &minor))
		return false;
	inode = strtoull(at, &at, 10);
	(void)inode;
	at += strspn(at, " ");
	parsed.path = at;
	if (parsed.start >= parsed.end)
		return false;
	*ret = parsed;
	return true;
}
