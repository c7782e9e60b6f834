/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
#ifndef VRAMTRACE_PROBE_H
#define VRAMTRACE_PROBE_H

/* Ids and columns of probes.def. Compiled for BPF and for the host; no libc, no functions. */

enum vt_layer {
	VT_LAYER_DRIVER = 1,
	VT_LAYER_RUNTIME = 2,
};

/* Argument layouts. One entry and one return function in bpf/shapes.bpf.h per row. */
enum vt_shape {
	VT_SHAPE_OUT_SIZE = 1, /* (T **out, size_t size, ...) */
	VT_SHAPE_OUT_PITCH,    /* (T **out, size_t *pitch, size_t width, size_t height, ...): pitch * height bytes */
	VT_SHAPE_OUT_PITCHED_PTR, /* (struct cudaPitchedPtr *out, struct cudaExtent by value): pitch * ysize * depth bytes */
	VT_SHAPE_ADDR,		  /* (T *addr, ...) */
};

enum vt_op {
	VT_OP_ALLOC = 1,
	VT_OP_FREE = 2,
};

/* Kinds of memory. The numbers are on the wire: add at the end only. */
enum vt_kind {
	VT_KIND_ANY = 0,
	VT_KIND_DEVICE,
	VT_KIND_MANAGED,
	VT_KIND_PINNED,
	VT_KIND_POOL,
};

/* Row ids: VT_PROBE_<symbol>, from 0 in file order. Row ids are not stable between builds; names are. */
enum vt_probe {
#define PROBE(symbol, layer, shape, op, kind) VT_PROBE_##symbol,
#include "vramtrace/probes.def"
#undef PROBE
	VT_PROBE_COUNT,
};

#endif
