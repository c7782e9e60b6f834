/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static int id_of(const char *variable)
{
	const char *text = getenv(variable);
	char *end;
	long id;

	if (!text || !*text)
		return -1;
	id = strtol(text, &end, 10);
	return *end || id < 0 || id > INT32_MAX ? -1 : (int)id;
}

static bool is_stream(const struct stat *st)
{
	return S_ISCHR(st->st_mode) || S_ISFIFO(st->st_mode);
}

/* An existing device or pipe; -1 with EEXIST if something else has taken its place meanwhile. */
static int open_stream(const char *path, int flags)
{
	int fd = open(path, flags);
	struct stat st;

	if (fd < 0 || (!fstat(fd, &st) && is_stream(&st)))
		return fd;
	close(fd);
	errno = EEXIST;
	return -1;
}

int output_open(const char *option, const char *path, struct diag *diag)
{
	int flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, fd;
	struct stat st;

	if (!lstat(path, &st) && is_stream(&st))
		fd = open_stream(path, flags);
	else
		fd = open(path, flags | O_CREAT | O_EXCL, 0640);
	if (fd < 0) {
		if (errno == EEXIST)
			return diag_err(diag, -EEXIST,
					"%s %s: exists already and is not overwritten; name another file", option,
					path);
		return diag_err(diag, -errno, "%s %s: %s", option, path, strerror(errno));
	}
	if (geteuid() == 0 && id_of("SUDO_UID") > 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) &&
	    fchown(fd, (uid_t)id_of("SUDO_UID"), (gid_t)id_of("SUDO_GID"))) {
		int err = diag_err(diag, -errno, "%s %s: cannot give it to the calling user: %s", option, path,
				   strerror(errno));

		close(fd);
		return err;
	}
	return fd;
}

void output_discard(const char *path, int fd)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	CLEANUP_FREE char *folder = slash ? strndup(path, slash > path ? (size_t)(slash - path) : 1) : strdup(".");
	CLEANUP_CLOSE int folder_fd = folder ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	struct stat made, found;

	/* Only the very file, and by the folder that holds it: what somebody put at the path meanwhile is not ours. */
	if (folder_fd < 0 || fstat(fd, &made) || !S_ISREG(made.st_mode) ||
	    fstatat(folder_fd, name, &found, AT_SYMLINK_NOFOLLOW))
		return;
	if (made.st_dev == found.st_dev && made.st_ino == found.st_ino)
		unlinkat(folder_fd, name, 0);
}
