/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
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

const char *memory_title(enum vt_kind kind)
{
	switch (kind) {
	case VT_KIND_MANAGED:
		return "managed memory";
	case VT_KIND_PINNED:
		return "pinned host memory";
	case VT_KIND_DEVICE:
	case VT_KIND_POOL:
		return "VRAM";
	default:
		return "memory";
	}
}

const char *notice_device(const struct notice *notice, const char *device)
{
	bool placed = notice->placement == PLACEMENT_VRAM || notice->placement == PLACEMENT_MIGRATABLE;

	switch (notice->kind) {
	case NOTICE_ALLOC:
	case NOTICE_FREE:
	case NOTICE_ALLOC_FAILED:
	case NOTICE_UNCOVERED:
		return placed ? device : NULL;
	case NOTICE_ENTERED:
		return placed && notice->op == VT_OP_ALLOC ? device : NULL;
	default:
		return NULL;
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

/* A sentence stands in a JSON string as it is, and a recording names its device as it likes. */
static void add_device(struct buf *buf, const struct notice *notice, const char *device)
{
	if (!device || notice->placement != PLACEMENT_VRAM)
		return;
	buf_str(buf, " on ");
	escape_json(buf, device, strlen(device));
}

/* "64 MB VRAM on GPU0" */
static void add_block(struct buf *buf, const struct notice *notice, const char *device)
{
	sentence_size(buf, notice->size);
	buf_char(buf, ' ');
	buf_str(buf, memory_title(notice->memory_kind));
	add_device(buf, notice, device);
}

static void add_alloc(struct buf *buf, const struct notice *notice, const char *device)
{
	buf_str(buf, "Allocated ");
	add_block(buf, notice, device);
	if (notice->purpose == PURPOSE_UNKNOWN) {
		buf_str(buf, ", purpose unknown");
	} else {
		buf_str(buf, " for ");
		buf_str(buf, purpose_title(notice->purpose));
	}
}

static void add_free(struct buf *buf, const struct notice *notice, const char *device)
{
	buf_str(buf, "Deallocated ");
	add_block(buf, notice, device);
	if (notice->purpose != PURPOSE_UNKNOWN) {
		buf_str(buf, " for ");
		buf_str(buf, purpose_title(notice->purpose));
	}
	if (notice->reason == FREE_EXIT)
		buf_str(buf, " at the end of the process");
	else if (notice->reason == FREE_EXEC)
		buf_str(buf, " when the process started another program");
	buf_str(buf, " (");
	sentence_size(buf, notice->live_bytes);
	buf_str(buf, " still in use)");
}

static void add_error(struct buf *buf, const struct notice *notice)
{
	const char *name = error_name(notice->error_layer, notice->error);

	if (name)
		buf_str(buf, name);
	else
		buf_printf(buf, "error %d", notice->error);
}

static void add_alloc_failed(struct buf *buf, const struct notice *notice, const char *device)
{
	const char *title = memory_title(notice->memory_kind);

	buf_char(buf, title[0] >= 'a' ? (char)(title[0] - 'a' + 'A') : title[0]);
	buf_str(buf, title + 1);
	buf_str(buf, " allocation failed");
	add_device(buf, notice, device);
	buf_str(buf, ": requested ");
	sentence_size(buf, notice->size);
	buf_str(buf, ", ");
	add_error(buf, notice);
}

static void add_entered(struct buf *buf, const struct notice *notice, const char *device)
{
	buf_str(buf, notice->api);
	if (notice->op == VT_OP_ALLOC) {
		buf_str(buf, " asked for ");
		add_block(buf, notice, device);
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

void sentence_add(struct buf *buf, const struct notice *notice, const char *device)
{
	switch (notice->kind) {
	case NOTICE_ALLOC:
		add_alloc(buf, notice, device);
		break;
	case NOTICE_FREE:
		add_free(buf, notice, device);
		break;
	case NOTICE_FREE_FAILED:
		buf_str(buf, "Deallocation failed: ");
		add_error(buf, notice);
		break;
	case NOTICE_FREE_UNMATCHED:
		buf_str(buf, "Deallocated a block that was not known: from before the trace, or lost");
		break;
	case NOTICE_ALLOC_FAILED:
		add_alloc_failed(buf, notice, device);
		break;
	case NOTICE_ENTERED:
		add_entered(buf, notice, device);
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

/* Joins the reasons with "; ". */
static void add_reason(struct buf *buf, bool *first)
{
	buf_str(buf, *first ? "incomplete: " : "; ");
	*first = false;
}

void sentence_trust(struct buf *buf, const struct ledger *ledger, const struct process *process)
{
	uint64_t lost = process->lost ? process->lost : ledger_lost_unknown(ledger);
	bool first = true;

	if (ledger_complete(ledger, process)) {
		buf_str(buf, "complete: every traced call of this process was seen, from its start");
		return;
	}
	if (ledger_entry_only(ledger) || process->entered) {
		add_reason(buf, &first);
		buf_str(buf, ENTRY_ONLY_TEXT);
	}
	if (process->attached_late) {
		add_reason(buf, &first);
		buf_str(buf, "it ran before its calls were probed, what it held then is unseen");
	}
	if (lost) {
		add_reason(buf, &first);
		buf_printf(buf, "%llu event%s lost%s", (unsigned long long)lost, lost == 1 ? " was" : "s were",
			   process->lost ? "" : " (of no known process)");
	}
	if (process->uncovered) {
		add_reason(buf, &first);
		buf_printf(buf, "%llu call%s reached no traced driver call", (unsigned long long)process->uncovered,
			   process->uncovered == 1 ? "" : "s");
	}
	if (first) {
		add_reason(buf, &first);
		buf_str(buf, "the ledger does not vouch for it");
	}
}
