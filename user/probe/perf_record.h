/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_PERF_RECORD_H
#define PROBE_PERF_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "probe/mappings.h"

/*
 * One record of the perf event that probe/mappings.c opens: sample_id_all with TID and TIME, mmap2, task, comm_exec. 8-byte
 * aligned; length is the record's own.
 */
enum perf_news {
	PERF_NEWS_NONE, /* of no interest, or malformed */
	PERF_NEWS_MAPPING,
	PERF_NEWS_LOST, /* *ret_lost more records were lost */
};

/* ret->path points into the record. */
enum perf_news perf_record_decode(const void *record, size_t length, struct mapping *ret, uint64_t *ret_lost);

#endif
