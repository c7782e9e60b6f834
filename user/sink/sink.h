/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SINK_SINK_H
#define SINK_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "ledger/ledger.h"

/*
 * Where the product goes. One interface; text, json, csv and null (prints nothing) behind it. A sink formats into memory and hands lines
 * to a writer (base/writer.h) that never blocks the pipe: it has a bounded queue, and lines that do not fit are counted and said
 * (LOST_OUTPUT); a patient one waits instead.
 */
struct sink_settings {
	int fd;		  /* where to write; stays the caller's */
	bool patient;	  /* lines wait for room instead of being dropped: a replay, which has no ring to drain */
	bool exact_bytes; /* --bytes */
	bool color;
	bool events;	   /* false with INTERVAL in text: tables instead of event lines */
	bool entry_only;   /* calls are told as they are entered: said in the output */
	uint64_t min_size; /* events of smaller blocks are not told; totals count them */
	int only_kind;	   /* enum vt_kind, or -1: all */
	bool simulated;	   /* a simulated card is traced: said in the output */
	const char *host;
	const struct ledger_gpu *gpus; /* the machine's, by index; copied */
	size_t gpu_count;
};

/* The end of a run, for the summary. */
struct sink_end {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	const char
		*exit_reason; /* "command ended", "interrupted", "duration", "targets ended", "count", "output gone" */
	uint64_t wall_ns;     /* length of the run */
	uint64_t mappings_lost;
	bool simulated; /* may have become known after the start */
};

/* A process that ran before we came: told before anything else of it. */
struct sink_attached {
	uint32_t tgid;
	uint32_t ns_tgid;
	const char *comm;    /* raw bytes */
	uint64_t time_ns;    /* CLOCK_MONOTONIC */
	bool nvml_answers;   /* false: nothing is known of what it holds */
	uint64_t nvml_bytes; /* what NVML says it holds; 0: NVML does not know it as a user of a GPU */
};

struct sink;

struct sink_ops {
	int (*open)(struct sink *sink); /* after base fields are set; may write a header */
	void (*attached)(struct sink *sink, const struct sink_attached *attached);
	void (*notice)(struct sink *sink, const struct notice *notice);
	void (*table)(struct sink *sink, const struct ledger *ledger, uint64_t time_ns); /* INTERVAL */
	void (*summary)(struct sink *sink, const struct ledger *ledger, const struct sink_end *end);
	void (*close)(struct sink *sink); /* frees what open made */
};

int sink_new(const char *format, const struct sink_settings *settings, struct sink **ret_sink,
	     struct diag *diag); /* text, json, csv, null */
void sink_attached(struct sink *sink, const struct sink_attached *attached);
void sink_notice(struct sink *sink, const struct notice *notice);
void sink_table(struct sink *sink, const struct ledger *ledger, uint64_t time_ns); /* CLOCK_MONOTONIC */
void sink_summary(struct sink *sink, const struct ledger *ledger, const struct sink_end *end);
void sink_set_simulated(struct sink *sink);	/* a simulated library was attached later */
uint64_t sink_dropped(const struct sink *sink); /* lines lost because the reader was too slow */
int sink_error(const struct sink *sink);	/* 0 or the first write error (-EPIPE, ...) so far; never waits */
int sink_flush(struct sink *sink);		/* waits until all is written; 0 or the first write error */
void sink_free(struct sink *sink);

#endif
