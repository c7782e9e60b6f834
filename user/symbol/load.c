/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "probe/maps.h"
#include "symbol/range.h"

#define LINES_MAX (1u << 18) /* of one process; the kernel's default bound is a quarter of it */

/* In place: the kernel writes a newline inside a path as \012. */
static void unescape(char *path)
{
	char *to = path;

	for (const char *from = path; *from;) {
		if (strncmp(from, "\\012", 4) == 0) {
			*to++ = '\n';
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

static bool is_known(const struct image *image, const struct range *range)
{
	const struct range *known;
	uint32_t index;

	if (!image->space)
		return false;
	index = space_search(image->space, range->start);
	known = &image->space->ranges[index];
	return index < image->space->count && known->start == range->start && known->end == range->end &&
	       known->path == range->path;
}

static void take_line(struct spaces *spaces, struct image *image, const struct maps_line *line, char *path)
{
	struct range range = { .start = line->start, .end = line->end, .file_offset = line->offset };

	unescape(path);
	range.path = strings_get(&spaces->paths, path, strlen(path));
	if (range.path && is_known(image, &range))
		strings_put(&spaces->paths, range.path); /* and with it since when, and which file */
	else if (!range.path || space_put(spaces, &image->space, &range) < 0)
		image->partial = true;
}

int spaces_read_maps(struct spaces *spaces, uint32_t tgid, FILE *file)
{
	struct image *image = spaces_living(spaces, tgid);
	CLEANUP_FREE char *text = NULL;
	struct maps_line line;
	size_t capacity = 0;

	if (!image)
		return -ENOMEM;
	image->partial = false;
	for (unsigned int i = 0; i < LINES_MAX && getline(&text, &capacity, file) >= 0; i++) {
		if (maps_parse(text, &line) && line.executable && space_path_is_file(line.path))
			take_line(spaces, image, &line, text + (line.path - text));
	}
	image_forget_stacks(image);
	return 0;
}
