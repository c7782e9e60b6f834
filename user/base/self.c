/* SPDX-License-Identifier: Apache-2.0 */
#include "base/self.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#define CODE_BYTES 16

/* Of which the first may be somebody's breakpoint, in memory. */
#if defined(__aarch64__)
#define BREAKPOINT_BYTES 4
#else
#define BREAKPOINT_BYTES 1
#endif

struct place {
	uintptr_t code;
	uint64_t offset; /* 0: not found */
};

/* The first object is the program itself, wherever it was loaded. */
static int find_offset(struct dl_phdr_info *info, size_t size, void *ctx)
{
	struct place *place = ctx;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type == PT_LOAD && place->code >= begin && segment->p_filesz >= CODE_BYTES &&
		    place->code - begin <= segment->p_filesz - CODE_BYTES)
			place->offset = place->code - begin + segment->p_offset;
	}
	return 1;
}

static int check_code(int fd, const struct place *place)
{
	char bytes[CODE_BYTES];

	if (pread(fd, bytes, sizeof(bytes), (off_t)place->offset) != (ssize_t)sizeof(bytes))
		return -ESTALE;
	return memcmp(bytes + BREAKPOINT_BYTES, (const char *)place->code + BREAKPOINT_BYTES,
		      CODE_BYTES - BREAKPOINT_BYTES)
		       ? -ESTALE
		       : 0;
}

int self_open(uintptr_t code, int *ret_fd, uint64_t *ret_offset)
{
	struct place place = { .code = code };
	int fd, err;

	dl_iterate_phdr(find_offset, &place);
	if (!place.offset)
		return -ENOENT;
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = check_code(fd, &place);
	if (err) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	*ret_offset = place.offset;
	return 0;
}
