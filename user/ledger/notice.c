/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/notice.h"

#include "base/cleanup.h"

static const char *pick(const char *const *names, size_t count, unsigned int value)
{
	return value < count ? names[value] : "unknown";
}

const char *placement_name(enum placement placement)
{
	static const char *const names[] = {
		[PLACEMENT_VRAM] = "vram",
		[PLACEMENT_HOST] = "host",
		[PLACEMENT_MIGRATABLE] = "migratable",
		[PLACEMENT_UNKNOWN] = "unknown",
	};

	return pick(names, ARRAY_SIZE(names), placement);
}

const char *purpose_name(enum purpose purpose)
{
	static const char *const names[] = {
		[PURPOSE_MODEL_WEIGHTS] = "model_weights",
		[PURPOSE_KV_CACHE] = "kv_cache",
		[PURPOSE_INTERMEDIATE_BUFFERS] = "intermediate_buffers",
		[PURPOSE_UNKNOWN] = "unknown",
	};

	return pick(names, ARRAY_SIZE(names), purpose);
}

const char *purpose_title(enum purpose purpose)
{
	static const char *const titles[] = {
		[PURPOSE_MODEL_WEIGHTS] = "ModelWeights",
		[PURPOSE_KV_CACHE] = "KVCache",
		[PURPOSE_INTERMEDIATE_BUFFERS] = "IntermediateBuffers",
		[PURPOSE_UNKNOWN] = "Unknown",
	};

	return (unsigned int)purpose < ARRAY_SIZE(titles) ? titles[purpose] : titles[PURPOSE_UNKNOWN];
}

const char *free_reason_name(enum free_reason reason)
{
	static const char *const names[] = {
		[FREE_CALL] = "call",
		[FREE_EXIT] = "exit",
		[FREE_EXEC] = "exec",
		[FREE_CONTEXT] = "context",
		[FREE_EXPORTER_GONE] = "exporter_gone",
		[FREE_DESCRIPTOR] = "descriptor",
	};

	return pick(names, ARRAY_SIZE(names), reason);
}

const char *notice_layer_name(enum notice_layer layer)
{
	static const char *const names[] = {
		[NOTICE_LAYER_DRIVER] = "driver",
		[NOTICE_LAYER_RUNTIME] = "runtime",
		[NOTICE_LAYER_BOTH] = "both",
	};

	return pick(names, ARRAY_SIZE(names), layer);
}

/* Where memory of a kind lives as far as the call that made it says (DESIGN 4); residency may know better. */
enum placement placement_of_kind(enum vt_kind kind)
{
	switch (kind) {
	case VT_KIND_DEVICE:
	case VT_KIND_POOL:
	case VT_KIND_ARRAY:
	case VT_KIND_VMM:
	case VT_KIND_GRAPH:
		return PLACEMENT_VRAM;
	case VT_KIND_MANAGED:
		return PLACEMENT_MIGRATABLE;
	case VT_KIND_PINNED:
	case VT_KIND_REGISTERED:
		return PLACEMENT_HOST;
	case VT_KIND_ANY:
	case VT_KIND_IMPORTED:
	case VT_KIND_COUNT:
		break;
	}
	return PLACEMENT_UNKNOWN;
}
