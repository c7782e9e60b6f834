/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "attach/link.h"
#include "attach/links.h"
#include "attach/selftest.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "probe/table.h"
#include "vramtrace/config.h"
#include "vramtrace.skel.h"

struct probed {
	dev_t dev;
	ino_t ino;
	uint64_t since_ns;
};

struct attach {
	struct vramtrace_bpf *skel;
	struct probed *probed;
	size_t probed_count;
	struct features features;
	struct links selftest; /* of one return probe on a function of our own */
	struct links enters;
	struct links returns;
	struct closing closing;
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

static void configure_maps(struct vramtrace_bpf *skel, const struct attach_settings *settings, bool by_tid)
{
	bpf_map__set_max_entries(skel->maps.ring, (uint32_t)settings->ring_bytes);
	bpf_map__set_autocreate(skel->maps.threads, !by_tid);
	bpf_map__set_autocreate(skel->maps.threads_by_tid, by_tid);
	if (!settings->map_entries)
		return;
	bpf_map__set_max_entries(skel->maps.processes, settings->map_entries);
	bpf_map__set_max_entries(skel->maps.threads_by_tid, settings->map_entries);
}

static void configure(struct vramtrace_bpf *skel, const struct attach_settings *settings,
		      const struct features *features)
{
	const enum bpf_attach_type type = features->uprobe_multi ? LINK_ATTACH_TYPE_UPROBE_MULTI : 0;
	struct vt_config *config = (struct vt_config *)&skel->rodata->settings;

	config->listed_only = settings->listed_only;
	config->follow = settings->follow;
	config->own_tgid = settings->own_tgid;
	config->wake_bytes = (uint32_t)(settings->ring_bytes / 4);
	config->wake_window_ns = ATTACH_WAKE_WINDOW_NS;
	config->full_bytes = (uint32_t)(settings->ring_bytes - settings->ring_bytes / 8);
	config->count_layer = settings->runtime_only ? VT_LAYER_RUNTIME : VT_LAYER_DRIVER;
	config->entry_only = !features->return_probes;
	config->thread_hash = !features->task_storage;
	/* Without randomness tokens could be guessed, which gives nobody a handle. */
	if (getrandom(config->token_key, sizeof(config->token_key), 0) != sizeof(config->token_key))
		config->token_key[0] = clock_mono_ns();
	configure_maps(skel, settings, config->thread_hash);
	bpf_program__set_expected_attach_type(skel->progs.call_enter, type);
	bpf_program__set_expected_attach_type(skel->progs.call_return, type);
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
				"this kernel does not take the BPF programs: Linux 5.15 or later with BTF is needed "
				"(run with -vv for the kernel's words)");
	return diag_err(diag, err, "cannot load the BPF programs: %s (run with -vv for the kernel's words)",
			strerror(-err));
}

/* What there is no other way for. */
static int find_features(struct attach *attach, unsigned int without, struct diag *diag)
{
	int err = features_ask(without, &attach->features), link_fd;

	if (err)
		return load_error(diag, err);
	for (size_t i = 0; i < feature_count(); i++)
		if (!feature_at(i)->instead && !feature_is_there(&attach->features, i))
			return diag_err(diag, -EINVAL, "this kernel does not have what is needed: %s (%s, Linux %s)",
					feature_at(i)->name, feature_at(i)->text, feature_at(i)->since);
	if (!attach->features.uprobe_multi && !attach->features.perf_uprobe)
		return diag_err(diag, -EINVAL,
				"this kernel has neither uprobe_multi nor perf_uprobe: no program can be probed");
	link_fd = selftest_run(without, &attach->features);
	return link_fd >= 0 && links_add(&attach->selftest, link_fd) ? diag_err(diag, -ENOMEM, "out of memory") : 0;
}

/* A link per probe is a descriptor per probe. What cannot be raised is not an error: a refused link will be. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int attach_new(const struct attach_settings *settings, struct attach **ret_attach, struct diag *diag)
{
	struct attach *attach = calloc(1, sizeof(*attach));
	int err;

	if (!attach)
		return diag_err(diag, -ENOMEM, "out of memory");
	libbpf_set_print(print_libbpf);
	err = find_features(attach, settings->without, diag);
	if (err)
		goto out;
	if (!attach->features.uprobe_multi)
		raise_descriptors();
	attach->skel = vramtrace_bpf__open();
	if (!attach->skel) {
		err = diag_err(diag, -errno, "cannot open the BPF object: %s", strerror(errno));
		goto out;
	}
	configure(attach->skel, settings, &attach->features);
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
	links_close(&attach->selftest, 0);
	free(attach->probed);
	vramtrace_bpf__destroy(attach->skel);
	free(attach);
}

int attach_add_process(struct attach *attach, uint32_t tgid)
{
	struct vt_process_state state = { 0 };
	/* A process that has ended and left losses unread makes way. */
	uint64_t flags = attach_has_process(attach, tgid) ? BPF_NOEXIST : BPF_ANY;

	return bpf_map__update_elem(attach->skel->maps.processes, &tgid, sizeof(tgid), &state, sizeof(state), flags);
}

void attach_remove_process(struct attach *attach, uint32_t tgid)
{
	bpf_map__delete_elem(attach->skel->maps.processes, &tgid, sizeof(tgid), 0);
}

bool attach_has_process(const struct attach *attach, uint32_t tgid)
{
	struct vt_process_state state;

	return !bpf_map__lookup_elem(attach->skel->maps.processes, &tgid, sizeof(tgid), &state, sizeof(state), 0) &&
	       !state.ended;
}

uint64_t attach_library_since(const struct attach *attach, dev_t dev, ino_t ino)
{
	for (size_t i = 0; i < attach->probed_count; i++)
		if (attach->probed[i].dev == dev && attach->probed[i].ino == ino)
			return attach->probed[i].since_ns;
	return 0;
}

/* All places of one library, in the way that this kernel has. What is there of them on failure is taken away. */
static int link_all(const struct attach *attach, const struct link_multi *link, struct links *links)
{
	size_t before = links->count;
	int fd, err = 0;

	if (attach->features.uprobe_multi) {
		fd = link_multi_create(link);
		return fd < 0 ? fd : links_add(links, fd);
	}
	for (uint32_t i = 0; !err && i < link->count; i++) {
		fd = link_perf_create(link, i);
		err = fd < 0 ? fd : links_add(links, fd);
	}
	if (err)
		links_close(links, before);
	return err;
}

/* Calls that change nothing: the program asks, gives back what it does not use, or does without. */
static bool is_aside(enum vt_op op)
{
	return op == VT_OP_WATCH || op == VT_OP_POOL_VALUE || op == VT_OP_POOL_TRIM || op == VT_OP_GRAPH_VALUE ||
	       op == VT_OP_GRAPH_TRIM;
}

static bool is_wanted(const struct attach *attach, uint32_t id)
{
	const struct probe_row *row = probe_row(id);
	bool is_alone = attach->skel->rodata->settings.count_layer == VT_LAYER_RUNTIME;

	/* Where the driver's calls are probed they tell of contexts. */
	if (!row || (row->op == VT_OP_DEVICE_SET && !is_alone))
		return false;
	if (row->op == VT_OP_ALLOC || row->op == VT_OP_FREE)
		return true;
	if (!attach->features.return_probes)
		return false; /* entries of others are not told */
	/* Single links take about 0.1 s each to remove: none for what the driver's calls say anyway. */
	return attach->features.uprobe_multi || ((row->layer == VT_LAYER_DRIVER || is_alone) && !is_aside(row->op));
}

/* Returns first: an entry must never be seen whose return cannot be. */
static int link_both(struct attach *attach, const struct library *library)
{
	uint64_t offsets[VT_PROBE_COUNT], cookies[VT_PROBE_COUNT];
	char path[64];
	struct link_multi link = { .path = path, .offsets = offsets, .cookies = cookies };
	size_t returns = attach->returns.count;
	int err = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", library->fd);
	for (uint32_t i = 0; i < library->exports.count && i < VT_PROBE_COUNT; i++) {
		uint32_t row = library->exports.exports[i].row;

		if (!is_wanted(attach, row))
			continue;
		offsets[link.count] = library->exports.exports[i].offset;
		cookies[link.count++] = row | (uint64_t)attach->probed_count << 32;
	}
	if (!link.count)
		return 0;
	if (attach->features.return_probes) {
		link.is_return = true;
		link.prog_fd = bpf_program__fd(attach->skel->progs.call_return);
		err = link_all(attach, &link, &attach->returns);
	}
	if (err)
		return err;
	link.is_return = false;
	link.prog_fd = bpf_program__fd(attach->skel->progs.call_enter);
	err = link_all(attach, &link, &attach->enters);
	if (err)
		links_close(&attach->returns, returns);
	return err;
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
	err = link_both(attach, library);
	if (err)
		return diag_err(diag, err, "the kernel refuses the probes on this file: %s", strerror(-err));
	probed.since_ns = clock_mono_ns();
	attach->probed[attach->probed_count++] = probed;
	return 0;
}

void attach_enable(struct attach *attach)
{
	attach->skel->bss->phase = VT_PHASE_CALLS;
}

/*
 * Until every program that runs now is over: whoever changes a map of maps waits for those that may still use the old one.
 * membarrier(2) does not where one CPU is all there is, or some run without a tick (nohz_full).
 */
static int wait_for_programs(void)
{
	CLEANUP_CLOSE int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "vramtrace", sizeof(uint32_t), 8, 1, NULL);
	LIBBPF_OPTS(bpf_map_create_opts, options, .inner_map_fd = (uint32_t)inner);
	CLEANUP_CLOSE int outer = -1;
	const uint32_t zero = 0;

	if (inner < 0)
		return inner;
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "vramtrace", sizeof(zero), sizeof(inner), 1, &options);
	return outer < 0 ? outer : bpf_map_update_elem(outer, &zero, &inner, BPF_ANY);
}

void attach_disable(struct attach *attach)
{
	int err;

	attach->skel->bss->phase = VT_PHASE_OVER;
	/* Programs that run right now may not have seen it. */
	err = wait_for_programs();
	if (err)
		log_warn("cannot wait for calls that are being told just now: %s", strerror(-err));
}

bool attach_detach_is_slow(const struct attach *attach)
{
	return !attach->features.uprobe_multi && attach->enters.count + attach->returns.count;
}

void attach_detach_begin(struct attach *attach)
{
	/* Entries first: no new call may begin whose return will not be seen. */
	struct links all = attach->enters;

	attach->enters = (struct links) { 0 };
	attach->probed_count = 0;
	if (links_take(&all, &attach->returns))
		links_close(&attach->returns, 0);
	if (links_take(&all, &attach->selftest))
		links_close(&attach->selftest, 0);
	closing_begin(&attach->closing, &all);
}

size_t attach_detach_wait(struct attach *attach, int timeout_ms)
{
	return closing_wait(&attach->closing, timeout_ms);
}

void attach_detach(struct attach *attach)
{
	if (!attach_detach_is_slow(attach)) {
		links_close(&attach->enters, 0);
		links_close(&attach->returns, 0);
		attach->probed_count = 0;
	} else {
		attach_detach_begin(attach);
	}
	attach_detach_wait(attach, -1);
}

const struct features *attach_features(const struct attach *attach)
{
	return &attach->features;
}

bool attach_entry_only(const struct attach *attach)
{
	return !attach->features.return_probes;
}

int attach_ring_fd(const struct attach *attach)
{
	return bpf_map__fd(attach->skel->maps.ring);
}

int attach_cpu_count(void)
{
	return libbpf_num_possible_cpus();
}

int attach_read_cpu_stats(const struct attach *attach, struct vt_stats *ret_stats)
{
	int cpus = attach_cpu_count();
	uint32_t zero = 0;

	if (cpus < 0)
		return cpus;
	return bpf_map__lookup_elem(attach->skel->maps.stats, &zero, sizeof(zero), ret_stats,
				    (size_t)cpus * sizeof(*ret_stats), 0);
}

int attach_read_stats(const struct attach *attach, struct vt_stats *ret_stats)
{
	int cpus = attach_cpu_count(), err;
	struct vt_stats *values;
	uint64_t *sum = (uint64_t *)ret_stats;

	if (cpus < 0)
		return cpus;
	values = calloc((size_t)cpus, sizeof(*values));
	if (!values)
		return -ENOMEM;
	err = attach_read_cpu_stats(attach, values);
	memset(ret_stats, 0, sizeof(*ret_stats));
	for (int cpu = 0; !err && cpu < cpus; cpu++)
		for (size_t i = 0; i < sizeof(*values) / sizeof(uint64_t); i++)
			sum[i] += ((const uint64_t *)&values[cpu])[i];
	free(values);
	return err;
}

/* An entry that goes meanwhile makes the kernel begin again, so there is a limit. */
int attach_each_process(const struct attach *attach, attach_state_fn *fn, void *ctx)
{
	const struct bpf_map *map = attach->skel->maps.processes;
	uint32_t *tgids = calloc(bpf_map__max_entries(map), sizeof(*tgids));
	struct vt_process_state state;
	uint32_t count = 0;
	int err = 0;

	if (!tgids)
		return -ENOMEM;
	while (count < bpf_map__max_entries(map)) {
		err = bpf_map__get_next_key(map, count ? &tgids[count - 1] : NULL, &tgids[count], sizeof(*tgids));
		if (err)
			break;
		count++;
	}
	for (uint32_t i = 0; i < count; i++)
		if (!bpf_map__lookup_elem(map, &tgids[i], sizeof(*tgids), &state, sizeof(state), 0))
			fn(ctx, tgids[i], &state);
	free(tgids);
	return err == -ENOENT ? 0 : err;
}
