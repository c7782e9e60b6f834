/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/libbpf.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/doctor_report.h"
#include "probe/table.h"
#include "version.h"

/* What could not be seen is null. */
static void known(struct json *json, const char *name, const char *value)
{
	json_string(json, name, *value ? value : NULL);
}

static void add_common(const struct doctor_report *report, struct json *json)
{
	static const char *const absent[] = { "host", "pid", "tid", "ns_pid", "comm", "device", "device_uuid" };
	const char *verdict = doctor_verdict(report);
	uint64_t now_ns = clock_mono_ns();
	char time[CLOCK_RFC3339_BYTES];
	struct buf human = BUF_INIT;

	clock_format_rfc3339(clock_wall_of(now_ns), time);
	json_u64(json, "schema", 1);
	json_string(json, "event", "doctor");
	json_string(json, "ts", time);
	json_u64(json, "mono_ns", now_ns);
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		json_null(json, absent[i]);
	json_string(json, "actor", "vram-residency");
	json_string(json, "action", "doctor_report");
	json_string(json, "level",
		    !strcmp(verdict, "ready")	  ? "info"
		    : !strcmp(verdict, "limited") ? "warning"
						  : "error");
	doctor_verdict_text(report, &human);
	json_string(json, "human", human.data ? human.data : "");
	json_string(json, "verdict", verdict);
	buf_fini(&human);
}

/* One string a line of the buffer. */
static void add_lines(struct json *json, const char *name, const struct buf *lines)
{
	const char *at = lines->data, *end;

	json_array_begin(json, name);
	for (; at && (end = strchr(at, '\n')); at = end + 1) {
		struct buf one = BUF_INIT;

		buf_add(&one, at, (size_t)(end - at));
		json_string(json, NULL, one.data ? one.data : "");
		buf_fini(&one);
	}
	json_array_end(json);
}

static void add_system(const struct doctor_system *system, struct json *json)
{
	json_object_begin(json, "system");
	known(json, "kernel", system->kernel);
	known(json, "architecture", system->architecture);
	known(json, "distribution", system->distribution);
	json_i64(json, "processors", system->processors);
	known(json, "lockdown", system->lockdown);
	known(json, "unprivileged_bpf_disabled", system->unprivileged_bpf_disabled);
	known(json, "perf_event_paranoid", system->perf_event_paranoid);
	json_object_end(json);
}

static void add_features(const struct doctor_report *report, struct json *json)
{
	json_array_begin(json, "features");
	for (size_t i = 0; i < feature_count(); i++) {
		const struct feature *feature = feature_at(i);

		json_object_begin(json, NULL);
		json_string(json, "name", feature->name);
		if (report->features_err)
			json_null(json, "available");
		else
			json_bool(json, "available", feature_is_there(&report->features, i));
		json_string(json, "text", feature->text);
		json_string(json, "since", feature->since);
		json_string(json, "instead", feature->instead);
		json_object_end(json);
	}
	json_array_end(json);
	known(json, "return_probes_why", report->features_err ? "" : report->features.return_probes_why);
}

static void add_rights(const struct doctor_system *system, struct json *json)
{
	json_object_begin(json, "rights");
	json_u64(json, "uid", system->uid);
	json_object_begin(json, "capabilities");
	for (size_t i = 0; i < PRIVILEGE_COUNT; i++)
		json_bool(json, system->privileges[i].name, system->privileges[i].held);
	json_object_end(json);
	json_bool(json, "initial_pid_namespace", system->initial_pid_ns);
	known(json, "seccomp", system->seccomp);
	known(json, "no_new_privs", system->no_new_privs);
	if (system->memlock_bytes == UINT64_MAX)
		json_null(json, "memlock_bytes");
	else
		json_u64(json, "memlock_bytes", system->memlock_bytes);
	json_object_end(json);
}

static void add_programs(const struct doctor_report *report, struct json *json)
{
	const struct doctor_cost *cost = &report->cost;

	json_object_begin(json, "programs");
	json_bool(json, "loaded", !report->load_err);
	known(json, "error", report->load_err ? report->load.text : cost->diag.text);
	json_bool(json, "entry_only", report->entry_only);
	json_u64(json, "calls_made", cost->calls);
	json_u64(json, "calls_seen", cost->counted);
	json_u64(json, "untraced_ns", cost->untraced_ns);
	json_u64(json, "traced_emulated_ns", cost->emulated_ns);
	json_u64(json, "traced_stepped_ns", cost->stepped_ns);
	json_object_end(json);
}

static void add_calls(const struct doctor_file *file, struct json *json)
{
	static const char *const names[] = { "unknown", "emulated", "stepped" };
	const struct probe_row *row;

	json_array_begin(json, "calls");
	for (uint32_t i = 0; i < file->exports.count; i++) {
		const struct elf_export *export = &file->exports.exports[i];

		json_object_begin(json, NULL);
		json_string(json, "api", probe_row(export->row)->symbol);
		json_string(json, "first_instruction",
			    names[export->first_insn <= ELF_INSN_STEPPED ? export->first_insn : 0]);
		json_object_end(json);
	}
	json_array_end(json);
	json_array_begin(json, "absent");
	for (unsigned int id = 0; (row = probe_row(id)); id++)
		if (row->layer == file->layer && !doctor_file_has(file, id))
			json_string(json, NULL, row->symbol);
	json_array_end(json);
}

static void add_build_id(const struct elf_exports *exports, struct json *json)
{
	struct buf text = BUF_INIT;

	for (uint32_t i = 0; i < exports->build_id_length; i++)
		buf_printf(&text, "%02x", exports->build_id[i]);
	json_string(json, "build_id", text.data);
	buf_fini(&text);
}

static void add_file(const struct doctor_file *file, struct json *json)
{
	json_object_begin(json, NULL);
	json_string(json, "path", file->path);
	json_string(json, "real_path", file->real);
	json_string(json, "layer", layer_name(file->layer));
	known(json, "version", file->version);
	add_build_id(&file->exports, json);
	json_bool(json, "named", file->named);
	if (file->pid)
		json_i64(json, "mapped_by", file->pid);
	else
		json_null(json, "mapped_by");
	json_bool(json, "simulated", file->exports.simulated);
	json_bool(json, "attached", file->attached);
	json_string(json, "error", file->problem);
	add_calls(file, json);
	json_object_end(json);
}

static void add_devices(const struct doctor_report *report, struct json *json)
{
	const struct gpus *gpus = report->gpus;

	json_object_begin(json, "driver");
	known(json, "module", report->system.nvidia_module);
	known(json, "module_version", report->system.nvidia_version);
	known(json, "nvml_version", gpus ? gpus->driver_version : "");
	known(json, "nvml_error", gpus ? "" : report->gpus_diag.text);
	json_object_end(json);
	json_array_begin(json, "gpus");
	for (uint32_t i = 0; gpus && i < gpus->count; i++) {
		json_object_begin(json, NULL);
		json_u64(json, "index", i);
		known(json, "name", gpus->gpu[i].name);
		known(json, "uuid", gpus->gpu[i].uuid);
		json_u64(json, "total_bytes", gpus->gpu[i].total_bytes);
		json_u64(json, "used_bytes", gpus->gpu[i].used_bytes);
		json_object_end(json);
	}
	json_array_end(json);
}

static void add_unsupported(const struct doctor_report *report, struct json *json)
{
	json_array_begin(json, "unsupported");
	for (size_t i = 0; i < doctor_unsupported_count(); i++) {
		const struct doctor_unsupported *unsupported = doctor_unsupported_at(i);

		json_object_begin(json, NULL);
		json_string(json, "name", unsupported->name);
		json_bool(json, "here", unsupported->is_here(report));
		json_string(json, "text", unsupported->text);
		json_object_end(json);
	}
	json_array_end(json);
}

void doctor_print_json(const struct doctor_report *report, struct buf *ret_buf)
{
	struct json json;

	json_init(&json, ret_buf);
	json_object_begin(&json, NULL);
	add_common(report, &json);
	add_lines(&json, "problems", &report->problems);
	add_lines(&json, "limits", &report->limits);
	json_string(&json, "version", VRAMTRACE_VERSION);
	json_string(&json, "libbpf", libbpf_version_string());
	add_system(&report->system, &json);
	add_features(report, &json);
	add_rights(&report->system, &json);
	add_programs(report, &json);
	json_array_begin(&json, "libraries");
	for (size_t i = 0; i < report->file_count; i++)
		add_file(&report->files[i], &json);
	json_array_end(&json);
	json_u64(&json, "libraries_left_out", report->files_left);
	add_devices(report, &json);
	add_unsupported(report, &json);
	json_u64(&json, "untraced_calls", doctor_untraced_calls());
	json_object_end(&json);
	buf_char(ret_buf, '\n');
}
