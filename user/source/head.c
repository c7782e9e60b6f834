/* SPDX-License-Identifier: Apache-2.0 */
#include "source/head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "probe/table.h"
#include "source/varint.h"
#include "vramtrace/wire.h"

static void put_number(struct buf *out, uint64_t value)
{
	uint8_t bytes[VARINT_BYTES_MAX];

	buf_add(out, bytes, (size_t)(varint_put(bytes, value) - bytes));
}

static void put_string(struct buf *out, const char *string)
{
	size_t length;

	if (!string) {
		put_number(out, 0);
		return;
	}
	length = strnlen(string, HEAD_STRING_MAX);
	put_number(out, length + 1);
	buf_add(out, string, length);
	buf_add(out, "", 1);
}

void head_pack(struct buf *out, const struct recording_head *head)
{
	const char *const strings[] = { head->version, head->host, head->boot_id, head->kernel,
					head->driver,  NULL,	   head->gpus,	  head->command };

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		put_string(out, strings[i]);
	put_number(out, head->begin_ns);
	put_number(out, varint_fold((uint64_t)head->wall_minus_mono_ns));
	put_number(out, varint_fold((uint64_t)head->boot_minus_mono_ns));
	put_number(out, varint_fold((uint64_t)(int64_t)head->utc_offset_s));
	put_number(out, head->interval_ns);
	put_number(out, head->driver_probed);
	put_number(out, head->entry_only);
	put_number(out, head->simulated);
	put_number(out, VT_WIRE_VERSION);
	put_number(out, VT_PROBE_COUNT);
	for (unsigned int i = 0; i < VT_PROBE_COUNT; i++)
		put_string(out, probe_row(i)->symbol);
}

static const char *take_string(struct cursor *cursor)
{
	uint64_t length = cursor_upto(cursor, HEAD_STRING_MAX + 1);
	const char *string;

	if (!length)
		return NULL;
	string = cursor_bytes(cursor, length);
	if (string && (string[length - 1] || memchr(string, '\0', length - 1))) {
		cursor->failed = true;
		return NULL;
	}
	return string;
}

static void take_run(struct cursor *cursor, struct recording_head *run)
{
	const char *unused;
	const char **const strings[] = { &run->version, &run->host, &run->boot_id, &run->kernel,
					 &run->driver,	&unused,    &run->gpus,	   &run->command };
	int64_t utc_offset;

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		*strings[i] = take_string(cursor);
	run->begin_ns = cursor_u64(cursor);
	run->wall_minus_mono_ns = (int64_t)varint_unfold(cursor_u64(cursor));
	run->boot_minus_mono_ns = (int64_t)varint_unfold(cursor_u64(cursor));
	utc_offset = (int64_t)varint_unfold(cursor_u64(cursor));
	if (utc_offset < INT32_MIN || utc_offset > INT32_MAX)
		cursor->failed = true;
	run->utc_offset_s = (int32_t)utc_offset;
	run->interval_ns = cursor_u64(cursor);
	run->driver_probed = cursor_upto(cursor, 1);
	run->entry_only = cursor_upto(cursor, 1);
	run->simulated = cursor_upto(cursor, 1);
}

/* Mostly a recording of this very build: the same place first. */
static int find_row(const char *name, unsigned int place)
{
	const struct probe_row *row = probe_row(place);

	return row && !strcmp(row->symbol, name) ? (int)place : probe_row_find(name);
}

static void take_rows(struct cursor *cursor, struct head *head)
{
	for (uint32_t i = 0; i < head->row_count && !cursor->failed; i++) {
		const char *name = take_string(cursor);
		int row = name ? find_row(name, i) : -ENOENT;

		head->row_names[i] = name;
		head->rows[i] = row < 0 ? HEAD_NO_ROW : (uint16_t)row;
	}
}

int head_unpack(const void *payload, size_t length, struct head *ret_head)
{
	struct cursor cursor = { .end = NULL };
	struct head head = { 0 };
	int err = -ENOMEM;

	head.payload = malloc(length + 1);
	if (!head.payload)
		return -ENOMEM;
	memcpy(head.payload, payload, length);
	cursor.at = (const uint8_t *)head.payload;
	cursor.end = cursor.at + length;
	take_run(&cursor, &head.run);
	head.wire_version = (uint8_t)cursor_upto(&cursor, UINT8_MAX);
	head.row_count = (uint32_t)cursor_upto(&cursor, HEAD_ROWS_MAX);
	head.row_names = calloc(head.row_count + 1u, sizeof(*head.row_names));
	head.rows = calloc(head.row_count + 1u, sizeof(*head.rows));
	if (!head.row_names || !head.rows)
		goto out;
	take_rows(&cursor, &head);
	err = cursor.failed ? -EBADMSG : 0;
out:
	if (err < 0) {
		head_fini(&head);
		return err;
	}
	*ret_head = head;
	return 0;
}

void head_fini(struct head *head)
{
	free(head->payload);
	free(head->row_names);
	free(head->rows);
	*head = (struct head) { 0 };
}
