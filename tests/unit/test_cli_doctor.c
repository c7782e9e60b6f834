/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "cli/doctor_report.h"
#include "vramtrace/probe.h"

/* What doctor makes of what it found, on machines that are not at hand. */

#define EVIL "\033[31m\n\xe2\x80\xae\xff\""

static struct gpus gpus;
static struct doctor_file file;

static void set(char *ret, const char *text)
{
	memcpy(ret, text, strlen(text) + 1);
}

static struct doctor_report healthy(void)
{
	static const struct features all = { true, true, true, true, true, true, true, "" };
	struct doctor_report report = { .features = all, .gpus = &gpus, .files = &file, .file_count = 1 };

	report.system = (struct doctor_system) { .kernel = "6.1.0-18-amd64",
						 .architecture = "x86_64",
						 .initial_pid_ns = true,
						 .seccomp = "0",
						 .nvidia_version = "580.159.04" };
	privilege_list(report.system.privileges);
	for (size_t i = 0; i < PRIVILEGE_COUNT; i++)
		report.system.privileges[i].held = true;
	report.cost = (struct doctor_cost) { .untraced_ns = 2, .emulated_ns = 1100, .calls = 10, .counted = 10 };
	memset(&gpus, 0, sizeof(gpus));
	gpus.count = 1;
	set(gpus.gpu[0].name, "NVIDIA H100 80GB HBM3");
	file = (struct doctor_file) { .path = (char *)"/lib/libcudart.so.12",
				      .real = (char *)"/lib/libcudart.so.12.4.99",
				      .layer = VT_LAYER_RUNTIME,
				      .version = "12.4.99",
				      .attached = true };
	return report;
}

static void report_fini(struct doctor_report *report)
{
	buf_fini(&report->problems);
	buf_fini(&report->limits);
}

/* The verdict line begins so, and says so. */
static void expect_verdict(struct doctor_report *report, const char *begin, const char *part)
{
	struct buf text = BUF_INIT;

	doctor_judge(report);
	doctor_verdict_text(report, &text);
	if (strncmp(text.data, begin, strlen(begin)) || !strstr(text.data, part))
		fail_msg("\"%s\" is not \"%s...%s\"", text.data, begin, part);
	assert_null(strchr(text.data, '\n'));
	buf_fini(&text);
	report_fini(report);
}

static void test_ready(void **state)
{
	struct doctor_report report = healthy();

	(void)state;
	doctor_judge(&report);
	assert_string_equal(doctor_verdict(&report), "ready");
	expect_verdict(&report, "ready", "");
}

static void no_capability(struct doctor_report *report)
{
	report->system.privileges[0].held = false;
}

static void container(struct doctor_report *report)
{
	report->system.initial_pid_ns = false;
}

static void no_multi(struct doctor_report *report)
{
	report->features.uprobe_multi = false;
}

static void no_load(struct doctor_report *report)
{
	report->load_err = -22;
	snprintf(report->load.text, sizeof(report->load.text), "this kernel does not take it");
}

static void not_counted(struct doctor_report *report)
{
	report->cost.counted = 9;
}

static void not_measured(struct doctor_report *report)
{
	report->cost = (struct doctor_cost) { .diag = { .text = "no place" } };
}

static void named_broken(struct doctor_report *report)
{
	report->files[0].named = true;
	report->files[0].problem = (char *)"/lib/libcudart.so.12: damaged";
}

static void found_broken(struct doctor_report *report)
{
	report->files[0].problem = (char *)"/lib/libcudart.so.12: damaged";
}

static void no_library(struct doctor_report *report)
{
	report->file_count = 0;
}

static void no_nvml(struct doctor_report *report)
{
	report->gpus = NULL;
	snprintf(report->gpus_diag.text, sizeof(report->gpus_diag.text), "no NVML " EVIL);
}

static void no_gpu(struct doctor_report *report)
{
	report->gpus->count = 0;
}

static void arm(struct doctor_report *report)
{
	set(report->system.architecture, "aarch64");
}

static void old_kernel(struct doctor_report *report)
{
	set(report->system.kernel, "5.14.0-362.el9");
}

static void bits32(struct doctor_report *report)
{
	report->files[0].bits32 = true;
}

static void wsl(struct doctor_report *report)
{
	report->system.wsl = true;
}

static void mig(struct doctor_report *report)
{
	report->system.mig_instances = 7;
}

static void virtual_machine(struct doctor_report *report)
{
	report->system.other_kernels = 1;
}

static void old_driver(struct doctor_report *report)
{
	set(report->system.nvidia_version, "460.106.00");
}

static void old_driver_by_nvml(struct doctor_report *report)
{
	report->system.nvidia_version[0] = '\0';
	set(report->gpus->driver_version, "460.106.00");
}

static void test_verdicts(void **state)
{
	static const struct {
		void (*change)(struct doctor_report *);
		const char *begin;
		const char *part;
	} cases[] = {
		{ no_capability, "cannot trace: ", "missing: CAP_BPF)" },
		{ container, "cannot trace: ", "PID namespace" },
		{ no_multi, "works with limits: no uprobe_multi: ", "" },
		{ no_load, "cannot trace: this kernel does not take it", "" },
		{ not_counted, "cannot trace: ", "10 calls were made under them, 9 seen" },
		{ not_measured, "cannot trace: ", "no place" },
		{ named_broken, "cannot trace: /lib/libcudart.so.12: damaged", "" },
		{ found_broken, "works with limits: /lib/libcudart.so.12: damaged", "" },
		{ no_library, "works with limits: no CUDA library was found", "" },
		{ no_nvml, "works with limits: no word from the driver", "no NVML \\x1b[31m\\x0a\\xe2\\x80\\xae\\xff" },
		{ no_gpu, "works with limits: the driver knows no GPU", "" },
		{ arm, "works with limits: architectures", "" },
		{ old_kernel, "works with limits: kernels before 5.15", "" },
		{ bits32, "works with limits: 32-bit programs", "" },
		{ wsl, "works with limits: WSL", "" },
		{ mig, "works with limits: MIG", "" },
		{ virtual_machine, "works with limits: programs in another kernel", "" },
		{ old_driver, "works with limits: drivers before 470", "" },
		{ old_driver_by_nvml, "works with limits: drivers before 470", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct doctor_report report = healthy();

		cases[i].change(&report);
		expect_verdict(&report, cases[i].begin, cases[i].part);
	}
}

static void test_runtime_versions(void **state)
{
	static const struct {
		const char *version;
		bool old;
	} cases[] = {
		{ "9.2.148", true }, { "10.2.89", true },  { "11.0.221", true },  { "11.1", true },
		{ "11.1.74", true }, { "11.0", false },	   { "11.2.152", false }, { "11.8.89", false },
		{ "12", false },     { "13.0.96", false }, { "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct doctor_report report = healthy();

		set(report.files[0].version, cases[i].version);
		expect_verdict(&report, cases[i].old ? "works with limits: CUDA runtimes before 11.2" : "ready", "");
	}
}

static void test_virtual_gpu_names(void **state)
{
	static const struct {
		const char *name;
		bool is_virtual;
	} cases[] = {
		{ "NVIDIA A40-48Q", true },
		{ "GRID T4-16Q", true },
		{ "NVIDIA A16-2B", true },
		{ "NVIDIA RTX6000-Ada-48C", true },
		{ "NVIDIA H200", false },
		{ "NVIDIA A100-SXM4-40GB", false },
		{ "NVIDIA A100-PCIE-80GB", false },
		{ "Tesla V100-SXM2-16GB", false },
		{ "NVIDIA GB200", false },
		{ "-Q", false },
		{ "Q", false },
		{ "", false },
		{ "1Q", false },
		{ "NVIDIA L40S", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct doctor_report report = healthy();

		set(report.gpus->gpu[0].name, cases[i].name);
		expect_verdict(&report, cases[i].is_virtual ? "works with limits: virtual GPUs" : "ready", "");
	}
}

/* Whatever comes from outside, as a hostile machine would choose it. */
static struct doctor_report evil(void)
{
	struct doctor_report report = healthy();
	struct doctor_system *system = &report.system;

	set(system->kernel, EVIL);
	set(system->distribution, EVIL);
	set(system->lockdown, EVIL);
	set(system->seccomp, EVIL);
	set(system->nvidia_module, EVIL);
	set(report.gpus->gpu[0].name, EVIL);
	set(report.gpus->gpu[0].uuid, EVIL);
	set(report.gpus->driver_version, EVIL);
	report.files[0].path = (char *)"/tmp/" EVIL "/libcudart.so.12";
	report.files[0].real = (char *)"/tmp/2" EVIL "/libcudart.so.12";
	return report;
}

static void expect_no_control(const struct buf *buf)
{
	for (size_t i = 0; i < buf->length; i++)
		if ((unsigned char)buf->data[i] < 32 && buf->data[i] != '\n')
			fail_msg("control character %d at %zu", buf->data[i], i);
	assert_null(strstr(buf->data, "\xe2\x80\xae"));
	assert_null(strstr(buf->data, "\xff"));
}

static void test_hostile_text(void **state)
{
	struct doctor_report report = evil();
	struct buf text = BUF_INIT;

	(void)state;
	doctor_judge(&report);
	doctor_print_text(&report, &text);
	expect_no_control(&text);
	assert_non_null(strstr(text.data, "\\x1b[31m\\x0a"));
	buf_fini(&text);
	report_fini(&report);
}

/* By the schema, every key described and none twice. */
static void expect_schema(const struct buf *buf)
{
	char path[] = "/tmp/doctor-XXXXXX", command[128];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf->data, buf->length), (ssize_t)buf->length);
	close(fd);
	snprintf(command, sizeof(command), "tests/unit/check-json-lines user/sink/json-schema.json %s", path);
	assert_int_equal(system(command), 0);
	unlink(path);
}

static void test_json(void **state)
{
	void (*const changes[])(struct doctor_report *) = { no_load, no_nvml, found_broken, no_library };
	struct buf text = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct doctor_report report = evil();

		changes[i](&report);
		doctor_judge(&report);
		doctor_print_json(&report, &text);
		report_fini(&report);
	}
	expect_no_control(&text);
	expect_schema(&text);
	buf_fini(&text);
}

static void test_system(void **state)
{
	struct doctor_system system;

	(void)state;
	doctor_system_read(&system);
	assert_int_equal(system.uid, geteuid());
	assert_true(system.processors >= 1);
	assert_string_not_equal(system.kernel, "");
	assert_string_not_equal(system.architecture, "");
	assert_string_not_equal(system.seccomp, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ready),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_runtime_versions),
		cmocka_unit_test(test_virtual_gpu_names),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_system),
	};

	return cmocka_run_group_tests_name("cli/doctor", tests, NULL, NULL);
}
