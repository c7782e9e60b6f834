/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTACH_LINK_H
#define ATTACH_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Links of a BPF program to places in a file, by raw bpf(2) calls: libbpf before 1.3 has no uprobe_multi, and we keep descriptors alone. */

struct link_multi {
	int prog_fd;
	const char *path; /* of the file; a /proc/self/fd path is fine */
	const uint64_t *offsets;
	const uint64_t *cookies;
	uint32_t count;
	bool is_return;
};

#define LINK_ATTACH_TYPE_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI, include/uapi/linux/bpf.h; to be set before load */

/* One for all places: Linux 6.6 and later. A link descriptor or -errno; -EINVAL on kernels without uprobe_multi. */
int link_multi_create(const struct link_multi *link);

/* One for the place i, as a perf event: the program is loaded without an attach type. A link descriptor or -errno. */
int link_perf_create(const struct link_multi *link, uint32_t i);
bool link_perf_possible(void);

/* A program that counts its runs in the first value of the array of u64 map_fd (-1: counts nothing). A descriptor or -errno. */
int link_count_program(uint32_t attach_type, int map_fd);

#endif
