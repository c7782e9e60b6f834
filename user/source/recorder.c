/* SPDX-License-Identifier: Apache-2.0 */
#include "source/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/writer.h"
#include "source/frame.h"
#include "source/head.h"
#include "source/pack.h"
#include "source/storage.h"

struct recorder {
	struct writer *writer;
	struct storage *storage; /* the writer's: lives until writer_free */
	struct buf out;		 /* the open frame: room for its header, then the payload */
	struct pack pack;
	struct frame frame; /* as far as it is known */
	uint64_t next;	    /* index of the next item */
	uint64_t lost;	    /* that did not come as far as storage */
	int err;
};

/* The payload that comes next stands behind room for its header. */
static void begin_frame(struct recorder *recorder)
{
	static const char room[FRAME_HEADER_BYTES];

	buf_clear(&recorder->out);
	buf_add(&recorder->out, room, sizeof(room));
	pack_clear(&recorder->pack);
	recorder->frame.first = recorder->next;
	recorder->frame.count = 0;
}

static bool send_frame(struct recorder *recorder, enum frame_kind kind)
{
	uint8_t *header = (uint8_t *)recorder->out.data;

	recorder->frame.kind = kind;
	frame_seal(&recorder->frame, header + FRAME_HEADER_BYTES, recorder->out.length - FRAME_HEADER_BYTES);
	frame_encode(&recorder->frame, header);
	return writer_put(recorder->writer, header, recorder->out.length);
}

static void lose(struct recorder *recorder, uint64_t count, int err)
{
	recorder->lost += count;
	if (!recorder->err)
		recorder->err = err;
}

static int send_head(struct recorder *recorder, const struct recording_head *head, struct diag *diag)
{
	begin_frame(recorder);
	recorder->frame.number = 1;
	head_pack(&recorder->out, head);
	if (recorder->out.failed || !send_frame(recorder, FRAME_HEAD))
		return diag_err(diag, -ENOMEM, "out of memory");
	begin_frame(recorder);
	return 0;
}

static int start_writer(struct recorder *recorder, int fd, struct diag *diag)
{
	struct writer_output output = { .write = storage_write, .free = storage_free };
	int err = storage_new(fd, &recorder->storage);

	if (err == 0) {
		output.ctx = recorder->storage;
		err = writer_new_output(fd, &output, &recorder->writer);
		if (err < 0)
			storage_free(recorder->storage);
	}
	return err < 0 ? diag_err(diag, err, "cannot write the recording: %s", strerror(-err)) : 0;
}

int recorder_new(int fd, const struct recording_head *head, struct recorder **ret_recorder, struct diag *diag)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));
	int err;

	if (!recorder)
		return diag_err(diag, -ENOMEM, "out of memory");
	pack_init(&recorder->pack, &recorder->out);
	if (getrandom(&recorder->frame.run, sizeof(recorder->frame.run), 0) != sizeof(recorder->frame.run))
		err = diag_err(diag, -EIO, "the kernel gives no random number");
	else
		err = start_writer(recorder, fd, diag);
	if (err == 0)
		err = send_head(recorder, head, diag);
	if (err < 0) {
		recorder_free(recorder);
		return err;
	}
	*ret_recorder = recorder;
	return 0;
}

void recorder_flush(struct recorder *recorder)
{
	if (recorder->frame.count) {
		if (!send_frame(recorder, FRAME_ITEMS))
			lose(recorder, recorder->frame.count, -ENOBUFS);
		recorder->frame.number++;
	}
	begin_frame(recorder);
}

void recorder_add(struct recorder *recorder, const struct item *item)
{
	size_t before = recorder->out.length;

	if (pack_item_bytes(item) > FRAME_ITEM_BYTES_MAX || !pack_item(&recorder->pack, item)) {
		/* Its index is left out, which is how the reader knows: the frame ends here. */
		bool memory = recorder->pack.failed || recorder->out.failed;

		if (recorder->out.length > before)
			recorder->out.length = before;
		recorder->next++;
		recorder_flush(recorder);
		lose(recorder, 1, memory ? -ENOMEM : -E2BIG);
		return;
	}
	recorder->next++;
	recorder->frame.count++;
	if (recorder->out.length >= FRAME_HEADER_BYTES + FRAME_CLOSE_BYTES)
		recorder_flush(recorder);
}

uint64_t recorder_lost(const struct recorder *recorder, int *ret_err)
{
	int err = storage_error(recorder->storage);

	*ret_err = err ? err : recorder->err;
	return recorder->lost + storage_lost(recorder->storage);
}

uint64_t recorder_bytes(const struct recorder *recorder)
{
	return storage_bytes(recorder->storage);
}

void recorder_finish(struct recorder *recorder)
{
	int err;

	recorder_flush(recorder);
	writer_flush(recorder->writer);
	err = storage_sync(recorder->storage);
	if (err < 0)
		lose(recorder, 0, err);
}

void recorder_free(struct recorder *recorder)
{
	if (!recorder)
		return;
	writer_free(recorder->writer);
	pack_fini(&recorder->pack);
	buf_fini(&recorder->out);
	free(recorder);
}
