/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call LIBRARY SYMBOL...: calls each function of a real library once, on a machine without a driver or before the driver is
 * initialised: it refuses. A line "SYMBOL RESULT ROUTE" each; ROUTE says where cuGetProcAddress, the way by which the runtime finds the
 * driver's calls, leads for that name in the versions of it: "other", to a function that is none of the SYMBOLs, "same", at least once to
 * this symbol, else "none".
 */
#include <dlfcn.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vramtrace/probe.h"

/* Words enough for all shapes: six in registers, then what is passed by value, as it lies on the stack: a struct cudaExtent. */
typedef int (*any_call)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
			uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
typedef int (*get_proc)(const char *symbol, void **ret_address, int version, uint64_t flags);

#define BYTES 4096 /* what each call that asks for memory asks for */
#define FLAG_LEGACY_STREAM 1
#define FLAG_PER_THREAD_STREAM 2
#define NAME_BYTES 128

static uint64_t out[64], out_2[64];
static const uint64_t array[] = { BYTES, 1, 1 | 1ull << 32 };	       /* CUDA_ARRAY_DESCRIPTOR: a channel of 8 bits */
static const uint64_t array_3d[] = { BYTES, 1, 0, 1 | 1ull << 32, 0 }; /* CUDA_ARRAY3D_DESCRIPTOR: the same */
static const int channel[] = { 8, 0, 0, 0, 1 };			       /* cudaChannelFormatDesc */
static const uint64_t prop[32] = { 1, VT_LOCATION_DEVICE };	       /* CUmemAllocationProp, CUmemPoolProps */
static const uint64_t external[16] = { 1, UINT32_MAX, 0, BYTES }; /* CUDA_EXTERNAL_MEMORY_HANDLE_DESC: descriptor -1 */
static const uint64_t node[64] = { VT_NODE_MEM_FREE };		  /* CUgraphNodeParams */

#define P(object) ((uintptr_t)(object))

/* Where nothing is said: an address, BYTES twice, and numbers. */
static const uint64_t usual[6] = { P(out), BYTES, BYTES, 1 };
static const uint64_t arguments[VT_SHAPE_NONE + 1][6] = {
	[VT_SHAPE_OUT_SIZE] = { P(out), BYTES, 1 },
	[VT_SHAPE_OUT_PITCH] = { P(out), P(out_2), BYTES, 1, 4 },
	[VT_SHAPE_OUT_PITCHED_PTR] = { P(out) },
	[VT_SHAPE_DEVICE] = { 1 },
	[VT_SHAPE_PID] = { INT32_MAX },
	[VT_SHAPE_OUT] = { P(out) },
	[VT_SHAPE_OUT_FOR] = { P(out), 1 },
	[VT_SHAPE_OUT_3] = { P(out) },
	[VT_SHAPE_OUT_4] = { P(out) },
	[VT_SHAPE_OUT_5] = { P(out) },
	[VT_SHAPE_ADDR_OUT] = { P(out), P(out_2) },
	[VT_SHAPE_ARRAY] = { P(out), P(array) },
	[VT_SHAPE_ARRAY3D] = { P(out), P(array_3d) },
	[VT_SHAPE_MIPMAP] = { P(out), P(array_3d), 1 },
	[VT_SHAPE_RT_ARRAY] = { P(out), P(channel), BYTES, 1 },
	[VT_SHAPE_RT_ARRAY3D] = { P(out), P(channel) },
	[VT_SHAPE_RT_MIPMAP] = { P(out), P(channel), 1 },
	[VT_SHAPE_OUT_SIZE_PROP] = { P(out), BYTES, P(prop) },
	[VT_SHAPE_OUT_PROP] = { P(out), P(prop) },
	[VT_SHAPE_OUT_MULTICAST] = { P(out), P(prop) },
	[VT_SHAPE_OUT_LOCATION] = { P(out), P(&prop[1]), 1 },
	[VT_SHAPE_MAP] = { P(out), BYTES, 0, 1 },
	[VT_SHAPE_SHARE_OUT] = { P(out), P(out_2), VT_HANDLE_TYPE_FD },
	[VT_SHAPE_SHARE_IN] = { P(out), UINT32_MAX, VT_HANDLE_TYPE_FD },
	[VT_SHAPE_TOKEN_OUT] = { P(out), P(out_2) },
	[VT_SHAPE_TOKEN_IN] = { P(out), P(out_2), P(node) },
	[VT_SHAPE_OUT_BUFFER] = { P(out), P(out_2), P(external) },
	[VT_SHAPE_EXTERNAL] = { P(out), P(external) },
	[VT_SHAPE_NODE_ALLOC] = { P(out), P(out_2), 0, 0, P(node) },
	[VT_SHAPE_NODE_FREE] = { P(out), P(out_2), 0, 0, BYTES },
	[VT_SHAPE_NODE_4] = { P(out), P(out_2), 0, 0, P(node) },
	[VT_SHAPE_NODE_5] = { P(out), P(out_2), 0, 0, 0, P(node) },
	[VT_SHAPE_ATTRIBUTE] = { P(out), VT_POOL_USED, P(out_2) },
	[VT_SHAPE_UUID] = { P(out), 1 },
	[VT_SHAPE_NONE] = { P(out), P(out_2) },
};

static const struct {
	const char *symbol;
	enum vt_shape shape;
} rows[] = {
#define PROBE(symbol, layer, shape, op, kind) { #symbol, VT_SHAPE_##shape },
#include "vramtrace/probes.def"
};

static int refuse(any_call call, const char *symbol)
{
	static const uint64_t no_stream[6];
	const uint64_t *arg = usual;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (!strcmp(rows[i].symbol, symbol) && arguments[rows[i].shape][0])
			arg = arguments[rows[i].shape];
	}
	/* Of a stream the driver reads before it refuses (580); none is one to it. */
	if (!strncmp(symbol, "cuStream", 8) && !strstr(symbol, "Create"))
		arg = no_stream;
	return call(arg[0], arg[1], arg[2], arg[3], arg[4], arg[5], BYTES, 1, 1, 0, 0, 0, 0, 0);
}

/* The name that a program asks for: without _v2 and the like, without _ptsz, which is a flag. */
static uint64_t plain_name(const char *symbol, char *ret_name)
{
	char *end;
	uint64_t flags = FLAG_LEGACY_STREAM;

	snprintf(ret_name, NAME_BYTES, "%s", symbol);
	end = strstr(ret_name, "_pts");
	if (end) {
		*end = '\0';
		flags = FLAG_PER_THREAD_STREAM;
	}
	end = strstr(ret_name, "_v");
	if (end)
		*end = '\0';
	return flags;
}

static int is_named(void *library, char **names, const void *address)
{
	for (; *names; names++) {
		if (dlsym(library, *names) == address)
			return 1;
	}
	return 0;
}

/* names: all that are to be called. */
static const char *route(void *library, const char *symbol, char **names)
{
	/* Of CUDA, in which a name got another function. cuGetProcAddress is of 11.3. */
	static const int versions[] = { 11000, 11040, 11080, 12000, 12020, 12030, 12050, 12080, 13000 };
	get_proc find = (get_proc)dlsym(library, "cuGetProcAddress");
	const char *found = "none";
	char name[NAME_BYTES];
	uint64_t flags = plain_name(symbol, name);

	for (size_t i = 0; find && i < sizeof(versions) / sizeof(*versions); i++) {
		void *address = NULL;

		if (find(name, &address, versions[i], flags) || !address)
			continue;
		if (!is_named(library, names, address))
			return "other";
		if (address == dlsym(library, symbol))
			found = "same";
	}
	return found;
}

/* As root the driver would make /dev/nvidiactl on a machine that has no such device, and leave it there. */
static int give_up_mknod(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2];

	if (syscall(SYS_capget, &header, sets))
		return -1;
	sets[0].effective &= ~(1u << CAP_MKNOD);
	sets[0].permitted &= ~(1u << CAP_MKNOD);
	return (int)syscall(SYS_capset, &header, sets);
}

/* What multicast does to a machine of GPUs, and a checkpoint to its processes, is not to be tried, not even refused. */
static int is_harmless(const char *symbol)
{
	return access("/dev/nvidia0", F_OK) ||
	       (strncmp(symbol, "cuMulticast", 11) && strncmp(symbol, "cuCheckpoint", 12));
}

int main(int argc, char **argv)
{
	void *library = argc > 1 && !give_up_mknod() ? dlopen(argv[1], RTLD_NOW) : NULL;

	if (!library) {
		fprintf(stderr, "call: %s\n", argc > 1 ? dlerror() : "no library named");
		return 1;
	}
	for (int i = 2; i < argc; i++) {
		any_call call = (any_call)dlsym(library, argv[i]);

		if (!call || !is_harmless(argv[i]))
			continue;
		printf("%s %d %s\n", argv[i], refuse(call, argv[i]), route(library, argv[i], argv + 2));
		fflush(stdout);
	}
	return 0;
}
