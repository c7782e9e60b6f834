/* SPDX-License-Identifier: Apache-2.0 */
#include "source/pack.h"

#include <stdlib.h>
#include <string.h>

#include "source/varint.h"
#include "vramtrace/probe.h"
#include "vramtrace/wire.h"

#define NUMBERS_MAX 16 /* of an entry: at most this many at once */
#define FIRST_ENTRIES 64

struct packed_string {
	size_t offset; /* in out */
	size_t length;
};

struct packed_caller {
	const void *key;
	uint64_t offset;
	uint64_t strings[4]; /* references: module, symbol, demangled, name */
};

struct packed_site {
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

struct packed_thread {
	uint32_t tgid;
	uint32_t tid;
	uint16_t cpu; /* of the last call, as what follows */
	uint32_t lost;
	uint64_t addr;
	uint64_t context;
};

_Static_assert(ITEM_RECORD == 0 && ITEM_END == 9 && ITEM_CLOSED == 10, "the numbers are in files");

void pack_init(struct pack *pack, struct buf *out)
{
	*pack = (struct pack) { .out = out };
	map_init(&pack->string_map);
	map_init(&pack->caller_map);
	map_init(&pack->site_map);
	map_init(&pack->thread_map);
}

void pack_fini(struct pack *pack)
{
	map_fini(&pack->string_map);
	map_fini(&pack->caller_map);
	map_fini(&pack->site_map);
	map_fini(&pack->thread_map);
	free(pack->strings);
	free(pack->callers);
	free(pack->sites);
	free(pack->threads);
	*pack = (struct pack) { 0 };
}

void pack_clear(struct pack *pack)
{
	map_clear(&pack->string_map);
	map_clear(&pack->caller_map);
	map_clear(&pack->site_map);
	map_clear(&pack->thread_map);
	pack->string_count = pack->caller_count = pack->site_count = pack->thread_count = 0;
	pack->last_thread = SIZE_MAX;
	pack->last_ns = 0;
	pack->failed = false;
}

/* The place of a new entry, zeroed; NULL: out of memory. entries: a pointer to the array's pointer. */
static void *add_entry(struct pack *pack, void *entries, size_t *count, size_t *capacity, size_t bytes)
{
	void **array = entries;
	char *place;

	if (*count == *capacity) {
		size_t more = *capacity ? *capacity * 2 : FIRST_ENTRIES;
		void *grown = reallocarray(*array, more, bytes);

		if (!grown) {
			pack->failed = true;
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

/* That a map has no memory for an entry only means that it is defined again. */
static void note_entry(struct map *map, uint64_t key, size_t count)
{
	map_put(map, key, (void *)(uintptr_t)count, NULL);
}

/* Index of an entry; count: unknown. */
static size_t find_entry(const struct map *map, uint64_t key, size_t count)
{
	size_t found = (size_t)(uintptr_t)map_get(map, key);

	return found ? found - 1 : count;
}

static void put_numbers(struct pack *pack, uint8_t tag, const uint64_t *numbers, size_t count)
{
	uint8_t bytes[1 + NUMBERS_MAX * VARINT_BYTES_MAX];
	uint8_t *at = bytes;

	*at++ = tag;
	for (size_t i = 0; i < count; i++)
		at = varint_put(at, numbers[i]);
	buf_add(pack->out, bytes, (size_t)(at - bytes));
}

static uint64_t hash_word(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15;
	return hash ^ hash >> 32;
}

static uint64_t hash_bytes(const char *bytes, size_t length)
{
	uint64_t hash = length;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)bytes[i]) * 0x100000001b3;
	return hash_word(hash, length);
}

static uint64_t refer_string(struct pack *pack, const char *string)
{
	struct packed_string *entry;
	uint64_t hash;
	size_t length;
	size_t index;

	if (!string)
		return 0;
	length = strlen(string);
	hash = hash_bytes(string, length);
	index = find_entry(&pack->string_map, hash, pack->string_count);
	if (index < pack->string_count && pack->strings[index].length == length &&
	    !memcmp(pack->out->data + pack->strings[index].offset, string, length))
		return index + 1;
	put_numbers(pack, PACK_STRING, (const uint64_t[]) { length }, 1);
	entry = add_entry(pack, &pack->strings, &pack->string_count, &pack->string_capacity, sizeof(*entry));
	if (!entry)
		return 0;
	*entry = (struct packed_string) { pack->out->length, length };
	buf_add(pack->out, string, length + 1);
	note_entry(&pack->string_map, hash, pack->string_count);
	return pack->string_count;
}

static bool string_is(const struct pack *pack, uint64_t reference, const char *string)
{
	if (!reference || !string)
		return !reference && !string;
	return !strcmp(pack->out->data + pack->strings[reference - 1].offset, string);
}

/* A key may come again for another caller when the first is gone: memory is reused. */
static bool caller_is(const struct pack *pack, const struct packed_caller *entry, const struct item_caller *caller)
{
	return entry->key == caller->key && entry->offset == caller->offset &&
	       string_is(pack, entry->strings[0], caller->module) &&
	       string_is(pack, entry->strings[1], caller->symbol) &&
	       string_is(pack, entry->strings[2], caller->demangled) &&
	       string_is(pack, entry->strings[3], caller->name);
}

static uint64_t refer_caller(struct pack *pack, const struct item_caller *caller)
{
	uint64_t key = caller ? (uintptr_t)caller->key : 0;
	struct packed_caller *entry;
	struct packed_caller made;
	size_t index;

	if (!key)
		return caller ? PACK_NOT_FOUND : PACK_NOT_ASKED;
	index = find_entry(&pack->caller_map, key, pack->caller_count);
	if (index < pack->caller_count && caller_is(pack, &pack->callers[index], caller))
		return PACK_FIRST_CALLER + index;
	made = (struct packed_caller) { .key = caller->key, .offset = caller->offset };
	made.strings[0] = refer_string(pack, caller->module);
	made.strings[1] = refer_string(pack, caller->symbol);
	made.strings[2] = refer_string(pack, caller->demangled);
	made.strings[3] = refer_string(pack, caller->name);
	put_numbers(
		pack, PACK_CALLER,
		(const uint64_t[]) { made.strings[0], made.strings[1], made.strings[2], made.strings[3], made.offset },
		5);
	entry = add_entry(pack, &pack->callers, &pack->caller_count, &pack->caller_capacity, sizeof(*entry));
	if (!entry)
		return 0;
	*entry = made;
	note_entry(&pack->caller_map, key, pack->caller_count);
	return PACK_FIRST_CALLER + pack->caller_count - 1;
}

static struct packed_site site_of(const struct vt_call *call, uint64_t caller)
{
	struct packed_site site = {
		.row = call->row,
		.outer_row = call->outer_row,
		.flags = call->header.flags,
		.frame_count = (uint8_t)((call->header.length - sizeof(*call)) / 8),
		.caller = caller,
	};

	memcpy(site.frames, call->frames, site.frame_count * sizeof(site.frames[0]));
	return site;
}

static bool site_is(const struct packed_site *a, const struct packed_site *b)
{
	return a->row == b->row && a->outer_row == b->outer_row && a->flags == b->flags &&
	       a->frame_count == b->frame_count && a->caller == b->caller &&
	       !memcmp(a->frames, b->frames, sizeof(a->frames));
}

static void put_site(struct pack *pack, const struct packed_site *site)
{
	static const struct packed_site none;
	const struct packed_site *before = pack->site_count ? &pack->sites[pack->site_count - 1] : &none;
	uint64_t numbers[5 + VT_FRAMES_MAX] = { site->row, site->outer_row, site->flags, site->caller,
						site->frame_count };

	for (size_t i = 0; i < site->frame_count; i++)
		numbers[5 + i] = varint_fold(site->frames[i] - before->frames[i]);
	put_numbers(pack, PACK_SITE, numbers, 5u + site->frame_count);
}

/* Index; SIZE_MAX: out of memory. */
static size_t refer_site(struct pack *pack, const struct vt_call *call, uint64_t caller)
{
	struct packed_site site = site_of(call, caller);
	uint64_t hash = hash_word(caller, (uint64_t)site.row << 32 | (uint64_t)site.outer_row << 16 | site.flags);
	struct packed_site *entry;
	size_t index;

	for (size_t i = 0; i < site.frame_count; i++)
		hash = hash_word(hash, site.frames[i]);
	index = find_entry(&pack->site_map, hash, pack->site_count);
	if (index < pack->site_count && site_is(&pack->sites[index], &site))
		return index;
	put_site(pack, &site);
	entry = add_entry(pack, &pack->sites, &pack->site_count, &pack->site_capacity, sizeof(*entry));
	if (!entry)
		return SIZE_MAX;
	*entry = site;
	note_entry(&pack->site_map, hash, pack->site_count);
	return pack->site_count - 1;
}

static size_t refer_thread(struct pack *pack, uint32_t tgid, uint32_t tid)
{
	uint64_t key = (uint64_t)tgid << 32 | tid;
	struct packed_thread *entry;
	size_t index;

	if (pack->last_thread < pack->thread_count && pack->threads[pack->last_thread].tgid == tgid &&
	    pack->threads[pack->last_thread].tid == tid)
		return pack->last_thread;
	index = find_entry(&pack->thread_map, key, pack->thread_count);
	if (index < pack->thread_count)
		return index;
	put_numbers(pack, PACK_THREAD, (const uint64_t[]) { tgid, tid }, 2);
	entry = add_entry(pack, &pack->threads, &pack->thread_count, &pack->thread_capacity, sizeof(*entry));
	if (!entry)
		return SIZE_MAX;
	entry->tgid = tgid;
	entry->tid = tid;
	note_entry(&pack->thread_map, key, pack->thread_count);
	return pack->thread_count - 1;
}

/* What most calls have as the one before. Returns how many numbers were added; 0: nothing differs. */
static size_t add_more(const struct vt_call *call, struct packed_site *site, struct packed_thread *thread,
		       uint64_t *numbers)
{
	size_t count = 1;

	numbers[0] = 0;
	if (call->context != thread->context) {
		numbers[0] |= PACK_MORE_CONTEXT;
		numbers[count++] = varint_fold(call->context - thread->context);
	}
	if (call->a != site->a) {
		numbers[0] |= PACK_MORE_A;
		numbers[count++] = varint_fold(call->a - site->a);
	}
	if (call->b != site->b) {
		numbers[0] |= PACK_MORE_B;
		numbers[count++] = varint_fold(call->b - site->b);
	}
	thread->context = call->context;
	site->a = call->a;
	site->b = call->b;
	return numbers[0] ? count : 0;
}

static void put_call(struct pack *pack, const struct vt_call *call, size_t site_index, size_t thread_index)
{
	struct packed_site *site = &pack->sites[site_index];
	struct packed_thread *thread = &pack->threads[thread_index];
	uint64_t numbers[NUMBERS_MAX] = {
		site_index,
		varint_fold(call->header.time_ns - pack->last_ns),
		varint_fold(call->header.time_ns - call->enter_ns),
	};
	const struct {
		uint8_t flag;
		bool differs;
		uint64_t number;
	} fields[] = {
		{ PACK_CALL_THREAD, thread_index != pack->last_thread, thread_index },
		{ PACK_CALL_CPU, call->header.cpu != thread->cpu, call->header.cpu },
		{ PACK_CALL_LOST, call->header.lost != thread->lost,
		  varint_fold((uint64_t)call->header.lost - thread->lost) },
		{ PACK_CALL_RESULT, call->result != 0, varint_fold((uint64_t)(int64_t)call->result) },
		{ PACK_CALL_ADDR, call->addr != thread->addr, varint_fold(call->addr - thread->addr) },
		{ PACK_CALL_SIZE, call->size != site->size, varint_fold(call->size - site->size) },
	};
	uint8_t tag = PACK_CALL;
	size_t count = 3;
	size_t more;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!fields[i].differs)
			continue;
		tag |= fields[i].flag;
		numbers[count++] = fields[i].number;
	}
	more = add_more(call, site, thread, &numbers[count]);
	if (more)
		tag |= PACK_CALL_MORE;
	count += more;
	put_numbers(pack, tag, numbers, count);
	pack->last_thread = thread_index;
	pack->last_ns = call->header.time_ns;
	thread->cpu = call->header.cpu;
	thread->lost = call->header.lost;
	thread->addr = call->addr;
	site->size = call->size;
}

/* Only what decode accepts, or nearly: all else is kept byte for byte. */
static bool is_call(const struct item *item, const struct vt_call *call)
{
	return item->record.length >= sizeof(*call) && item->record.length <= VT_RECORD_BYTES_MAX &&
	       call->header.kind == VT_RECORD_CALL && call->header.length == item->record.length &&
	       item->record.length % 8 == 0 && call->header.version == VT_WIRE_VERSION && call->header.pad == 0 &&
	       call->row < VT_PROBE_COUNT && call->outer_row < VT_PROBE_COUNT && call->header.time_ns == item->time_ns;
}

static void put_packed_call(struct pack *pack, const struct vt_call *call, const struct item_caller *caller)
{
	uint64_t reference = refer_caller(pack, caller);
	size_t site = refer_site(pack, call, reference);
	size_t thread = refer_thread(pack, call->header.tgid, call->header.tid);

	if (!pack->failed)
		put_call(pack, call, site, thread);
}

/* numbers[0] is the place of the time. */
static void put_item(struct pack *pack, const struct item *item, uint64_t *numbers, size_t count)
{
	numbers[0] = varint_fold(item->time_ns - pack->last_ns);
	pack->last_ns = item->time_ns;
	put_numbers(pack, (uint8_t)(PACK_ITEM + item->kind), numbers, count);
}

static void put_record(struct pack *pack, const struct item *item)
{
	union {
		struct vt_call call;
		char bytes[VT_RECORD_BYTES_MAX];
	} copy = { 0 };
	uint64_t numbers[] = { 0, 0, item->record.length };

	memcpy(&copy, item->record.data, item->record.length < sizeof(copy) ? item->record.length : sizeof(copy));
	if (is_call(item, &copy.call)) {
		put_packed_call(pack, &copy.call, item->record.caller);
		return;
	}
	numbers[1] = refer_caller(pack, item->record.caller);
	put_item(pack, item, numbers, 3);
	buf_add(pack->out, item->record.data, item->record.length);
}

static void put_lost(struct pack *pack, const struct item *item)
{
	uint64_t numbers[] = { 0, refer_string(pack, item->lost.cause_name), item->lost.tgid, item->lost.count };

	put_item(pack, item, numbers, 4);
}

static void put_process(struct pack *pack, const struct item *item)
{
	uint64_t numbers[] = {
		0,
		refer_string(pack, item->process.comm),
		item->process.tgid,
		item->process.ns_tgid,
		item->process.nvml_answers,
		item->process.nvml_bytes,
		item->process.start_ns,
		item->process.uid,
	};

	put_item(pack, item, numbers, 8);
}

static void put_library(struct pack *pack, const struct item *item)
{
	uint32_t length = item->library.build_id_length;
	uint64_t numbers[] = {
		0,
		refer_string(pack, item->library.path),
		item->library.layer,
		item->library.probed,
		item->library.dev,
		item->library.ino,
		length <= sizeof(item->library.build_id) ? length : sizeof(item->library.build_id),
	};

	put_item(pack, item, numbers, 7);
	buf_add(pack->out, item->library.build_id, numbers[6]);
}

static void put_clock(struct pack *pack, const struct item *item)
{
	uint64_t numbers[] = { 0, varint_fold((uint64_t)item->clock.wall_minus_mono_ns),
			       varint_fold((uint64_t)(int64_t)item->clock.utc_offset_s) };

	put_item(pack, item, numbers, 3);
}

static void put_closed(struct pack *pack, const struct item *item)
{
	uint64_t numbers[] = { 0, item->closed.tgid, item->closed.descriptor };

	put_item(pack, item, numbers, 3);
}

static void put_end(struct pack *pack, const struct item *item)
{
	uint64_t numbers[] = { 0, refer_string(pack, item->end.exit_reason), item->end.wall_ns, item->end.mappings_lost,
			       item->end.failed };

	put_item(pack, item, numbers, 5);
}

static void put_plain(struct pack *pack, const struct item *item)
{
	uint64_t numbers[1];

	put_item(pack, item, numbers, 1);
}

bool pack_item(struct pack *pack, const struct item *item)
{
	static void (*const put[ITEM_KIND_COUNT])(struct pack *, const struct item *) = {
		[ITEM_RECORD] = put_record,    [ITEM_LOST] = put_lost,	   [ITEM_TABLE] = put_plain,
		[ITEM_ATTACHED] = put_process, [ITEM_LATE] = put_process,  [ITEM_GONE] = put_process,
		[ITEM_LIBRARY] = put_library,  [ITEM_CLOCK] = put_clock,   [ITEM_SIMULATED] = put_plain,
		[ITEM_END] = put_end,	       [ITEM_CLOSED] = put_closed,
	};

	if ((unsigned int)item->kind >= ITEM_KIND_COUNT)
		return false;
	put[item->kind](pack, item);
	return !pack->failed && !pack->out->failed;
}
