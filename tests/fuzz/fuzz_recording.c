/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a recording: it must come to an end, and what it gives must be whole. The first byte chooses: the bytes as the file itself, or as
 * payloads that get headers with right checksums, so that what is behind the checksums is reached.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "source/frame.h"
#include "source/head.h"
#include "source/recording.h"

#define RUN 0x0123456789abcdef

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sum; /* so that every byte is read */

static void read_bytes(const void *bytes, size_t length)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < length; i++)
		sum += at[i];
}

static void read_string(const char *string)
{
	if (string)
		read_bytes(string, strlen(string));
}

static void read_record(const struct item *item)
{
	const struct item_caller *caller = item->record.caller;

	read_bytes(item->record.data, item->record.length);
	if (!caller)
		return;
	read_string(caller->module);
	read_string(caller->symbol);
	read_string(caller->demangled);
	read_string(caller->name);
	if (*caller->memo && *caller->memo != &sum)
		abort();
	*caller->memo = (const void *)&sum;
}

static void read_item(const struct item *item)
{
	switch (item->kind) {
	case ITEM_RECORD:
		read_record(item);
		break;
	case ITEM_LOST:
		read_string(item->lost.cause_name);
		break;
	case ITEM_ATTACHED:
	case ITEM_LATE:
	case ITEM_GONE:
		read_string(item->process.comm);
		break;
	case ITEM_LIBRARY:
		read_string(item->library.path);
		read_bytes(item->library.build_id, item->library.build_id_length);
		break;
	case ITEM_END:
		read_string(item->end.exit_reason);
		break;
	default:
		if ((unsigned int)item->kind >= ITEM_KIND_COUNT)
			abort();
	}
}

static void read_head(const struct recording_head *head)
{
	const char *const strings[] = { head->version, head->host, head->boot_id, head->kernel,
					head->driver,  head->gpus, head->command };

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		read_string(strings[i]);
}

static void read_all(int fd, size_t size)
{
	struct recording *recording;
	struct item item = { .kind = ITEM_RECORD };
	size_t count = 0;
	struct diag diag;
	int err;

	lseek(fd, 0, SEEK_SET);
	if (recording_open(fd, &recording, &diag) < 0)
		return;
	read_head(recording_head(recording));
	while ((err = recording_next(recording, &item, &diag)) == 1) {
		read_item(&item);
		if (++count > 2 * size + 4)
			abort();
	}
	if (err < 0 || item.kind != ITEM_END || recording_next(recording, &item, &diag) != 0)
		abort();
	read_string(recording_damage(recording));
	recording_free(recording);
}

static void put_frame(int fd, struct frame *frame, uint8_t *payload, size_t length)
{
	uint8_t header[FRAME_HEADER_BYTES];

	frame_seal(frame, payload, length);
	frame_encode(frame, header);
	if (write(fd, header, sizeof(header)) < 0 || write(fd, payload, length) < 0)
		abort();
}

static void put_head(int fd)
{
	struct recording_head run = { .version = "fuzz", .begin_ns = 1 };
	struct frame frame = { .kind = FRAME_HEAD, .run = RUN, .number = 1 };
	struct buf payload = BUF_INIT;

	head_pack(&payload, &run);
	if (payload.failed)
		abort();
	put_frame(fd, &frame, (uint8_t *)payload.data, payload.length);
	buf_fini(&payload);
}

/* Each payload stands behind its length, which goes on in the low bits of what changes in its header. */
static void put_frames(int fd, const uint8_t *data, size_t size)
{
	struct frame frame = { .run = RUN };
	uint8_t *payload = malloc(size ? size : 1);

	if (!payload)
		abort();
	while (size >= 4) {
		size_t length = (size_t)data[0] << 8 | data[1];

		if (length > size - 4)
			length = size - 4;
		frame.kind = data[2] & 0x80 ? FRAME_HEAD : FRAME_ITEMS;
		frame.run = RUN + (data[2] & 0x40 ? 1 : 0);
		frame.number += data[2] & 0x20 ? 0 : 1;
		frame.first += data[2] & 0x10 ? data[3] : 0;
		frame.count = data[2] & 0x08 ? data[3] : (data[2] & 7) + 1u;
		memcpy(payload, data + 4, length);
		put_frame(fd, &frame, payload, length);
		frame.first += frame.count;
		data += 4 + length;
		size -= 4 + length;
	}
	free(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("recording", MFD_CLOEXEC);
	if (!size || ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return 0;
	if (data[0] & 1)
		put_head(fd);
	if (data[0] & 2)
		put_frames(fd, data + 1, size - 1);
	else if (write(fd, data + 1, size - 1) < 0)
		abort();
	read_all(fd, (size_t)lseek(fd, 0, SEEK_END));
	return 0;
}
