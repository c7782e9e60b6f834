/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/link.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UPROBE_MULTI_RETURN 1u /* BPF_F_UPROBE_MULTI_RETURN */

/* link_create.uprobe_multi of union bpf_attr, include/uapi/linux/bpf.h of Linux 6.6; the kernel takes a shorter attr as zero-extended. */
struct link_create_attr {
	uint32_t prog_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t ref_ctr_offsets;
	uint64_t cookies;
	uint32_t cnt;
	uint32_t multi_flags;
	uint32_t pid;
	uint32_t pad;
};
_Static_assert(sizeof(struct link_create_attr) == 64, "uapi");

int link_multi_create(const struct link_multi *link)
{
	struct link_create_attr attr;
	long fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_fd = (uint32_t)link->prog_fd;
	attr.attach_type = LINK_ATTACH_TYPE_UPROBE_MULTI;
	attr.path = (uint64_t)(uintptr_t)link->path;
	attr.offsets = (uint64_t)(uintptr_t)link->offsets;
	attr.cookies = (uint64_t)(uintptr_t)link->cookies;
	attr.cnt = link->count;
	attr.multi_flags = link->is_return ? UPROBE_MULTI_RETURN : 0;
	fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : (int)fd;
}
