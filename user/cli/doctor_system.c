/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/doctor_report.h"

#define PROCESSES_MAX 100000 /* looked at; a machine full of them must not keep us busy */

/* Without blanks at the end. */
static void copy(char *ret, size_t bytes, const char *text)
{
	size_t length = strlen(text);

	while (length > 0 && isspace((unsigned char)text[length - 1]))
		length--;
	snprintf(ret, bytes, "%.*s", (int)(length < bytes ? length : bytes - 1), text);
}

/* The first line of a file, without its end; "" if there is none to read. */
static void read_line(const char *path, char *ret, size_t bytes)
{
	CLEANUP_FCLOSE FILE *file = fopen(path, "re");

	if (!file || !fgets(ret, (int)bytes, file)) {
		ret[0] = '\0';
		return;
	}
	ret[strcspn(ret, "\n")] = '\0';
}

/* The value of `name` in a file of "name value" lines; the separator belongs to the name. */
static void read_value(const char *path, const char *name, char *ret, size_t bytes)
{
	CLEANUP_FCLOSE FILE *file = fopen(path, "re");
	char line[512];

	ret[0] = '\0';
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, strlen(name)))
			continue;
		line[strcspn(line, "\n")] = '\0';
		copy(ret, bytes, line + strlen(name) + strspn(line + strlen(name), " \t"));
		return;
	}
}

static void read_distribution(struct doctor_system *system)
{
	char *name = system->distribution;
	size_t length;

	read_value("/etc/os-release", "PRETTY_NAME=", name, sizeof(system->distribution));
	length = strlen(name);
	if (length < 2 || (name[0] != '"' && name[0] != '\'') || name[length - 1] != name[0])
		return;
	name[length - 1] = '\0';
	memmove(name, name + 1, length - 1);
}

/* "none [integrity] confidentiality": the mode in effect is bracketed. */
static void read_lockdown(struct doctor_system *system)
{
	char line[96], *open, *close;

	read_line("/sys/kernel/security/lockdown", line, sizeof(line));
	open = strchr(line, '[');
	close = open ? strchr(open, ']') : NULL;
	if (close)
		*close = '\0';
	copy(system->lockdown, sizeof(system->lockdown), close ? open + 1 : line);
}

static void read_kernel(struct doctor_system *system)
{
	struct utsname name;

	if (!uname(&name)) {
		copy(system->kernel, sizeof(system->kernel), name.release);
		copy(system->architecture, sizeof(system->architecture), name.machine);
	}
	system->processors = sysconf(_SC_NPROCESSORS_ONLN);
	system->wsl = !access("/dev/dxg", F_OK);
	read_lockdown(system);
	read_line("/proc/sys/kernel/unprivileged_bpf_disabled", system->unprivileged_bpf_disabled,
		  sizeof(system->unprivileged_bpf_disabled));
	read_line("/proc/sys/kernel/perf_event_paranoid", system->perf_event_paranoid,
		  sizeof(system->perf_event_paranoid));
}

static void read_rights(struct doctor_system *system)
{
	struct rlimit limit;

	system->uid = geteuid();
	privilege_list(system->privileges);
	system->initial_pid_ns = privilege_in_initial_namespace();
	read_value("/proc/self/status", "Seccomp:", system->seccomp, sizeof(system->seccomp));
	read_value("/proc/self/status", "NoNewPrivs:", system->no_new_privs, sizeof(system->no_new_privs));
	system->memlock_bytes = UINT64_MAX;
	if (!getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur != RLIM_INFINITY)
		system->memlock_bytes = limit.rlim_cur;
}

/* "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Tue ...": the first word of digits and dots. */
static void find_version(struct doctor_system *system)
{
	const char *word = system->nvidia_module;

	while (*(word += strspn(word, " \t"))) {
		size_t length = strcspn(word, " \t"), digits = strspn(word, "0123456789.");

		if (digits == length && memchr(word, '.', length)) {
			snprintf(system->nvidia_version, sizeof(system->nvidia_version), "%.*s", (int)length, word);
			return;
		}
		word += length;
	}
}

static void read_driver(struct doctor_system *system)
{
	glob_t found;

	read_value("/proc/driver/nvidia/version", "NVRM version:", system->nvidia_module,
		   sizeof(system->nvidia_module));
	find_version(system);
	if (!glob("/proc/driver/nvidia/capabilities/gpu*/mig/gi*", GLOB_NOSORT, NULL, &found)) {
		system->mig_instances = (unsigned int)found.gl_pathc;
		globfree(&found);
	}
}

static bool is_other_kernel(const char *name)
{
	static const char *const names[] = { "qemu-system-", "qemu-kvm", "runsc", "firecracker", "cloud-hyperviso" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strncmp(name, names[i], strlen(names[i])))
			return true;
	return false;
}

/* By its name or its program's: sandboxes start themselves anew under another name. */
static bool runs_other_kernel(const char *pid)
{
	char path[64], name[32], program[PATH_MAX];
	const char *slash;
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	read_line(path, name, sizeof(name));
	if (is_other_kernel(name))
		return true;
	snprintf(path, sizeof(path), "/proc/%.20s/exe", pid);
	length = readlink(path, program, sizeof(program) - 1);
	if (length < 0)
		return false;
	program[length] = '\0';
	slash = strrchr(program, '/');
	return is_other_kernel(slash ? slash + 1 : program);
}

static void count_other_kernels(struct doctor_system *system)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	for (long i = 0; proc && i < PROCESSES_MAX && (entry = readdir(proc)); i++)
		if (isdigit((unsigned char)entry->d_name[0]) && runs_other_kernel(entry->d_name))
			system->other_kernels++;
	if (proc)
		closedir(proc);
}

void doctor_system_read(struct doctor_system *ret_system)
{
	memset(ret_system, 0, sizeof(*ret_system));
	read_kernel(ret_system);
	read_distribution(ret_system);
	read_rights(ret_system);
	read_driver(ret_system);
	count_other_kernels(ret_system);
}
