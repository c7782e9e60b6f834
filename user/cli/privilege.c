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
	{ CAP_BPF, "CAP_BPF" },				/* load programs */
	{ CAP_PERFMON, "CAP_PERFMON" },			/* probes, mapping events */
	{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE" },		/* other users' /proc/PID/maps */
	{ CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH" }, /* libraries in other users' folders */
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN" }, /* /proc/PID/map_files before Linux 5.9's CAP_CHECKPOINT_RESTORE */
};

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

int privilege_check(struct diag *diag)
{
	uint64_t have = effective_capabilities();
	struct buf missing = BUF_INIT;
	struct stat ns;
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (!(have & (UINT64_C(1) << needed[i].number)))
			buf_printf(&missing, "%s%s", missing.length ? ", " : "", needed[i].name);
	if (missing.length)
		err = diag_err(diag, -EPERM,
			       "not enough privilege: run it as root, like: sudo vramtrace ... (missing: %s)",
			       missing.data);
	else if (!stat("/proc/self/ns/pid", &ns) && ns.st_ino != PROC_PID_INIT_INO)
		err = diag_err(diag, -EPERM,
			       "vramtrace runs inside a PID namespace and would see other process ids than the kernel "
			       "gives: start it on the host, or the container with --pid=host");
	buf_fini(&missing);
	return err;
}
