/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/link.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PERF_UPROBE "/sys/bus/event_source/devices/uprobe"
#define ATTACH_TYPE_PERF_EVENT 41 /* BPF_PERF_EVENT */
#define UPROBE_MULTI_RETURN 1u	  /* BPF_F_UPROBE_MULTI_RETURN */

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

/* link_create.perf_event, Linux 5.15. */
struct link_perf_attr {
	uint32_t prog_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t cookie;
};
_Static_assert(sizeof(struct link_perf_attr) == 24, "uapi");

/* The number behind a prefix in a file of one line. -1: there is none. */
static int read_number(const char *path, const char *prefix)
{
	FILE *file = fopen(path, "re");
	size_t skip = strlen(prefix);
	char line[64] = "";
	char *end;
	long number;

	if (!file)
		return -1;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	if (strncmp(line, prefix, skip))
		return -1;
	number = strtol(line + skip, &end, 10);
	return end == line + skip || number < 0 || number > INT32_MAX ? -1 : (int)number;
}

static int perf_type(void)
{
	return read_number(PERF_UPROBE "/type", "");
}

static int perf_return_bit(void)
{
	return read_number(PERF_UPROBE "/format/retprobe", "config:");
}

bool link_perf_possible(void)
{
	return perf_type() >= 0 && perf_return_bit() >= 0;
}

static int open_event(const struct link_multi *link, uint32_t i)
{
	struct perf_event_attr attr;
	int type = perf_type(), bit = perf_return_bit();
	long fd;

	if (type < 0 || bit < 0 || bit > 63)
		return -ENOSYS;
	memset(&attr, 0, sizeof(attr));
	attr.size = sizeof(attr);
	attr.type = (uint32_t)type;
	attr.config = link->is_return ? UINT64_C(1) << bit : 0;
	attr.uprobe_path = (uint64_t)(uintptr_t)link->path;
	attr.probe_offset = link->offsets[i];
	/* Every process; the program runs on whatever CPU the probe is hit. */
	fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

int link_perf_create(const struct link_multi *link, uint32_t i)
{
	struct link_perf_attr attr = {
		.prog_fd = (uint32_t)link->prog_fd,
		.attach_type = ATTACH_TYPE_PERF_EVENT,
		.cookie = link->cookies[i],
	};
	int event_fd = open_event(link, i);
	long fd;

	if (event_fd < 0)
		return event_fd;
	attr.target_fd = (uint32_t)event_fd;
	fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	if (fd < 0)
		fd = -errno;
	else
		ioctl(event_fd, PERF_EVENT_IOC_ENABLE, 0);
	close(event_fd); /* the link holds it */
	return (int)fd;
}

int link_count_program(uint32_t attach_type, int map_fd)
{
	const struct bpf_insn insns[] = {
		/* r1 = &value; */
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = map_fd },
		{ .code = 0 },
		/* r2 = 1; lock *r1 += r2; */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 1 },
		{ .code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 1, .src_reg = 2, .imm = BPF_ADD },
		/* return 0; */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	const size_t counting = 4; /* of the instructions */
	size_t first = map_fd < 0 ? counting : 0;
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = attach_type);

	return bpf_prog_load(BPF_PROG_TYPE_KPROBE, "vramtrace", "GPL", insns + first, ARRAY_SIZE(insns) - first,
			     &options);
}
