/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"

static const struct {
	unsigned int number;
	const char *name;
} needed[] = {
	{ CAP_BPF, "CAP_BPF" },					       /* load programs */
	{ CAP_PERFMON, "CAP_PERFMON" },				       /* probes, mapping events */
	[PRIVILEGE_SEE_OTHERS] = { CAP_SYS_PTRACE, "CAP_SYS_PTRACE" }, /* other users' /proc/PID/maps */
	{ CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH" },		       /* libraries in other users' folders */
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN" }, /* /proc/PID/map_files before Linux 5.9's CAP_CHECKPOINT_RESTORE */
};
_Static_assert(ARRAY_SIZE(needed) == PRIVILEGE_COUNT, "one entry per capability");

/* include/linux/proc_ns.h: the inode of the initial PID namespace. */
#define PROC_PID_INIT_INO 0xEFFFFFFCu

static uint64_t effective_capabilities(void)
{
	CLEANUP_FCLOSE FILE *file = fopen("/proc/self/status", "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "CapEff:", 7))
			return strtoull(line + 7, NULL, 16);
	return 0;
}

void privilege_list(struct privilege ret_list[PRIVILEGE_COUNT])
{
	uint64_t have = effective_capabilities();

	for (size_t i = 0; i < PRIVILEGE_COUNT; i++)
		ret_list[i] = (struct privilege) { needed[i].name, have & (UINT64_C(1) << needed[i].number) };
}

bool privilege_in_initial_namespace(void)
{
	struct stat ns;

	return stat("/proc/self/ns/pid", &ns) || ns.st_ino == PROC_PID_INIT_INO;
}

int privilege_check(struct diag *diag)
{
	struct privilege list[PRIVILEGE_COUNT];
	struct buf missing = BUF_INIT;
	int err = 0;

	privilege_list(list);
	for (size_t i = 0; i < PRIVILEGE_COUNT; i++)
		if (!list[i].held)
			buf_printf(&missing, "%s%s", missing.length ? ", " : "", list[i].name);
	if (missing.length)
		err = diag_err(diag, -EPERM,
			       "not enough privilege: run it as root, like: sudo vramtrace ... (missing: %s)",
			       missing.data);
	else if (!privilege_in_initial_namespace())
		err = diag_err(diag, -EPERM,
			       "vramtrace runs inside a PID namespace and would see other process ids than the kernel "
			       "gives: start it on the host, or the container with --pid=host");
	buf_fini(&missing);
	return err;
}
