/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_TABLE_H
#define PROBE_TABLE_H

#include <stddef.h>

#include "vramtrace/probe.h"

/* The rows of probes.def for the user side. */
struct probe_row {
	const char *symbol;
	enum vt_layer layer;
	enum vt_shape shape;
	enum vt_op op;
	enum vt_kind kind;
};

/* Calls of probes.def that deal with memory and carry no probe. */
struct unprobed_row {
	const char *symbol;
	enum vt_layer layer;
	const char *reason; /* for people */
};

extern const struct probe_row probe_rows[VT_PROBE_COUNT];

static inline const struct probe_row *probe_row(unsigned int id) /* NULL if id is no row */
{
	return id < VT_PROBE_COUNT ? &probe_rows[id] : NULL;
}

int probe_row_find(const char *symbol);		   /* row id, or -ENOENT */
const struct unprobed_row *unprobed_row(size_t i); /* in the table's order, from 0; NULL after the last */
const char *layer_name(enum vt_layer layer);	   /* "driver", "runtime" */
const char *layer_library(enum vt_layer layer);	   /* "libcuda", "libcudart" */
const char *kind_name(enum vt_kind kind);	   /* "device", "managed", "pinned", "pool" */

/* "CUDA_ERROR_OUT_OF_MEMORY", "cudaErrorMemoryAllocation"; "error 12345" codes that we do not know give NULL. */
const char *error_name(enum vt_layer layer, int error);
#define CUDA_OUT_OF_MEMORY 2 /* the same number in both layers: cuda.h, driver_types.h */

#endif
