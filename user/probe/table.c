/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/cleanup.h"
#include "probe/table.h"

const struct probe_row probe_rows[] = {
#define PROBE(symbol, layer, shape, op, kind)                                                                          \
	{ #symbol, VT_LAYER_##layer, VT_SHAPE_##shape, VT_OP_##op, VT_KIND_##kind },
#include "vramtrace/probes.def"
#undef PROBE
};
_Static_assert(ARRAY_SIZE(probe_rows) == VT_PROBE_COUNT, "one row per id");

#define REASON(id, text) static const char reason_##id[] = text;
#include "vramtrace/probes.def"

static const struct unprobed_row unprobed[] = {
#define UNPROBED(symbol, layer, reason) { #symbol, VT_LAYER_##layer, reason_##reason },
#include "vramtrace/probes.def"
};

struct error_row {
	enum vt_layer layer;
	int error;
	const char *name;
};

static const struct error_row errors[] = {
#define ERROR(layer, error, name) { VT_LAYER_##layer, error, #name },
#include "probe/errors.def"
#undef ERROR
};

int probe_row_find(const char *symbol)
{
	for (size_t i = 0; i < ARRAY_SIZE(probe_rows); i++) {
		if (!strcmp(probe_rows[i].symbol, symbol))
			return (int)i;
	}
	return -ENOENT;
}

const struct unprobed_row *unprobed_row(size_t i)
{
	return i < ARRAY_SIZE(unprobed) ? &unprobed[i] : NULL;
}

const char *layer_name(enum vt_layer layer)
{
	return layer == VT_LAYER_DRIVER ? "driver" : "runtime";
}

const char *layer_library(enum vt_layer layer)
{
	return layer == VT_LAYER_DRIVER ? "libcuda" : "libcudart";
}

const char *kind_name(enum vt_kind kind)
{
	static const char *const names[] = {
		[VT_KIND_ANY] = "any",	     [VT_KIND_DEVICE] = "device", [VT_KIND_MANAGED] = "managed",
		[VT_KIND_PINNED] = "pinned", [VT_KIND_POOL] = "pool",	  [VT_KIND_REGISTERED] = "registered",
		[VT_KIND_ARRAY] = "array",   [VT_KIND_VMM] = "vmm",	  [VT_KIND_IMPORTED] = "imported",
		[VT_KIND_GRAPH] = "graph",
	};

	return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "unknown";
}

const char *error_name(enum vt_layer layer, int error)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (errors[i].layer == layer && errors[i].error == error)
			return errors[i].name;
	}
	return NULL;
}
