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
