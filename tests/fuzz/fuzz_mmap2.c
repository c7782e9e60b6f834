/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as one record of a perf ring: a path that is told lies inside the record. */
#include <linux/perf_event.h>

#include "probe/perf_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t length = size & ~(size_t)7;
	struct mapping mapping;
	uint64_t lost;
	char *record;

	if (length < sizeof(struct perf_event_header) || length > UINT16_MAX)
		return 0;
	record = malloc(length);
	if (!record)
		return 0;
	memcpy(record, data, length);
	if (perf_record_decode(record, length, &mapping, &lost) == PERF_NEWS_MAPPING) {
		if (!mapping.tgid || (mapping.kind == MAPPING_MAP) != !!mapping.path)
			abort();
		if (mapping.path && (mapping.path < record || mapping.path + strlen(mapping.path) >= record + length))
			abort();
	}
	free(record);
	return 0;
}
