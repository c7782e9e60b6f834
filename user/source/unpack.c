/* SPDX-License-Identifier: Apache-2.0 */
#include "source/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "source/frame.h"
#include "source/pack.h"

#define FIRST_ENTRIES 64

struct unpacked_caller {
	struct item_caller told;
	const void *memo;
};

struct unpacked_site {
	uint16_t row;
	uint16_t outer_row;
	uint8_t flags;
	uint8_t frame_count;
	uint64_t caller; /* reference */
	uint64_t frames[VT_FRAMES_MAX];
	uint64_t size; /* of the last call, as what follows */
	uint64_t a;
	uint64_t b;
};

struct unpacked_thread {
	uint32_t tgid;
	uint32_t tid;
	uint16_t cpu; /* of the last call, as what follows */
	uint32_t lost;
	uint64_t addr;
	uint64_t context;
};

void unpack_init(struct unpack *unpack, uint8_t wire_version)
{
	*unpack = (struct unpack) { .wire_version = wire_version };
}

void unpack_fini(struct unpack *unpack)
{
	free(unpack->strings);
	free(unpack->callers);
	free(unpack->sites);
	free(unpack->threads);
	buf_fini(&unpack->raw);
	unpack_init(unpack, 0);
}

/* payload may be NULL where length is 0: nothing is open. */
void unpack_begin(struct unpack *unpack, const void *payload, size_t length)
{
	const uint8_t *bytes = payload;

	unpack->cursor = (struct cursor) { .at = bytes, .end = length ? bytes + length : bytes };
	unpack->string_count = unpack->caller_count = unpack->site_count = unpack->thread_count = 0;
	unpack->last_thread = SIZE_MAX;
	unpack->last_ns = 0;
	unpack->err = 0;
}

/* As pack.c's: entries is a pointer to the array's pointer. The number of entries is bounded by the payload's length. */
static void *add_entry(struct unpack *unpack, void *entries, size_t *count, size_t *capacity, size_t bytes)
{
	void **array = entries;
	char *place;

	if (*count == *capacity) {
		size_t more = *capacity ? *capacity * 2 : FIRST_ENTRIES;
		void *grown = reallocarray(*array, more, bytes);

		if (!grown) {
			unpack->err = -ENOMEM;
			return NULL;
		}
		*array = grown;
		*capacity = more;
	}
	place = (char *)*array + *count * bytes;
	memset(place, 0, bytes);
	(*count)++;
	return place;
}

static const char *take_string(struct unpack *unpack)
{
	uint64_t reference = cursor_upto(&unpack->cursor, unpack->string_count);

	return reference ? unpack->strings[reference - 1] : NULL;
}

static void define_string(struct unpack *unpack)
{
	uint64_t length = cursor_upto(&unpack->cursor, FRAME_ITEM_BYTES_MAX);
	const char *string = cursor_bytes(&unpack->cursor, length + 1);
	const char **entry;

	if (!string || string[length] || memchr(string, '\0', length)) {
		unpack->cursor.failed = true;
		return;
	}
	entry = add_entry(unpack, &unpack->strings, &unpack->string_count, &unpack->string_capacity, sizeof(*entry));
	if (entry)
		*entry = string;
}

static void define_caller(struct unpack *unpack)
{
	struct item_caller told = { 0 };
	struct unpacked_caller *entry;

	told.module = take_string(unpack);
	told.symbol = take_string(unpack);
	told.demangled = take_string(unpack);
	told.name = take_string(unpack);
	told.offset = cursor_u64(&unpack->cursor);
	entry = add_entry(unpack, &unpack->callers, &unpack->caller_count, &unpack->caller_capacity, sizeof(*entry));
	if (entry)
		entry->told = told;
}

static uint64_t take_caller(struct unpack *unpack)
{
	return cursor_upto(&unpack->cursor, PACK_FIRST_CALLER - 1 + unpack->caller_count);
}

static void define_site(struct unpack *unpack)
{
	struct unpacked_site site = { 0 };
	struct unpacked_site before = { 0 };
	struct unpacked_site *entry;

	if (unpack->site_count)
		before = unpack->sites[unpack->site_count - 1];
	site.row = (uint16_t)cursor_upto(&unpack->cursor, UINT16_MAX);
	site.outer_row = (uint16_t)cursor_upto(&unpack->cursor, UINT16_MAX);
	site.flags = (uint8_t)cursor_upto(&unpack->cursor, UINT8_MAX);
	site.caller = take_caller(unpack);
	site.frame_count = (uint8_t)cursor_upto(&unpack->cursor, VT_FRAMES_MAX);
	for (size_t i = 0; i < site.frame_count; i++)
		site.frames[i] = cursor_delta(&unpack->cursor, before.frames[i]);
	entry = add_entry(unpack, &unpack->sites, &unpack->site_count, &unpack->site_capacity, sizeof(*entry));
	if (entry)
		*entry = site;
}

static void define_thread(struct unpack *unpack)
{
	uint32_t tgid = (uint32_t)cursor_upto(&unpack->cursor, UINT32_MAX);
	uint32_t tid = (uint32_t)cursor_upto(&unpack->cursor, UINT32_MAX);
	struct unpacked_thread *entry;

	entry = add_entry(unpack, &unpack->threads, &unpack->thread_count, &unpack->thread_capacity, sizeof(*entry));
	if (!entry)
		return;
	entry->tgid = tgid;
	entry->tid = tid;
}

/* false: not a definition. */
static bool take_definition(struct unpack *unpack, uint8_t tag)
{
	switch (tag) {
	case PACK_STRING:
		define_string(unpack);
		return true;
	case PACK_CALLER:
		define_caller(unpack);
		return true;
	case PACK_SITE:
		define_site(unpack);
		return true;
	case PACK_THREAD:
		define_thread(unpack);
		return true;
	default:
		return false;
	}
}

static const struct item_caller *give_caller(struct unpack *unpack, uint64_t reference)
{
	struct unpacked_caller *entry;

	if (reference == PACK_NOT_ASKED)
		return NULL;
	if (reference == PACK_NOT_FOUND) {
		unpack->caller = (struct item_caller) { .memo = &unpack->no_caller_memo };
		return &unpack->caller;
	}
	entry = &unpack->callers[reference - PACK_FIRST_CALLER];
	unpack->caller = entry->told;
	unpack->caller.memo = &entry->memo;
	return &unpack->caller;
}

static void take_more(struct unpack *unpack, struct unpacked_site *site, struct unpacked_thread *thread)
{
	struct cursor *cursor = &unpack->cursor;
	uint64_t more = cursor_upto(cursor, PACK_MORE_FLAGS);

	if (more & PACK_MORE_CONTEXT)
		thread->context = cursor_delta(cursor, thread->context);
	if (more & PACK_MORE_A)
		site->a = cursor_delta(cursor, site->a);
	if (more & PACK_MORE_B)
		site->b = cursor_delta(cursor, site->b);
}

static void take_rest(struct unpack *unpack, uint8_t tag, struct unpacked_site *site, struct unpacked_thread *thread)
{
	struct cursor *cursor = &unpack->cursor;
	struct vt_call *call = (struct vt_call *)unpack->record;
	int64_t result = 0;

	if (tag & PACK_CALL_CPU)
		thread->cpu = (uint16_t)cursor_upto(cursor, UINT16_MAX);
	if (tag & PACK_CALL_LOST)
		thread->lost = (uint32_t)cursor_delta(cursor, thread->lost);
	if (tag & PACK_CALL_RESULT)
		result = (int64_t)cursor_delta(cursor, 0);
	if (tag & PACK_CALL_ADDR)
		thread->addr = cursor_delta(cursor, thread->addr);
	if (tag & PACK_CALL_SIZE)
		site->size = cursor_delta(cursor, site->size);
	if (tag & PACK_CALL_MORE)
		take_more(unpack, site, thread);
	if (result < INT32_MIN || result > INT32_MAX)
		cursor->failed = true;
	call->header.cpu = thread->cpu;
	call->header.lost = thread->lost;
	call->result = (int32_t)result;
	call->addr = thread->addr;
	call->size = site->size;
	call->context = thread->context;
	call->a = site->a;
	call->b = site->b;
}

static void take_call(struct unpack *unpack, uint8_t tag, struct item *ret_item)
{
	struct vt_call *call = (struct vt_call *)unpack->record;
	uint64_t site_index = cursor_u64(&unpack->cursor);
	uint64_t time_ns = cursor_delta(&unpack->cursor, unpack->last_ns);
	uint64_t duration_ns = cursor_delta(&unpack->cursor, 0);
	uint64_t thread_index = tag & PACK_CALL_THREAD ? cursor_u64(&unpack->cursor) : unpack->last_thread;
	struct unpacked_thread *thread;
	struct unpacked_site *site;

	if ((tag & ~(PACK_CALL | PACK_CALL_FLAGS)) || site_index >= unpack->site_count ||
	    thread_index >= unpack->thread_count) {
		unpack->cursor.failed = true;
		return;
	}
	site = &unpack->sites[site_index];
	thread = &unpack->threads[thread_index];
	call->header = (struct vt_header) {
		.kind = VT_RECORD_CALL,
		.length = (uint16_t)(sizeof(*call) + site->frame_count * sizeof(site->frames[0])),
		.version = unpack->wire_version == 1 ? VT_WIRE_VERSION : unpack->wire_version, /* what 1 lacks is 0 */
		.flags = site->flags,
		.tgid = thread->tgid,
		.tid = thread->tid,
		.time_ns = time_ns,
	};
	call->row = site->row;
	call->outer_row = site->outer_row;
	call->enter_ns = time_ns - duration_ns;
	memcpy(call->frames, site->frames, site->frame_count * sizeof(site->frames[0]));
	take_rest(unpack, tag, site, thread);
	unpack->last_thread = thread_index;
	ret_item->kind = ITEM_RECORD;
	ret_item->time_ns = time_ns;
	ret_item->record.data = call;
	ret_item->record.length = call->header.length;
	ret_item->record.caller = give_caller(unpack, site->caller);
}

static void take_record(struct unpack *unpack, struct item *item)
{
	uint64_t caller = take_caller(unpack);
	uint64_t length = cursor_upto(&unpack->cursor, FRAME_ITEM_BYTES_MAX);
	const void *data = cursor_bytes(&unpack->cursor, length);

	buf_clear(&unpack->raw);
	buf_add(&unpack->raw, data ? data : "", data ? length : 0);
	if (unpack->raw.failed)
		unpack->err = -ENOMEM;
	item->record.data = unpack->raw.data;
	item->record.length = length;
	item->record.caller = give_caller(unpack, caller);
}

static void take_lost(struct unpack *unpack, struct item *item)
{
	item->lost.cause = UINT32_MAX;
	item->lost.cause_name = take_string(unpack);
	item->lost.tgid = (uint32_t)cursor_upto(&unpack->cursor, UINT32_MAX);
	item->lost.count = cursor_u64(&unpack->cursor);
}

static void take_process(struct unpack *unpack, struct item *item)
{
	item->process.comm = take_string(unpack);
	item->process.tgid = (uint32_t)cursor_upto(&unpack->cursor, UINT32_MAX);
	item->process.ns_tgid = (uint32_t)cursor_upto(&unpack->cursor, UINT32_MAX);
	item->process.nvml_answers = cursor_upto(&unpack->cursor, 1);
	item->process.nvml_bytes = cursor_u64(&unpack->cursor);
	item->process.start_ns = cursor_u64(&unpack->cursor);
	item->process.uid = (uint32_t)cursor_upto(&unpack->cursor, UINT32_MAX);
}

static void take_library(struct unpack *unpack, struct item *item)
{
	const void *build_id;
	uint32_t length;

	item->library.path = take_string(unpack);
	item->library.layer = (uint32_t)cursor_upto(&unpack->cursor, UINT32_MAX);
	item->library.probed = (uint32_t)cursor_upto(&unpack->cursor, UINT32_MAX);
	item->library.dev = cursor_u64(&unpack->cursor);
	item->library.ino = cursor_u64(&unpack->cursor);
	length = (uint32_t)cursor_upto(&unpack->cursor, sizeof(item->library.build_id));
	build_id = cursor_bytes(&unpack->cursor, length);
	if (build_id)
		memcpy(item->library.build_id, build_id, length);
	item->library.build_id_length = length;
}

static void take_clock(struct unpack *unpack, struct item *item)
{
	int64_t utc_offset;

	item->clock.wall_minus_mono_ns = (int64_t)cursor_delta(&unpack->cursor, 0);
	utc_offset = (int64_t)cursor_delta(&unpack->cursor, 0);
	if (utc_offset < INT32_MIN || utc_offset > INT32_MAX)
		unpack->cursor.failed = true;
	item->clock.utc_offset_s = (int32_t)utc_offset;
}

static void take_closed(struct unpack *unpack, struct item *item)
{
	item->closed.tgid = (uint32_t)cursor_upto(&unpack->cursor, UINT32_MAX);
	item->closed.descriptor = (uint32_t)cursor_upto(&unpack->cursor, UINT32_MAX);
}

static void take_end(struct unpack *unpack, struct item *item)
{
	item->end.exit_reason = take_string(unpack);
	item->end.wall_ns = cursor_u64(&unpack->cursor);
	item->end.mappings_lost = cursor_u64(&unpack->cursor);
	item->end.failed = cursor_upto(&unpack->cursor, 1);
}

static void take_plain(struct unpack *unpack, struct item *item)
{
	(void)unpack;
	(void)item;
}

static void take_item(struct unpack *unpack, uint8_t tag, struct item *item)
{
	static void (*const take[ITEM_KIND_COUNT])(struct unpack *, struct item *) = {
		[ITEM_RECORD] = take_record,	[ITEM_LOST] = take_lost,     [ITEM_TABLE] = take_plain,
		[ITEM_ATTACHED] = take_process, [ITEM_LATE] = take_process,  [ITEM_GONE] = take_process,
		[ITEM_LIBRARY] = take_library,	[ITEM_CLOCK] = take_clock,   [ITEM_SIMULATED] = take_plain,
		[ITEM_END] = take_end,		[ITEM_CLOSED] = take_closed,
	};

	if (tag < PACK_ITEM || tag >= PACK_ITEM + ITEM_KIND_COUNT) {
		unpack->cursor.failed = true;
		return;
	}
	item->kind = tag - PACK_ITEM;
	item->time_ns = cursor_delta(&unpack->cursor, unpack->last_ns);
	take[item->kind](unpack, item);
}

int unpack_item(struct unpack *unpack, struct item *ret_item, void **ret_record)
{
	struct item item = { 0 };
	uint8_t tag = 0;

	do {
		const uint8_t *byte = cursor_bytes(&unpack->cursor, 1);

		tag = byte ? *byte : 0;
	} while (!unpack->cursor.failed && !unpack->err && take_definition(unpack, tag));
	if (unpack->err || unpack->cursor.failed)
		return unpack->err ? unpack->err : -EBADMSG;
	if (tag & PACK_CALL)
		take_call(unpack, tag, &item);
	else
		take_item(unpack, tag, &item);
	if (unpack->err || unpack->cursor.failed)
		return unpack->err ? unpack->err : -EBADMSG;
	unpack->last_ns = item.time_ns;
	*ret_item = item;
	*ret_record = item.kind == ITEM_RECORD ? (void *)(uintptr_t)item.record.data : NULL;
	return 0;
}
