/* SPDX-License-Identifier: Apache-2.0 */
/* Any line as one of /proc/PID/maps. */
#include "probe/library.h"
#include "probe/maps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size + 1);
	struct maps_line parsed;
	enum vt_layer layer;

	if (!line)
		return 0;
	memcpy(line, data, size);
	line[size] = '\0';
	if (maps_parse(line, &parsed)) {
		if (parsed.start >= parsed.end || parsed.path < line || parsed.path + strlen(parsed.path) > line + size)
			abort();
		library_name_matches(parsed.path, &layer);
	}
	free(line);
	return 0;
}
