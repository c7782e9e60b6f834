/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOURCE_RECORDING_H
#define SOURCE_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "vramtrace/wire.h"

/*
 * What a run was told, in order, in a file: the ring's records and all else that reached the pipe from outside (callers as they were
 * resolved, losses, ticks of INTERVAL, what the driver said, the end). A replay of it is the run again. The layout is in the
 * manual page, RECORDING FILES. Strings are raw bytes of other programs, NUL-terminated here.
 */

/* The numbers are in files: add before ITEM_KIND_COUNT only. */
enum item_kind {
	ITEM_RECORD,	/* one record as it came from the ring, and the caller that was found for it */
	ITEM_LOST,	/* records or calls that were lost, as told to the ledger */
	ITEM_TABLE,	/* INTERVAL went by: the table was printed */
	ITEM_ATTACHED,	/* a process that ran before the probes: what the driver said of it */
	ITEM_LATE,	/* a process some of whose calls went by before the probes */
	ITEM_GONE,	/* a process whose end was noticed, not told */
	ITEM_LIBRARY,	/* a library was probed */
	ITEM_CLOCK,	/* the wall clock was set */
	ITEM_SIMULATED, /* a simulated card is traced */
	ITEM_END,	/* the run's normal end; the last item of a whole recording */
	ITEM_CLOSED,	/* a descriptor of physical memory that a process had made was found closed */
	ITEM_KIND_COUNT,
};

/* Where a call came from. The strings may be NULL as in struct caller. */
struct item_caller {
	const char *module;
	const char *symbol;
	const char *demangled;
	const char *name;
	uint64_t offset;
	const void *key;   /* writing: equal keys are equal callers (NULL: no caller). Reading: unused */
	const void **memo; /* reading: a place of the reader's to keep what was made of this caller; NULL at first */
};

struct item {
	enum item_kind kind;
	uint64_t time_ns; /* CLOCK_MONOTONIC; of a RECORD: its own */
	union {
		struct {
			const void *data;
			size_t length;
			const struct item_caller *caller; /* NULL: none was asked for */
		} record;
		struct {
			uint32_t cause; /* enum lost_cause; in the file by name; reading: UINT32_MAX */
			const char *cause_name;
			uint32_t tgid; /* 0: of no known process */
			uint64_t count;
		} lost;
		struct {
			uint32_t tgid, ns_tgid;
			const char *comm;
			bool nvml_answers;   /* ATTACHED */
			uint64_t nvml_bytes; /* ATTACHED */
			uint64_t start_ns;   /* LATE, GONE: CLOCK_BOOTTIME */
			uint32_t uid;	     /* GONE */
		} process;		     /* ATTACHED, LATE, GONE */
		struct {
			uint32_t tgid, descriptor;
		} closed;
		struct {
			const char *path;
			uint32_t layer;	 /* enum vt_layer */
			uint32_t probed; /* rows of probes.def that it exports */
			uint8_t build_id[20];
			uint32_t build_id_length; /* 0: none */
			uint64_t dev, ino;
		} library;
		struct {
			int64_t wall_minus_mono_ns;
			int32_t utc_offset_s; /* of local time, east of Greenwich */
		} clock;
		struct {
			const char *exit_reason;
			uint64_t wall_ns; /* length of the run */
			uint64_t mappings_lost;
			bool failed; /* the run ended by an error of ours */
		} end;
	};
};

/* Of the whole run: of every segment. */
struct recording_head {
	const char *version; /* of vramtrace */
	const char *host;
	const char *boot_id;
	const char *kernel;  /* release */
	const char *driver;  /* version, NULL: unknown */
	const char *gpus;    /* the UUIDs of the machine's, "GPU-...,GPU-...", in nvidia-smi's order; NULL: not known */
	const char *command; /* the traced command as it was named, without arguments; NULL: none */
	uint64_t begin_ns;   /* CLOCK_MONOTONIC: probes enabled */
	int64_t wall_minus_mono_ns;
	int64_t boot_minus_mono_ns; /* CLOCK_BOOTTIME - CLOCK_MONOTONIC */
	int32_t utc_offset_s;
	uint64_t interval_ns; /* 0: no tables */
	bool driver_probed;   /* --layer */
	bool entry_only;      /* calls were told at their entry */
	bool simulated;
};

struct recorder;

/* fd: a new file, a pipe or a device; stays the caller's. A thread of ours writes: a slow disk never holds up the pipe. 0, -errno with a text. */
int recorder_new(int fd, const struct recording_head *head, struct recorder **ret_recorder, struct diag *diag);

/* Never fails and never waits: what cannot be kept is counted. Strings and data are copied. */
void recorder_add(struct recorder *recorder, const struct item *item);

/* Hands over what has been collected so far; to be called about once a second, so that a kill -9 costs no more than that. */
void recorder_flush(struct recorder *recorder);

/*
 * Items that are not in the file, so far; and why: 0, or the first write error (-ENOSPC, ...); -ENOBUFS: the disk was too slow; -E2BIG: an
 * item of more than a mebibyte. After an error what comes later is tried again: a full disk may have room again.
 */
uint64_t recorder_lost(const struct recorder *recorder, int *ret_err);
uint64_t recorder_bytes(const struct recorder *recorder); /* written so far */

/* Waits until all is written (fsync, where the file can). Then recorder_lost() is final, unless more is added. */
void recorder_finish(struct recorder *recorder);
void recorder_free(struct recorder *recorder);

/*
 * The file is hostile: every length is checked, and nothing is taken from a frame whose checksum is wrong. A damaged frame is skipped, and an
 * ITEM_LOST of cause "recording" stands in its place, with the exact number of items where the next good frame tells it, else 1. A
 * recording that stops without ITEM_END gives such an ITEM_LOST too, and then ITEM_END with exit_reason "recording cut" and the time of the last item.
 */
struct recording;

/* fd: read from where it stands, a pipe will do; stays the caller's. -ENOEXEC with a text: no recording, or one of another version. */
int recording_open(int fd, struct recording **ret_recording, struct diag *diag);
const struct recording_head *recording_head(const struct recording *recording);

/* 1: *ret_item, valid until the next call. 0: the end. -errno: the file cannot be read further (text in diag). */
int recording_next(struct recording *recording, struct item *ret_item, struct diag *diag);
/* What was wrong so far, for people, escaped; NULL: nothing was. Valid until the next call. */
const char *recording_damage(const struct recording *recording);
void recording_free(struct recording *recording);

#endif
