/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/buf.h"
#include "base/escape.h"
#include "probe/library.h"
#include "probe/table.h"

#define LIBRARY_BYTES_MAX (4ll << 30)

bool library_name_matches(const char *path, enum vt_layer *ret_layer)
{
	static const enum vt_layer layers[] = { VT_LAYER_DRIVER, VT_LAYER_RUNTIME };
	static const char deleted[] = " (deleted)";
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t length = strlen(base);
	char name[NAME_MAX + sizeof(deleted)];
	char pattern[32];

	if (length >= sizeof(name))
		return false;
	memcpy(name, base, length + 1);
	if (length >= sizeof(deleted) - 1 && !strcmp(name + length - (sizeof(deleted) - 1), deleted))
		name[length - (sizeof(deleted) - 1)] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(layers); i++) {
		for (int hashed = 0; hashed <= 1; hashed++) {
			snprintf(pattern, sizeof(pattern), "%s%s.so*", layer_library(layers[i]), hashed ? "-*" : "");
			if (fnmatch(pattern, name, 0))
				continue;
			*ret_layer = layers[i];
			return true;
		}
	}
	return false;
}

/* diag_err() with the file's name, escaped, in front. */
static int complain(struct diag *diag, int err, const char *path, const char *what)
{
	struct buf name = BUF_INIT;

	escape_text(&name, path, strlen(path));
	err = diag_err(diag, err, "%s: %s", name.data ? name.data : "", what);
	buf_fini(&name);
	return err;
}

/* Looks before it opens: opening a device can have effects, a pipe can wait. */
static int open_regular(const char *path, struct stat *ret_stat, int *ret_fd)
{
	CLEANUP_CLOSE int look = open(path, O_PATH | O_CLOEXEC);
	char link[64];
	int fd;

	if (look < 0)
		return -errno;
	if (fstat(look, ret_stat))
		return -errno;
	if (!S_ISREG(ret_stat->st_mode))
		return -ENOTSUP;
	if (ret_stat->st_size > LIBRARY_BYTES_MAX)
		return -EFBIG;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", look);
	fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int read_exports(struct reader *reader, struct library *library, struct diag *diag)
{
	char text[96];
	int err = reader_exports(reader, library->fd, library->layer, &library->exports);

	if (err == -ENOEXEC)
		return complain(diag, err, library->path, "not a 64-bit ELF file, or a damaged one");
	if (err)
		return complain(diag, err, library->path, strerror(-err));
	if (library->exports.count)
		return 0;
	snprintf(text, sizeof(text), "exports no function that %s is known for", layer_library(library->layer));
	return complain(diag, -ENOEXEC, library->path, text);
}

int library_open(struct reader *reader, const char *open_path, const char *shown_path, enum vt_layer layer,
		 struct library **ret_library, struct diag *diag)
{
	struct library *library = calloc(1, sizeof(*library));
	struct stat st;
	int err;

	if (!library)
		return diag_err(diag, -ENOMEM, "out of memory");
	library->fd = -1;
	library->layer = layer;
	library->path = strdup(shown_path);
	if (!library->path) {
		err = diag_err(diag, -ENOMEM, "out of memory");
		goto out;
	}
	err = open_regular(open_path, &st, &library->fd);
	if (err) {
		err = complain(diag, err, shown_path, err == -ENOTSUP ? "not a regular file" : strerror(-err));
		goto out;
	}
	library->dev = st.st_dev;
	library->ino = st.st_ino;
	err = read_exports(reader, library, diag);
out:
	if (err)
		library_free(library);
	else
		*ret_library = library;
	return err;
}

void library_free(struct library *library)
{
	if (!library)
		return;
	if (library->fd >= 0)
		close(library->fd);
	free(library->path);
	free(library);
}
