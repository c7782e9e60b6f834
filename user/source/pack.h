/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOURCE_PACK_H
#define SOURCE_PACK_H

#include "base/buf.h"
#include "base/map.h"
#include "source/recording.h"

/*
 * Items -> the payload of a frame, where nothing refers to another frame. A payload is a sequence of entries, each behind a tag:
 * definitions, numbered from 0 per sort, and items, which refer to what was defined before them in the payload. The layout is in the manual page,
 * RECORDING FILES.
 */
enum pack_tag {
	PACK_STRING = 1, /* length, bytes, NUL */
	PACK_CALLER,	 /* module, symbol, demangled, name, offset */
	PACK_SITE, /* row, outer row, flags, caller, number of frames, frames: differences to those of the site before */
	PACK_THREAD,	  /* tgid, tid */
	PACK_ITEM = 0x10, /* + enum item_kind: difference of time, fields of struct item */
	PACK_CALL = 0x80, /* + enum pack_call: struct vt_call */
};

/* A packed call: site, difference of time, duration, and what is not as expected. Expected is what the thread or the site had last. */
enum pack_call {
	PACK_CALL_THREAD = 1 << 0, /* another thread than the call before */
	PACK_CALL_CPU = 1 << 1,	   /* else the thread's last */
	PACK_CALL_LOST = 1 << 2,   /* a difference; else the thread's last */
	PACK_CALL_RESULT = 1 << 3, /* a difference to 0 */
	PACK_CALL_ADDR = 1 << 4,   /* a difference; else the thread's last */
	PACK_CALL_SIZE = 1 << 5,   /* a difference; else the site's last */
	PACK_CALL_MORE = 1 << 6,   /* enum pack_more follows them all, and what it names */
	PACK_CALL_FLAGS = (1 << 7) - 1,
};

/* Of a packed call too. Recordings of wire version 1 have none. */
enum pack_more {
	PACK_MORE_CONTEXT = 1 << 0, /* a difference; else the thread's last */
	PACK_MORE_A = 1 << 1,	    /* a difference; else the site's last */
	PACK_MORE_B = 1 << 2,
	PACK_MORE_FLAGS = (1 << 3) - 1,
};

/* References to strings: 0 is NULL, n + 1 is string n. To callers: */
#define PACK_NOT_ASKED 0
#define PACK_NOT_FOUND 1
#define PACK_FIRST_CALLER 2 /* + n: caller n */

struct pack {
	struct buf *out;
	struct map string_map; /* hash -> index + 1 */
	struct map caller_map; /* key */
	struct map site_map;   /* hash */
	struct map thread_map; /* tgid, tid */
	struct packed_string *strings;
	struct packed_caller *callers;
	struct packed_site *sites;
	struct packed_thread *threads;
	size_t string_count;
	size_t caller_count;
	size_t site_count;
	size_t thread_count;
	size_t string_capacity;
	size_t caller_capacity;
	size_t site_capacity;
	size_t thread_capacity;
	size_t last_thread; /* index; thread_count: none */
	uint64_t last_ns;
	bool failed; /* out of memory */
};

void pack_init(struct pack *pack, struct buf *out);
void pack_fini(struct pack *pack);
void pack_clear(struct pack *pack); /* the next item is the first of a payload */

/* Of all its strings and data. */
size_t pack_item_bytes(const struct item *item);

/* Appends to out. false: no such item, or out of memory; out ends with half an item, and the payload must end before it. */
bool pack_item(struct pack *pack, const struct item *item);

#endif
