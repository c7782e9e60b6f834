/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include <stdio.h>
#include <string.h>

#include "probe/table.h"

/* The words that several sinks share: names of events, and one plain sentence per event. */

/* An end is an end, also when it was only deduced from the next process of that id. */
enum event_kind process_event(const struct notice *notice)
{
	return notice->process->ended ? EVENT_EXIT : notice->process_event;
}

const char *process_event_name(const struct notice *notice)
{
	switch (process_event(notice)) {
	case EVENT_FORK:
		return "fork";
	case EVENT_EXEC:
		return "exec";
	case EVENT_EXIT:
		return "exit";
	default:
		return "first_call";
	}
}

const char *notice_event_name(const struct notice *notice)
{
	static const char *const names[] = {
		[NOTICE_ALLOC] = "alloc",
		[NOTICE_FREE] = "free",
		[NOTICE_TAKEN] = "taken",
		[NOTICE_MAP] = "map",
		[NOTICE_UNMAP] = "unmap",
		[NOTICE_EXPORT] = "export",
		[NOTICE_ADVISE] = "advise",
		[NOTICE_PREFETCH] = "prefetch",
		[NOTICE_CHECKPOINT] = "checkpoint",
		[NOTICE_RESTORE] = "restore",
		[NOTICE_FREE_FAILED] = "free_failed",
		[NOTICE_FREE_UNMATCHED] = "free_unmatched",
		[NOTICE_ALLOC_FAILED] = "alloc_failed",
		[NOTICE_ENTERED] = "call",
		[NOTICE_UNCOVERED] = "uncovered",
		[NOTICE_LOST] = "lost",
		[NOTICE_PROCESS] = "process",
	};

	return names[notice->kind];
}

const char *call_op_name(const struct notice *notice)
{
	return notice->op == VT_OP_ALLOC ? "alloc" : "free";
}

void sentence_attached(struct buf *buf, const struct sink_attached *attached)
{
	if (!attached->nvml_answers) {
		buf_str(buf, "NVML does not answer: nothing is known of what it holds");
	} else if (!attached->nvml_bytes) {
		buf_str(buf, "NVML knows no GPU memory of it");
	} else {
		buf_str(buf, "NVML says it holds ");
		sentence_size(buf, attached->nvml_bytes);
		buf_str(buf, " of GPU memory (its context included)");
	}
	buf_str(buf, "; what it allocated before now is unseen");
}

bool notice_virtual(const struct notice *notice)
{
	return notice->block_flags & BLOCK_VIRTUAL;
}

bool notice_borrowed(const struct notice *notice)
{
	return notice->block_flags & BLOCK_BORROWED;
}

bool notice_moved(const struct notice *notice)
{
	return notice->kind == NOTICE_CHECKPOINT || notice->kind == NOTICE_RESTORE;
}

bool notice_ranged(const struct notice *notice)
{
	switch (notice->kind) {
	case NOTICE_MAP:
	case NOTICE_UNMAP:
	case NOTICE_ADVISE:
	case NOTICE_PREFETCH:
		return true;
	default:
		return false;
	}
}

uint64_t notice_bytes(const struct notice *notice)
{
	if (notice_ranged(notice))
		return notice->range_size;
	return notice_virtual(notice) ? notice->requested : notice->size;
}

bool notice_sized(const struct notice *notice)
{
	if (notice->size)
		return true;
	return notice->memory_kind != VT_KIND_ANY && notice->op != VT_OP_IMPORT && notice->op != VT_OP_POOL_NEW;
}

const char *gpu_name(const struct ledger_gpu *gpu, char ret_text[GPU_NAME_BYTES])
{
	if (!gpu || gpu->index < 0)
		return NULL;
	if (gpu->index < 10) { /* each event names its GPU: without printf */
		memcpy(ret_text, "GPU0", sizeof("GPU0"));
		ret_text[3] = (char)('0' + gpu->index);
	} else {
		snprintf(ret_text, GPU_NAME_BYTES, "GPU%d", gpu->index);
	}
	return ret_text;
}

/* "GPU1", "host", or NULL: none, or not known which. */
const char *location_name(const struct notice *notice, char ret_text[GPU_NAME_BYTES])
{
	switch (notice->location) {
	case NOTICE_AT_GPU:
		return gpu_name(notice->gpu, ret_text);
	case NOTICE_AT_HOST:
		return "host";
	case NOTICE_AT_NONE:
		break;
	}
	return NULL;
}

static const char *memory_title(enum vt_kind kind, enum placement placement)
{
	switch (kind) {
	case VT_KIND_MANAGED:
		return "managed memory";
	case VT_KIND_PINNED:
		return "pinned host memory";
	case VT_KIND_REGISTERED:
		return "registered host memory";
	case VT_KIND_GRAPH:
		return "graph memory";
	default:
		break;
	}
	switch (placement) {
	case PLACEMENT_VRAM:
		return "VRAM";
	case PLACEMENT_HOST:
		return "host memory";
	default:
		return "memory";
	}
}

void sentence_size(struct buf *buf, uint64_t bytes)
{
	const uint64_t mb = 1024 * 1024;
	uint64_t tenths;
	char text[SIZE_TEXT_BYTES];

	if (bytes != 0 && (bytes < mb || bytes >= 10240 * mb)) {
		size_format(bytes, text);
		buf_str(buf, text);
		return;
	}
	tenths = (bytes * 10 + mb / 2) / mb;
	buf_u64(buf, tenths / 10);
	if (tenths % 10) {
		buf_char(buf, '.');
		buf_u64(buf, tenths % 10);
	}
	buf_str(buf, " MB");
}

static void add_gpu(struct buf *buf, const struct notice *notice)
{
	char text[GPU_NAME_BYTES];
	const char *name = gpu_name(notice->gpu, text);

	if (!name || notice->placement != PLACEMENT_VRAM)
		return;
	buf_str(buf, " on ");
	buf_str(buf, name);
}

/* "64 MB VRAM on GPU0" */
static void add_block(struct buf *buf, const struct notice *notice)
{
	if (notice_virtual(notice))
		buf_str(buf, "an address for ");
	if (notice->block_flags & BLOCK_UNSIZED)
		buf_str(buf, "an unknown size of");
	else
		sentence_size(buf, notice_virtual(notice) ? notice->requested : notice->size);
	buf_char(buf, ' ');
	buf_str(buf, memory_title(notice->memory_kind, notice->placement));
	add_gpu(buf, notice);
}

/* An import: whose it is, and who counts it. */
static void add_import(struct buf *buf, const struct notice *notice)
{
	buf_str(buf, "Opened ");
	add_block(buf, notice);
	if (notice_borrowed(notice) && notice->peer_tgid)
		buf_printf(buf, " of process %u, which it is counted to", notice->peer_tgid);
	else if (notice_borrowed(notice))
		buf_str(buf, " of another process, which it is counted to");
	else
		buf_str(buf, " of a process that is not traced, counted here");
}

static void add_alloc(struct buf *buf, const struct notice *notice)
{
	if (notice->memory_kind == VT_KIND_IMPORTED && !notice_virtual(notice)) {
		add_import(buf, notice);
		return;
	}
	buf_str(buf, "Allocated ");
	add_block(buf, notice);
	if (notice_virtual(notice))
		buf_str(buf, notice->memory_kind == VT_KIND_IMPORTED ? ", no memory of its own" : ", no memory yet");
	if (notice->block_flags & BLOCK_COMPUTED)
		buf_str(buf, ", a computed size");
	if (notice->block_flags & BLOCK_MAYBE_CAPTURED)
		buf_str(buf, ", perhaps only an address of a graph");
	if (notice->purpose == PURPOSE_UNKNOWN) {
		buf_str(buf, ", purpose unknown");
	} else {
		buf_str(buf, " for ");
		buf_str(buf, purpose_title(notice->purpose));
	}
}

static void add_free_reason(struct buf *buf, const struct notice *notice)
{
	switch (notice->reason) {
	case FREE_CALL:
		break;
	case FREE_EXIT:
		buf_str(buf, " at the end of the process");
		break;
	case FREE_EXEC:
		buf_str(buf, " when the process started another program");
		break;
	case FREE_CONTEXT:
		buf_str(buf, " at the end of its context");
		break;
	case FREE_EXPORTER_GONE:
		if (notice->peer_tgid)
			buf_printf(buf, ", which process %u holds on", notice->peer_tgid);
		else
			buf_str(buf, ", which another process holds on");
		break;
	case FREE_DESCRIPTOR:
		buf_str(buf, " when the last descriptor of it was closed");
		break;
	}
}

static void add_free(struct buf *buf, const struct notice *notice)
{
	if (notice_borrowed(notice))
		buf_str(buf, "Closed ");
	else if (notice->reason == FREE_EXPORTER_GONE)
		buf_str(buf, "Gave up ");
	else
		buf_str(buf, "Deallocated ");
	add_block(buf, notice);
	if (notice_borrowed(notice))
		buf_str(buf, " of another process");
	if (notice->purpose != PURPOSE_UNKNOWN) {
		buf_str(buf, " for ");
		buf_str(buf, purpose_title(notice->purpose));
	}
	add_free_reason(buf, notice);
	buf_str(buf, " (");
	sentence_size(buf, notice->live_bytes);
	buf_str(buf, " still in use)");
}

static void add_taken(struct buf *buf, const struct notice *notice)
{
	buf_str(buf, "Took over ");
	add_block(buf, notice);
	if (notice->peer_tgid)
		buf_printf(buf, " that process %u gave up", notice->peer_tgid);
	else
		buf_str(buf, " that another process gave up");
	buf_str(buf, " (");
	sentence_size(buf, notice->live_bytes);
	buf_str(buf, " in use)");
}

/* MAP, UNMAP */
static void add_mapping(struct buf *buf, const struct notice *notice)
{
	bool map = notice->kind == NOTICE_MAP;

	buf_str(buf, map ? "Mapped " : "Unmapped ");
	sentence_size(buf, notice->range_size);
	buf_char(buf, ' ');
	if (notice->id) {
		buf_str(buf, memory_title(notice->memory_kind, notice->placement));
		add_gpu(buf, notice);
	} else {
		buf_str(buf, "of a block that is not known");
	}
	buf_str(buf, map ? " at " : " from ");
	buf_hex(buf, notice->range_addr);
}

static void add_export(struct buf *buf, const struct notice *notice)
{
	buf_str(buf, "Made ");
	add_block(buf, notice);
	buf_str(buf, " available to other processes");
}

/* ADVISE, PREFETCH */
static void add_location(struct buf *buf, const struct notice *notice)
{
	bool advice = notice->kind == NOTICE_ADVISE;
	char text[GPU_NAME_BYTES];
	const char *gpu = gpu_name(notice->gpu, text);

	if (notice->location == NOTICE_AT_NONE) {
		buf_str(buf, advice ? "Asked for no place of " : "Prefetched ");
	} else {
		buf_str(buf, advice ? "Asked for a place " : "Prefetched to ");
		if (advice)
			buf_str(buf, notice->location == NOTICE_AT_HOST ? "in " : "on ");
		if (notice->location == NOTICE_AT_HOST)
			buf_str(buf, "host memory");
		else
			buf_str(buf, gpu ? gpu : "a GPU that is not known");
		buf_str(buf, advice ? " for " : ": ");
	}
	sentence_size(buf, notice->range_size);
	buf_str(buf, notice->memory_kind == VT_KIND_MANAGED ? " managed memory" : " of memory that is not known");
}

static void add_error(struct buf *buf, const struct notice *notice)
{
	const char *name = error_name(notice->error_layer, notice->error);

	if (name)
		buf_str(buf, name);
	else
		buf_printf(buf, "error %d", notice->error);
}

static void add_alloc_failed(struct buf *buf, const struct notice *notice)
{
	const char *title = memory_title(notice->memory_kind, notice->placement);
	char text[GPU_NAME_BYTES];
	const char *gpu = gpu_name(notice->gpu, text);

	if (!notice_sized(notice)) {
		buf_str(buf, notice->api ? notice->api : "A call");
		buf_str(buf, " failed");
		if (gpu)
			buf_printf(buf, " on %s", gpu);
		buf_str(buf, ": ");
		add_error(buf, notice);
		return;
	}
	buf_char(buf, title[0] >= 'a' ? (char)(title[0] - 'a' + 'A') : title[0]);
	buf_str(buf, title + 1);
	buf_str(buf, " allocation failed");
	add_gpu(buf, notice);
	buf_str(buf, ": requested ");
	sentence_size(buf, notice->size);
	buf_str(buf, ", ");
	add_error(buf, notice);
}

static void add_entered(struct buf *buf, const struct notice *notice)
{
	buf_str(buf, notice->api);
	if (notice->op == VT_OP_ALLOC) {
		buf_str(buf, " asked for ");
		add_block(buf, notice);
	} else {
		buf_str(buf, " asked to free ");
		buf_hex(buf, notice->addr);
	}
	buf_str(buf, "; what came of it is not known");
}

static void add_lost(struct buf *buf, const struct notice *notice)
{
	buf_u64(buf, notice->lost_count);
	buf_str(buf, notice->lost_cause == LOST_OUTPUT ? " output lines lost: " : " events lost: ");
	buf_str(buf, lost_cause_text(notice->lost_cause));
	buf_str(buf, notice->lost_cause == LOST_OUTPUT ? "; totals are not affected" : "; totals are incomplete");
}

static void add_exit(struct buf *buf, const struct process *process)
{
	int status = process->exit_code;

	if (status == PROCESS_EXIT_UNKNOWN)
		buf_str(buf, "Process is gone, its end was not seen");
	else if ((status & 0x7f) == 0)
		buf_printf(buf, "Process ended with exit code %d", status >> 8 & 0xff);
	else
		buf_printf(buf, "Process was killed by signal %d", status & 0x7f);
	if (!process->total.at_exit.count)
		return;
	buf_str(buf, ", still holding ");
	sentence_size(buf, process->total.at_exit.bytes);
}

static void add_process(struct buf *buf, const struct notice *notice)
{
	switch (process_event(notice)) {
	case EVENT_FORK:
		buf_printf(buf, "Process was forked by process %u", notice->process->parent_tgid);
		break;
	case EVENT_EXEC:
		buf_str(buf, "Process started another program");
		break;
	case EVENT_EXIT:
		add_exit(buf, notice->process);
		break;
	default:
		buf_str(buf, "Process made its first traced call");
	}
}

void sentence_add(struct buf *buf, const struct notice *notice)
{
	switch (notice->kind) {
	case NOTICE_ALLOC:
		add_alloc(buf, notice);
		break;
	case NOTICE_FREE:
		add_free(buf, notice);
		break;
	case NOTICE_TAKEN:
		add_taken(buf, notice);
		break;
	case NOTICE_MAP:
	case NOTICE_UNMAP:
		add_mapping(buf, notice);
		break;
	case NOTICE_EXPORT:
		add_export(buf, notice);
		break;
	case NOTICE_ADVISE:
	case NOTICE_PREFETCH:
		add_location(buf, notice);
		break;
	case NOTICE_CHECKPOINT:
	case NOTICE_RESTORE:
		buf_str(buf, notice->kind == NOTICE_CHECKPOINT ? "Checkpointed: " : "Restored: ");
		sentence_size(buf, notice->size);
		buf_str(buf,
			notice->kind == NOTICE_CHECKPOINT ? " VRAM moved into host memory" : " moved back into VRAM");
		break;
	case NOTICE_FREE_FAILED:
		buf_str(buf, "Deallocation failed: ");
		add_error(buf, notice);
		break;
	case NOTICE_FREE_UNMATCHED:
		buf_str(buf, "Deallocated a block that was not known: from before the trace, or lost");
		break;
	case NOTICE_ALLOC_FAILED:
		add_alloc_failed(buf, notice);
		break;
	case NOTICE_ENTERED:
		add_entered(buf, notice);
		break;
	case NOTICE_UNCOVERED:
		buf_str(buf, "A call for ");
		sentence_size(buf, notice->size);
		buf_str(buf, " reached no driver call that is traced: this memory is counted by what was asked for");
		break;
	case NOTICE_LOST:
		add_lost(buf, notice);
		break;
	case NOTICE_PROCESS:
		add_process(buf, notice);
		break;
	}
}
