/* SPDX-License-Identifier: Apache-2.0 */
#include "base/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"

#define KEEP_BYTES (1UL << 20) /* a buffer that a burst made larger than this is given back */
#define REST_NS 1000000	       /* between two batches: many lines, one write */
#define STOP_LOOK_MS 100
#define FREE_WAIT_NS 100000000 /* for a thread that may be stuck in write(2) */

struct writer {
	int fd; /* our own duplicate: an abandoned thread may outlive the caller's */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;	/* there is something to write, or stop */
	pthread_cond_t changed; /* a batch is written, or done */
	struct buf queue;	/* under lock */
	size_t writing_bytes;	/* under lock: of the batch on its way */
	bool full;		/* under lock: refuses until half is free */
	bool idle;		/* under lock: the thread waits for work */
	bool stop;		/* under lock: the thread ends at its next look */
	bool done;		/* under lock: it has */
	bool abandoned;		/* under lock: the thread frees everything when it ends */
	int error;		/* under lock: 0 or -errno */
	struct buf batch;	/* the thread's alone while it runs */
	struct writer_output output;
};

static bool is_stopped(struct writer *writer)
{
	bool stop;

	pthread_mutex_lock(&writer->lock);
	stop = writer->stop;
	pthread_mutex_unlock(&writer->lock);
	return stop;
}

static int write_all(void *ctx, struct writer *writer, const char *data, size_t length)
{
	size_t written = 0;

	(void)ctx;
	return writer_write(writer, data, length, &written);
}

int writer_write(struct writer *writer, const char *data, size_t length, size_t *ret_written)
{
	struct pollfd ready = { .fd = writer->fd, .events = POLLOUT };

	*ret_written = 0;
	while (length > 0 && !is_stopped(writer)) {
		ssize_t n = write(writer->fd, data, length);

		if (n < 0 && errno == EAGAIN)
			poll(&ready, 1, STOP_LOOK_MS);
		else if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			length -= (size_t)n;
			*ret_written += (size_t)n;
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
	pthread_cond_broadcast(&writer->changed);
	pthread_mutex_unlock(&writer->lock);
}

static void destroy(struct writer *writer)
{
	pthread_cond_destroy(&writer->changed);
	pthread_cond_destroy(&writer->work);
	pthread_mutex_destroy(&writer->lock);
	buf_fini(&writer->queue);
	buf_fini(&writer->batch);
	if (writer->fd >= 0)
		close(writer->fd);
	if (writer->output.free)
		writer->output.free(writer->output.ctx);
	free(writer);
}

/* The reason for this thread: a write to a slow terminal or a full pipe blocks, and the caller drains the kernel's ring. */
static void *run(void *arg)
{
	const struct timespec rest = { .tv_nsec = REST_NS };
	struct writer *writer = arg;
	const struct writer_output *output = &writer->output;
	bool abandoned;

	while (take_batch(writer)) {
		settle_batch(writer, output->write(output->ctx, writer, writer->batch.data, writer->batch.length));
		nanosleep(&rest, NULL);
	}
	pthread_mutex_lock(&writer->lock);
	writer->done = true;
	abandoned = writer->abandoned;
	pthread_cond_broadcast(&writer->changed);
	pthread_mutex_unlock(&writer->lock);
	if (abandoned)
		destroy(writer);
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
	const struct writer_output output = { .write = write_all };

	return writer_new_output(fd, &output, ret_writer);
}

int writer_new_output(int fd, const struct writer_output *output, struct writer **ret_writer)
{
	struct writer *writer = calloc(1, sizeof(*writer));
	pthread_condattr_t attributes;
	int err;

	if (!writer)
		return -ENOMEM;
	writer->output = *output;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->work, NULL);
	pthread_cond_init(&writer->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	writer->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	err = writer->fd < 0 ? -errno : start_thread(writer);
	if (err < 0) {
		writer->output.free = NULL; /* still the caller's */
		destroy(writer);
		return err;
	}
	*ret_writer = writer;
	return 0;
}

/* A thread that a stuck reader holds in write(2) is left behind: it touches nothing of the caller's and cleans up after itself. */
void writer_free(struct writer *writer)
{
	struct timespec until;
	bool done;
	int err = 0;

	if (!writer)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += FREE_WAIT_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;

	pthread_mutex_lock(&writer->lock);
	writer->stop = true;
	pthread_cond_signal(&writer->work);
	while (!writer->done && err == 0)
		err = pthread_cond_timedwait(&writer->changed, &writer->lock, &until);
	done = writer->done;
	if (!done) {
		writer->abandoned = true;
		pthread_detach(writer->thread);
	}
	pthread_mutex_unlock(&writer->lock);
	if (!done)
		return;
	pthread_join(writer->thread, NULL);
	destroy(writer);
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

bool writer_put_wait(struct writer *writer, const void *data, size_t length)
{
	bool accepted;

	pthread_mutex_lock(&writer->lock);
	while (!writer->error && (writer->queue.length || writer->writing_bytes) &&
	       writer->queue.length + writer->writing_bytes + length > WRITER_QUEUE_BYTES)
		pthread_cond_wait(&writer->changed, &writer->lock);
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
		pthread_cond_wait(&writer->changed, &writer->lock);
	err = writer->error;
	pthread_mutex_unlock(&writer->lock);
	return err;
}
