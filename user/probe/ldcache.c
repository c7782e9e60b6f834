/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "probe/ldcache.h"

#define CACHE_BYTES_MAX (64u << 20)

static const char old_magic[] = "ld.so-1.7.0";
static const char new_magic[] = "glibc-ld.so.cache1.1";

struct old_header {
	char magic[12];
	uint32_t count;
};

struct old_entry {
	uint32_t flags, name, path;
};

struct header {
	char magic[20];
	uint32_t count;
	uint32_t strings_bytes;
	uint32_t unused[5];
};
_Static_assert(sizeof(struct header) == 48, "as ldconfig writes it");

struct entry {
	uint32_t flags;
	uint32_t name; /* from the start of struct header */
	uint32_t path;
	uint32_t os_version;
	uint64_t hwcap;
};
_Static_assert(sizeof(struct entry) == 24, "as ldconfig writes it");

/* The ABI in the second byte of the flags, sysdeps/generic/ldconfig.h of glibc. */
#define FLAG_ABI 0xff00
#if defined(__x86_64__)
#define FLAG_THIS_ABI 0x0300
#elif defined(__aarch64__)
#define FLAG_THIS_ABI 0x0a00
#else
#define FLAG_THIS_ABI 0
#endif

/* Bytes before the new header; they hold the same libraries for older loaders. */
static size_t skip_old(const char *bytes, size_t length)
{
	struct old_header header;
	size_t skip;

	if (length < sizeof(header))
		return 0;
	memcpy(&header, bytes, sizeof(header));
	if (memcmp(header.magic, old_magic, sizeof(old_magic) - 1) || header.count > length / sizeof(struct old_entry))
		return 0;
	skip = sizeof(header) + (size_t)header.count * sizeof(struct old_entry);
	skip = (skip + 7) & ~(size_t)7;
	return skip < length ? skip : 0;
}

/* NULL: no string that ends inside. */
static const char *string_at(const char *bytes, size_t length, uint32_t offset)
{
	if (offset >= length || !memchr(bytes + offset, '\0', length - offset))
		return NULL;
	return bytes + offset;
}

int ldcache_parse(const char *bytes, size_t length, ldcache_fn *fn, void *ctx)
{
	size_t skip = skip_old(bytes, length);
	struct header header;
	int err = 0;

	bytes += skip;
	length -= skip;
	if (length < sizeof(header))
		return -EBADMSG;
	memcpy(&header, bytes, sizeof(header));
	if (memcmp(header.magic, new_magic, sizeof(header.magic)) ||
	    header.count > (length - sizeof(header)) / sizeof(struct entry))
		return -EBADMSG;
	for (uint32_t i = 0; !err && i < header.count; i++) {
		const char *name, *path;
		struct entry entry;

		memcpy(&entry, bytes + sizeof(header) + i * sizeof(entry), sizeof(entry));
		name = string_at(bytes, length, entry.name);
		path = string_at(bytes, length, entry.path);
		if (name && path && path[0] == '/' && (entry.flags & FLAG_ABI) == FLAG_THIS_ABI)
			err = fn(ctx, name, path);
	}
	return err;
}

static int read_whole(int fd, char *bytes, size_t size, size_t *ret_length)
{
	size_t length = 0;
	ssize_t n;

	while (length < size && (n = read(fd, bytes + length, size - length)) != 0) {
		if (n > 0)
			length += (size_t)n;
		else if (errno != EINTR)
			return -errno;
	}
	*ret_length = length;
	return 0;
}

int ldcache_walk(const char *path, ldcache_fn *fn, void *ctx)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	CLEANUP_FREE char *bytes = NULL;
	size_t length = 0;
	struct stat st;
	int err;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > CACHE_BYTES_MAX)
		return -EBADMSG;
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	err = read_whole(fd, bytes, (size_t)st.st_size, &length);
	return err ? err : ldcache_parse(bytes, length, fn, ctx);
}
