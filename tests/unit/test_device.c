/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpus_query() against a small NVML of our own, compiled here and found through LD_LIBRARY_PATH as a real one would be. The
 * loader reads that variable at start only: the test starts itself again, once per library.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/clock.h"
#include "device/gpu.h"

#define MIB 1048576ull

/* What FAKE_NVML says decides how it behaves. MINIMAL: only what every driver has. */
static const char fake_source[] =
	"#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n#include <stdio.h>\n"
	"static int is(const char *m) { const char *s = getenv(\"FAKE_NVML\"); return s && !strcmp(s, m); }\n"
	"int nvmlInit_v2(void) { if (is(\"hang\")) for (;;) pause(); if (is(\"crash\")) abort(); puts(\"noise\");\n"
	"  if (is(\"exit\")) _exit(0); fflush(stdout); return is(\"noinit\") ? 9 : 0; }\n"
	"int nvmlDeviceGetCount_v2(unsigned *n) { *n = is(\"crowd\") ? 1000 : is(\"none\") ? 0 : 2; return "
	"is(\"nocount\") ? 999 : 0; }\n"
	"int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { *d = (void *)(long)(i + 1); return is(\"lost\") && "
	"i == 0 ? 15 : 0; }\n"
	"#ifndef MINIMAL\n"
	"const char *nvmlErrorString(int e) { return e == 9 ? \"Driver Not Loaded\" : \"Unknown Error\"; }\n"
	"int nvmlDeviceGetUUID(void *d, char *s, unsigned n) { snprintf(s, n, \"GPU-%ld\", (long)d); return 0; }\n"
	"int nvmlDeviceGetName(void *d, char *s, unsigned n) { memset(s, 'x', n); s[n - 1] = d ? 0 : 1; return 0; }\n"
	"int nvmlDeviceGetMemoryInfo(void *d, unsigned long long m[3]) { m[0] = 1 << 30; m[2] = (long)d * 1000; m[1] = "
	"m[0] - m[2]; return 0; }\n"
	"struct p { unsigned pid; unsigned long long used; unsigned gi, ci; };\n"
	"int nvmlDeviceGetComputeRunningProcesses_v3(void *d, unsigned *n, struct p *p) {\n"
	"  if (is(\"crowd\")) { for (unsigned i = 0; i < *n; i++) p[i].pid = i, p[i].used = 1; return 0; }\n"
	"  p[0].pid = 42; p[0].used = 518ull << 20; p[1].pid = 43; p[1].used = -1; *n = d == (void *)1L ? 2 : 1; "
	"return 0; }\n"
	"int nvmlDeviceGetGraphicsRunningProcesses_v3(void *d, unsigned *n, struct p *p) {\n"
	"  (void)d; p[0].pid = 42; p[0].used = 518ull << 20; p[1].pid = 44; p[1].used = 7; *n = 2; return 0; }\n"
	"int nvmlSystemGetDriverVersion(char *s, unsigned n) { snprintf(s, n, \"580.1\"); return 0; }\n"
	"#endif\n";

static int query(const char *behaviour, struct gpus *ret_gpus, struct diag *diag)
{
	memset(ret_gpus, 0xff, sizeof(*ret_gpus));
	diag->text[0] = '\0';
	assert_int_equal(setenv("FAKE_NVML", behaviour, 1), 0);
	return gpus_query(ret_gpus, diag);
}

static void two_gpus(void **state)
{
	static struct gpus gpus;
	struct diag diag;

	(void)state;
	assert_int_equal(query("", &gpus, &diag), 0);
	assert_int_equal(gpus.count, 2);
	assert_string_equal(gpus.driver_version, "580.1");
	assert_string_equal(gpus.gpu[0].uuid, "GPU-1");
	assert_string_equal(gpus.gpu[1].uuid, "GPU-2");
	assert_int_equal(strlen(gpus.gpu[0].name), sizeof(gpus.gpu[0].name) - 1);
	assert_int_equal(gpus.gpu[1].total_bytes, 1 << 30);
	assert_int_equal(gpus.gpu[1].used_bytes, 2000);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void used_by_process(void **state)
{
	static struct gpus gpus;
	struct diag diag;
	uint64_t bytes = 1;

	(void)state;
	assert_int_equal(query("", &gpus, &diag), 0);
	/* 42 computes and draws on both GPUs with one figure each; 43 on the first, figure unknown; 44 only draws. */
	assert_int_equal(gpus.process_count, 5);
	assert_int_equal(gpus_used_by(&gpus, 42, &bytes), 0);
	assert_int_equal(bytes, 2 * 518 * MIB);
	assert_int_equal(gpus_used_by(&gpus, 43, &bytes), 0);
	assert_true(bytes == UINT64_MAX);
	assert_int_equal(gpus_used_by(&gpus, 44, &bytes), 0);
	assert_int_equal(bytes, 14);
	assert_int_equal(gpus_used_by(&gpus, 45, &bytes), -ENOENT);
	assert_int_equal(bytes, 14);
}

static void limits_hold(void **state)
{
	static struct gpus gpus;
	struct diag diag;

	(void)state;
	assert_int_equal(query("crowd", &gpus, &diag), 0);
	assert_int_equal(gpus.count, GPU_MAX);
	assert_int_equal(gpus.process_count, GPU_PROCESS_MAX);
	assert_int_equal(query("none", &gpus, &diag), 0);
	assert_int_equal(gpus.count, 0);
	assert_int_equal(gpus.process_count, 0);
}

static void lost_gpu_keeps_its_index(void **state)
{
	static struct gpus gpus;
	struct diag diag;

	(void)state;
	assert_int_equal(query("lost", &gpus, &diag), 0);
	assert_int_equal(gpus.count, 2);
	assert_string_equal(gpus.gpu[0].uuid, "");
	assert_int_equal(gpus.gpu[0].total_bytes, 0);
	assert_string_equal(gpus.gpu[1].uuid, "GPU-2");
}

static void errors_are_told(void **state)
{
	static struct gpus gpus;
	struct diag diag;

	(void)state;
	assert_int_equal(query("noinit", &gpus, &diag), -EIO);
	assert_non_null(strstr(diag.text, "Driver Not Loaded"));
	assert_int_equal(query("nocount", &gpus, &diag), -EIO);
	assert_int_equal(query("crash", &gpus, &diag), -EIO);
	assert_int_equal(query("exit", &gpus, &diag), -EIO);
	assert_true(strlen(diag.text) > 0);
}

static void hang_is_ended(void **state)
{
	static struct gpus gpus;
	struct diag diag;
	uint64_t start_ns = clock_mono_ns();
	uint64_t took_ns;

	(void)state;
	assert_int_equal(query("hang", &gpus, &diag), -ETIMEDOUT);
	took_ns = clock_mono_ns() - start_ns;
	assert_in_range(took_ns / 1000000, 4900, 7000);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void minimal_library(void **state)
{
	static struct gpus gpus;
	struct diag diag;

	(void)state;
	assert_int_equal(query("", &gpus, &diag), 0);
	assert_int_equal(gpus.count, 2);
	assert_int_equal(gpus.process_count, 0);
	assert_string_equal(gpus.driver_version, "");
	assert_string_equal(gpus.gpu[0].uuid, "");
	assert_int_equal(query("noinit", &gpus, &diag), -EIO);
	assert_non_null(strstr(diag.text, "9"));
}

static void not_nvml(void **state)
{
	static struct gpus gpus;
	struct diag diag;

	(void)state;
	assert_int_equal(query("", &gpus, &diag), -EIO);
	assert_true(strlen(diag.text) > 0);
}

static void no_library(void **state)
{
	static struct gpus gpus;
	struct diag diag;
	int err = query("", &gpus, &diag);

	(void)state;
	if (err == 0)
		skip(); /* a real driver is installed */
	assert_int_equal(err, -ENOENT);
	assert_non_null(strstr(diag.text, "no NVML library"));
}

static int run_group(const char *group)
{
	const struct CMUnitTest full[] = {
		cmocka_unit_test(two_gpus),	   cmocka_unit_test(used_by_process),
		cmocka_unit_test(limits_hold),	   cmocka_unit_test(lost_gpu_keeps_its_index),
		cmocka_unit_test(errors_are_told), cmocka_unit_test(hang_is_ended),
	};
	const struct CMUnitTest minimal[] = { cmocka_unit_test(minimal_library) };
	const struct CMUnitTest foreign[] = { cmocka_unit_test(not_nvml) };
	const struct CMUnitTest none[] = { cmocka_unit_test(no_library) };

	if (strcmp(group, "full") == 0)
		return cmocka_run_group_tests_name("device: nvml", full, NULL, NULL);
	if (strcmp(group, "minimal") == 0)
		return cmocka_run_group_tests_name("device: minimal nvml", minimal, NULL, NULL);
	if (strcmp(group, "foreign") == 0)
		return cmocka_run_group_tests_name("device: not nvml", foreign, NULL, NULL);
	return cmocka_run_group_tests_name("device: no nvml", none, NULL, NULL);
}

/* The folder of this group's library; `none` stays empty. */
static int build_library(const char *folder, const char *group)
{
	char command[1024];
	FILE *compiler;

	if (strcmp(group, "none") == 0)
		return 0;
	snprintf(command, sizeof(command), "cc -w -shared -fPIC %s -x c - -o '%s/libnvidia-ml.so.1'",
		 strcmp(group, "minimal") == 0 ? "-DMINIMAL" : "", folder);
	compiler = popen(command, "w");
	if (!compiler)
		return -1;
	fputs(strcmp(group, "foreign") == 0 ? "int something_else;\n" : fake_source, compiler);
	return pclose(compiler);
}

static int start_group(const char *program, const char *group)
{
	char folder[] = "/tmp/test_device.XXXXXX";
	char command[64];
	int status = 1;
	pid_t child;

	if (!mkdtemp(folder))
		return 1;
	if (build_library(folder, group) != 0) {
		fprintf(stderr, "test_device: the fake NVML cannot be built\n");
		rmdir(folder);
		return 1;
	}
	fflush(NULL);
	child = fork();
	if (child == 0) {
		setenv("LD_LIBRARY_PATH", folder, 1);
		execl(program, program, group, (char *)NULL);
		_exit(127);
	}
	waitpid(child, &status, 0);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command) != 0 || status != 0;
}

int main(int argc, char **argv)
{
	static const char *const groups[] = { "full", "minimal", "foreign", "none" };
	int failed = 0;

	if (argc > 1)
		return run_group(argv[1]);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		failed |= start_group("/proc/self/exe", groups[i]);
	return failed;
}
