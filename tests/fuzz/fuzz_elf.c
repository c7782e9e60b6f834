/* SPDX-License-Identifier: Apache-2.0 */
/* Any file as an ELF library: no crash, no leak, and only offsets that lie in the file. */
#include <sys/mman.h>
#include <unistd.h>

#include "probe/elf.h"
#include "probe/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_exports(int fd, enum vt_layer layer, size_t size)
{
	struct elf_exports exports;

	if (elf_read_exports(fd, layer, &exports))
		return;
	if (exports.count > VT_PROBE_COUNT || exports.build_id_length > ELF_BUILD_ID_BYTES || exports.simulated > 1)
		abort();
	for (uint32_t i = 0; i < exports.count; i++) {
		const struct probe_row *row = probe_row(exports.exports[i].row);

		if (!row || row->layer != layer || exports.exports[i].offset >= size)
			abort();
		for (uint32_t n = 0; n < i; n++) {
			if (exports.exports[n].offset == exports.exports[i].offset)
				abort();
		}
	}
}

static void check_place(int fd, uint64_t offset, size_t size)
{
	struct elf_place place;

	if (elf_read_place(fd, offset, &place))
		return;
	if (offset >= size || !memchr(place.symbol, '\0', sizeof(place.symbol)))
		abort();
}

/* One file for all runs: making and closing one each time takes longer than the reading. */
static int file_of(const uint8_t *data, size_t size)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || pwrite(fd, data, size, 0) != (ssize_t)size || ftruncate(fd, (off_t)size))
		abort();
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = file_of(data, size);
	uint64_t offset = 0;

	check_exports(fd, VT_LAYER_DRIVER, size);
	check_exports(fd, VT_LAYER_RUNTIME, size);
	/* A place that the input names, and one that it need not: code stands in the middle. */
	if (size >= sizeof(offset))
		memcpy(&offset, data + size - sizeof(offset), sizeof(offset));
	check_place(fd, offset, size);
	check_place(fd, size / 2, size);
	return 0;
}
