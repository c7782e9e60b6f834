/* SPDX-License-Identifier: Apache-2.0 */
#include "source/frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <zlib.h>

struct header {
	uint8_t magic[FRAME_MAGIC_BYTES];
	uint16_t version;
	uint16_t kind;
	uint32_t length;
	uint64_t run;
	uint64_t number;
	uint64_t first;
	uint32_t count;
	uint32_t payload_crc;
	uint64_t mask;
	uint32_t zero;
	uint32_t crc;
};
_Static_assert(sizeof(struct header) == FRAME_HEADER_BYTES, "file");

static uint32_t checksum(const void *data, size_t length)
{
	return (uint32_t)crc32(crc32(0, NULL, 0), data, (uInt)length);
}

void frame_encode(const struct frame *frame, uint8_t ret_header[FRAME_HEADER_BYTES])
{
	struct header header = {
		.version = htole16(FRAME_VERSION),
		.kind = htole16((uint16_t)frame->kind),
		.length = htole32(frame->length),
		.run = htole64(frame->run),
		.number = htole64(frame->number),
		.first = htole64(frame->first),
		.count = htole32(frame->count),
		.payload_crc = htole32(frame->crc),
		.mask = htole64(frame->mask),
	};

	memcpy(header.magic, FRAME_MAGIC, FRAME_MAGIC_BYTES);
	header.crc = htole32(checksum(&header, offsetof(struct header, crc)));
	memcpy(ret_header, &header, sizeof(header));
}

int frame_decode(const uint8_t bytes[FRAME_HEADER_BYTES], struct frame *ret_frame)
{
	struct header header;

	memcpy(&header, bytes, sizeof(header));
	if (memcmp(header.magic, FRAME_MAGIC, FRAME_MAGIC_BYTES) != 0 ||
	    le32toh(header.crc) != checksum(bytes, offsetof(struct header, crc)))
		return -EBADMSG;
	if (le16toh(header.version) != FRAME_VERSION)
		return -ENOEXEC;
	*ret_frame = (struct frame) {
		.kind = le16toh(header.kind),
		.length = le32toh(header.length),
		.run = le64toh(header.run),
		.number = le64toh(header.number),
		.first = le64toh(header.first),
		.count = le32toh(header.count),
		.crc = le32toh(header.payload_crc),
		.mask = le64toh(header.mask),
	};
	if (ret_frame->length > FRAME_PAYLOAD_MAX || ret_frame->first > FRAME_ITEMS_MAX || header.zero)
		return -EBADMSG;
	return ret_frame->kind == FRAME_HEAD || ret_frame->kind == FRAME_ITEMS ? 0 : -EBADMSG;
}

static void apply_mask(uint8_t *payload, size_t length, uint64_t mask)
{
	uint8_t bytes[sizeof(mask)];

	mask = htole64(mask);
	memcpy(bytes, &mask, sizeof(bytes));
	for (size_t i = 0; mask && i < length; i++)
		payload[i] ^= bytes[i % sizeof(bytes)];
}

/*
 * A reader that looks for the next frame behind a damaged one must not find one that a traced program smuggled in as a name, even if the
 * program can read the recording and knows its run id. The mask is drawn when the content is settled, so no content can foresee it.
 */
void frame_seal(struct frame *frame, uint8_t *payload, size_t length)
{
	frame->length = (uint32_t)length;
	frame->mask = 0;
	while (memmem(payload, length, FRAME_MAGIC, FRAME_MAGIC_BYTES)) {
		apply_mask(payload, length, frame->mask);
		if (getrandom(&frame->mask, sizeof(frame->mask), GRND_NONBLOCK) != sizeof(frame->mask))
			frame->mask = frame->mask * 6364136223846793005u + frame->crc + 1;
		apply_mask(payload, length, frame->mask);
	}
	frame->crc = checksum(payload, length);
}

bool frame_unseal(const struct frame *frame, uint8_t *payload)
{
	if (checksum(payload, frame->length) != frame->crc)
		return false;
	apply_mask(payload, frame->length, frame->mask);
	return true;
}
