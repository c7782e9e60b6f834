/* SPDX-License-Identifier: Apache-2.0 */
/* exports driver|runtime FILE: what the product's reader makes of FILE: a line "SYMBOL OFFSET emulated|stepped|unknown" per row. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "probe/elf.h"
#include "probe/table.h"

static const char *insn_name(uint32_t first_insn)
{
	return first_insn == ELF_INSN_EMULATED ? "emulated" : first_insn == ELF_INSN_STEPPED ? "stepped" : "unknown";
}

int main(int argc, char **argv)
{
	static struct elf_exports exports;
	int fd, err;

	if (argc != 3) {
		fprintf(stderr, "usage: exports driver|runtime FILE\n");
		return 2;
	}
	fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	err = fd < 0 ? -errno
		     : elf_read_exports(fd, strcmp(argv[1], "driver") ? VT_LAYER_RUNTIME : VT_LAYER_DRIVER, &exports);
	if (err) {
		fprintf(stderr, "exports: %s: %s\n", argv[2], strerror(-err));
		return 1;
	}
	for (uint32_t i = 0; i < exports.count; i++)
		printf("%s %" PRIu64 " %s\n", probe_row(exports.exports[i].row)->symbol, exports.exports[i].offset,
		       insn_name(exports.exports[i].first_insn));
	close(fd);
	return 0;
}
