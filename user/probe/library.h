/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_LIBRARY_H
#define PROBE_LIBRARY_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/diag.h"
#include "probe/reader.h"

/* One CUDA library file: which rows of probes.def it exports, and where. Identity: device and inode of the open file. */
struct library {
	char *path; /* as the process or the user names it; for display; raw bytes */
	int fd; /* open for reading, close-on-exec; what attach probes, so that a file swapped at the path cannot matter */
	dev_t dev;
	ino_t ino;
	enum vt_layer layer;
	struct elf_exports exports;
};

/* By file name: libcuda.so*, libcuda-*.so*, libcudart.so*, libcudart-*.so* (wheels put a hash into names). " (deleted)" at the end is ignored. */
bool library_name_matches(const char *path, enum vt_layer *ret_layer);

/*
 * Opens open_path (O_RDONLY, regular files only, at most 4 GiB), reads the exports through the reader. shown_path is kept for display.
 * -ENOEXEC with a text when it is no ELF file or exports no row of the layer. The caller frees with library_free.
 */
int library_open(struct reader *reader, const char *open_path, const char *shown_path, enum vt_layer layer,
		 struct library **ret_library, struct diag *diag);
void library_free(struct library *library);

#endif
