/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYMBOL_SPACE_H
#define SYMBOL_SPACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "probe/mappings.h"
#include "symbol/strings.h"

/*
 * Executable file mappings of all processes, as far as news told of them. Fork shares the parent's ranges until one of both
 * changes. An image ends by exec, exit or reuse of its tgid, and is kept for a while, for events come later than news.
 */

#define SPACE_ENDED_MAX 4096		/* images that ended and are kept */
#define SPACE_ENDED_NS 10000000000ull	/* for so long */
#define SPACE_RANGES_MAX 8192		/* of one process */
#define SPACE_RANGES_ALL_MAX (2u << 20) /* of all */
#define SPACE_PATH_BYTES_MAX (64u << 20)

struct module;

struct range {
	uint64_t start;
	uint64_t end;
	uint64_t file_offset;
	uint64_t since_ns;     /* CLOCK_MONOTONIC; 0: it was there before us */
	struct string *path;   /* a reference */
	struct module *module; /* the file, once it has been opened: module.h */
};

struct space {
	uint32_t refs;
	uint32_t count;
	uint32_t capacity;
	struct range *ranges; /* by address, disjoint */
};

struct image {
	uint32_t tgid;
	bool partial; /* there are mappings that no news told of */
	bool ended;
	uint64_t since_ns; /* of this image, 0: before us */
	uint64_t ended_ns;
	uint64_t lost_seen;	     /* the owner's: mappings_lost() when it was last read from /proc */
	struct space *space;	     /* NULL: empty */
	struct map stacks;	     /* the owner's cache: values are freed whenever the ranges change */
	struct image *older, *newer; /* of the same tgid */
	struct image *next_ended;
};

struct spaces {
	struct map images; /* tgid -> newest image */
	struct strings paths;
	struct image *ended_first, *ended_last;
	size_t ended_count;
	size_t range_count;
};

void spaces_init(struct spaces *spaces);
void spaces_fini(struct spaces *spaces);
void spaces_apply(struct spaces *spaces, const struct mapping *mapping);

/* The image that tgid had at that time. NULL: not known; spaces_knows() tells whether there is any image of it. */
struct image *spaces_image(const struct spaces *spaces, uint32_t tgid, uint64_t time_ns);
bool spaces_knows(const struct spaces *spaces, uint32_t tgid);

/* The living image of tgid; made, as one that was there before us, if there is none. NULL: out of memory. */
struct image *spaces_living(struct spaces *spaces, uint32_t tgid);

/* "/usr/lib/x.so" and "/memfd:x (deleted)" are, "[vdso]" and "//anon" are not. */
bool space_path_is_file(const char *path);

/* Takes what a file in the format of /proc/PID/maps says of a living tgid, in addition to what is known. 0 or -ENOMEM. */
int spaces_read_maps(struct spaces *spaces, uint32_t tgid, FILE *file);

/* The range with that address which was there at that time, or NULL. Valid until the image changes. */
struct range *image_find(const struct image *image, uint64_t address, uint64_t time_ns);
void image_forget_stacks(struct image *image);

#endif
