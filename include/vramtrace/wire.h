/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
#ifndef VRAMTRACE_WIRE_H
#define VRAMTRACE_WIRE_H

#include "vramtrace/types.h"

/*
 * Records from the BPF programs to decode/, over the ring buffer or from a recording. Fixed width, little endian as the
 * host, 8-byte aligned, every byte written.
 */

#define VT_WIRE_VERSION 2 /* 1: struct vt_call ended, but for the frames, with size */

enum vt_record_kind {
	VT_RECORD_CALL = 1,    /* struct vt_call: one settled call, successful or not */
	VT_RECORD_PROCESS = 2, /* struct vt_process: first probed call of a process */
	VT_RECORD_FORK = 3,    /* struct vt_process: of the child; header.tgid is the child */
	VT_RECORD_EXEC = 4,    /* struct vt_process: the new program image */
	VT_RECORD_EXIT = 5,    /* struct vt_process: the last thread has ended */
};

enum vt_record_flag {
	VT_FLAG_READ_FAILED =
		1 << 0,		    /* the call succeeded but addr or size could not be read from user memory: both 0 */
	VT_FLAG_DISAGREES = 1 << 1, /* a runtime call failed although the driver call under it had succeeded */
	VT_FLAG_ENTRY = 1 << 2,	    /* told as it was entered: result 0 is no success, addr is 0 for an ALLOC */
};

struct vt_header {
	__u16 kind;    /* enum vt_record_kind */
	__u16 length;  /* bytes of the whole record, header included */
	__u16 cpu;     /* that produced the record: lost counts per CPU */
	__u8 version;  /* VT_WIRE_VERSION */
	__u8 flags;    /* enum vt_record_flag */
	__u32 tgid;    /* process, in the initial PID namespace */
	__u32 tid;     /* thread, in the initial PID namespace */
	__u64 time_ns; /* CLOCK_MONOTONIC; of a call: its return */
	__u32 lost;    /* records this CPU had failed to deliver so far, any process, wrapping */
	__u32 pad;     /* 0 */
};
_Static_assert(sizeof(struct vt_header) == 32, "wire");

/* Frames: return addresses in the traced process, innermost first, from the outermost probed call outwards. */
#define VT_FRAMES_MAX 6

struct vt_call {
	struct vt_header header;
	__u16 row;	 /* enum vt_probe that size, addr and result come from */
	__u16 outer_row; /* enum vt_probe the program called: equal to row unless a driver call ran under a runtime call */
	__s32 result;	 /* cudaError_t or CUresult of row; 0 is success */
	__u64 enter_ns; /* CLOCK_MONOTONIC, of row's entry */
	__u64 addr;	/* what was returned, 0 on failure; or the argument: see enum vt_shape, as for size, a and b */
	__u64 size;	/* ALLOC: bytes asked for (pitched: bytes given, or width * height on failure) */
	__u64 context;	/* current in the thread, at the return: see below. 0: none that we saw */
	__u64 a;	/* by shape; 0 where it says nothing, and where reading it failed */
	__u64 b;
	__u64 frames[]; /* (header.length - sizeof(struct vt_call)) / 8, 0..VT_FRAMES_MAX */
};
_Static_assert(sizeof(struct vt_call) == 88, "wire");
#define VT_CALL_BYTES_1 64 /* of wire version 1 */

/*
 * A context is a CUcontext, as the driver's calls have set it. Where the driver's calls are not probed it is the ordinal of the thread's
 * device + 1, as the runtime's calls have set it: no address is as low.
 */
#define VT_CONTEXT_ORDINALS 4096

/*
 * A token stands for what one process hands to another, and is the same for both: a 64-byte handle, or the open file behind a descriptor.
 * It is a keyed hash (SipHash-2-4, the key of config.h is drawn at each load), for a handle itself opens the memory to whoever has it:
 * none ever leaves the kernel. 0: it could not be read.
 */

struct vt_process {
	struct vt_header header;
	__u64 start_ns;	   /* CLOCK_BOOTTIME of the process' start: with tgid, its identity */
	__u32 parent_tgid; /* 0 if unknown */
	__u32 ns_tgid;	   /* as the process sees itself, in its own PID namespace */
	__u32 uid;	   /* real, in the initial user namespace */
	__s32 exit_code;   /* EXIT: as in wait(2); else 0 */
	char comm[16];	   /* NUL-padded, any bytes */

	/* EXIT, of the whole life of the process, else 0: produced = delivered + lost. This record itself is not among them. */
	__u64 produced; /* records made for it */
	__u64 lost;	/* of these, not delivered: the ring was full */
};
#define VT_PROCESS_BYTES_MIN 72 /* without the counts: older producers */
_Static_assert(sizeof(struct vt_process) == VT_PROCESS_BYTES_MIN + 16, "wire");

#define VT_RECORD_BYTES_MAX (sizeof(struct vt_call) + 8 * VT_FRAMES_MAX)

#endif
