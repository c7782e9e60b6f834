/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/doctor_report.h"
#include "probe/search.h"

#define FILES_MAX 128
#define LOOK_NS 5000000000ull /* at what is found: files can be made so that each costs the reader its limit */
/* Files that are really probed, for letting go of them takes time: up to a fifth of a second each, or seconds with single links. */
#define PROBED_MAX 16
#define PROBED_SLOWLY_MAX 2

struct finder {
	struct doctor_report *report;
	struct reader *reader;
	struct attach *attach;
	size_t probed;
};

static bool is_known(const struct doctor_report *report, dev_t dev, ino_t ino)
{
	for (size_t i = 0; i < report->file_count; i++)
		if (report->files[i].dev == dev && report->files[i].ino == ino)
			return true;
	return false;
}

/* NULL: there are enough. */
static struct doctor_file *add_file(struct doctor_report *report, const char *path)
{
	struct doctor_file *files;

	if (report->file_count == FILES_MAX) {
		report->files_left++;
		return NULL;
	}
	files = reallocarray(report->files, report->file_count + 1, sizeof(*files));
	if (!files)
		return NULL;
	report->files = files;
	files += report->file_count++;
	*files = (struct doctor_file) { .path = strdup(path) };
	return files;
}

static char *real_path(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return NULL;
	path[length] = '\0';
	return strdup(path);
}

/* "13.0.96" of "libcudart.so.13.0.96": what follows the last ".so.". */
static void read_version(struct doctor_file *file)
{
	const char *slash = strrchr(file->real, '/'), *version = NULL;

	for (const char *at = slash ? slash : file->real; (at = strstr(at, ".so.")); at++)
		version = at + strlen(".so.");
	if (version)
		snprintf(file->version, sizeof(file->version), "%.*s", (int)strspn(version, "0123456789."), version);
}

/* Of a file that the reader refused: a program of 32 bits is no broken one. */
static bool is_32bit(const char *path)
{
	CLEANUP_CLOSE int look = open(path, O_PATH | O_CLOEXEC);
	CLEANUP_CLOSE int fd = -1;
	unsigned char ident[EI_NIDENT];
	char link[64];
	struct stat st;

	if (look < 0 || fstat(look, &st) || !S_ISREG(st.st_mode))
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", look);
	fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || pread(fd, ident, sizeof(ident), 0) != sizeof(ident))
		return false;
	return !memcmp(ident, ELFMAG, SELFMAG) && ident[EI_CLASS] == ELFCLASS32;
}

static void probe(struct finder *finder, const struct library *library, struct doctor_file *file)
{
	const size_t most = finder->report->features.uprobe_multi ? PROBED_MAX : PROBED_SLOWLY_MAX;
	struct diag diag;
	int err;

	if (!finder->attach || finder->probed == most)
		return;
	if (finder->report->entry_only && file->layer == VT_LAYER_RUNTIME)
		return; /* nor does a trace */
	err = attach_library(finder->attach, library, &diag);
	if (err && err != -EALREADY) {
		file->problem = strdup(diag.text);
		return;
	}
	file->attached = true;
	finder->probed++;
}

static void take_library(struct finder *finder, const struct candidate *candidate, const struct library *library)
{
	struct doctor_file *file;
	int pid = 0;

	if (is_known(finder->report, library->dev, library->ino))
		return;
	file = add_file(finder->report, candidate->shown_path);
	if (!file)
		return;
	file->layer = library->layer;
	file->dev = library->dev;
	file->ino = library->ino;
	file->exports = library->exports;
	file->real = real_path(library->fd);
	if (file->real)
		read_version(file);
	if (sscanf(candidate->open_path, "/proc/%d/map_files/", &pid) == 1)
		file->pid = pid;
	probe(finder, library, file);
}

/* What could not be opened is reported by its name; the text begins with it, escaped. */
static void take_broken(struct finder *finder, const struct candidate *candidate, const struct diag *diag)
{
	struct doctor_file *file = add_file(finder->report, candidate->shown_path);
	struct stat st;

	if (!file)
		return;
	if (!stat(candidate->open_path, &st)) {
		file->dev = st.st_dev;
		file->ino = st.st_ino;
	}
	file->layer = candidate->layer;
	file->bits32 = is_32bit(candidate->open_path);
	file->problem = strdup(diag->text);
}

static bool is_refused(int err)
{
	return err == -EPERM || err == -EACCES;
}

/* Another user's mappings cannot be opened without privileges, but what lies at the same path mostly is the same file. */
static int open_candidate(struct finder *finder, const struct candidate *candidate, struct library **ret_library,
			  struct diag *diag)
{
	int err = library_open(finder->reader, candidate->open_path, candidate->shown_path, candidate->layer,
			       ret_library, diag);

	if (is_refused(err) && strcmp(candidate->open_path, candidate->shown_path))
		err = library_open(finder->reader, candidate->shown_path, candidate->shown_path, candidate->layer,
				   ret_library, diag);
	return err;
}

static void take_candidate(struct finder *finder, const struct candidate *candidate)
{
	struct library *library;
	struct diag diag;
	struct stat st;
	int err;

	if (!stat(candidate->open_path, &st) && is_known(finder->report, st.st_dev, st.st_ino))
		return;
	err = open_candidate(finder, candidate, &library, &diag);
	if (err == -ENOENT || err == -ESRCH)
		return; /* the process has ended, or the loader's cache is old */
	if (err) {
		take_broken(finder, candidate, &diag);
		return;
	}
	take_library(finder, candidate, library);
	library_free(library);
}

/* By its name if that is a CUDA library's, else by what it exports. */
static void take_named(struct finder *finder, const char *path)
{
	struct candidate candidate = { .open_path = (char *)path, .shown_path = (char *)path };
	size_t before = finder->report->file_count;
	struct library *library = NULL;
	enum vt_layer by_name;
	struct diag diag;
	int err = -ENOEXEC;

	for (int layer = VT_LAYER_DRIVER; err == -ENOEXEC && layer <= VT_LAYER_RUNTIME; layer++) {
		if (library_name_matches(path, &by_name) && (int)by_name != layer)
			continue;
		candidate.layer = (enum vt_layer)layer;
		err = library_open(finder->reader, path, path, candidate.layer, &library, &diag);
	}
	if (err)
		take_broken(finder, &candidate, &diag);
	else
		take_library(finder, &candidate, library);
	library_free(library);
	if (finder->report->file_count > before)
		finder->report->files[before].named = true;
}

static void take_found(struct finder *finder, const struct candidates *candidates)
{
	uint64_t until_ns = clock_mono_ns() + LOOK_NS;

	for (size_t i = 0; i < candidates->count; i++) {
		if (clock_mono_ns() > until_ns) {
			finder->report->files_left += candidates->count - i;
			return;
		}
		take_candidate(finder, &candidates->items[i]);
	}
}

void doctor_files_find(struct doctor_report *report, struct attach *attach, const char *const *named,
		       size_t named_count)
{
	struct finder finder = { .report = report, .attach = attach };
	struct candidates candidates = { 0 };
	struct diag diag;

	if (reader_new(&finder.reader, &diag)) {
		buf_printf(&report->problems, "%s\n", diag.text);
		return;
	}
	for (size_t i = 0; i < named_count; i++)
		take_named(&finder, named[i]);
	search_machine(&candidates);
	take_found(&finder, &candidates);
	candidates_fini(&candidates);
	reader_free(finder.reader);
}

void doctor_files_free(struct doctor_report *report)
{
	for (size_t i = 0; i < report->file_count; i++) {
		free(report->files[i].path);
		free(report->files[i].real);
		free(report->files[i].problem);
	}
	free(report->files);
	report->files = NULL;
	report->file_count = 0;
}

bool doctor_file_has(const struct doctor_file *file, unsigned int row)
{
	for (uint32_t i = 0; i < file->exports.count; i++)
		if (file->exports.exports[i].row == row)
			return true;
	return false;
}
