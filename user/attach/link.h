/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTACH_LINK_H
#define ATTACH_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One uprobe_multi link by a raw bpf(2) call, for libbpf before 1.3 has none. Linux 6.6 and later. */

struct link_multi {
	int prog_fd;
	const char *path; /* of the file; a /proc/self/fd path is fine */
	const uint64_t *offsets;
	const uint64_t *cookies;
	uint32_t count;
	bool is_return;
};

#define LINK_ATTACH_TYPE_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI, include/uapi/linux/bpf.h; to be set before load */

/* A link descriptor or -errno. -EINVAL on kernels without uprobe_multi. */
int link_multi_create(const struct link_multi *link);

#endif
