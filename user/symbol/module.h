/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYMBOL_MODULE_H
#define SYMBOL_MODULE_H

#include <stdbool.h>
#include <sys/types.h>

#include "symbol/caller.h"
#include "symbol/space.h"

/*
 * Files that calls came from, and places in them. A file is known by path, device and inode once it could be opened (two containers can
 * have different files at one path), else by its path only, and then without symbols. Kept until modules_fini: callers point here.
 */

#define MODULE_PLACES_MAX (1u << 20) /* of all files */
#define MODULE_NAME_BYTES_MAX (64u << 20)
#define MODULE_TIMEOUTS_MAX 4 /* files that made the reader hang, 5 s each: then no more symbols */

enum module_class {
	MODULE_PROGRAM = 1, /* anything but CUDA's own libraries */
	MODULE_RUNTIME,
	MODULE_DRIVER,
};

struct module {
	struct module *next; /* same path, newest first */
	struct module *next_all;
	struct string *path; /* a reference */
	dev_t dev;	     /* dev and ino 0: never opened */
	ino_t ino;
	bool unreadable;   /* no ELF file, or one that the reader could not cope with */
	struct map places; /* file offset -> struct place */
};

struct place {
	struct caller caller;
	bool runtime_like; /* its symbol is one of a CUDA runtime linked into the file */
};

struct modules {
	struct reader *reader; /* NULL: no symbols */
	struct strings *paths;
	struct strings names;	/* by_caller keys; their ids are the callers' ids, from 1 */
	struct strings symbols; /* as in the files, and demangled */
	struct module *all;
	size_t place_count;
	unsigned int timeouts;
};

void modules_init(struct modules *modules, struct reader *reader, struct strings *paths);
void modules_fini(struct modules *modules);
enum module_class module_class(struct string *path);

/* The place of an address in a range of that process. NULL: out of memory, or of room. */
const struct place *modules_place(struct modules *modules, uint32_t tgid, struct range *range, uint64_t address);

#endif
