/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "probe/program.h"

#define SCRIPTS_MAX 4 /* binfmt_script follows as many */
#define HEAD_BYTES 256
#define SEGMENTS_MAX 128

const char *program_getenv(char *const *environment, const char *name)
{
	size_t length = strlen(name);

	for (; *environment; environment++) {
		if (!strncmp(*environment, name, length) && (*environment)[length] == '=')
			return *environment + length + 1;
	}
	return NULL;
}

static bool runnable(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK);
}

/* As execvp(): a name with a slash is a path, others are looked for in PATH, where an empty element is the current folder. */
static int resolve(const char *name, char *const *environment, char ret_path[PATH_MAX])
{
	const char *dir = program_getenv(environment, "PATH");

	if (!*name || strlen(name) >= PATH_MAX)
		return -ENOENT;
	if (strchr(name, '/')) {
		snprintf(ret_path, PATH_MAX, "%s", name);
		return runnable(name) ? 0 : -ENOENT;
	}
	if (!dir)
		dir = "/bin:/usr/bin";
	for (;;) {
		size_t length = strcspn(dir, ":");
		int n = length ? snprintf(ret_path, PATH_MAX, "%.*s/%s", (int)length, dir, name)
			       : snprintf(ret_path, PATH_MAX, "./%s", name);

		if (n < PATH_MAX && runnable(ret_path))
			return 0;
		if (!dir[length])
			return -ENOENT;
		dir += length + 1;
	}
}

/* `/usr/bin/env [-S] [NAME=VALUE] prog`: the word that env will look for. NULL: none. */
static char *word_of_env(char *rest)
{
	char *save = NULL;

	for (char *word = strtok_r(rest, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
		if (word[0] != '-' && !strchr(word, '='))
			return word;
	}
	return NULL;
}

/* From the first line of a script to the program that reads it. */
static int follow_script(char *line, char *const *environment, char ret_path[PATH_MAX])
{
	char *save = NULL;
	char *interpreter, *rest, *word, *base;

	line[strcspn(line, "\n")] = '\0';
	interpreter = strtok_r(line + 2, " \t", &save);
	if (!interpreter)
		return -ENOEXEC;
	rest = strtok_r(NULL, "", &save);
	base = strrchr(interpreter, '/');
	word = rest && base && !strcmp(base, "/env") ? word_of_env(rest) : NULL;
	if (word)
		return resolve(word, environment, ret_path);
	snprintf(ret_path, PATH_MAX, "%s", interpreter);
	return runnable(ret_path) ? 0 : -ENOENT;
}

static bool read_exact(int fd, void *data, size_t bytes, uint64_t offset)
{
	return offset <= INT64_MAX && pread(fd, data, bytes, (off_t)offset) == (ssize_t)bytes;
}

static int read_loader(int fd, char ret_loader[PATH_MAX])
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	ret_loader[0] = '\0';
	if (!read_exact(fd, &header, sizeof(header), 0) || memcmp(header.e_ident, ELFMAG, SELFMAG) ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(segment))
		return -ENOEXEC;
	for (unsigned int i = 0; i < header.e_phnum && i < SEGMENTS_MAX; i++) {
		if (!read_exact(fd, &segment, sizeof(segment), header.e_phoff + i * sizeof(segment)))
			return -ENOEXEC;
		if (segment.p_type != PT_INTERP)
			continue;
		if (!segment.p_filesz || segment.p_filesz >= PATH_MAX ||
		    !read_exact(fd, ret_loader, segment.p_filesz, segment.p_offset))
			return -ENOEXEC;
		ret_loader[segment.p_filesz] = '\0';
		break;
	}
	return 0;
}

int program_find(const char *name, char *const *environment, struct program *ret)
{
	char head[HEAD_BYTES + 1];
	int err = resolve(name, environment, ret->path);

	for (int depth = 0; !err && depth <= SCRIPTS_MAX; depth++) {
		CLEANUP_CLOSE int fd = open(ret->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		ssize_t n = fd < 0 ? -1 : pread(fd, head, HEAD_BYTES, 0);

		if (n < 0)
			return -errno;
		head[n] = '\0';
		if (n < 2 || head[0] != '#' || head[1] != '!')
			return read_loader(fd, ret->loader);
		err = follow_script(head, environment, ret->path);
	}
	return err ? err : -ELOOP;
}
