/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOURCE_HEAD_H
#define SOURCE_HEAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "source/recording.h"

/*
 * The payload of a head frame: the run, and the names of the rows that its calls speak of. Fields in the order of struct recording_head;
 * a string is its length + 1 (0: NULL), its bytes and a NUL. Before `gpus` stands a string
 * that is not used (once the name of the only GPU). Later versions may add fields at the end.
 */
#define HEAD_STRING_MAX 32768 /* longer ones (a command line) are cut */
#define HEAD_ROWS_MAX 4096

void head_pack(struct buf *out, const struct recording_head *head);

struct head {
	struct recording_head run;
	char *payload;	      /* that the strings lie in */
	uint8_t wire_version; /* of the recorder's packed calls */
	uint32_t row_count;
	const char **row_names;
	uint16_t *rows; /* our row of each of the recording's; HEAD_NO_ROW: a name that we do not know */
};
#define HEAD_NO_ROW UINT16_MAX

/* 0, -EBADMSG or -ENOMEM. */
int head_unpack(const void *payload, size_t length, struct head *ret_head);
void head_fini(struct head *head); /* safe on a zeroed object */

#endif
