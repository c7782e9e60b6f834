/* SPDX-License-Identifier: Apache-2.0 */
#include "symbol/module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "probe/library.h"
#include "probe/table.h"
#include "symbol/short_name.h"

#define DELETED " (deleted)"
#define OPEN_PATH_BYTES (4096 + 64)

void modules_init(struct modules *modules, struct reader *reader, struct strings *paths)
{
	*modules = (struct modules) { .reader = reader, .paths = paths };
	strings_init(&modules->names, MODULE_NAME_BYTES_MAX, 1);
	strings_init(&modules->symbols, MODULE_NAME_BYTES_MAX, 0);
}

void modules_fini(struct modules *modules)
{
	struct module *module, *next;
	struct map_slot *slot;

	for (module = modules->all; module; module = next) {
		next = module->next_all;
		for (size_t i = 0; (slot = map_next(&module->places, &i));)
			free(slot->value);
		map_fini(&module->places);
		free(module);
	}
	strings_fini(&modules->names);
	strings_fini(&modules->symbols);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static enum module_class classify(const char *path)
{
	const char *base = base_name(path);
	enum vt_layer layer;

	if (library_name_matches(path, &layer))
		return layer == VT_LAYER_DRIVER ? MODULE_DRIVER : MODULE_RUNTIME;
	if (begins(base, "libnvidia-"))
		return MODULE_DRIVER;
	if (begins(base, layer_library(VT_LAYER_RUNTIME)))
		return MODULE_RUNTIME;
	return MODULE_PROGRAM;
}

enum module_class module_class(struct string *path)
{
	if (!path->tag)
		path->tag = classify(path->text);
	return path->tag;
}

/* Looks before it opens: the file may have been swapped for a device or a pipe. */
static int open_regular(const char *path, struct stat *ret_stat)
{
	CLEANUP_CLOSE int look = open(path, O_PATH | O_CLOEXEC);
	char link[64];
	int fd;

	if (look < 0 || fstat(look, ret_stat) < 0)
		return -errno;
	if (!S_ISREG(ret_stat->st_mode))
		return -ENOTSUP;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", look);
	fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

static bool is_deleted(const struct string *path)
{
	size_t length = sizeof(DELETED) - 1;

	return path->length > length && strcmp(path->text + path->length - length, DELETED) == 0;
}

/*
 * The mapping's own file if the process is still there with that very range; else whatever now has its name, in its root or ours. A
 * file that was deleted has no name any more: whoever has it now is another one.
 */
static int open_range(uint32_t tgid, const struct range *range, struct stat *ret_stat)
{
	char path[OPEN_PATH_BYTES];
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/map_files/%llx-%llx", tgid, (unsigned long long)range->start,
		 (unsigned long long)range->end);
	fd = open_regular(path, ret_stat);
	if (fd >= 0 || is_deleted(range->path) || range->path->length > 4096)
		return fd;
	snprintf(path, sizeof(path), "/proc/%u/root%s", tgid, range->path->text);
	fd = open_regular(path, ret_stat);
	return fd >= 0 ? fd : open_regular(range->path->text, ret_stat);
}

static struct module *find_module(struct modules *modules, struct string *path, dev_t dev, ino_t ino)
{
	struct module *module;

	for (module = path->data; module; module = module->next) {
		if (module->dev == dev && module->ino == ino)
			return module;
	}
	module = calloc(1, sizeof(*module));
	if (!module)
		return NULL;
	map_init(&module->places);
	module->path = path;
	path->refs++;
	module->dev = dev;
	module->ino = ino;
	module->next = path->data;
	path->data = module;
	module->next_all = modules->all;
	modules->all = module;
	return module;
}

/* Reads the symbol. False: there is none to be had. */
static bool read_place(struct modules *modules, struct module *module, int fd, uint64_t file_offset,
		       struct elf_place *ret)
{
	int err;

	if (fd < 0 || module->unreadable || !modules->reader || modules->timeouts >= MODULE_TIMEOUTS_MAX)
		return false;
	err = reader_place(modules->reader, fd, file_offset, ret);
	if (err == -ETIMEDOUT)
		modules->timeouts++;
	if (err == -ETIMEDOUT || err == -EPIPE || err == -ENOEXEC)
		module->unreadable = true;
	return err == 0;
}

/*
 * The runtime's internal functions in a program that was linked with its static library, as their names go there. Its
 * exported functions have the same names as in the shared one.
 */
static bool is_runtime_like(const char *symbol)
{
	int row = probe_row_find(symbol);

	if (row >= 0)
		return probe_row(row)->layer == VT_LAYER_RUNTIME;
	return begins(symbol, "cudart::") || begins(symbol, "_ZN6cudart") || begins(symbol, "__cudart") ||
	       begins(symbol, "libcudart_static");
}

/* NULL: "", or no room for it. */
static const char *shared_symbol(struct modules *modules, const char *text)
{
	struct string *string = text[0] ? strings_get(&modules->symbols, text, strlen(text)) : NULL;

	return string ? string->text : NULL;
}

static char *shared_name(struct modules *modules, const struct place *place, uint32_t *ret_id)
{
	const char *demangled = place->caller.demangled;
	char function[SHORT_NAME_BYTES];
	struct buf buf = BUF_INIT;
	struct string *name = NULL;

	buf_str(&buf, base_name(place->caller.module));
	if (place->caller.symbol) {
		buf_char(&buf, '!');
		buf_str(&buf, demangled && short_name(demangled, function, sizeof(function)) ? function
											     : place->caller.symbol);
	} else {
		buf_char(&buf, '+');
		buf_hex(&buf, place->caller.offset);
	}
	if (!buf.failed)
		name = strings_get(&modules->names, buf.data, buf.length);
	buf_fini(&buf);
	if (!name)
		return NULL;
	*ret_id = name->id;
	return name->text;
}

static struct place *make_place(struct modules *modules, struct module *module, int fd, uint64_t file_offset)
{
	struct place *place = calloc(1, sizeof(*place));
	struct elf_place found;

	if (!place)
		return NULL;
	place->caller.module = module->path->text;
	place->caller.offset = file_offset;
	if (read_place(modules, module, fd, file_offset, &found)) {
		place->caller.offset = found.offset;
		place->caller.symbol = shared_symbol(modules, found.symbol);
		place->caller.demangled = place->caller.symbol ? shared_symbol(modules, found.demangled) : NULL;
		place->runtime_like = is_runtime_like(found.symbol);
	}
	place->caller.offset++; /* looked up one byte before the return address: inside the call, not behind it */
	place->caller.name = shared_name(modules, place, &place->caller.id);
	if (place->caller.name && map_put(&module->places, file_offset, place, NULL) == 0) {
		modules->place_count++;
		return place;
	}
	free(place);
	return NULL;
}

/* The file behind a range; also opens it where that is still to be done or wanted. *ret_fd -1: not open. */
static struct module *range_module(struct modules *modules, uint32_t tgid, struct range *range, int *ret_fd)
{
	struct module *module;
	struct stat st;

	*ret_fd = open_range(tgid, range, &st);
	if (*ret_fd >= 0) {
		module = find_module(modules, range->path, st.st_dev, st.st_ino);
		if (module && !range->module)
			range->module = module;
		return module;
	}
	/* The process is gone: most likely its file is the one that others had at this path. */
	return range->path->data ? range->path->data : find_module(modules, range->path, 0, 0);
}

const struct place *modules_place(struct modules *modules, uint32_t tgid, struct range *range, uint64_t address)
{
	uint64_t file_offset = address - 1 - range->start + range->file_offset;
	struct module *module = range->module;
	struct place *place = module ? map_get(&module->places, file_offset) : NULL;
	int fd;

	if (place)
		return place;
	if (modules->place_count >= MODULE_PLACES_MAX)
		return NULL;
	module = range_module(modules, tgid, range, &fd);
	if (module) {
		place = map_get(&module->places, file_offset);
		if (!place)
			place = make_place(modules, module, fd, file_offset);
	}
	if (fd >= 0)
		close(fd);
	return place;
}
