/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "probe/ldcache.h"
#include "probe/loader.h"
#include "probe/maps.h"
#include "probe/search.h"

/* Of one process; the kernel's default limit is 65,530 mappings. A hostile one must not keep us busy. */
#define LINES_MAX 1000000
#define FOUND_MAX 64

void candidates_fini(struct candidates *candidates)
{
	for (size_t i = 0; i < candidates->count; i++) {
		free(candidates->items[i].open_path);
		free(candidates->items[i].shown_path);
	}
	free(candidates->items);
	*candidates = (struct candidates) { NULL, 0 };
}

static bool same_file(const char *a, const char *b)
{
	struct stat first, second;

	return !stat(a, &first) && !stat(b, &second) && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* One path can name different files in different mount namespaces, or after an update: those are all wanted. */
static bool is_known(const struct candidates *candidates, const char *open_path, const char *shown_path)
{
	for (size_t i = 0; i < candidates->count; i++) {
		const struct candidate *known = &candidates->items[i];

		if (strcmp(known->shown_path, shown_path))
			continue;
		if (!strcmp(known->open_path, open_path) || same_file(known->open_path, open_path))
			return true;
	}
	return false;
}

int candidates_add(struct candidates *candidates, const char *open_path, const char *shown_path, enum vt_layer layer)
{
	struct candidate item = { .layer = layer };
	struct candidate *items;

	if (is_known(candidates, open_path, shown_path))
		return 0;
	items = reallocarray(candidates->items, candidates->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	candidates->items = items;
	item.open_path = strdup(open_path);
	item.shown_path = strdup(shown_path);
	if (!item.open_path || !item.shown_path) {
		free(item.open_path);
		free(item.shown_path);
		return -ENOMEM;
	}
	items[candidates->count++] = item;
	return 0;
}

static int add_mapping(pid_t pid, char *text, struct candidates *candidates)
{
	char open_path[80];
	struct maps_line line;
	enum vt_layer layer;

	if (!maps_parse(text, &line) || !line.executable || line.path[0] != '/')
		return 0;
	if (!library_name_matches(line.path, &layer))
		return 0;
	snprintf(open_path, sizeof(open_path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid, line.start,
		 line.end);
	return candidates_add(candidates, open_path, line.path, layer);
}

int search_process(pid_t pid, struct candidates *candidates)
{
	CLEANUP_FCLOSE FILE *maps = NULL;
	CLEANUP_FREE char *line = NULL;
	size_t capacity = 0, before = candidates->count;
	char path[32];
	int err = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	if (!maps)
		return errno == ENOENT ? -ESRCH : -errno;
	errno = 0;
	for (long i = 0; !err && i < LINES_MAX && candidates->count - before < FOUND_MAX; i++) {
		if (getline(&line, &capacity, maps) <= 0)
			break;
		err = add_mapping(pid, line, candidates);
	}
	if (!err && ferror(maps))
		err = errno ? -errno : -EIO;
	return err;
}

static int search_processes(struct candidates *candidates)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int err = 0;

	if (!proc)
		return -errno;
	while (err != -ENOMEM && (entry = readdir(proc))) {
		/* Processes that have ended, or may not be looked at, have no libraries for us. */
		if (isdigit((unsigned char)entry->d_name[0]))
			err = search_process((pid_t)strtol(entry->d_name, NULL, 10), candidates);
	}
	closedir(proc);
	return err == -ENOMEM ? err : 0;
}

static int add_cached(void *ctx, const char *name, const char *path)
{
	enum vt_layer layer;

	if (!library_name_matches(name, &layer))
		return 0;
	return candidates_add(ctx, path, path, layer);
}

int search_machine(struct candidates *candidates)
{
	int err = search_processes(candidates);

	if (err)
		return err;
	err = ldcache_walk(LDCACHE_PATH, add_cached, candidates);
	return err == -ENOMEM ? err : 0; /* no cache, or one of another libc: nothing to add */
}

int search_command(const struct search_command *command, struct candidates *candidates)
{
	int err = loader_list(command, candidates);

	return err ? err : loader_find_driver(command, candidates);
}
