/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "probe/mappings.h"
#include "probe/perf_record.h"

#define RING_BYTES (128u << 10) /* per CPU */
#define RECORD_BYTES_MAX 65536	/* a record's size is 16 bits */
#define CPUS_MAX 8192

struct ring {
	int fd;
	struct perf_event_mmap_page *page; /* one page, then RING_BYTES of data */
};

/* A mapping that waits to be sorted; its path lies in `paths`, which moves as it grows. */
struct pending {
	struct mapping mapping;
	size_t path;
	size_t order;
};

struct mappings {
	int epoll;
	struct ring *rings;
	size_t count;
	uint64_t lost;
	struct pending *pending;
	size_t pending_count, pending_capacity;
	struct buf paths;
	uint64_t bounce[RECORD_BYTES_MAX / sizeof(uint64_t)]; /* a record that wraps around, in one piece */
};

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void ring_close(struct ring *ring)
{
	if (ring->page)
		munmap(ring->page, page_bytes() + RING_BYTES);
	if (ring->fd >= 0)
		close(ring->fd);
}

static int open_event(int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
		.mmap = 1,
		.mmap2 = 1,
		.task = 1,
		.comm = 1,
		.comm_exec = 1,
		.sample_id_all = 1,
		.watermark = 1,
		.wakeup_watermark = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
	};
	long fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

static int add_cpu(struct mappings *mappings, int cpu)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct ring ring = { .fd = open_event(cpu) };
	struct ring *rings;
	void *memory;
	int err;

	if (ring.fd < 0)
		return ring.fd == -ENODEV ? 0 : ring.fd; /* it went offline meanwhile */
	rings = reallocarray(mappings->rings, mappings->count + 1, sizeof(*rings));
	if (!rings) {
		err = -ENOMEM;
		goto out;
	}
	mappings->rings = rings;
	memory = mmap(NULL, page_bytes() + RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, 0);
	if (memory == MAP_FAILED) {
		err = -errno;
		goto out;
	}
	ring.page = memory;
	err = epoll_ctl(mappings->epoll, EPOLL_CTL_ADD, ring.fd, &event) ? -errno : 0;
out:
	if (err)
		ring_close(&ring);
	else
		rings[mappings->count++] = ring;
	return err;
}

/* "0-3,8,10-11": the kernel's list of online CPUs. */
static int add_cpus(struct mappings *mappings, char *list)
{
	char *save = NULL;
	int err = 0;

	for (char *range = strtok_r(list, ",\n", &save); !err && range; range = strtok_r(NULL, ",\n", &save)) {
		char *end;
		long cpu = strtol(range, &end, 10);
		long last = *end == '-' ? strtol(end + 1, NULL, 10) : cpu;

		for (; !err && cpu >= 0 && cpu <= last && cpu < CPUS_MAX; cpu++)
			err = add_cpu(mappings, (int)cpu);
	}
	return err;
}

static int open_rings(struct mappings *mappings)
{
	CLEANUP_FCLOSE FILE *file = fopen("/sys/devices/system/cpu/online", "re");
	CLEANUP_FREE char *line = NULL;
	size_t capacity = 0;
	int err;

	if (!file || getline(&line, &capacity, file) <= 0)
		return -errno;
	err = add_cpus(mappings, line);
	return err || mappings->count ? err : -ENODEV;
}

int mappings_open(struct mappings **ret_mappings, struct diag *diag)
{
	struct mappings *mappings = calloc(1, sizeof(*mappings));
	int err;

	if (!mappings)
		return diag_err(diag, -ENOMEM, "out of memory");
	mappings->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (mappings->epoll < 0) {
		err = diag_err(diag, -errno, "epoll: %s", strerror(errno));
		goto out;
	}
	err = open_rings(mappings);
	if (err == -EPERM || err == -EACCES)
		diag_err(diag, err,
			 "not allowed to watch for new mappings (perf_event_open): needs CAP_PERFMON or root");
	else if (err)
		diag_err(diag, err, "cannot watch for new mappings (perf_event_open): %s", strerror(-err));
out:
	if (err)
		mappings_free(mappings);
	else
		*ret_mappings = mappings;
	return err;
}

void mappings_free(struct mappings *mappings)
{
	if (!mappings)
		return;
	for (size_t i = 0; i < mappings->count; i++)
		ring_close(&mappings->rings[i]);
	if (mappings->epoll >= 0)
		close(mappings->epoll);
	free(mappings->rings);
	free(mappings->pending);
	buf_fini(&mappings->paths);
	free(mappings);
}

int mappings_fd(const struct mappings *mappings)
{
	return mappings->epoll;
}

uint64_t mappings_lost(const struct mappings *mappings)
{
	return mappings->lost;
}

static bool keep_path(struct mappings *mappings, struct pending *pending)
{
	if (!pending->mapping.path)
		return true;
	pending->path = mappings->paths.length;
	buf_add(&mappings->paths, pending->mapping.path, strlen(pending->mapping.path) + 1);
	return !mappings->paths.failed;
}

static void keep(struct mappings *mappings, const struct mapping *mapping)
{
	struct pending item = { .mapping = *mapping, .order = mappings->pending_count };

	if (mappings->pending_count == mappings->pending_capacity) {
		size_t capacity = mappings->pending_capacity ? 2 * mappings->pending_capacity : 64;
		struct pending *grown = reallocarray(mappings->pending, capacity, sizeof(*grown));

		if (!grown) {
			mappings->lost++;
			return;
		}
		mappings->pending = grown;
		mappings->pending_capacity = capacity;
	}
	if (keep_path(mappings, &item))
		mappings->pending[mappings->pending_count++] = item;
	else
		mappings->lost++;
}

static void decode(struct mappings *mappings, const void *record, size_t length)
{
	struct mapping mapping;
	uint64_t lost;

	switch (perf_record_decode(record, length, &mapping, &lost)) {
	case PERF_NEWS_MAPPING:
		keep(mappings, &mapping);
		break;
	case PERF_NEWS_LOST:
		mappings->lost += lost;
		break;
	case PERF_NEWS_NONE:
		break;
	}
}

/* Everything between our place and the kernel's at this moment. Records are 8-byte aligned: a header never wraps. */
static void read_ring(struct mappings *mappings, const struct ring *ring)
{
	struct perf_event_mmap_page *page = ring->page;
	char *data = (char *)page + page_bytes();
	uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = page->data_tail;

	while (tail < head) {
		size_t at = tail % RING_BYTES;
		struct perf_event_header *header = (void *)(data + at);
		size_t size = header->size;
		size_t first = RING_BYTES - at;

		if (size < sizeof(*header) || size > head - tail)
			break; /* not a ring we understand; drop what it holds */
		if (size <= first) {
			decode(mappings, header, size);
		} else {
			memcpy(mappings->bounce, header, first);
			memcpy((char *)mappings->bounce + first, data, size - first);
			decode(mappings, mappings->bounce, size);
		}
		tail += size;
	}
	__atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
}

static int by_time(const void *a, const void *b)
{
	const struct pending *x = a, *y = b;

	if (x->mapping.time_ns != y->mapping.time_ns)
		return x->mapping.time_ns < y->mapping.time_ns ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

int mappings_drain(struct mappings *mappings, mappings_fn *fn, void *ctx)
{
	size_t count;

	mappings->pending_count = 0;
	buf_clear(&mappings->paths);
	for (size_t i = 0; i < mappings->count; i++)
		read_ring(mappings, &mappings->rings[i]);
	count = mappings->pending_count;
	if (count)
		qsort(mappings->pending, count, sizeof(*mappings->pending), by_time);
	for (size_t i = 0; i < count; i++) {
		struct pending *item = &mappings->pending[i];

		if (item->mapping.path)
			item->mapping.path = mappings->paths.data + item->path;
		fn(ctx, &item->mapping);
	}
	return (int)count;
}
