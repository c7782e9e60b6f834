/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The only code that knows argument order: per shape of probes.def what to keep at the entry, and what to read at the return,
 * when the function has just written it (at the entry the page may not be there yet). x86-64 System V and AArch64.
 */

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

/* struct cudaExtent by value: on the stack above the return address (x86-64, class MEMORY), or by reference (AArch64). */
static __always_inline void keep_extent(struct pt_regs *ctx, struct call *call)
{
	__u64 extent[3] = {}; /* width in bytes, height, depth */
#if defined(__TARGET_ARCH_x86)
	const void *where = (const void *)(PT_REGS_SP(ctx) + 8);
#else
	const void *where = (const void *)PT_REGS_PARM2(ctx);
#endif

	if (bpf_probe_read_user(extent, sizeof(extent), where))
		return;
	call->arg[0] = extent[0];
	call->arg[1] = extent[1] * extent[2];
}

static __always_inline void shape_enter(struct pt_regs *ctx, __u8 shape, struct call *call)
{
	switch (shape) {
	case VT_SHAPE_OUT_SIZE:
		call->out = PT_REGS_PARM1(ctx);
		call->arg[0] = PT_REGS_PARM2(ctx);
		break;
	case VT_SHAPE_OUT_PITCH:
		call->out = PT_REGS_PARM1(ctx);
		call->arg[0] = PT_REGS_PARM3(ctx); /* width in bytes */
		call->arg[1] = PT_REGS_PARM4(ctx); /* rows */
		call->arg[2] = PT_REGS_PARM2(ctx); /* where the pitch will be written */
		break;
	case VT_SHAPE_OUT_PITCHED_PTR:
		call->out = PT_REGS_PARM1(ctx);
		call->arg[0] = call->arg[1] = 0;
		keep_extent(ctx, call);
		break;
	case VT_SHAPE_ADDR:
		call->arg[0] = PT_REGS_PARM1(ctx);
		break;
	}
}

/* Bytes asked for: all that is known of a failed allocation. */
static __always_inline __u64 size_asked(__u8 shape, const struct call *call)
{
	if (shape == VT_SHAPE_OUT_PITCH || shape == VT_SHAPE_OUT_PITCHED_PTR)
		return call->arg[0] * call->arg[1];
	return call->arg[0];
}

/* addr and size of a successful allocation. 0, or the error of the failed read. */
static __always_inline int read_result(__u8 shape, const struct call *call, struct outcome *outcome)
{
	__u64 pitched[2] = {}; /* the head of struct cudaPitchedPtr: ptr, pitch */
	__u64 pitch = 0;
	int err;

	if (shape == VT_SHAPE_OUT_PITCHED_PTR) {
		err = bpf_probe_read_user(pitched, sizeof(pitched), (const void *)call->out);
		outcome->addr = pitched[0];
		outcome->size = pitched[1] * call->arg[1];
		return err;
	}
	err = bpf_probe_read_user(&outcome->addr, sizeof(outcome->addr), (const void *)call->out);
	if (!err && shape == VT_SHAPE_OUT_PITCH) {
		err = bpf_probe_read_user(&pitch, sizeof(pitch), (const void *)call->arg[2]);
		outcome->size = pitch * call->arg[1];
	}
	return err;
}

static __always_inline void shape_return(__u8 shape, const struct call *call, struct outcome *outcome)
{
	if (shape == VT_SHAPE_ADDR) {
		outcome->addr = call->arg[0];
		return;
	}
	outcome->size = size_asked(shape, call);
	if (outcome->result == 0 && read_result(shape, call, outcome)) {
		outcome->addr = 0;
		outcome->size = 0;
		outcome->flags |= VT_FLAG_READ_FAILED;
		COUNT(read_failed);
	}
}
