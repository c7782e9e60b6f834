/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "cli/doctor_report.h"
#include "probe/table.h"

/* "11.8.89" -> 11, 8. Parts: how many numbers there are. */
static int version_parts(const char *text, unsigned int *ret_major, unsigned int *ret_minor)
{
	unsigned int patch;
	int parts = sscanf(text, "%9u.%9u.%9u", ret_major, ret_minor, &patch);

	return parts < 0 ? 0 : parts;
}

static bool is_other_architecture(const struct doctor_report *report)
{
	return strcmp(report->system.architecture, "x86_64");
}

static bool is_old_kernel(const struct doctor_report *report)
{
	unsigned int major = 0, minor = 0;

	return version_parts(report->system.kernel, &major, &minor) >= 2 && (major < 5 || (major == 5 && minor < 15));
}

static bool has_32bit(const struct doctor_report *report)
{
	for (size_t i = 0; i < report->file_count; i++)
		if (report->files[i].bits32)
			return true;
	return false;
}

static bool is_wsl(const struct doctor_report *report)
{
	return report->system.wsl;
}

/* The names of virtual GPUs end with a profile, like "NVIDIA A40-48Q"; the older ones begin with GRID. */
static bool is_vgpu_name(const char *name)
{
	size_t length = strlen(name), end = length;

	if (!strncmp(name, "GRID ", 5) || strstr(name, "vGPU"))
		return true;
	if (length < 3 || !memchr("QABC", name[length - 1], 4))
		return false;
	for (end = length - 1; end > 0 && name[end - 1] >= '0' && name[end - 1] <= '9'; end--)
		;
	return end > 0 && end < length - 1 && name[end - 1] == '-';
}

static bool has_vgpu(const struct doctor_report *report)
{
	for (uint32_t i = 0; report->gpus && i < report->gpus->count; i++)
		if (is_vgpu_name(report->gpus->gpu[i].name))
			return true;
	return false;
}

static bool has_mig(const struct doctor_report *report)
{
	return report->system.mig_instances;
}

static bool has_other_kernels(const struct doctor_report *report)
{
	return report->system.other_kernels;
}

static bool is_old_driver(const struct doctor_report *report)
{
	const char *version = report->system.nvidia_version;
	unsigned int major = 0, minor = 0;

	if (!*version && report->gpus)
		version = report->gpus->driver_version;
	return version_parts(version, &major, &minor) && major < 470;
}

/* "11.0" by itself is what every release of 11 is called for the loader. */
static bool has_old_runtime(const struct doctor_report *report)
{
	for (size_t i = 0; i < report->file_count; i++) {
		unsigned int major = 0, minor = 0;
		int parts = version_parts(report->files[i].version, &major, &minor);

		if (report->files[i].layer != VT_LAYER_RUNTIME || !parts)
			continue;
		if (major < 11 || (major == 11 && ((parts > 2 && minor < 2) || (parts == 2 && minor == 1))))
			return true;
	}
	return false;
}

static const struct doctor_unsupported unsupported[] = {
	{ "architectures other than x86-64", "not tried on this architecture; remote calls are not made",
	  is_other_architecture },
	{ "kernels before 5.15", "this kernel is older than any that vramtrace was made for", is_old_kernel },
	{ "32-bit programs", "the 32-bit CUDA library is not probed: programs that use it are not seen", has_32bit },
	{ "WSL", "the GPU belongs to Windows: what other machines take of it, and its devices, are not seen", is_wsl },
	{ "virtual GPUs", "which share of the real GPU the memory is on is not seen", has_vgpu },
	{ "MIG", "memory is not attributed to MIG instances", has_mig },
	{ "programs in another kernel",
	  "what runs in virtual machines and sandboxes here (QEMU, Firecracker, gVisor) "
	  "is not seen: start vramtrace inside",
	  has_other_kernels },
	{ "drivers before 470", "older than any that vramtrace was made for", is_old_driver },
	{ "CUDA runtimes before 11.2", "older than any that vramtrace was made for", has_old_runtime },
};

size_t doctor_unsupported_count(void)
{
	return ARRAY_SIZE(unsupported);
}

const struct doctor_unsupported *doctor_unsupported_at(size_t i)
{
	return i < ARRAY_SIZE(unsupported) ? &unsupported[i] : NULL;
}

/* The reasons that begin so are for now. */
size_t doctor_untraced_calls(void)
{
	static const char now[] = "not yet";
	const struct unprobed_row *row;
	size_t count = 0;

	for (size_t i = 0; (row = unprobed_row(i)); i++)
		count += !strncmp(row->reason, now, strlen(now));
	return count;
}

static void judge_rights(struct doctor_report *report)
{
	const struct doctor_system *system = &report->system;
	struct buf missing = BUF_INIT;

	for (size_t i = 0; i < PRIVILEGE_COUNT; i++)
		if (!system->privileges[i].held)
			buf_printf(&missing, "%s%s", missing.length ? ", " : "", system->privileges[i].name);
	if (missing.length)
		buf_printf(&report->problems, "not enough privilege, run it as root (missing: %s)\n", missing.data);
	if (!system->initial_pid_ns)
		buf_str(&report->problems,
			"this is a PID namespace: start vramtrace on the host, or the container with "
			"--pid=host\n");
	buf_fini(&missing);
}

/* Without rights the kernel refuses everything: that has been said. */
static bool is_refused(int err)
{
	return err == -EPERM || err == -EACCES;
}

static void judge_programs(struct doctor_report *report)
{
	if (report->load_err && (!is_refused(report->load_err) || !report->problems.length))
		buf_printf(&report->problems, "%s\n", report->load.text);
	if (report->features_err)
		return;
	for (size_t i = 0; i < feature_count(); i++) {
		const struct feature *feature = feature_at(i);

		if (feature_is_there(&report->features, i))
			continue;
		if (feature->instead)
			buf_printf(&report->limits, "no %s: %s\n", feature->name, feature->instead);
		else if (!report->load_err)
			buf_printf(&report->problems, "the kernel has no %s (Linux %s brought it)\n", feature->name,
				   feature->since);
	}
}

static void judge_cost(struct doctor_report *report)
{
	const struct doctor_cost *cost = &report->cost;

	if (report->load_err)
		return;
	if (!cost->calls)
		buf_printf(&report->problems, "probes cannot be tried on our own program: %s\n", cost->diag.text);
	else if (cost->counted != cost->calls)
		buf_printf(&report->problems,
			   "probes do not count on this machine: %llu calls were made under them, %llu seen\n",
			   (unsigned long long)cost->calls, (unsigned long long)cost->counted);
}

static void judge_files(struct doctor_report *report)
{
	for (size_t i = 0; i < report->file_count; i++) {
		const struct doctor_file *file = &report->files[i];

		if (file->problem)
			buf_printf(file->named ? &report->problems : &report->limits, "%s\n", file->problem);
	}
	if (!report->file_count)
		buf_str(&report->limits, "no CUDA library was found: one that a program brings along is probed when it "
					 "is mapped, but nothing could be tried here\n");
	if (report->files_left)
		buf_printf(&report->limits, "%zu CUDA libraries more were not looked at\n", report->files_left);
}

static void judge_devices(struct doctor_report *report)
{
	if (!report->gpus) {
		buf_str(&report->limits, "no word from the driver about GPUs (");
		escape_text(&report->limits, report->gpus_diag.text,
			    strlen(report->gpus_diag.text)); /* a foreign library's */
		buf_str(&report->limits, ")\n");
	} else if (!report->gpus->count) {
		buf_str(&report->limits, "the driver knows no GPU\n");
	}
	for (size_t i = 0; i < ARRAY_SIZE(unsupported); i++)
		if (unsupported[i].is_here(report))
			buf_printf(&report->limits, "%s: %s\n", unsupported[i].name, unsupported[i].text);
}

void doctor_judge(struct doctor_report *report)
{
	judge_rights(report);
	judge_programs(report);
	judge_cost(report);
	judge_files(report);
	judge_devices(report);
}

const char *doctor_verdict(const struct doctor_report *report)
{
	if (report->problems.length)
		return "unable";
	return report->limits.length ? "limited" : "ready";
}

void doctor_verdict_text(const struct doctor_report *report, struct buf *ret_buf)
{
	const struct buf *reasons = report->problems.length ? &report->problems : &report->limits;

	if (!reasons->length) {
		buf_str(ret_buf, "ready");
		return;
	}
	buf_str(ret_buf, reasons == &report->problems ? "cannot trace: " : "works with limits: ");
	for (size_t i = 0; i + 1 < reasons->length; i++) {
		if (reasons->data[i] == '\n')
			buf_str(ret_buf, "; ");
		else
			buf_char(ret_buf, reasons->data[i]);
	}
}
