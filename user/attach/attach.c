/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/link.h"
#include "base/clock.h"
#include "base/log.h"
#include "vramtrace/config.h"
#include "vramtrace.skel.h"

struct probed {
	dev_t dev;
	ino_t ino;
	uint64_t since_ns;
	int enter_fd;
	int return_fd;
};

struct attach {
	struct vramtrace_bpf *skel;
	struct probed *probed;
	size_t probed_count;
};

/* libbpf speaks one level lower than it thinks: its warnings are details of an error that we tell in our own words. */
static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[1024];
	size_t length;

	if (log_get_level() < (level == LIBBPF_DEBUG ? LOG_TRACE : LOG_DEBUG))
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	length = strlen(line);
	if (length && line[length - 1] == '\n')
		line[length - 1] = '\0';
	log_at(level == LIBBPF_DEBUG ? LOG_TRACE : LOG_DEBUG, "libbpf: %s", line);
	return 0;
}

static void configure(struct vramtrace_bpf *skel, const struct attach_settings *settings)
{
	struct vt_config *config = (struct vt_config *)&skel->rodata->settings;

	config->listed_only = settings->listed_only;
	config->follow = settings->follow;
	config->own_tgid = settings->own_tgid;
	config->wake_bytes = (uint32_t)(settings->ring_bytes / 4);
	config->wake_window_ns = ATTACH_WAKE_WINDOW_NS;
	bpf_map__set_max_entries(skel->maps.ring, (uint32_t)settings->ring_bytes);
	bpf_program__set_expected_attach_type(skel->progs.call_enter, LINK_ATTACH_TYPE_UPROBE_MULTI);
	bpf_program__set_expected_attach_type(skel->progs.call_return, LINK_ATTACH_TYPE_UPROBE_MULTI);
	/* Linked per library, by attach_library(). */
	bpf_program__set_autoattach(skel->progs.call_enter, false);
	bpf_program__set_autoattach(skel->progs.call_return, false);
}

static int load_error(struct diag *diag, int err)
{
	if (err == -EPERM)
		return diag_err(
			diag, err,
			"the kernel refuses to load BPF programs (%s): root or CAP_BPF and CAP_PERFMON are needed",
			strerror(-err));
	if (err == -EINVAL || err == -EACCES)
		return diag_err(diag, err,
				"this kernel does not take the BPF programs: Linux 6.6 or later with BTF is needed "
				"(run with -vv for the kernel's words)");
	return diag_err(diag, err, "cannot load the BPF programs: %s (run with -vv for the kernel's words)",
			strerror(-err));
}

int attach_new(const struct attach_settings *settings, struct attach **ret_attach, struct diag *diag)
{
	struct attach *attach = calloc(1, sizeof(*attach));
	int err;

	if (!attach)
		return diag_err(diag, -ENOMEM, "out of memory");
	libbpf_set_print(print_libbpf);
	attach->skel = vramtrace_bpf__open();
	if (!attach->skel) {
		err = diag_err(diag, -errno, "cannot open the BPF object: %s", strerror(errno));
		goto out;
	}
	configure(attach->skel, settings);
	err = vramtrace_bpf__load(attach->skel);
	if (err) {
		load_error(diag, err);
		goto out;
	}
	err = vramtrace_bpf__attach(attach->skel);
	if (err)
		diag_err(diag, err, "cannot follow the life of processes (BTF tracepoints): %s", strerror(-err));
out:
	if (err) {
		attach_free(attach);
		return err;
	}
	*ret_attach = attach;
	return 0;
}

void attach_free(struct attach *attach)
{
	if (!attach)
		return;
	attach_detach(attach);
	free(attach->probed);
	vramtrace_bpf__destroy(attach->skel);
	free(attach);
}

int attach_add_process(struct attach *attach, uint32_t tgid)
{
	struct vt_process_state state = { 0 };

	return bpf_map__update_elem(attach->skel->maps.processes, &tgid, sizeof(tgid), &state, sizeof(state),
				    BPF_NOEXIST);
}

void attach_remove_process(struct attach *attach, uint32_t tgid)
{
	bpf_map__delete_elem(attach->skel->maps.processes, &tgid, sizeof(tgid), 0);
}

bool attach_has_process(const struct attach *attach, uint32_t tgid)
{
	struct vt_process_state state;

	return !bpf_map__lookup_elem(attach->skel->maps.processes, &tgid, sizeof(tgid), &state, sizeof(state), 0);
}

uint64_t attach_library_since(const struct attach *attach, dev_t dev, ino_t ino)
{
	for (size_t i = 0; i < attach->probed_count; i++)
		if (attach->probed[i].dev == dev && attach->probed[i].ino == ino)
			return attach->probed[i].since_ns;
	return 0;
}

static int link_both(struct attach *attach, const struct library *library, struct probed *ret_probed)
{
	uint64_t offsets[VT_PROBE_COUNT], cookies[VT_PROBE_COUNT];
	char path[64];
	struct link_multi link = { .path = path, .offsets = offsets, .cookies = cookies };

	snprintf(path, sizeof(path), "/proc/self/fd/%d", library->fd);
	link.count = library->exports.count;
	for (uint32_t i = 0; i < link.count && i < VT_PROBE_COUNT; i++) {
		offsets[i] = library->exports.exports[i].offset;
		cookies[i] = library->exports.exports[i].row | (uint64_t)attach->probed_count << 32;
	}
	/* Returns first: an entry must never be seen whose return cannot be. */
	link.is_return = true;
	link.prog_fd = bpf_program__fd(attach->skel->progs.call_return);
	ret_probed->return_fd = link_multi_create(&link);
	if (ret_probed->return_fd < 0)
		return ret_probed->return_fd;
	link.is_return = false;
	link.prog_fd = bpf_program__fd(attach->skel->progs.call_enter);
	ret_probed->enter_fd = link_multi_create(&link);
	if (ret_probed->enter_fd < 0) {
		close(ret_probed->return_fd);
		return ret_probed->enter_fd;
	}
	return 0;
}

int attach_library(struct attach *attach, const struct library *library, struct diag *diag)
{
	struct probed probed = { .dev = library->dev, .ino = library->ino }, *grown;
	int err;

	if (attach_library_since(attach, library->dev, library->ino))
		return -EALREADY;
	grown = reallocarray(attach->probed, attach->probed_count + 1, sizeof(*grown));
	if (!grown)
		return diag_err(diag, -ENOMEM, "out of memory");
	attach->probed = grown;
	err = link_both(attach, library, &probed);
	if (err)
		return diag_err(diag, err, "the kernel refuses the probes on this file: %s", strerror(-err));
	probed.since_ns = clock_mono_ns();
	attach->probed[attach->probed_count++] = probed;
	return 0;
}

void attach_enable(struct attach *attach)
{
	attach->skel->bss->enabled = 1;
}

void attach_disable(struct attach *attach)
{
	attach->skel->bss->enabled = 0;
}

void attach_detach(struct attach *attach)
{
	/* Entries first: no new call may begin whose return will not be seen. */
	for (size_t i = 0; i < attach->probed_count; i++)
		close(attach->probed[i].enter_fd);
	for (size_t i = 0; i < attach->probed_count; i++)
		close(attach->probed[i].return_fd);
	attach->probed_count = 0;
}

int attach_ring_fd(const struct attach *attach)
{
	return bpf_map__fd(attach->skel->maps.ring);
}

int attach_read_stats(const struct attach *attach, struct vt_stats *ret_stats)
{
	int cpus = libbpf_num_possible_cpus(), err;
	struct vt_stats *values;
	uint64_t *sum = (uint64_t *)ret_stats;
	uint32_t zero = 0;

	if (cpus < 0)
		return cpus;
	values = calloc((size_t)cpus, sizeof(*values));
	if (!values)
		return -ENOMEM;
	err = bpf_map__lookup_elem(attach->skel->maps.stats, &zero, sizeof(zero), values,
				   (size_t)cpus * sizeof(*values), 0);
	memset(ret_stats, 0, sizeof(*ret_stats));
	for (int cpu = 0; !err && cpu < cpus; cpu++)
		for (size_t i = 0; i < sizeof(*values) / sizeof(uint64_t); i++)
			sum[i] += ((const uint64_t *)&values[cpu])[i];
	free(values);
	return err;
}
