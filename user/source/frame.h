/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOURCE_FRAME_H
#define SOURCE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The frames of a recording file. Each can be read without any other, but for the head's row names. All numbers are little endian:
 *
 *    0  magic[8]     89 56 54 52 0d 0a 1a 0a; occurs nowhere in a payload
 *    8  version u16  FRAME_VERSION
 *   10  kind u16     enum frame_kind
 *   12  length u32   bytes of the payload, which follows the header
 *   16  run u64      random, the same in all frames of a recording
 *   24  number u64   of an items frame, from 1; of a head: of the items frame that comes after it
 *   32  first u64    index of the frame's first item, from 0; of a head: of the next item
 *   40  count u32    items
 *   44  crc u32      CRC-32 of the payload as it stands in the file
 *   48  mask u64     the payload stands in the file with these 8 bytes, repeated, XORed in
 *   56  zero u32
 *   60  crc u32      CRC-32 of the bytes 0..59
 */
#define FRAME_HEADER_BYTES 64u
#define FRAME_MAGIC "\x89VTR\r\n\x1a\n"
#define FRAME_MAGIC_BYTES 8u
#define FRAME_VERSION 1

#define FRAME_CLOSE_BYTES (64u << 10)	/* a payload of this length gets no more items */
#define FRAME_ITEM_BYTES_MAX (1u << 20) /* of an item's strings and data */
#define FRAME_PAYLOAD_MAX (FRAME_CLOSE_BYTES + FRAME_ITEM_BYTES_MAX + (16u << 10)) /* with room for an item's numbers */
#define FRAME_SEGMENT_BYTES (16u << 20)						   /* then a new head */
#define FRAME_ITEMS_MAX (1ULL << 48) /* indices are below: sums of losses cannot overflow */

enum frame_kind {
	FRAME_HEAD = 1,
	FRAME_ITEMS = 2,
};

struct frame {
	enum frame_kind kind;
	uint32_t length;
	uint64_t run;
	uint64_t number;
	uint64_t first;
	uint32_t count;
	uint32_t crc;
	uint64_t mask;
};

void frame_encode(const struct frame *frame, uint8_t ret_header[FRAME_HEADER_BYTES]);

/* 0; -EBADMSG: not a header; -ENOEXEC: a good one, of another version. ret_frame->length is within FRAME_PAYLOAD_MAX. */
int frame_decode(const uint8_t header[FRAME_HEADER_BYTES], struct frame *ret_frame);

/* Makes a payload fit to stand in a file: no magic in it, whatever strings other programs chose. Sets length, crc and mask. */
void frame_seal(struct frame *frame, uint8_t *payload, size_t length);

/* Checks the payload and takes the mask off. false: damaged, and left as it is. */
bool frame_unseal(const struct frame *frame, uint8_t *payload);

#endif
