/* SPDX-License-Identifier: Apache-2.0 */
#include "vramtrace/probe.h"
#include "world.h"

/* Physical memory by handle, and all memory that programs share. */

#define VMM_BIT (1u << SORT_VMM)
#define ADDRESS_SORTS (~(1u << SORT_ARRAY | VMM_BIT | 1u << SORT_EXTERNAL))
#define SLOT_BYTES (1ull << 26)
#define SLOT_BASE 0x700000000000ull
#define ALIASES 0x9000000ull	    /* handles that retains give out: each once */
#define FOREIGN_TOKENS (1ull << 62) /* of programs that nobody traces */

static uint64_t last_token, last_alias;
static uint64_t tokens[1 << 16]; /* by memory: the latest; 0: none */

static uint64_t *token_of(int memory)
{
	CHECK(memory < (int)(sizeof(tokens) / sizeof(tokens[0])));
	return &tokens[memory];
}

void world_shares_clear(void)
{
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++)
		tokens[i] = 0;
}

/* Where events are lost a token may turn out to stand for other memory. */
static uint64_t maybe_renamed(uint64_t token)
{
	return model.losses != LOSES_NOTHING && chance(5) ? 1 + roll(last_token) : token;
}

static bool tell(struct program *program, struct event event)
{
	event.kind = EVENT_DONE;
	world_tell(program, &event);
	return true;
}

static void item_check(struct item *item)
{
	if (!item->references && !item->mappings && !item->descriptors)
		item->used = false;
}

/* One that the program can name and holds by something else than a release that is under way. */
static struct item *pick_handle(struct program *program)
{
	struct item *item = world_pick(program, VMM_BIT);

	return item && item->references > item->releasing ? item : NULL;
}

static uint64_t name_of(const struct item *item)
{
	return item->alias && chance(30) ? item->alias : item->addr;
}

/* A call that gives this up, as such or with its context, is under way: an import that gave it out again could be either's. */
static bool is_awaited(const struct program *program, uint64_t addr)
{
	bool found = world_ends_context(program);

	for (int i = 0; i < THREADS; i++)
		found |= program->threads[i].active && program->threads[i].event.addr == addr;
	return found;
}

/* --- physical memory ------------------------------------------------------------------------------------------------------- */

bool world_create(struct program *program)
{
	static const uint64_t hosts[] = { VT_LOCATION_HOST, VT_LOCATION_HOST_NUMA, VT_LOCATION_HOST_NUMA_CURRENT };
	struct event event = { .kind = EVENT_ALLOC, .size = (1 + roll(3)) * SLOT_BYTES };
	struct item *item;

	if (!world_rows(&event, VT_PROBE_cuMemCreate, NONE))
		return false;
	event.addr = world_unused(program, VMM_BIT);
	item = world_item(program, &event);
	if (!item)
		return false;
	item->sort = SORT_VMM;
	item->references = 1;
	item->is_host = chance(25);
	item->ordinal = (int)roll((uint64_t)model.gpu_count);
	event.a = item->is_host ? hosts[roll(3)] : VT_LOCATION_DEVICE | (uint64_t)item->ordinal << 32;
	world_tell(program, &event);
	return true;
}

/* It has no memory: that is what is bound to it. */
bool world_multicast(struct program *program)
{
	struct event event = { .kind = EVENT_ALLOC, .size = (1 + roll(3)) * SLOT_BYTES };
	struct item *item;

	if (!world_rows(&event, VT_PROBE_cuMulticastCreate, NONE))
		return false;
	event.addr = world_unused(program, VMM_BIT);
	item = world_item(program, &event);
	if (!item)
		return false;
	item->sort = SORT_VMM;
	item->references = 1;
	item->is_virtual = true;
	world_tell(program, &event);
	return true;
}

static void take_reference(struct program *program, struct thread *thread)
{
	struct item *item = &program->items[thread->index];

	item->releasing--;
	item->references--;
	item_check(item);
}

static void keep_reference(struct program *program, struct thread *thread)
{
	program->items[thread->index].releasing--;
}

bool world_handle_release(struct program *program)
{
	struct item *item = pick_handle(program);
	struct event event = { .kind = EVENT_DONE };
	struct thread *thread;

	if (!item || !world_rows(&event, VT_PROBE_cuMemRelease, NONE))
		return false;
	event.addr = name_of(item);
	thread = world_enter(program, &event, EVENT_FAILED);
	thread->take = take_reference;
	thread->undo = keep_reference;
	thread->index = (int)(item - program->items);
	item->releasing++;
	return true;
}

bool world_handle_retain(struct program *program)
{
	int slot = (int)roll(WORLD_SLOTS);
	struct event event = { .a = SLOT_BASE + (uint64_t)slot * SLOT_BYTES + roll(SLOT_BYTES) };
	struct item *item;

	if (!program->slots[slot] || program->slot_busy[slot] ||
	    !world_rows(&event, VT_PROBE_cuMemRetainAllocationHandle, NONE))
		return false;
	item = &program->items[program->slots[slot] - 1];
	event.addr = name_of(item);
	if (!item->alias && chance(30))
		event.addr = item->alias = ALIASES + 16 * ++last_alias;
	item->references++;
	return tell(program, event);
}

static bool slots_are_empty(const struct program *program, int first, int count)
{
	bool empty = first + count <= WORLD_SLOTS;

	for (int i = first; empty && i < first + count; i++)
		empty = !program->slots[i];
	return empty;
}

bool world_map(struct program *program)
{
	int first = (int)roll(WORLD_SLOTS), count = 1 + (int)roll(3);
	struct item *item = pick_handle(program);
	struct event event = { .addr = SLOT_BASE + (uint64_t)first * SLOT_BYTES, .size = (uint64_t)count * SLOT_BYTES };

	if (!item || !slots_are_empty(program, first, count) || (item->size && item->size < event.size) ||
	    !world_rows(&event, VT_PROBE_cuMemMap, NONE))
		return false;
	event.a = name_of(item);
	event.b = item->size ? roll((item->size - event.size) / SLOT_BYTES + 1) * SLOT_BYTES : 0;
	for (int i = first; i < first + count; i++)
		program->slots[i] = 1 + (int)(item - program->items);
	item->mappings += count;
	if (item->size < event.size + event.b)
		item->size = event.size + event.b; /* foreign: that is how it shows */
	return tell(program, event);
}

static void take_mappings(struct program *program, struct thread *thread)
{
	for (int i = thread->index; i < thread->index + thread->count; i++) {
		struct item *item = program->slots[i] ? &program->items[program->slots[i] - 1] : NULL;

		program->slots[i] = 0;
		program->slot_busy[i] = false;
		if (!item)
			continue;
		item->mappings--;
		item_check(item);
	}
}

static void keep_mappings(struct program *program, struct thread *thread)
{
	for (int i = thread->index; i < thread->index + thread->count; i++)
		program->slot_busy[i] = false;
}

/* One call may take several neighbours, and nothing where nothing is. */
bool world_unmap(struct program *program)
{
	int first = (int)roll(WORLD_SLOTS), count = 1 + (int)roll(3);
	struct event event = { .kind = EVENT_DONE, .addr = SLOT_BASE + (uint64_t)first * SLOT_BYTES };
	struct thread *thread;

	if (first + count > WORLD_SLOTS)
		count = WORLD_SLOTS - first;
	for (int i = first; i < first + count; i++) {
		if (program->slot_busy[i] || !program->slots[i])
			return false;
	}
	if (!world_rows(&event, VT_PROBE_cuMemUnmap, NONE))
		return false;
	event.size = (uint64_t)count * SLOT_BYTES;
	thread = world_enter(program, &event, EVENT_FAILED);
	thread->take = take_mappings;
	thread->undo = keep_mappings;
	thread->index = first;
	thread->count = count;
	for (int i = first; i < first + count; i++)
		program->slot_busy[i] = true;
	return true;
}

/* --- descriptors ----------------------------------------------------------------------------------------------------------- */

static void close_number(struct program *program, int number)
{
	struct item *item = program->descriptors[number] ? &program->items[program->descriptors[number] - 1] : NULL;

	program->descriptors[number] = 0;
	if (!item)
		return;
	item->descriptors--;
	item_check(item);
}

/* The new one's number is free: what had it was closed, and only this tells. */
bool world_export_handle(struct program *program)
{
	int number = (int)roll(DESCRIPTORS);
	struct item *item = pick_handle(program);
	struct event event = { .a = maybe_renamed(++last_token) };
	bool is_descriptor = chance(85);

	/* A foreign one's size may not have shown yet: it would go on to others as it is. */
	if (!item || (item->is_import && !*token_of(item->memory)) ||
	    !world_rows(&event, VT_PROBE_cuMemExportToShareableHandle, NONE))
		return false;
	event.b = is_descriptor ? VT_HANDLE_TYPE_FD | (uint64_t)number << 32 : VT_HANDLE_TYPE_FABRIC;
	event.addr = name_of(item);
	if (is_descriptor) {
		item->descriptors++;
		close_number(program, number);
		program->descriptors[number] = 1 + (int)(item - program->items);
	}
	*token_of(item->memory) = event.a;
	return tell(program, event);
}

bool world_close_descriptor(struct program *program)
{
	int number = (int)roll(DESCRIPTORS);

	if (!program->descriptors[number])
		return false;
	close_number(program, number);
	model_close_descriptor(program->tgid, (uint32_t)number);
	return true;
}

static struct item *pick_shared(unsigned int sorts)
{
	struct item *item = world_pick(&programs[roll(PROGRAMS)], sorts);

	return item && *token_of(item->memory) ? item : NULL;
}

static struct item *find_memory(struct program *program, int memory, unsigned int sorts)
{
	for (int i = 0; i < ITEMS; i++) {
		struct item *item = &program->items[i];

		if (item->used && item->memory == memory && (1u << item->sort & sorts))
			return item;
	}
	return NULL;
}

static struct item *new_import(struct program *program, struct event *event, const struct item *from)
{
	struct item *item = world_item(program, event);

	if (!item)
		return NULL;
	item->memory = from->memory;
	item->size = from->size;
	item->is_virtual = from->is_virtual;
	item->is_import = true;
	return item;
}

/* By the handle by which the program has it already, if it has: one reference more. */
bool world_import_handle(struct program *program)
{
	const struct item *from = pick_shared(VMM_BIT);
	struct event event = { .b = VT_HANDLE_TYPE_FD };
	struct item *have;

	if (!from || !world_rows(&event, VT_PROBE_cuMemImportFromShareableHandle, NONE))
		return false;
	have = find_memory(program, from->memory, VMM_BIT);
	if (have && have->references <= have->releasing)
		return false;
	event.addr = have ? have->addr : world_unused(program, VMM_BIT);
	event.a = *token_of(from->memory);
	if (!have && is_awaited(program, event.addr))
		return false;
	if (!have) {
		have = new_import(program, &event, from);
		if (!have)
			return false;
		have->sort = SORT_VMM;
	}
	have->references++;
	return tell(program, event);
}

/* From a program that is not traced: it is counted here, and its size not told. */
bool world_import_foreign(struct program *program)
{
	struct event event = { .a = FOREIGN_TOKENS + ++last_token, .b = VT_HANDLE_TYPE_FD };
	int context = world_context(program);
	bool by_handle = chance(50);
	struct item *item;

	if (context == NONE ||
	    (by_handle ? !world_rows(&event, VT_PROBE_cuMemImportFromShareableHandle, NONE)
		       : !world_rows(&event, VT_PROBE_cuIpcOpenMemHandle_v2, VT_PROBE_cudaIpcOpenMemHandle)))
		return false;
	event.addr = world_unused(program, by_handle ? VMM_BIT : ADDRESS_SORTS);
	item = world_item(program, &event);
	if (!item)
		return false;
	item->sort = by_handle ? SORT_VMM : SORT_IPC;
	item->is_import = true;
	item->references = by_handle;
	item->context = by_handle ? NONE : context;
	item->ordinal = program->contexts[context].ordinal;
	event.context = program->contexts[context].handle;
	return tell(program, event);
}

/* --- memory by address ------------------------------------------------------------------------------------------------------ */

static uint64_t make_token(int memory)
{
	if (!*token_of(memory))
		*token_of(memory) = ++last_token;
	return *token_of(memory);
}

bool world_ipc_export(struct program *program)
{
	struct item *item = world_pick(program, 1u << SORT_DEVICE);
	struct event event = { .addr = 0 };

	if (!item || !world_rows(&event, VT_PROBE_cuIpcGetMemHandle, VT_PROBE_cudaIpcGetMemHandle))
		return false;
	event.addr = item->addr + (chance(50) ? roll(item->size) : 0);
	event.a = maybe_renamed(make_token(item->memory));
	return tell(program, event);
}

/* Opened twice it is at the same address, and has to be closed twice. */
bool world_ipc_open(struct program *program)
{
	const struct item *from = pick_shared(1u << SORT_DEVICE | 1u << SORT_IPC);
	struct event event = { .addr = 0 };
	int context = world_context(program);
	struct item *have;

	if (!from || context == NONE || find_memory(program, from->memory, 1u << SORT_DEVICE) ||
	    !world_rows(&event, VT_PROBE_cuIpcOpenMemHandle_v2, VT_PROBE_cudaIpcOpenMemHandle))
		return false;
	have = find_memory(program, from->memory, 1u << SORT_IPC);
	if (have && (have->busy || (have->context != NONE && program->contexts[have->context].busy)))
		return false;
	event.addr = have ? have->addr : world_unused(program, ADDRESS_SORTS);
	event.a = *token_of(from->memory);
	event.context = program->contexts[context].handle;
	if (is_awaited(program, event.addr))
		return false;
	if (have) {
		have->opens++;
		return tell(program, event);
	}
	have = new_import(program, &event, from);
	if (!have)
		return false;
	have->sort = SORT_IPC;
	have->context = context;
	return tell(program, event);
}

bool world_pointer_export(struct program *program)
{
	struct item *item = world_pick(program, 1u << SORT_POOL);
	struct event event = { .addr = 0 };

	if (!item || item->is_virtual || item->is_captured ||
	    !world_rows(&event, VT_PROBE_cuMemPoolExportPointer, VT_PROBE_cudaMemPoolExportPointer))
		return false;
	event.addr = item->addr;
	event.a = maybe_renamed(make_token(item->memory));
	return tell(program, event);
}

bool world_pointer_import(struct program *program)
{
	const struct item *from = pick_shared(1u << SORT_POOL);
	struct event event = { .addr = world_unused(program, ADDRESS_SORTS) };
	int context = world_context(program), pool = (int)roll(POOLS);
	struct item *item;

	if (!from || from->is_virtual || context == NONE || is_awaited(program, event.addr) ||
	    !world_rows(&event, VT_PROBE_cuMemPoolImportPointer, VT_PROBE_cudaMemPoolImportPointer))
		return false;
	item = new_import(program, &event, from);
	if (!item)
		return false;
	item->sort = SORT_POOL_POINTER;
	event.a = *token_of(from->memory);
	event.b = program->pools[pool].alive ? program->pools[pool].handle : 0;
	event.context = program->contexts[context].handle;
	return tell(program, event);
}

/* Another interface's memory, or ours that came back through it. */
bool world_external(struct program *program)
{
	const struct item *from = chance(40) ? pick_shared(VMM_BIT) : NULL;
	struct event event = { .addr = world_unused(program, 1u << SORT_EXTERNAL), .size = 1 + roll(1 << 20) };
	int context = world_context(program);
	struct item *item;

	if (context == NONE || !world_rows(&event, VT_PROBE_cuImportExternalMemory, VT_PROBE_cudaImportExternalMemory))
		return false;
	item = from ? new_import(program, &event, from) : world_item(program, &event);
	if (!item)
		return false;
	item->sort = SORT_EXTERNAL;
	item->is_import = true;
	item->context = context;
	event.a = from ? *token_of(from->memory) : FOREIGN_TOKENS + ++last_token;
	event.b = VT_HANDLE_TYPE_FD;
	event.context = program->contexts[context].handle;
	return tell(program, event);
}

/* What external memory shows by an address: it was imported as a whole. */
bool world_buffer(struct program *program)
{
	const struct item *external = world_pick(program, 1u << SORT_EXTERNAL);
	struct event event = { .kind = EVENT_ALLOC, .size = 1 + roll(1 << 20) };
	struct item *item;

	if (!external || external->context == NONE ||
	    !world_rows(&event, VT_PROBE_cuExternalMemoryGetMappedBuffer, VT_PROBE_cudaExternalMemoryGetMappedBuffer))
		return false;
	event.addr = world_unused(program, ADDRESS_SORTS);
	event.context = program->contexts[external->context].handle;
	item = world_item(program, &event);
	if (!item)
		return false;
	item->sort = SORT_BUFFER;
	item->is_import = item->is_virtual = true;
	item->context = external->context;
	world_tell(program, &event);
	return true;
}
