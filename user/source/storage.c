/* SPDX-License-Identifier: Apache-2.0 */
#include "source/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "source/frame.h"

struct storage {
	int fd; /* our own duplicate, for what write(2) does not do */
	bool regular;
	bool head_due;
	off_t position;		/* of a regular file: the end of the last whole frame */
	uint64_t segment_bytes; /* since the last head */
	struct buf head;	/* a whole frame */
	_Atomic uint64_t lost;
	_Atomic uint64_t bytes;
	_Atomic int err;
};

int storage_new(int fd, struct storage **ret_storage)
{
	struct storage *storage = calloc(1, sizeof(*storage));
	struct stat status;
	int err;

	if (!storage)
		return -ENOMEM;
	storage->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (storage->fd < 0 || fstat(storage->fd, &status) < 0) {
		err = -errno;
		storage_free(storage);
		return err;
	}
	storage->regular = S_ISREG(status.st_mode);
	storage->position = storage->regular ? lseek(storage->fd, 0, SEEK_CUR) : 0;
	*ret_storage = storage;
	return 0;
}

void storage_free(void *ctx)
{
	struct storage *storage = ctx;

	if (!storage)
		return;
	if (storage->fd >= 0)
		close(storage->fd);
	buf_fini(&storage->head);
	free(storage);
}

/* Half a frame is worse than none only in that it costs the reader a search: where it cannot be cut off, it stays. */
static void cut_torn(struct storage *storage, size_t written)
{
	if (!written)
		return;
	if (storage->regular && ftruncate(storage->fd, storage->position) == 0 &&
	    lseek(storage->fd, storage->position, SEEK_SET) == storage->position)
		return;
	storage->position += (off_t)written;
	storage->bytes += written;
}

static int write_whole(struct storage *storage, struct writer *writer, const char *data, size_t length)
{
	size_t written;
	int err = writer_write(writer, data, length, &written);

	if (err == 0 && written < length)
		err = -ECANCELED;
	if (err < 0) {
		cut_torn(storage, written);
		return err;
	}
	storage->position += (off_t)length;
	storage->segment_bytes += length;
	storage->bytes += length;
	return 0;
}

/* Twice: whatever hits one copy leaves the other. */
static int write_head(struct storage *storage, struct writer *writer, const struct frame *next)
{
	struct frame frame;
	int err;

	if (frame_decode((const uint8_t *)storage->head.data, &frame) < 0)
		return -EINVAL;
	frame.number = next->number;
	frame.first = next->first;
	frame_encode(&frame, (uint8_t *)storage->head.data);
	storage->segment_bytes = 0;
	err = write_whole(storage, writer, storage->head.data, storage->head.length);
	if (err == 0)
		err = write_whole(storage, writer, storage->head.data, storage->head.length);
	storage->head_due = err < 0;
	return err;
}

static int write_frame(struct storage *storage, struct writer *writer, const struct frame *frame, const char *data)
{
	size_t length = FRAME_HEADER_BYTES + frame->length;
	int err = 0;

	if (frame->kind == FRAME_HEAD) {
		buf_clear(&storage->head);
		buf_add(&storage->head, data, length);
		if (storage->head.failed)
			return -ENOMEM;
		storage->head_due = true;
	}
	if (storage->head_due || storage->segment_bytes >= FRAME_SEGMENT_BYTES)
		err = write_head(storage, writer, frame);
	if (err == 0 && frame->kind == FRAME_ITEMS)
		err = write_whole(storage, writer, data, length);
	return err;
}

int storage_write(void *ctx, struct writer *writer, const char *data, size_t length)
{
	struct storage *storage = ctx;

	while (length > 0) {
		struct frame frame;
		int none = 0;
		int err;

		if (length < FRAME_HEADER_BYTES || frame_decode((const uint8_t *)data, &frame) < 0)
			return -EINVAL;
		err = write_frame(storage, writer, &frame, data);
		if (err < 0) {
			storage->lost += frame.count;
			atomic_compare_exchange_strong(&storage->err, &none, err);
		}
		data += FRAME_HEADER_BYTES + frame.length;
		length -= FRAME_HEADER_BYTES + frame.length;
	}
	return 0;
}

uint64_t storage_lost(struct storage *storage)
{
	return storage->lost;
}

uint64_t storage_bytes(struct storage *storage)
{
	return storage->bytes;
}

int storage_error(struct storage *storage)
{
	return storage->err;
}

int storage_sync(struct storage *storage)
{
	if (!storage->regular || fsync(storage->fd) == 0)
		return 0;
	return errno == EINVAL || errno == EROFS || errno == ENOSYS ? 0 : -errno;
}
