/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* probes.def, as the programs know it. */

struct row {
	__u8 layer;
	__u8 shape;
	__u8 op;
	__u8 kind;
};

static const struct row rows[VT_PROBE_COUNT] = {
#define PROBE(symbol, layer_, shape_, op_, kind_)                                                                      \
	[VT_PROBE_##symbol] = { VT_LAYER_##layer_, VT_SHAPE_##shape_, VT_OP_##op_, VT_KIND_##kind_ },
#include "vramtrace/probes.def"
#undef PROBE
};

/*
 * By value, layer 0: no such row. The verifier knows a bound only of the register that was compared: what was read there must not be
 * read again by way of another one.
 */
static __always_inline struct row row_of(__u32 id)
{
	union {
		struct row row;
		__u32 word;
	} value = { .word = 0 };
	__u32 word = 0;

	barrier_var(id);
	if (id < VT_PROBE_COUNT)
		word = *(const __u32 *)&rows[id];
	barrier_var(word);
	value.word = word;
	return value.row;
}

/* Of some rows only the context is of interest. */
static __always_inline bool is_ever_told(struct row row)
{
	return row.op < VT_OP_CTX_SET;
}
