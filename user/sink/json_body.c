/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/backend.h"

#include "base/cleanup.h"
#include "probe/table.h"

/* What a line of JSON has beside the keys of every line, by the kind of event. */

static void add_caller(struct json *json, const struct caller *caller)
{
	if (!caller || !caller->module) {
		json_null(json, "caller");
		return;
	}
	json_object_begin(json, "caller");
	json_string(json, "module", caller->module);
	json_string(json, "symbol", caller->symbol);
	json_u64(json, "offset", caller->offset);
	json_string(json, "demangled", caller->demangled);
	json_object_end(json);
}

static void add_call(struct json *json, const struct notice *notice)
{
	json_string(json, "api", notice->api);
	json_string(json, "layer", notice->api ? notice_layer_name(notice->layer) : NULL);
	if (notice->api)
		json_u64(json, "duration_ns", notice->duration_ns);
	else
		json_null(json, "duration_ns");
	add_caller(json, notice->caller);
}

static void add_memory(struct json *json, const struct notice *notice)
{
	bool known = notice->memory_kind != VT_KIND_ANY;

	json_number(json, "size", notice->kind != NOTICE_ALLOC_FAILED || notice_sized(notice), notice->size);
	json_string(json, "kind", known ? kind_name(notice->memory_kind) : NULL);
	json_string(json, "placement", placement_name(notice->placement));
	json_string(json, "purpose", purpose_name(notice->purpose));
	/* Nothing declares a purpose yet. What may come to set one is at least a rule; a guess is never shown as declared. */
	json_string(json, "purpose_source", notice->purpose == PURPOSE_UNKNOWN ? "none" : "rule");
}

/* What the size is not: told only where it is so. */
static void add_marks(struct json *json, const struct notice *notice)
{
	static const struct {
		enum block_flag flag;
		const char *name;
	} marks[] = {
		{ BLOCK_VIRTUAL, "virtual" },
		{ BLOCK_COMPUTED, "computed" },
		{ BLOCK_MAYBE_CAPTURED, "maybe_captured" },
		{ BLOCK_BORROWED, "borrowed" },
		{ BLOCK_UNSIZED, "size_unknown" },
		{ BLOCK_CHECKPOINTED, "checkpointed" },
	};

	if (notice_virtual(notice) || (notice->requested && notice->requested != notice->size))
		json_u64(json, "requested", notice->requested);
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		if (notice->block_flags & marks[i].flag)
			json_bool(json, marks[i].name, true);
	}
}

static void add_block(struct json *json, const struct notice *notice)
{
	json_u64(json, "id", notice->id);
	json_address(json, "addr", notice->addr);
	add_memory(json, notice);
	add_marks(json, notice);
}

/* Another process and its block; null: none, or not known which. */
static void add_peer(struct json *json, const char *name, const struct notice *notice)
{
	if (!notice->peer_tgid) {
		json_null(json, name);
		return;
	}
	json_object_begin(json, name);
	json_u64(json, "pid", notice->peer_tgid);
	json_number(json, "id", notice->peer_id, notice->peer_id);
	json_object_end(json);
}

/* MAP, UNMAP, ADVISE, PREFETCH. The block may not be known. */
static void add_range(struct json *json, const struct notice *notice)
{
	json_number(json, "id", notice->id, notice->id);
	if (notice->id)
		json_address(json, "addr", notice->addr);
	else
		json_null(json, "addr");
	json_object_begin(json, "range");
	json_address(json, "addr", notice->range_addr);
	json_u64(json, "size", notice->range_size);
	json_number(json, "offset", notice->kind == NOTICE_MAP, notice->range_offset);
	json_object_end(json);
	json_string(json, "kind", notice->memory_kind == VT_KIND_ANY ? NULL : kind_name(notice->memory_kind));
	json_string(json, "placement", placement_name(notice->placement));
}

static void add_error(struct json *json, const struct notice *notice)
{
	bool oom = notice->kind == NOTICE_ALLOC_FAILED && notice->error == CUDA_OUT_OF_MEMORY;

	json_i64(json, "error", notice->error);
	json_string(json, "error_name", error_name(notice->error_layer, notice->error));
	json_string(json, "error_layer", layer_name(notice->error_layer));
	json_string(json, "error_kind", oom ? "vram_oom" : NULL);
}

static void add_process_event(struct json *json, const struct notice *notice)
{
	const struct process *process = notice->process;

	json_string(json, "what", process_event_name(notice));
	if (process->parent_tgid)
		json_u64(json, "parent_pid", process->parent_tgid);
	else
		json_null(json, "parent_pid");
	json_u64(json, "uid", process->uid);
	json_bool(json, "attached_late", process->attached_late);
	totals_exit(json, process);
}

static void add_entered(struct json *json, const struct notice *notice)
{
	bool alloc = notice->op == VT_OP_ALLOC;

	json_string(json, "op", call_op_name(notice));
	if (alloc)
		json_u64(json, "size", notice->size);
	else
		json_null(json, "size");
	if (alloc)
		json_null(json, "addr");
	else
		json_address(json, "addr", notice->addr);
	json_string(json, "kind", alloc ? kind_name(notice->memory_kind) : NULL);
	json_string(json, "placement", alloc ? placement_name(notice->placement) : NULL);
	json_string(json, "api", notice->api);
	json_string(json, "layer", notice_layer_name(notice->layer));
	add_caller(json, notice->caller);
}

static void add_alloc(struct json *json, const struct notice *notice)
{
	add_block(json, notice);
	if (notice->memory_kind == VT_KIND_IMPORTED)
		add_peer(json, "exporter", notice);
	add_call(json, notice);
	json_u64(json, "live_bytes", notice->live_bytes);
}

static void add_free(struct json *json, const struct notice *notice)
{
	add_block(json, notice);
	json_u64(json, "age_ns", notice->age_ns);
	json_string(json, "reason", free_reason_name(notice->reason));
	if (notice->reason == FREE_EXPORTER_GONE)
		add_peer(json, "holder", notice);
	json_u64(json, "live_bytes", notice->live_bytes);
	add_call(json, notice);
}

static void add_uncovered(struct json *json, const struct notice *notice)
{
	json_string(json, "what", "no_driver_call");
	json_u64(json, "size", notice->size);
	json_string(json, "kind", kind_name(notice->memory_kind));
	json_string(json, "placement", placement_name(notice->placement));
	add_call(json, notice);
}

static void add_taken(struct json *json, const struct notice *notice)
{
	add_block(json, notice);
	add_peer(json, "exporter", notice);
	json_u64(json, "live_bytes", notice->live_bytes);
	add_call(json, notice);
}

static void add_place(struct json *json, const struct notice *notice)
{
	char text[GPU_NAME_BYTES];

	add_range(json, notice);
	json_string(json, "location", location_name(notice, text));
	add_call(json, notice);
}

static void add_moved(struct json *json, const struct notice *notice)
{
	json_u64(json, "size", notice->size);
	add_peer(json, "by", notice);
	add_call(json, notice);
}

void json_body(struct json *json, const struct notice *notice)
{
	switch (notice->kind) {
	case NOTICE_ALLOC:
		add_alloc(json, notice);
		break;
	case NOTICE_FREE:
		add_free(json, notice);
		break;
	case NOTICE_TAKEN:
		add_taken(json, notice);
		break;
	case NOTICE_MAP:
	case NOTICE_UNMAP:
		add_range(json, notice);
		add_call(json, notice);
		break;
	case NOTICE_EXPORT:
		add_block(json, notice);
		add_call(json, notice);
		break;
	case NOTICE_ADVISE:
	case NOTICE_PREFETCH:
		add_place(json, notice);
		break;
	case NOTICE_CHECKPOINT:
	case NOTICE_RESTORE:
		add_moved(json, notice);
		break;
	case NOTICE_FREE_FAILED:
		json_address(json, "addr", notice->addr);
		add_error(json, notice);
		add_call(json, notice);
		break;
	case NOTICE_FREE_UNMATCHED:
		json_address(json, "addr", notice->addr);
		add_call(json, notice);
		break;
	case NOTICE_ALLOC_FAILED:
		add_memory(json, notice);
		add_error(json, notice);
		add_call(json, notice);
		break;
	case NOTICE_ENTERED:
		add_entered(json, notice);
		break;
	case NOTICE_UNCOVERED:
		add_uncovered(json, notice);
		break;
	case NOTICE_LOST:
		json_u64(json, "count", notice->lost_count);
		json_string(json, "cause", lost_cause_name(notice->lost_cause));
		json_string(json, "text", lost_cause_text(notice->lost_cause));
		break;
	case NOTICE_PROCESS:
		add_process_event(json, notice);
		break;
	}
}
