/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"

#define KEEP_BYTES (1UL << 20) /* a buffer that a burst made larger than this is given back */
#define REST_NS 1000000	       /* between two batches: many lines, one write */

struct writer {
	int fd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work; /* there is something to write, or stop */
	pthread_cond_t drained;
	struct buf queue;     /* under lock */
	size_t writing_bytes; /* under lock: of the batch on its way */
	bool full;	      /* under lock: refuses until half is free */
	bool idle;	      /* under lock: the thread waits for work */
	bool stop;	      /* under lock */
	int error;	      /* under lock: 0 or -errno */
	struct buf batch;     /* the thread's alone while it runs */
};

/* write(2) is where a stuck reader holds us, so it is where writer_free() may end the thread: no lock is held there. */
static ssize_t write_cancellable(int fd, const void *data, size_t length)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	int state;
	ssize_t n;
	int err;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	n = write(fd, data, length);
	err = errno;
	if (n < 0 && err == EAGAIN)
		poll(&ready, 1, -1);
	pthread_setcancelstate(state, NULL);
	errno = err;
	return n;
}

static int write_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t n = write_cancellable(fd, data, length);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n > 0) {
			data += n;
			length -= (size_t)n;
		}
	}
	return 0;
}

/* Waits for lines and takes them all. false: stop. */
static bool take_batch(struct writer *writer)
{
	struct buf empty;

	pthread_mutex_lock(&writer->lock);
	while (!writer->queue.length && !writer->stop) {
		writer->idle = true;
		pthread_cond_wait(&writer->work, &writer->lock);
	}
	writer->idle = false;
	if (writer->stop) {
		pthread_mutex_unlock(&writer->lock);
		return false;
	}
	empty = writer->batch;
	writer->batch = writer->queue;
	writer->queue = empty;
	writer->writing_bytes = writer->batch.length;
	pthread_mutex_unlock(&writer->lock);
	return true;
}

static void settle_batch(struct writer *writer, int err)
{
	if (writer->batch.capacity > KEEP_BYTES)
		buf_fini(&writer->batch);
	else
		buf_clear(&writer->batch);
	pthread_mutex_lock(&writer->lock);
	writer->writing_bytes = 0;
	if (err < 0) {
		writer->error = err;
		buf_fini(&writer->queue);
	}
	if (writer->queue.length <= WRITER_QUEUE_BYTES / 2)
		writer->full = false;
	if (!writer->queue.length)
		pthread_cond_broadcast(&writer->drained);
	pthread_mutex_unlock(&writer->lock);
}

/* The reason for this thread: a write to a slow terminal or a full pipe blocks, and the caller drains the kernel's ring. */
static void *run(void *arg)
{
	const struct timespec rest = { .tv_nsec = REST_NS };
	struct writer *writer = arg;
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	while (take_batch(writer)) {
		settle_batch(writer, write_all(writer->fd, writer->batch.data, writer->batch.length));
		nanosleep(&rest, NULL);
	}
	return NULL;
}

/* All signals stay with the caller's threads; a SIGPIPE of our own writes stays pending here, where nobody takes it. */
static int start_thread(struct writer *writer)
{
	sigset_t all;
	sigset_t old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&writer->thread, NULL, run, writer);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

int writer_new(int fd, struct writer **ret_writer)
{
	struct writer *writer = calloc(1, sizeof(*writer));
	int err;

	if (!writer)
		return -ENOMEM;
	writer->fd = fd;
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->work, NULL);
	pthread_cond_init(&writer->drained, NULL);
	err = start_thread(writer);
	if (err < 0) {
		free(writer);
		return err;
	}
	*ret_writer = writer;
	return 0;
}

void writer_free(struct writer *writer)
{
	if (!writer)
		return;
	pthread_mutex_lock(&writer->lock);
	writer->stop = true;
	pthread_cond_signal(&writer->work);
	pthread_mutex_unlock(&writer->lock);
	pthread_cancel(writer->thread);
	pthread_join(writer->thread, NULL);
	pthread_cond_destroy(&writer->drained);
	pthread_cond_destroy(&writer->work);
	pthread_mutex_destroy(&writer->lock);
	buf_fini(&writer->queue);
	buf_fini(&writer->batch);
	free(writer);
}

static bool add_locked(struct writer *writer, const void *data, size_t length)
{
	if (writer->error)
		return true;
	buf_add(&writer->queue, data, length);
	if (writer->queue.failed) {
		writer->queue.failed = false; /* what was queued before is intact */
		return false;
	}
	if (writer->idle) {
		writer->idle = false; /* one wake-up is enough */
		pthread_cond_signal(&writer->work);
	}
	return true;
}

bool writer_put(struct writer *writer, const void *data, size_t length)
{
	bool accepted = false;

	if (length > WRITER_QUEUE_BYTES)
		return false;
	pthread_mutex_lock(&writer->lock);
	if (writer->queue.length + writer->writing_bytes + length > WRITER_QUEUE_BYTES)
		writer->full = true;
	if (!writer->full || writer->error)
		accepted = add_locked(writer, data, length);
	pthread_mutex_unlock(&writer->lock);
	return accepted;
}

bool writer_put_always(struct writer *writer, const void *data, size_t length)
{
	bool accepted;

	pthread_mutex_lock(&writer->lock);
	accepted = add_locked(writer, data, length);
	pthread_mutex_unlock(&writer->lock);
	return accepted;
}

bool writer_full(struct writer *writer)
{
	bool full;

	pthread_mutex_lock(&writer->lock);
	full = writer->full && !writer->error;
	pthread_mutex_unlock(&writer->lock);
	return full;
}

int writer_error(struct writer *writer)
{
	int err;

	pthread_mutex_lock(&writer->lock);
	err = writer->error;
	pthread_mutex_unlock(&writer->lock);
	return err;
}

int writer_flush(struct writer *writer)
{
	int err;

	pthread_mutex_lock(&writer->lock);
	while ((writer->queue.length || writer->writing_bytes) && !writer->error)
		pthread_cond_wait(&writer->drained, &writer->lock);
	err = writer->error;
	pthread_mutex_unlock(&writer->lock);
	return err;
}
