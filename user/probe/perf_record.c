/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/perf_event.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "probe/perf_record.h"

/* Record layouts from perf_event_open(2). */
struct mmap2_record {
	struct perf_event_header header;
	uint32_t tgid, tid;
	uint64_t start, length, file_offset;
	uint32_t major, minor;
	uint64_t inode, generation;
	uint32_t prot, flags;
	char path[]; /* NUL-padded to 8 bytes */
};
_Static_assert(sizeof(struct mmap2_record) == 72, "perf_event_open(2)");

struct task_record {
	struct perf_event_header header;
	uint32_t tgid, parent_tgid;
	uint32_t tid, parent_tid;
	uint64_t time_ns;
};

struct comm_record {
	struct perf_event_header header;
	uint32_t tgid, tid;
	char comm[];
};

struct lost_record {
	struct perf_event_header header;
	uint64_t id;
	uint64_t lost;
};

/* At the end of every record: sample_id_all. */
struct trailer {
	uint32_t tgid, tid;
	uint64_t time_ns;
};

/* Device and anonymous memory have names too; those of files begin with a slash. /memfd: is a file that code can lie in. */
static bool is_file(const char *path)
{
	return path[0] == '/' && path[1] != '/' && strcmp(path, "/dev/zero") && strcmp(path, "/dev/zero (deleted)");
}

static enum perf_news decode_mmap2(const struct mmap2_record *record, size_t body, struct mapping *ret)
{
	if (body <= sizeof(*record) || !memchr(record->path, '\0', body - sizeof(*record)))
		return PERF_NEWS_NONE;
	if (!(record->prot & PROT_EXEC) || !is_file(record->path))
		return PERF_NEWS_NONE;
	ret->kind = MAPPING_MAP;
	ret->tgid = record->tgid;
	ret->start = record->start;
	ret->length = record->length;
	ret->file_offset = record->file_offset;
	ret->path = record->path;
	return PERF_NEWS_MAPPING;
}

static enum perf_news decode_task(const struct task_record *record, size_t body, struct mapping *ret)
{
	bool fork = record->header.type == PERF_RECORD_FORK;

	if (body < sizeof(*record))
		return PERF_NEWS_NONE;
	/*
	 * New threads, and the end of all but the main one, are not of interest. A main thread can end before the others
	 * (pthread_exit(), or exec by another thread): no record tells those apart.
	 */
	if (fork ? record->tgid == record->parent_tgid : record->tgid != record->tid)
		return PERF_NEWS_NONE;
	ret->kind = fork ? MAPPING_FORK : MAPPING_EXIT;
	ret->tgid = record->tgid;
	ret->parent = fork ? record->parent_tgid : 0;
	return PERF_NEWS_MAPPING;
}

static enum perf_news decode_comm(const struct comm_record *record, size_t body, struct mapping *ret)
{
	if (body < sizeof(*record) || !(record->header.misc & PERF_RECORD_MISC_COMM_EXEC))
		return PERF_NEWS_NONE;
	ret->kind = MAPPING_EXEC;
	ret->tgid = record->tgid;
	return PERF_NEWS_MAPPING;
}

static enum perf_news decode_lost(const struct lost_record *record, size_t body, uint64_t *ret_lost)
{
	if (body < sizeof(*record))
		return PERF_NEWS_NONE;
	*ret_lost = record->lost;
	return PERF_NEWS_LOST;
}

static enum perf_news decode_body(const struct perf_event_header *header, size_t body, struct mapping *ret)
{
	switch (header->type) {
	case PERF_RECORD_MMAP2:
		return decode_mmap2((const void *)header, body, ret);
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		return decode_task((const void *)header, body, ret);
	case PERF_RECORD_COMM:
		return decode_comm((const void *)header, body, ret);
	default:
		return PERF_NEWS_NONE;
	}
}

enum perf_news perf_record_decode(const void *record, size_t length, struct mapping *ret, uint64_t *ret_lost)
{
	const struct perf_event_header *header = record;
	struct mapping mapping = { 0 };
	struct trailer trailer;
	enum perf_news news;
	size_t body;

	if (length < sizeof(*header) + sizeof(trailer))
		return PERF_NEWS_NONE;
	body = length - sizeof(trailer);
	memcpy(&trailer, (const char *)record + body, sizeof(trailer));
	if (header->type == PERF_RECORD_LOST)
		return decode_lost(record, body, ret_lost);
	mapping.time_ns = trailer.time_ns;
	news = decode_body(header, body, &mapping);
	/* A process that our PID namespace does not see has no number for us: 0, or -1 while it ends. */
	if (news != PERF_NEWS_MAPPING || mapping.tgid == 0 || mapping.tgid == UINT32_MAX)
		return PERF_NEWS_NONE;
	*ret = mapping;
	return PERF_NEWS_MAPPING;
}
