/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "source/source.h"
#include "vramtrace/wire.h"

struct source {
	struct ring_buffer *ring;
	source_fn *fn;
	source_ahead_fn *ahead;
	void *ctx;
	int limit;
	int taken;
};

#define RING_BYTES_MIN 4096 /* a page: the kernel takes no smaller one */
_Static_assert((SOURCE_AHEAD + 2) * (BPF_RINGBUF_HDR_SZ + VT_RECORD_BYTES_MAX + 7) <= RING_BYTES_MIN, "all are mapped");

/*
 * The record behind this one, as the kernel lays them out: each has a header of its length and of its page, and begins at a multiple of 8. The
 * ring is mapped twice in a row and larger than SOURCE_AHEAD records, so what is read is mapped. *ret_length: 0 if it is not one of ours.
 */
static const char *behind(const char *data, size_t length, size_t *ret_length)
{
	const char *header = data + (length + 7) / 8 * 8;
	uint32_t word;

	memcpy(&word, header, sizeof(word));
	*ret_length = word <= VT_RECORD_BYTES_MAX ? word : 0; /* busy and discarded ones have the highest bits set */
	return header + BPF_RINGBUF_HDR_SZ;
}

static void look_ahead(const struct source *source, const char *data, size_t length)
{
	for (int distance = 1; distance <= SOURCE_AHEAD; distance++) {
		if (length > VT_RECORD_BYTES_MAX)
			return;
		data = behind(data, length, &length);
		if (!length)
			return;
		source->ahead(source->ctx, data, length, distance);
	}
}

static int take(void *ctx, void *data, size_t length)
{
	struct source *source = ctx;

	if (source->ahead && source->taken % SOURCE_STEP == 0)
		look_ahead(source, data, length);
	source->fn(source->ctx, data, length);
	source->taken++;
	/* Any negative number stops libbpf after this record, which is consumed. */
	return source->limit && source->taken >= source->limit ? -ECANCELED : 0;
}

int source_open_ring(int ring_fd, source_fn *fn, void *ctx, struct source **ret_source, struct diag *diag)
{
	struct source *source = calloc(1, sizeof(*source));

	if (!source)
		return diag_err(diag, -ENOMEM, "out of memory");
	source->fn = fn;
	source->ctx = ctx;
	source->ring = ring_buffer__new(ring_fd, take, source, NULL);
	if (!source->ring) {
		int err = -errno;

		free(source);
		return diag_err(diag, err, "cannot map the ring buffer: %s", strerror(-err));
	}
	*ret_source = source;
	return 0;
}

void source_look_ahead(struct source *source, source_ahead_fn *ahead)
{
	source->ahead = ahead;
}

int source_fd(const struct source *source)
{
	return ring_buffer__epoll_fd(source->ring);
}

int source_drain(struct source *source, int limit)
{
	int err;

	source->limit = limit;
	source->taken = 0;
	err = ring_buffer__consume(source->ring);
	return err < 0 && err != -ECANCELED ? err : source->taken;
}

void source_free(struct source *source)
{
	if (!source)
		return;
	ring_buffer__free(source->ring);
	free(source);
}
