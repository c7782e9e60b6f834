/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The only code that knows argument order: per shape of probes.def what to keep at the entry, and what to read at the return,
 * when the function has just written it (at the entry the page may not be there yet). x86-64 System V and AArch64.
 * Layouts: cuda.h and driver_types.h of CUDA 13.0, asserted by tests/abi.
 */

#include "token.bpf.h"
#include "array.bpf.h"

/* CUDA_MEM_ALLOC_NODE_PARAMS, alone or at NODE_UNION in CUgraphNodeParams */
#define NODE_BYTESIZE 104
#define NODE_DPTR 112
#define NODE_UNION 16
#define MULTICAST_SIZE 8
#define BUFFER_SIZE 8 /* also of struct cudaExternalMemoryBufferDesc */

#define EXTERNAL_TYPE_FD 1 /* CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD */

/* CUDA_EXTERNAL_MEMORY_HANDLE_DESC */
struct external_desc {
	__u32 type;
	__u32 pad;
	__s32 fd; /* of the union */
	__u32 rest[3];
	__u64 size;
};

/* The head of CUmemAllocationProp and of CUmemPoolProps */
struct prop {
	__u32 type;
	__u32 handle_types;
	__u64 location;
};

#define KEPT_EXTENT 3 /* call->arg[3..5]: width, height, depth */

/* libbpf 1.1 names only five. */
#if defined(__TARGET_ARCH_x86)
#define PARM6(ctx) ((ctx)->r9)
#else
#define PARM6(ctx) (((const struct user_pt_regs *)(ctx))->regs[5])
#endif

#define CPU_LOCATION ((__u64)VT_LOCATION_HOST) /* CU_DEVICE_CPU is -1 */

/* The older calls name a device, the newer ones a location. */
static __always_inline __u64 location_of_device(__u64 device)
{
	return (__s32)device < 0 ? CPU_LOCATION : VT_LOCATION_DEVICE | device << 32;
}

static __always_inline int load(void *to, __u32 bytes, __u64 from)
{
	return bpf_probe_read_user(to, bytes, (const void *)from);
}

/* A struct that is passed by value in memory: on the stack above the return address (x86-64), or by reference (AArch64). */
static __always_inline __u64 by_value(struct pt_regs *ctx, __u64 reference)
{
#if defined(__TARGET_ARCH_x86)
	return PT_REGS_SP(ctx) + 8;
#else
	return reference;
#endif
}

static __always_inline void keep_extent(struct pt_regs *ctx, struct call *call, __u64 reference)
{
	if (load(&call->arg[KEPT_EXTENT], 3 * sizeof(__u64), by_value(ctx, reference)))
		call->arg[KEPT_EXTENT] = call->arg[KEPT_EXTENT + 1] = call->arg[KEPT_EXTENT + 2] = 0;
}

/* The driver takes the descriptor for its own at an import: who it is must be known before. */
static __always_inline void keep_external(struct call *call)
{
	struct external_desc desc = {};

	call->arg[2] = call->arg[3] = call->arg[4] = 0;
	if (load(&desc, sizeof(desc), call->arg[1]))
		return;
	if (desc.type == EXTERNAL_TYPE_FD)
		call->arg[2] = token_of_descriptor(desc.fd);
	call->arg[3] = desc.size;
	call->arg[4] = desc.type;
}

static __always_inline void shape_enter(struct pt_regs *ctx, __u8 shape, struct call *call, struct thread *thread)
{
	call->arg[0] = PT_REGS_PARM1(ctx);
	call->arg[1] = PT_REGS_PARM2(ctx);
	call->arg[2] = PT_REGS_PARM3(ctx);
	call->arg[3] = PT_REGS_PARM4(ctx);
	call->arg[4] = PT_REGS_PARM5(ctx);
	call->arg[5] = PARM6(ctx);
	switch (shape) {
	case VT_SHAPE_OUT_PITCHED_PTR:
		keep_extent(ctx, call, call->arg[1]);
		break;
	case VT_SHAPE_RT_ARRAY3D: /* x86-64: the flags are the third register, for the extent takes none */
#if !defined(__TARGET_ARCH_x86)
		call->arg[2] = PT_REGS_PARM4(ctx);
#endif
		keep_extent(ctx, call, PT_REGS_PARM3(ctx));
		break;
	case VT_SHAPE_RT_MIPMAP:
#if defined(__TARGET_ARCH_x86)
		call->arg[2] = (__u32)PT_REGS_PARM3(ctx) | (__u64)PT_REGS_PARM4(ctx) << 32;
#else
		call->arg[2] = (__u32)PT_REGS_PARM4(ctx) | (__u64)PT_REGS_PARM5(ctx) << 32;
#endif
		keep_extent(ctx, call, PT_REGS_PARM3(ctx));
		break;
	case VT_SHAPE_TOKEN_VALUE:
		call->arg[1] = token_of_bytes(thread->stack, by_value(ctx, call->arg[1]));
		break;
	case VT_SHAPE_EXTERNAL:
		keep_external(call);
		break;
	}
}

/* Bytes asked for: all that is known of a failed allocation, or at its entry. */
static __always_inline __u64 size_asked(__u8 shape, const struct call *call)
{
	switch (shape) {
	case VT_SHAPE_OUT_PITCH:
		return call->arg[2] * call->arg[3]; /* width in bytes, rows */
	case VT_SHAPE_OUT_PITCHED_PTR:
		return call->arg[3] * call->arg[4] * call->arg[5];
	case VT_SHAPE_OUT_SIZE:
	case VT_SHAPE_OUT_SIZE_STREAM:
	case VT_SHAPE_OUT_SIZE_POOL:
	case VT_SHAPE_OUT_SIZE_PROP:
	case VT_SHAPE_ADDR_SIZE:
	case VT_SHAPE_MAP:
	case VT_SHAPE_ADVISE:
	case VT_SHAPE_ADVISE_AT:
	case VT_SHAPE_PREFETCH:
	case VT_SHAPE_PREFETCH_AT:
		return call->arg[1];
	case VT_SHAPE_EXTERNAL:
		return call->arg[3];
	default:
		return 0;
	}
}

static __always_inline void say(struct outcome *outcome, __u64 addr, __u64 a, __u64 b)
{
	outcome->addr = addr;
	outcome->a = a;
	outcome->b = b;
}

static __always_inline void managed_arguments(__u8 shape, const __u64 *arg, struct outcome *outcome)
{
	switch (shape) {
	case VT_SHAPE_ADVISE:
		return say(outcome, arg[0], location_of_device(arg[3]), (__u32)arg[2]);
	case VT_SHAPE_ADVISE_AT:
		return say(outcome, arg[0], arg[3], (__u32)arg[2]);
	case VT_SHAPE_PREFETCH:
		return say(outcome, arg[0], location_of_device(arg[2]), 0);
	case VT_SHAPE_PREFETCH_AT:
		return say(outcome, arg[0], arg[2], 0);
	}
}

/* What the arguments themselves say; no user memory is read. */
static __always_inline void shape_arguments(struct row row, const struct call *call, struct outcome *outcome)
{
	const __u64 *arg = call->arg;

	outcome->size = size_asked(row.shape, call);
	switch (row.shape) {
	case VT_SHAPE_OUT_SIZE_STREAM:
		return say(outcome, 0, arg[2], 0);
	case VT_SHAPE_OUT_SIZE_POOL:
		return say(outcome, 0, arg[3], arg[2]);
	case VT_SHAPE_ADDR:
	case VT_SHAPE_ADDR_OUT:
	case VT_SHAPE_ADDR_SIZE:
		return say(outcome, arg[0], 0, 0);
	case VT_SHAPE_ADDR_STREAM:
		return say(outcome, arg[0], arg[1], 0);
	case VT_SHAPE_DEVICE:
	case VT_SHAPE_PID:
		return say(outcome, (__u32)arg[0], 0, 0);
	case VT_SHAPE_UUID:
		return say(outcome, (__u32)arg[1], 0, 0);
	case VT_SHAPE_ATTRIBUTE:
		return say(outcome, row.op == VT_OP_GRAPH_VALUE ? (__u32)arg[0] : arg[0], (__u32)arg[1], 0);
	case VT_SHAPE_OUT_FOR: /* an address, or a device */
		return say(outcome, 0, row.op == VT_OP_RETAIN ? arg[1] : (__u32)arg[1], 0);
	case VT_SHAPE_OUT_3:
		return say(outcome, 0, (__u32)arg[2], 0);
	case VT_SHAPE_OUT_4:
		return say(outcome, 0, (__u32)arg[3], 0);
	case VT_SHAPE_OUT_5:
		return say(outcome, 0, (__u32)arg[4], 0);
	case VT_SHAPE_OUT_LOCATION:
	case VT_SHAPE_SHARE_IN:
		return say(outcome, 0, 0, (__u32)arg[2]);
	case VT_SHAPE_SHARE_OUT:
		return say(outcome, arg[1], 0, (__u32)arg[2]);
	case VT_SHAPE_MAP:
		return say(outcome, arg[0], arg[3], arg[2]);
	case VT_SHAPE_TOKEN_OUT:
		return say(outcome, arg[1], 0, 0);
	case VT_SHAPE_TOKEN_IN:
		return say(outcome, 0, 0, arg[1]);
	case VT_SHAPE_EXTERNAL:
		return say(outcome, 0, arg[2], arg[4]);
	case VT_SHAPE_NODE_FREE:
		return say(outcome, arg[4], arg[1], 0);
	case VT_SHAPE_TOKEN_VALUE:
	case VT_SHAPE_NODE_ALLOC:
	case VT_SHAPE_NODE_4:
	case VT_SHAPE_NODE_5:
		return say(outcome, 0, arg[1], 0);
	default:
		managed_arguments(row.shape, arg, outcome);
	}
}

/* A memory node of a graph; params: of the node. */
static __always_inline int read_node(__u64 params, struct outcome *outcome)
{
	__u32 type = 0;
	int err = load(&type, sizeof(type), params);

	outcome->b = type;
	if (type == VT_NODE_MEM_FREE)
		return err ? err : load(&outcome->addr, sizeof(outcome->addr), params + NODE_UNION);
	if (type != VT_NODE_MEM_ALLOC)
		return err;
	err = load(&outcome->addr, sizeof(outcome->addr), params + NODE_UNION + NODE_DPTR);
	return err ? err : load(&outcome->size, sizeof(outcome->size), params + NODE_UNION + NODE_BYTESIZE);
}

static __always_inline int read_prop(__u64 where, struct outcome *outcome)
{
	struct prop prop = {};
	int err = load(&prop, sizeof(prop), where);

	outcome->a = prop.location;
	outcome->b = prop.handle_types | (__u64)prop.type << 32;
	return err;
}

/* The token of a handle that was handed out, by its type; a token that cannot be had is 0 and no failure. */
static __always_inline void read_share_out(const struct call *call, struct outcome *outcome, struct thread *thread)
{
	__s32 fd = -1;

	if ((__u32)call->arg[2] == VT_HANDLE_TYPE_FABRIC)
		outcome->a = token_of_bytes(thread->stack, call->arg[0]);
	if ((__u32)call->arg[2] != VT_HANDLE_TYPE_FD || load(&fd, sizeof(fd), call->arg[0]))
		return;
	outcome->a = token_of_descriptor(fd);
	outcome->b |= (__u64)(__u32)fd << 32;
}

static __always_inline void read_share_in(const struct call *call, struct outcome *outcome, struct thread *thread)
{
	if ((__u32)call->arg[2] == VT_HANDLE_TYPE_FABRIC)
		outcome->a = token_of_bytes(thread->stack, call->arg[1]);
	if ((__u32)call->arg[2] == VT_HANDLE_TYPE_FD)
		outcome->a = token_of_descriptor((__s32)call->arg[1]);
}

static __always_inline int read_pitched(__u8 shape, const struct call *call, struct outcome *outcome)
{
	__u64 pitched[2] = {}; /* the head of struct cudaPitchedPtr: ptr, pitch */
	int err;

	if (shape == VT_SHAPE_OUT_PITCHED_PTR) {
		err = load(pitched, sizeof(pitched), call->arg[0]);
		outcome->addr = pitched[0];
		outcome->size = pitched[1] * call->arg[4] * call->arg[5];
		return err;
	}
	err = load(&outcome->addr, sizeof(outcome->addr), call->arg[0]);
	if (!err)
		err = load(&pitched[1], sizeof(pitched[1]), call->arg[1]);
	outcome->size = pitched[1] * call->arg[3];
	return err;
}

/* Shapes whose first argument points to what the function gave. */
static __always_inline bool gives_addr(__u8 shape)
{
	switch (shape) {
	case VT_SHAPE_OUT_SIZE:
	case VT_SHAPE_OUT_SIZE_STREAM:
	case VT_SHAPE_OUT_SIZE_POOL:
	case VT_SHAPE_OUT:
	case VT_SHAPE_OUT_FOR:
	case VT_SHAPE_OUT_3:
	case VT_SHAPE_OUT_4:
	case VT_SHAPE_OUT_5:
	case VT_SHAPE_ARRAY:
	case VT_SHAPE_ARRAY3D:
	case VT_SHAPE_MIPMAP:
	case VT_SHAPE_RT_ARRAY:
	case VT_SHAPE_RT_ARRAY3D:
	case VT_SHAPE_RT_MIPMAP:
	case VT_SHAPE_OUT_SIZE_PROP:
	case VT_SHAPE_OUT_PROP:
	case VT_SHAPE_OUT_MULTICAST:
	case VT_SHAPE_OUT_BUFFER:
	case VT_SHAPE_OUT_LOCATION:
	case VT_SHAPE_SHARE_IN:
	case VT_SHAPE_TOKEN_VALUE:
	case VT_SHAPE_TOKEN_IN:
	case VT_SHAPE_EXTERNAL:
		return true;
	default:
		return false;
	}
}

#define POOL_COUNTERS_FROM 5 /* of CUmemPool_attribute, 64 bits wide; those before are int, but for 4 */
#define POOL_COUNTERS_TO 8

static __always_inline int read_attribute(__u8 op, const struct call *call, struct outcome *outcome)
{
	__u32 attribute = (__u32)call->arg[1];

	if (op == VT_OP_POOL_VALUE && (attribute < POOL_COUNTERS_FROM || attribute > POOL_COUNTERS_TO))
		return 0;
	return load(&outcome->size, sizeof(outcome->size), call->arg[2]);
}

/* What a successful call has written, or has at least read. 0, or the error of the failed read. */
static __always_inline int read_result(struct row row, const struct call *call, struct outcome *outcome,
				       struct thread *thread)
{
	const __u64 *arg = call->arg;
	__u8 shape = row.shape;
	int err = 0;

	if (gives_addr(shape))
		err = load(&outcome->addr, sizeof(outcome->addr), arg[0]);
	if (err)
		return err;
	switch (shape) {
	case VT_SHAPE_OUT_PITCH:
	case VT_SHAPE_OUT_PITCHED_PTR:
		return read_pitched(shape, call, outcome);
	case VT_SHAPE_ADDR_OUT:
		return load(&outcome->a, sizeof(outcome->a), arg[1]);
	case VT_SHAPE_OUT_SIZE_PROP:
		return read_prop(arg[2], outcome);
	case VT_SHAPE_OUT_PROP:
		return read_prop(arg[1], outcome);
	case VT_SHAPE_OUT_MULTICAST:
		return load(&outcome->size, sizeof(outcome->size), arg[1] + MULTICAST_SIZE);
	case VT_SHAPE_OUT_BUFFER:
		return load(&outcome->size, sizeof(outcome->size), arg[2] + BUFFER_SIZE);
	case VT_SHAPE_OUT_LOCATION:
		return load(&outcome->a, sizeof(outcome->a), arg[1]);
	case VT_SHAPE_SHARE_OUT:
		read_share_out(call, outcome, thread);
		return 0;
	case VT_SHAPE_SHARE_IN:
		read_share_in(call, outcome, thread);
		return 0;
	case VT_SHAPE_TOKEN_OUT:
		outcome->a = token_of_bytes(thread->stack, arg[0]);
		return 0;
	case VT_SHAPE_TOKEN_IN:
		outcome->a = token_of_bytes(thread->stack, arg[2]);
		return 0;
	case VT_SHAPE_NODE_ALLOC:
		err = load(&outcome->addr, sizeof(outcome->addr), arg[4] + NODE_DPTR);
		return err ? err : load(&outcome->size, sizeof(outcome->size), arg[4] + NODE_BYTESIZE);
	case VT_SHAPE_NODE_4:
		return read_node(arg[4], outcome);
	case VT_SHAPE_NODE_5:
		return read_node(arg[5], outcome);
	case VT_SHAPE_ATTRIBUTE:
		return read_attribute(row.op, call, outcome);
	case VT_SHAPE_UUID:
		err = load(&outcome->a, sizeof(outcome->a), arg[0]);
		return err ? err : load(&outcome->b, sizeof(outcome->b), arg[0] + 8);
	default:
		return 0;
	}
}

/* Of a call that failed: what it was asked for, where that stands in memory. */
static __always_inline void read_request(__u8 shape, const struct call *call, struct outcome *outcome)
{
	if (shape == VT_SHAPE_NODE_4 || shape == VT_SHAPE_NODE_5)
		read_node(call->arg[shape == VT_SHAPE_NODE_4 ? 4 : 5], outcome);
	if (shape == VT_SHAPE_NODE_ALLOC)
		load(&outcome->size, sizeof(outcome->size), call->arg[4] + NODE_BYTESIZE);
	if (outcome->b != VT_NODE_MEM_FREE)
		outcome->addr = 0;
}

static __always_inline bool is_node(__u8 shape)
{
	return shape >= VT_SHAPE_NODE_ALLOC && shape <= VT_SHAPE_NODE_5 && shape != VT_SHAPE_NODE_FREE;
}

/* 0, or the error of the failed read, which is none where the call failed too. */
static __always_inline int read_outcome(struct row row, const struct call *call, struct outcome *outcome,
					struct thread *thread)
{
	int err = 0;

	shape_arguments(row, call, outcome);
	if (is_array(row.shape))
		err = read_array(row.shape, call, outcome);
	if (!outcome->result)
		return err ? err : read_result(row, call, outcome, thread);
	if (is_node(row.shape))
		read_request(row.shape, call, outcome);
	return 0;
}

static __always_inline void shape_return(struct row row, const struct call *call, struct outcome *outcome,
					 struct thread *thread)
{
	int err = 0;

	if (row.shape == VT_SHAPE_OUT_SIZE) { /* most calls are of these two shapes: they need not look any further */
		outcome->size = call->arg[1];
		if (!outcome->result)
			err = load(&outcome->addr, sizeof(outcome->addr), call->arg[0]);
	} else if (row.shape == VT_SHAPE_ADDR) {
		outcome->addr = call->arg[0];
	} else {
		err = read_outcome(row, call, outcome, thread);
	}
	if (err) {
		outcome->addr = outcome->size = outcome->a = outcome->b = 0;
		outcome->flags |= VT_FLAG_READ_FAILED;
		COUNT(read_failed);
	}
}
