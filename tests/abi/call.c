/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call LIBRARY SYMBOL...: calls each function of a real library once, on a machine without a driver or before the driver is
 * initialised: it refuses, and touches no argument. A line "SYMBOL RESULT ROUTE" each; ROUTE says where cuGetProcAddress, the way by
 * which the runtime finds the driver's calls, leads for that name: "same" as the exported symbol, "other", or "none" if it does
 * not know it or there is no such function.
 */
#include <dlfcn.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Words enough for all shapes: six in registers, then a struct cudaExtent as it lies on the stack (width, height, depth). */
typedef int (*any_call)(void *, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
typedef int (*get_proc)(const char *symbol, void **ret_address, int version, uint64_t flags);

#define BYTES 4096
#define NEWEST_OF_FIRST_ABI 11080 /* cuGetProcAddress without _v2 is of CUDA 11 */
#define FLAG_LEGACY_STREAM 1
#define FLAG_PER_THREAD_STREAM 2

/* The name that a program asks for: without _v2, without _ptsz, which is a flag. */
static uint64_t plain_name(const char *symbol, char *ret_name, size_t bytes)
{
	char *end;
	uint64_t flags = FLAG_LEGACY_STREAM;

	snprintf(ret_name, bytes, "%s", symbol);
	end = strstr(ret_name, "_pts");
	if (end) {
		*end = '\0';
		flags = FLAG_PER_THREAD_STREAM;
	}
	end = strstr(ret_name, "_v2");
	if (end)
		*end = '\0';
	return flags;
}

static const char *route(get_proc find, const char *symbol, const void *exported)
{
	char name[128];
	void *address = NULL;
	uint64_t flags = plain_name(symbol, name, sizeof(name));

	if (!find || find(name, &address, NEWEST_OF_FIRST_ABI, flags) || !address)
		return "none";
	return address == exported ? "same" : "other";
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

int main(int argc, char **argv)
{
	static uint64_t out[8], pitch;
	void *library = argc > 1 && !give_up_mknod() ? dlopen(argv[1], RTLD_NOW) : NULL;
	get_proc find;

	if (!library) {
		fprintf(stderr, "call: %s\n", argc > 1 ? dlerror() : "no library named");
		return 1;
	}
	find = (get_proc)dlsym(library, "cuGetProcAddress");
	for (int i = 2; i < argc; i++) {
		any_call call = (any_call)dlsym(library, argv[i]);
		uint64_t second = strstr(argv[i], "Pitch") ? (uintptr_t)&pitch : BYTES;

		if (!call)
			continue;
		printf("%s %d %s\n", argv[i], call(out, second, BYTES, 1, 0, 0, BYTES, 1, 1),
		       route(find, argv[i], (const void *)call));
	}
	return 0;
}
