/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the loader's cache: every string told lies inside them. */
#include <stdint.h>

#include "probe/ldcache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bounds {
	const char *start, *end;
};

static int check(void *ctx, const char *name, const char *path)
{
	const struct bounds *bounds = ctx;

	if (name < bounds->start || name + strlen(name) >= bounds->end)
		abort();
	if (path < bounds->start || path + strlen(path) >= bounds->end || path[0] != '/')
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bounds bounds = { (const char *)data, (const char *)data + size };

	ldcache_parse((const char *)data, size, check, &bounds);
	return 0;
}
