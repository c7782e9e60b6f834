/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/size.h"
#include "cli/doctor_report.h"
#include "probe/table.h"
#include "version.h"

#define LABEL_WIDTH 32

/* "  label          "; the value and the end of the line follow. */
static void label(struct buf *buf, const char *text)
{
	buf_printf(buf, "  %-*s ", LABEL_WIDTH, text);
}

static void line(struct buf *buf, const char *text, const char *value)
{
	label(buf, text);
	escape_text(buf, value, strlen(value));
	buf_str(buf, *value ? "\n" : "cannot be seen\n");
}

static void section(struct buf *buf, const char *title)
{
	buf_printf(buf, "\n%s\n", title);
}

static void print_system(const struct doctor_system *system, struct buf *buf)
{
	section(buf, "System");
	line(buf, "kernel", system->kernel);
	line(buf, "architecture", system->architecture);
	line(buf, "distribution", system->distribution);
	label(buf, "processors");
	buf_printf(buf, "%ld\n", system->processors);
	line(buf, "lockdown", *system->lockdown ? system->lockdown : "not in this kernel, or not shown");
	line(buf, "unprivileged_bpf_disabled", system->unprivileged_bpf_disabled);
	line(buf, "perf_event_paranoid", system->perf_event_paranoid);
}

static void print_features(const struct doctor_report *report, struct buf *buf)
{
	section(buf, "Kernel features");
	if (report->features_err) {
		label(buf, "not asked");
		buf_printf(buf, "asking needs CAP_BPF (%s)\n", strerror(-report->features_err));
		return;
	}
	for (size_t i = 0; i < feature_count(); i++) {
		const struct feature *feature = feature_at(i);

		label(buf, feature->name);
		if (feature_is_there(&report->features, i))
			buf_printf(buf, "yes   %s\n", feature->text);
		else
			buf_printf(buf, "no    Linux %s brought it; %s%s\n", feature->since,
				   feature->instead ? "instead: " : "vramtrace does not run without it",
				   feature->instead ? feature->instead : "");
	}
	label(buf, "seccomp self-test");
	if (report->features.return_probes)
		buf_str(buf, "passed: return probes do programs under seccomp no harm\n");
	else
		buf_printf(buf, "no return probes: %s\n", report->features.return_probes_why);
}

static void print_rights(const struct doctor_system *system, struct buf *buf)
{
	static const char *const modes[] = { "off", "strict", "filter" };
	char size[SIZE_TEXT_BYTES];

	section(buf, "Rights");
	label(buf, "user id");
	buf_printf(buf, "%u\n", system->uid);
	for (size_t i = 0; i < PRIVILEGE_COUNT; i++)
		line(buf, system->privileges[i].name, system->privileges[i].held ? "yes" : "missing");
	line(buf, "PID namespace", system->initial_pid_ns ? "initial" : "not the initial one");
	label(buf, "seccomp of vramtrace");
	if (system->seccomp[0] >= '0' && system->seccomp[0] <= '2' && !system->seccomp[1])
		buf_printf(buf, "%s\n", modes[system->seccomp[0] - '0']);
	else
		buf_str(buf, "cannot be seen\n");
	line(buf, "no new privileges", !strcmp(system->no_new_privs, "1") ? "yes" : "no");
	size_format(system->memlock_bytes, size);
	line(buf, "locked memory", system->memlock_bytes == UINT64_MAX ? "no limit" : size);
}

static void cost_line(struct buf *buf, const char *text, uint64_t ns, const char *meaning)
{
	label(buf, text);
	if (ns)
		buf_printf(buf, "%" PRIu64 " ns   %s\n", ns, meaning);
	else
		buf_printf(buf, "less than 1 ns   %s\n", meaning);
}

static void print_programs(const struct doctor_report *report, struct buf *buf)
{
	const struct doctor_cost *cost = &report->cost;

	section(buf, "Probes, tried on vramtrace itself");
	label(buf, "programs in the kernel");
	buf_printf(buf, "%s\n", report->load_err ? report->load.text : "loaded");
	if (report->load_err)
		return;
	line(buf, "what is seen of a call", report->entry_only ? "its entry" : "entry and return");
	if (!cost->calls) {
		line(buf, "cost of a call", *cost->diag.text ? cost->diag.text : "not measured");
		return;
	}
	label(buf, "calls seen");
	buf_printf(buf, "%" PRIu64 " of %" PRIu64 "\n", cost->counted, cost->calls);
	cost_line(buf, "untraced call", cost->untraced_ns, "CPU time, measured on this machine just now");
	cost_line(buf, "traced call, emulated", cost->emulated_ns, "its first instruction, as in NVIDIA's libraries");
	cost_line(buf, "traced call, single-stepped", cost->stepped_ns, "its first instruction");
}

static void print_absent(const struct doctor_file *file, struct buf *buf)
{
	const struct probe_row *row;
	const char *before = "";

	for (unsigned int id = 0; (row = probe_row(id)); id++) {
		if (row->layer != file->layer || doctor_file_has(file, id))
			continue;
		if (!*before)
			label(buf, "  not in it");
		buf_printf(buf, "%s%s", before, row->symbol);
		before = ", ";
	}
	if (*before)
		buf_char(buf, '\n');
}

static void print_first_instructions(const struct elf_exports *exports, struct buf *buf)
{
	unsigned int emulated = 0, stepped = 0;
	const char *before = ": ";

	for (uint32_t i = 0; i < exports->count; i++) {
		emulated += exports->exports[i].first_insn == ELF_INSN_EMULATED;
		stepped += exports->exports[i].first_insn == ELF_INSN_STEPPED;
	}
	label(buf, "  first instructions");
	buf_printf(buf, "%u emulated, %u single-stepped", emulated, stepped);
	for (uint32_t i = 0; i < exports->count; i++) {
		if (exports->exports[i].first_insn != ELF_INSN_STEPPED)
			continue;
		buf_printf(buf, "%s%s", before, probe_row(exports->exports[i].row)->symbol);
		before = ", ";
	}
	buf_char(buf, '\n');
}

static void print_identity(const struct doctor_file *file, struct buf *buf)
{
	label(buf, "  build id");
	for (uint32_t i = 0; i < file->exports.build_id_length; i++)
		buf_printf(buf, "%02x", file->exports.build_id[i]);
	buf_str(buf, file->exports.build_id_length ? "\n" : "none\n");
	if (strcmp(file->real ? file->real : file->path, file->path))
		line(buf, "  the file is", file->real);
	label(buf, "  found");
	if (file->named)
		buf_str(buf, "by --library\n");
	else if (file->pid)
		buf_printf(buf, "in process %d\n", (int)file->pid);
	else
		buf_str(buf, "in the loader's cache\n");
}

static void print_probes(const struct doctor_report *report, const struct doctor_file *file, struct buf *buf)
{
	label(buf, "  probes");
	if (file->attached)
		buf_printf(buf, "attach to %u calls\n", file->exports.count);
	else if (file->problem)
		buf_printf(buf, "%s\n", file->problem);
	else if (report->entry_only && file->layer == VT_LAYER_RUNTIME)
		buf_str(buf, "not used: without return probes the driver's calls alone are seen\n");
	else
		buf_printf(buf, "not tried; %u calls are there\n", file->exports.count);
}

static void print_file(const struct doctor_report *report, const struct doctor_file *file, struct buf *buf)
{
	buf_str(buf, "  ");
	escape_text(buf, file->path, strlen(file->path));
	buf_char(buf, '\n');
	label(buf, "  is");
	buf_printf(buf, "%s (%s)%s%s%s\n", layer_library(file->layer), layer_name(file->layer),
		   *file->version ? ", version " : "", file->version,
		   file->exports.simulated ? ", the simulated card" : "");
	if (file->real)
		print_identity(file, buf);
	print_probes(report, file, buf);
	if (!file->exports.count)
		return;
	print_absent(file, buf);
	print_first_instructions(&file->exports, buf);
}

static void print_files(const struct doctor_report *report, struct buf *buf)
{
	section(buf, "CUDA libraries");
	if (!report->file_count)
		buf_str(buf, "  none found, in no process and not in the loader's cache\n");
	for (size_t i = 0; i < report->file_count; i++)
		print_file(report, &report->files[i], buf);
	if (report->files_left)
		buf_printf(buf, "  and %zu more\n", report->files_left);
	if (!report->system.privileges[PRIVILEGE_SEE_OTHERS].held)
		buf_str(buf, "  Other users' processes could not be looked at.\n");
}

static void print_gpu(const struct gpu *gpu, uint32_t index, struct buf *buf)
{
	char total[SIZE_TEXT_BYTES], used[SIZE_TEXT_BYTES];

	size_format(gpu->total_bytes, total);
	size_format(gpu->used_bytes, used);
	buf_printf(buf, "  GPU%-*" PRIu32 " ", LABEL_WIDTH - 3, index);
	escape_text(buf, gpu->name, strlen(gpu->name));
	buf_str(buf, ", ");
	escape_text(buf, gpu->uuid, strlen(gpu->uuid));
	buf_printf(buf, ", %s, %s used\n", total, used);
}

static void print_untraced(struct buf *buf)
{
	section(buf, "Not traced yet");
	buf_printf(buf, "  %zu memory calls of CUDA are known and carry no probe: vramtrace --list-probes\n",
		   doctor_untraced_calls());
}

static void print_unsupported(const struct doctor_report *report, struct buf *buf)
{
	section(buf, "Not supported");
	for (size_t i = 0; i < doctor_unsupported_count(); i++) {
		const struct doctor_unsupported *unsupported = doctor_unsupported_at(i);

		label(buf, unsupported->name);
		if (unsupported->is_here(report))
			buf_printf(buf, "here: %s\n", unsupported->text);
		else
			buf_str(buf, "not seen here\n");
	}
}

static void print_devices(const struct doctor_report *report, struct buf *buf)
{
	const struct gpus *gpus = report->gpus;

	section(buf, "Driver");
	line(buf, "kernel module",
	     *report->system.nvidia_module ? report->system.nvidia_module : "not loaded, or not shown");
	line(buf, "by NVML", gpus ? gpus->driver_version : report->gpus_diag.text);
	for (uint32_t i = 0; gpus && i < gpus->count; i++)
		print_gpu(&gpus->gpu[i], i, buf);
	if (gpus && !gpus->count)
		line(buf, "GPUs", "none");
}

void doctor_print_text(const struct doctor_report *report, struct buf *ret_buf)
{
	buf_printf(ret_buf, "vramtrace %s, libbpf %s\n", VRAMTRACE_VERSION, libbpf_version_string());
	print_system(&report->system, ret_buf);
	print_features(report, ret_buf);
	print_rights(&report->system, ret_buf);
	print_programs(report, ret_buf);
	print_files(report, ret_buf);
	print_devices(report, ret_buf);
	print_unsupported(report, ret_buf);
	print_untraced(ret_buf);
	buf_char(ret_buf, '\n');
	doctor_verdict_text(report, ret_buf);
	buf_char(ret_buf, '\n');
}
