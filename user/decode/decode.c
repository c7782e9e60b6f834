/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "decode/decode.h"
#include "probe/table.h"
#include "vramtrace/wire.h"

#define KNOWN_FLAGS (VT_FLAG_READ_FAILED | VT_FLAG_DISAGREES | VT_FLAG_ENTRY)

/* A private, aligned copy of the part of a record that this version knows. */
union record {
	struct vt_header header;
	struct vt_call call;
	struct vt_process process;
	char bytes[VT_RECORD_BYTES_MAX];
};
_Static_assert(sizeof(struct vt_process) <= VT_RECORD_BYTES_MAX, "the copy holds every kind of record");

void decoder_init(struct decoder *decoder, decode_fn *fn, void *ctx)
{
	*decoder = (struct decoder) { .fn = fn, .ctx = ctx };
	arrivals_init(&decoder->arrivals);
}

void decoder_fini(struct decoder *decoder)
{
	free(decoder->lost_seen);
	arrivals_fini(&decoder->arrivals);
	*decoder = (struct decoder) { 0 };
}

static void tell_lost(struct decoder *decoder, const struct vt_header *about, enum lost_cause cause, uint64_t count)
{
	struct event event = { .kind = EVENT_LOST, .lost_cause = cause, .lost_count = count };

	if (about) {
		event.tgid = about->tgid;
		event.tid = about->tid;
	}
	event.time_ns = about && about->time_ns ? about->time_ns : decoder->last_ns;
	decoder->fn(decoder->ctx, &event);
}

static bool grow(struct decoder *decoder, uint32_t cpu_count)
{
	uint32_t *seen = reallocarray(decoder->lost_seen, cpu_count, sizeof(*seen));

	if (!seen)
		return false;
	memset(seen + decoder->cpu_count, 0, (cpu_count - decoder->cpu_count) * sizeof(*seen));
	decoder->lost_seen = seen;
	decoder->cpu_count = cpu_count;
	return true;
}

/*
 * The counters start at 0 with the producer and only grow (wrapping). A producer can be preempted between reading its counter
 * and reserving its record, so an older value may come after a newer one: that is no news.
 */
static void note_losses(struct decoder *decoder, const struct vt_header *header)
{
	uint32_t news;

	if (header->cpu >= decoder->cpu_count) {
		if (!header->lost)
			return;
		if (!grow(decoder, header->cpu + 1u)) {
			tell_lost(decoder, NULL, LOST_MEMORY, 1);
			return;
		}
	}
	news = header->lost - decoder->lost_seen[header->cpu];
	if (!news || news > INT32_MAX)
		return;
	decoder->lost_seen[header->cpu] = header->lost;
	decoder->lost_ring += news;
	tell_lost(decoder, NULL, LOST_RING, news);
}

static bool header_ok(const struct vt_header *header, size_t length)
{
	return header->length >= sizeof(*header) && header->length <= length && header->version >= 1 &&
	       header->version <= VT_WIRE_VERSION && header->cpu < DECODE_CPUS_MAX && header->pad == 0 &&
	       (header->flags & ~KNOWN_FLAGS) == 0 && header->tgid != 0;
}

static bool call_ok(const struct vt_call *call)
{
	size_t length = call->header.length;

	return call->header.version == VT_WIRE_VERSION && length >= sizeof(*call) && length <= VT_RECORD_BYTES_MAX &&
	       length % 8 == 0 && probe_row(call->row) && probe_row(call->outer_row);
}

/* A call of version 1, which had neither context nor a and b, as one of this version. */
static void call_upgrade(union record *record, size_t *length)
{
	struct vt_call *call = &record->call;
	size_t frames = call->header.length - VT_CALL_BYTES_1;

	if (call->header.kind != VT_RECORD_CALL || call->header.version != 1 || call->header.length > *length ||
	    call->header.length < VT_CALL_BYTES_1 || frames > sizeof(uint64_t) * VT_FRAMES_MAX)
		return;
	memmove(call->frames, &record->bytes[VT_CALL_BYTES_1], frames);
	call->context = call->a = call->b = 0;
	call->header.version = VT_WIRE_VERSION;
	call->header.length = (uint16_t)(sizeof(*call) + frames);
	*length = call->header.length;
}

static bool record_ok(const union record *record, size_t length)
{
	if (!header_ok(&record->header, length))
		return false;
	switch (record->header.kind) {
	case VT_RECORD_CALL:
		return call_ok(&record->call);
	case VT_RECORD_PROCESS:
	case VT_RECORD_FORK:
	case VT_RECORD_EXEC:
	case VT_RECORD_EXIT:
		/* Longer is a later producer of the same version: fields are only ever added at the end. */
		return record->header.length >= VT_PROCESS_BYTES_MIN;
	default:
		return false;
	}
}

static enum event_kind call_kind(const struct vt_call *call)
{
	bool failed = call->result != 0;

	if (call->header.flags & VT_FLAG_ENTRY)
		return EVENT_ENTERED;
	switch (probe_row(call->row)->op) {
	case VT_OP_ALLOC:
		return failed ? EVENT_ALLOC_FAILED : EVENT_ALLOC;
	case VT_OP_FREE:
		return failed ? EVENT_FREE_FAILED : EVENT_FREE;
	default:
		return failed ? EVENT_FAILED : EVENT_DONE;
	}
}

static void tell_call(struct decoder *decoder, const struct vt_call *call)
{
	struct event event = {
		.kind = call_kind(call),
		.tgid = call->header.tgid,
		.tid = call->header.tid,
		.time_ns = call->header.time_ns,
		.enter_ns = call->enter_ns,
		.row = call->row,
		.outer_row = call->outer_row,
		.flags = call->header.flags,
		.frame_count = (call->header.length - sizeof(*call)) / 8,
		.result = call->result,
		.addr = call->addr,
		.size = call->size,
		.context = call->context,
		.a = call->a,
		.b = call->b,
	};

	/* The program was told that it got nothing, whatever the driver did before: its error counts. */
	if (event.kind != EVENT_ENTERED && (event.flags & VT_FLAG_DISAGREES) &&
	    probe_row(call->outer_row)->op == VT_OP_ALLOC) {
		event.kind = EVENT_ALLOC_FAILED;
		event.row = event.outer_row;
	}
	if ((event.flags & VT_FLAG_READ_FAILED) && (event.kind == EVENT_ALLOC || event.kind == EVENT_DONE)) {
		tell_lost(decoder, &call->header, LOST_READ, 1);
		return;
	}
	memcpy(event.frames, call->frames, event.frame_count * sizeof(event.frames[0]));
	decoder->fn(decoder->ctx, &event);
}

static void tell_process(struct decoder *decoder, const struct vt_process *process)
{
	static const enum event_kind kinds[] = {
		[VT_RECORD_PROCESS] = EVENT_PROCESS,
		[VT_RECORD_FORK] = EVENT_FORK,
		[VT_RECORD_EXEC] = EVENT_EXEC,
		[VT_RECORD_EXIT] = EVENT_EXIT,
	};
	struct event event = {
		.kind = kinds[process->header.kind],
		.tgid = process->header.tgid,
		.tid = process->header.tid,
		.time_ns = process->header.time_ns,
		.start_ns = process->start_ns,
		.parent_tgid = process->parent_tgid,
		.ns_tgid = process->ns_tgid,
		.uid = process->uid,
		.exit_code = process->exit_code,
	};

	_Static_assert(sizeof(event.comm) > sizeof(process->comm), "room for the NUL");
	if (process->header.length >= sizeof(*process)) {
		event.produced = process->produced;
		event.lost = process->lost;
	}
	memcpy(event.comm, process->comm, sizeof(process->comm));
	decoder->fn(decoder->ctx, &event);
}

void decode_record(struct decoder *decoder, const void *data, size_t length)
{
	union record record;

	if (length >= sizeof(record.header)) {
		memset(&record, 0, sizeof(record));
		memcpy(&record, data, length < sizeof(record) ? length : sizeof(record));
		call_upgrade(&record, &length);
	}
	if (length < sizeof(record.header) || !record_ok(&record, length)) {
		decoder->bad++;
		tell_lost(decoder, NULL, LOST_BAD_RECORD, 1);
		return;
	}
	decoder->delivered++;
	arrivals_record(&decoder->arrivals, &record.header,
			record.header.kind == VT_RECORD_CALL ? NULL : &record.process);
	if (record.header.time_ns > decoder->last_ns)
		decoder->last_ns = record.header.time_ns;
	note_losses(decoder, &record.header);
	if (record.header.kind == VT_RECORD_CALL)
		tell_call(decoder, &record.call);
	else
		tell_process(decoder, &record.process);
}

bool decode_peek(const void *data, size_t length, struct upcoming *ret_upcoming)
{
	struct vt_call call;

	if (length < sizeof(call))
		return false;
	memcpy(&call, data, sizeof(call));
	if (call.header.kind != VT_RECORD_CALL || call.header.version != VT_WIRE_VERSION || !probe_row(call.row))
		return false;
	*ret_upcoming = (struct upcoming) { call.header.tgid, call.row, call.addr, call.a };
	return true;
}

void decode_final_losses(struct decoder *decoder, uint64_t lost_ring)
{
	uint64_t untold;

	if (lost_ring <= decoder->lost_ring)
		return;
	untold = lost_ring - decoder->lost_ring;
	decoder->lost_ring = lost_ring;
	tell_lost(decoder, NULL, LOST_RING, untold);
}
