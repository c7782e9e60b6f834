/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
#ifndef VRAMTRACE_PROBE_H
#define VRAMTRACE_PROBE_H

/* Ids and columns of probes.def. Compiled for BPF and for the host; no libc, no functions. */

enum vt_layer {
	VT_LAYER_DRIVER = 1,
	VT_LAYER_RUNTIME = 2,
};

/*
 * Argument layouts, and what of them goes into a call record: addr, size, a and b. `*x` is read at the return, when the function has
 * written it or has at least read what stands beside it. A location is the bytes of struct CUmemLocation as a number: type | id << 32.
 * A token stands for what two processes share, see wire.h. In bpf/shapes.bpf.h.
 */
enum vt_shape {
	VT_SHAPE_OUT_SIZE = 1,	  /* (T **addr, size_t size, ...) */
	VT_SHAPE_OUT_SIZE_STREAM, /* (T **addr, size_t size, stream): a = stream */
	VT_SHAPE_OUT_SIZE_POOL,	  /* (T **addr, size_t size, pool, stream): a = stream, b = pool */
	VT_SHAPE_OUT_PITCH, /* (T **addr, size_t *pitch, size_t width, size_t height, ...): pitch * height bytes */
	VT_SHAPE_OUT_PITCHED_PTR, /* (struct cudaPitchedPtr *out, struct cudaExtent by value): pitch * height * depth bytes */
	VT_SHAPE_ADDR,		  /* (T *addr, ...) */
	VT_SHAPE_ADDR_STREAM, /* (T *addr, stream): a = stream */
	VT_SHAPE_ADDR_SIZE,   /* (T *addr, size_t size, ...) */
	VT_SHAPE_DEVICE,      /* (int device): addr = device */
	VT_SHAPE_PID,	      /* (int pid, ...): addr = pid, as the caller's PID namespace has it */
	VT_SHAPE_OUT,	      /* (T **addr, ...) */
	VT_SHAPE_OUT_FOR,     /* (T **addr, u64 or int what): a = what */
	VT_SHAPE_OUT_3,	      /* (T **addr, ., int device): a = device */
	VT_SHAPE_OUT_4,	      /* (T **addr, ., ., int device): a = device */
	VT_SHAPE_OUT_5,	      /* (T **addr, ., ., ., int device): a = device */
	VT_SHAPE_ADDR_OUT,    /* (T addr, U **out): a = *out */

	VT_SHAPE_ARRAY,	  /* (array *, CUDA_ARRAY_DESCRIPTOR *): bytes computed, 0: we cannot; b = 1 */
	VT_SHAPE_ARRAY3D, /* (array *, CUDA_ARRAY3D_DESCRIPTOR *): the same; a = flags, b = 1 */
	VT_SHAPE_MIPMAP,  /* (array *, CUDA_ARRAY3D_DESCRIPTOR *, unsigned levels): all levels; a = flags, b = levels */
	VT_SHAPE_RT_ARRAY,   /* (array *, cudaChannelFormatDesc *, size_t width, size_t height, unsigned flags) */
	VT_SHAPE_RT_ARRAY3D, /* (array *, cudaChannelFormatDesc *, cudaExtent by value, unsigned flags) */
	VT_SHAPE_RT_MIPMAP, /* (array *, cudaChannelFormatDesc *, cudaExtent by value, unsigned levels, unsigned flags) */

	VT_SHAPE_OUT_SIZE_PROP, /* (handle *, size_t size, CUmemAllocationProp *): a = location, b = handle types | type << 32 */
	VT_SHAPE_OUT_PROP,	/* (pool *, CUmemPoolProps *): a = location, b = handle types | type << 32 */
	VT_SHAPE_OUT_MULTICAST, /* (handle *, CUmulticastObjectProp *): addr = *handle, size from there */
	VT_SHAPE_OUT_LOCATION,	/* (pool *, CUmemLocation *, int type): a = location, b = type */
	VT_SHAPE_MAP,		/* (u64 addr, size_t size, size_t offset, handle): a = handle, b = offset */
	VT_SHAPE_SHARE_OUT, /* (void *shareable, handle, int type): addr = handle, a = token, b = type | descriptor << 32 */
	VT_SHAPE_SHARE_IN,    /* (handle *, void *shareable, int type): addr = *handle, a = token, b = type */
	VT_SHAPE_TOKEN_OUT,   /* (64 bytes *, T addr): a = token */
	VT_SHAPE_TOKEN_VALUE, /* (T **addr, 64 bytes by value, unsigned flags): a = token */
	VT_SHAPE_TOKEN_IN,    /* (T **addr, pool, 64 bytes *): a = token, b = pool */
	VT_SHAPE_OUT_BUFFER,  /* (T **addr, external, CUDA_EXTERNAL_MEMORY_BUFFER_DESC *): size from there */
	VT_SHAPE_EXTERNAL, /* (external *, CUDA_EXTERNAL_MEMORY_HANDLE_DESC *): addr = *external, size, a = token, b = type */

	VT_SHAPE_NODE_ALLOC, /* (node *, graph, ., ., CUDA_MEM_ALLOC_NODE_PARAMS *): addr, size from there; a = graph */
	VT_SHAPE_NODE_FREE,  /* (node *, graph, ., ., u64 addr): a = graph */
	VT_SHAPE_NODE_4,     /* (node *, graph, ., ., CUgraphNodeParams *): addr, size; a = graph, b = type of node */
	VT_SHAPE_NODE_5,     /* (node *, graph, ., ., ., CUgraphNodeParams *): the same */

	VT_SHAPE_ADVISE,      /* (u64 addr, size_t size, int advice, int device): a = location, b = advice */
	VT_SHAPE_ADVISE_AT,   /* (u64 addr, size_t size, int advice, CUmemLocation by value): the same */
	VT_SHAPE_PREFETCH,    /* (u64 addr, size_t size, int device, stream): a = location */
	VT_SHAPE_PREFETCH_AT, /* (u64 addr, size_t size, CUmemLocation by value, unsigned flags, stream): a = location */
	VT_SHAPE_ATTRIBUTE,   /* (pool or device addr, int attribute, u64 *value): a = attribute, size = *value */
	VT_SHAPE_UUID,	      /* (16 bytes *, int device): addr = device, a and b = the bytes */
	VT_SHAPE_NONE,	      /* nothing of its arguments is of interest */
};

enum vt_op {
	VT_OP_ALLOC = 1, /* addr is had: size bytes */
	VT_OP_FREE,	 /* addr is given back */
	VT_OP_RELEASE,	 /* a reference to the handle addr is given back */
	VT_OP_RETAIN,	 /* a reference to the handle addr is had, by the address a */
	VT_OP_MAP,	 /* size bytes of the handle a, from b on, stand at addr */
	VT_OP_UNMAP,	 /* what stands at addr, size bytes, is taken away */
	VT_OP_EXPORT,	 /* addr (a block, a handle or a pool) can be had by others, by token a */
	VT_OP_IMPORT,	 /* addr is had: what others know by token a */
	VT_OP_POOL_NEW,	 /* the pool addr is at location a */
	VT_OP_POOL_OF,	 /* the pool addr is device a's, or at location a */
	VT_OP_POOL_END,
	VT_OP_POOL_TRIM,
	VT_OP_POOL_VALUE, /* the program was told its pool's attribute a: size */
	VT_OP_STREAM_NEW, /* addr, in the current context */
	VT_OP_STREAM_END,
	VT_OP_CAPTURE_BEGIN, /* of the stream addr */
	VT_OP_CAPTURE_END,
	VT_OP_NODE,	       /* a node of a graph; told only of memory nodes */
	VT_OP_GRAPH_TRIM,      /* device addr gives back what graphs keep */
	VT_OP_GRAPH_VALUE,     /* the program was told device addr's attribute a: size */
	VT_OP_CTX_NEW,	       /* addr on device a, current from now on */
	VT_OP_CTX_END,	       /* addr and all that is in it */
	VT_OP_PRIMARY_RETAIN,  /* addr is the context of device a */
	VT_OP_PRIMARY_RELEASE, /* of device addr */
	VT_OP_PRIMARY_RESET,   /* of device addr */
	VT_OP_DEVICE_UUID,     /* the process' device addr */
	VT_OP_ADVISE,
	VT_OP_PREFETCH,
	VT_OP_CHECKPOINT, /* of the process addr: what it has in VRAM goes to the host */
	VT_OP_RESTORE,	  /* and back */
	VT_OP_WATCH,	  /* told only when it fails for want of memory */

	/* never told: the kernel side keeps them, for the context of each call */
	VT_OP_CTX_SET,
	VT_OP_CTX_PUSH,
	VT_OP_CTX_POP,
	VT_OP_DEVICE_SET, /* the runtime's; used where no driver's call is probed */
	VT_OP_COUNT,
};

/* Kinds of memory. The numbers are on the wire: add at the end only. */
enum vt_kind {
	VT_KIND_ANY = 0,
	VT_KIND_DEVICE,
	VT_KIND_MANAGED,
	VT_KIND_PINNED,
	VT_KIND_POOL,
	VT_KIND_REGISTERED, /* host memory that the program had made itself */
	VT_KIND_ARRAY,
	VT_KIND_VMM,	  /* physical memory by handle */
	VT_KIND_IMPORTED, /* another process' memory */
	VT_KIND_GRAPH,	  /* an address of a graph: memory only while the graph runs, or kept by the driver */
	VT_KIND_COUNT,
};

/* Numbers of cuda.h (CUDA 13.0) that both sides need. */
#define VT_LOCATION_DEVICE 1
#define VT_LOCATION_HOST 2
#define VT_LOCATION_HOST_NUMA 3
#define VT_LOCATION_HOST_NUMA_CURRENT 4
#define VT_MEMORY_MANAGED 2 /* CU_MEM_ALLOCATION_TYPE_MANAGED */
#define VT_HANDLE_TYPE_FD 1
#define VT_HANDLE_TYPE_FABRIC 8
#define VT_NODE_MEM_ALLOC 10
#define VT_NODE_MEM_FREE 11
#define VT_ARRAY_SPARSE 0x40
#define VT_ARRAY_DEFERRED 0x80
#define VT_POOL_RESERVED 5 /* CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT */
#define VT_POOL_USED 7
#define VT_GRAPH_USED 0 /* CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT */
#define VT_GRAPH_RESERVED 2

/* Row ids: VT_PROBE_<symbol>, from 0 in file order. Row ids are not stable between builds; names are. */
enum vt_probe {
#define PROBE(symbol, layer, shape, op, kind) VT_PROBE_##symbol,
#include "vramtrace/probes.def"
#undef PROBE
	VT_PROBE_COUNT,
};

#endif
