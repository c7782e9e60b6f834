/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "source/source.h"

struct source {
	struct ring_buffer *ring;
	source_fn *fn;
	void *ctx;
	int limit;
	int taken;
};

static int take(void *ctx, void *data, size_t length)
{
	struct source *source = ctx;

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
