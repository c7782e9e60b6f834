/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/features.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/link.h"
#include "attach/selftest.h"
#include "base/cleanup.h"

static const struct {
	struct feature feature;
	size_t offset; /* of its bool in struct features */
} rows[] = {
	{ { "btf", "types of the running kernel, for programs that fit it", "5.4", NULL },
	  offsetof(struct features, btf) },
	{ { "ring_buffer", "one buffer of records for all CPUs", "5.8", NULL },
	  offsetof(struct features, ring_buffer) },
	{ { "cookie", "a number per link, which tells the program the probe", "5.15", NULL },
	  offsetof(struct features, cookie) },
	{ { "perf_uprobe", "probes of programs as perf events, without tracefs", "4.17", "uprobe_multi alone" },
	  offsetof(struct features, perf_uprobe) },
	{ { "task_storage", "state of a thread that lies with the thread", "5.11",
	    "a hash table by thread id: dearer per call, and it can be full" },
	  offsetof(struct features, task_storage) },
	{ { "uprobe_multi", "one link for all probes of a library", "6.6",
	    "a link per probe, none for calls that only inform: removed in some 20 s, after the output is complete" },
	  offsetof(struct features, uprobe_multi) },
	{ { "return_probes", "returns of probed calls, harmless under seccomp: tried on a child", "4.17",
	    "entries alone: calls and bytes asked for, no results and no live totals" },
	  offsetof(struct features, return_probes) },
};

size_t feature_count(void)
{
	return ARRAY_SIZE(rows);
}

const struct feature *feature_at(size_t i)
{
	return &rows[i].feature;
}

bool feature_is_there(const struct features *features, size_t i)
{
	return *(const bool *)((const char *)features + rows[i].offset);
}

/* 0 or -errno. A map of the kind that everything else rests on: refused for want of rights, not of the kernel's. */
static int ask_ring(bool *ret_there)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "vramtrace", 0, 0, (uint32_t)sysconf(_SC_PAGESIZE), NULL);

	*ret_there = fd >= 0;
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	return errno == EPERM || errno == ENOSYS ? -errno : 0;
}

/* No file is a directory: the kernel says so if it knows the link at all. */
static bool ask_multi(void)
{
	const uint64_t offset = 0;
	struct link_multi link = { .path = "/", .offsets = &offset, .cookies = &offset, .count = 1 };
	int prog_fd = link_count_program(LINK_ATTACH_TYPE_UPROBE_MULTI, -1), err;

	if (prog_fd < 0)
		return false;
	link.prog_fd = prog_fd;
	err = link_multi_create(&link);
	close(prog_fd);
	if (err >= 0)
		close(err);
	return err >= 0 || err == -EBADF;
}

int features_ask(unsigned int without, struct features *ret_features)
{
	struct features features = { .return_probes_why = "not tried" };
	int err;

	err = ask_ring(&features.ring_buffer);
	if (err)
		return err;
	features.btf = !access("/sys/kernel/btf/vmlinux", R_OK);
	features.cookie = libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_get_attach_cookie, NULL) == 1;
	features.perf_uprobe = link_perf_possible();
	features.task_storage = !(without & ATTACH_WITHOUT_TASK_STORAGE) &&
				libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL) == 1 &&
				libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_task_storage_get, NULL) == 1;
	features.uprobe_multi = !(without & ATTACH_WITHOUT_MULTI) && ask_multi();
	*ret_features = features;
	return 0;
}

int features_detect(unsigned int without, struct features *ret_features)
{
	int err = features_ask(without, ret_features), link_fd;

	if (err)
		return err;
	link_fd = selftest_run(without, ret_features);
	cleanup_close(&link_fd);
	return 0;
}
