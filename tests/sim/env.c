// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "sim.h"

const char vramtrace_simulated_cuda[] = "simulated CUDA of vramtrace";

uint64_t sim_env_bytes(const char *name, uint64_t fallback)
{
	static const char units[] = "KMGT";
	const char *text = getenv(name), *unit;
	uint64_t value;
	char *end;

	if (!text || text[0] < '0' || text[0] > '9')
		return fallback;
	value = strtoull(text, &end, 10);
	if (*end == '\0')
		return value;
	unit = strchr(units, *end);
	return unit ? value << (10 * (unit - units + 1)) : fallback;
}
