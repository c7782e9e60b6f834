/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOURCE_UNPACK_H
#define SOURCE_UNPACK_H

#include "base/buf.h"
#include "source/recording.h"
#include "source/varint.h"
#include "vramtrace/wire.h"

/* The payload of an items frame -> items; the other half of pack.h. Hostile: every reference and length is checked. */
struct unpack {
	struct cursor cursor;
	const char **strings;
	struct unpacked_caller *callers;
	struct unpacked_site *sites;
	struct unpacked_thread *threads;
	size_t string_count;
	size_t caller_count;
	size_t site_count;
	size_t thread_count;
	size_t string_capacity;
	size_t caller_capacity;
	size_t site_capacity;
	size_t thread_capacity;
	size_t last_thread;
	uint64_t last_ns;
	uint8_t wire_version;	   /* of packed calls: the recorder's */
	int err;		   /* -ENOMEM of a definition */
	struct item_caller caller; /* of the item given last */
	const void *no_caller_memo;
	struct buf raw;						      /* a record as it came; aligned */
	char record[VT_RECORD_BYTES_MAX] __attribute__((aligned(8))); /* a packed call, struct vt_call */
};

void unpack_init(struct unpack *unpack, uint8_t wire_version);
void unpack_fini(struct unpack *unpack);

/* payload: borrowed until the next unpack_begin(). */
void unpack_begin(struct unpack *unpack, const void *payload, size_t length);

/* 0, -EBADMSG or -ENOMEM. The item lasts until the next call. Rows of calls are the recorder's; ret_record: the record's bytes, to map them. */
int unpack_item(struct unpack *unpack, struct item *ret_item, void **ret_record);

#endif
