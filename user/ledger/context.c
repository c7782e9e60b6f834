/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/map.h"
#include "ledger/books.h"
#include "ledger/device.h"
#include "ledger/settling.h"
#include "probe/table.h"

/* Contexts and devices of a process: which memory goes with a context, and which place it is at. */

#define CONTEXTS_MAX 4096
#define PLACES_MAX 256
#define PLACES_UNKNOWN_MAX 128 /* of these, of contexts that nobody has told the device of */
#define DEVICES_MAX 128

struct context {
	uint64_t handle;
	uint64_t made_ns; /* 0: not told */
	uint16_t place;	  /* 0: none yet, where !ordinal_known */
	uint16_t next;	  /* of the unused ones */
	bool ordinal_known;
	bool used; /* since its last end, if any, something may have been made in it */
};

struct device {
	int ordinal;
	uint16_t place;	  /* 0: none yet */
	uint64_t primary; /* its primary context; 0: not told */
	uint64_t retains;
	uint64_t reset_ns; /* its primary context was reset before we knew which that is */
};

/* Of one image of the process: an exec makes new ones, for ordinals mean other devices then. */
struct contexts {
	struct context *items; /* number n is items[n - 1] */
	size_t count;
	uint16_t unused;    /* first number of these; 0: none */
	struct map numbers; /* handle -> number, as a pointer */
	struct device *devices;
	size_t device_count;
	uint64_t last_handle; /* looked for last */
	uint16_t last_number;
};

/*
 * What is gone when its context is (H100, driver 580: the same for cuCtxDestroy, cuDevicePrimaryCtxReset and the last
 * cuDevicePrimaryCtxRelease). Memory of pools and physical memory outlive it.
 */
static const bool goes_with_context[VT_KIND_COUNT] = {
	[VT_KIND_DEVICE] = true, [VT_KIND_MANAGED] = true,  [VT_KIND_PINNED] = true, [VT_KIND_REGISTERED] = true,
	[VT_KIND_ARRAY] = true,	 [VT_KIND_IMPORTED] = true, [VT_KIND_GRAPH] = true,
};

static struct contexts *contexts_make(struct process *process)
{
	struct own *own = own_of(process);

	if (own->contexts)
		return own->contexts;
	own->contexts = calloc(1, sizeof(*own->contexts));
	if (own->contexts)
		map_init(&own->contexts->numbers);
	return own->contexts;
}

void contexts_fini(struct process *process)
{
	struct contexts *contexts = own_of(process)->contexts;

	for (size_t i = 0; i < process->place_count; i++)
		process->places[i].graph_known = false;
	if (!contexts)
		return;
	free(contexts->items);
	free(contexts->devices);
	map_fini(&contexts->numbers);
	free(contexts);
	own_of(process)->contexts = NULL;
}

/* Index of a new place; 0: no more, or out of memory: the place of what is not known. */
static uint16_t add_place(struct process *process, int ordinal)
{
	struct place *grown;
	uint16_t index = (uint16_t)process->place_count;

	if (process->place_count >= (ordinal < 0 ? PLACES_UNKNOWN_MAX : PLACES_MAX))
		return 0;
	grown = reallocarray(process->places, process->place_count + 1, sizeof(*grown));
	if (!grown)
		return 0;
	process->places = grown;
	process->places[index] = (struct place) { .ordinal = ordinal, .gpu = -1, .same = index };
	process->place_count++;
	return index;
}

/* Made if need be; valid until the next one is. NULL: no ordinal, too many, or out of memory. */
static struct device *device_of(struct contexts *contexts, int ordinal)
{
	struct device *grown;

	for (size_t i = 0; i < contexts->device_count; i++) {
		if (contexts->devices[i].ordinal == ordinal)
			return &contexts->devices[i];
	}
	if (ordinal < 0 || contexts->device_count >= DEVICES_MAX)
		return NULL;
	grown = reallocarray(contexts->devices, contexts->device_count + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	contexts->devices = grown;
	grown[contexts->device_count] = (struct device) { .ordinal = ordinal };
	return &grown[contexts->device_count++];
}

static uint16_t place_of_device(struct process *process, struct device *device)
{
	if (!device->place)
		device->place = add_place(process, device->ordinal);
	return device->place;
}

uint16_t place_of_ordinal(const struct call *call, int ordinal)
{
	struct contexts *contexts = ordinal < 0 ? NULL : contexts_make(call->process);
	struct device *device = contexts ? device_of(contexts, ordinal) : NULL;

	return device ? place_of_device(call->process, device) : 0;
}

/* Where the driver's calls are not seen a thread that has set no device is on the first one, as all are at first. */
static uint64_t context_named(const struct call *call, uint64_t context)
{
	if (!context && !call->ledger->settings.driver_probed && !call->process->attached_late)
		return 1;
	return context;
}

static uint16_t find_context(struct contexts *contexts, uint64_t handle)
{
	if (contexts->last_handle != handle) {
		contexts->last_handle = handle;
		contexts->last_number = (uint16_t)(uintptr_t)map_get(&contexts->numbers, handle);
	}
	return contexts->last_number;
}

/* A number that stands for no context; 0: too many, or out of memory. */
static uint16_t take_number(struct contexts *contexts)
{
	struct context *grown;
	uint16_t number = contexts->unused;

	if (number) {
		contexts->unused = contexts->items[number - 1].next;
		return number;
	}
	if (contexts->count >= CONTEXTS_MAX)
		return 0;
	grown = reallocarray(contexts->items, contexts->count + 1, sizeof(*grown));
	if (!grown)
		return 0;
	contexts->items = grown;
	return (uint16_t)++contexts->count;
}

static void give_number(struct contexts *contexts, uint16_t number)
{
	contexts->items[number - 1] = (struct context) { .next = contexts->unused };
	contexts->unused = number;
}

static uint16_t add_context(struct contexts *contexts, uint64_t handle)
{
	uint16_t number = take_number(contexts);

	if (!number)
		return 0;
	if (map_put(&contexts->numbers, handle, (void *)(uintptr_t)number, NULL)) {
		give_number(contexts, number);
		return 0;
	}
	contexts->items[number - 1] = (struct context) { .handle = handle };
	contexts->last_handle = handle;
	contexts->last_number = number;
	return number;
}

/* NULL: none, too many, or out of memory. Valid until the next is added. */
static struct context *context_of(const struct call *call, uint64_t handle, uint16_t *ret_number)
{
	struct contexts *contexts;
	struct context *context;

	*ret_number = 0;
	handle = context_named(call, handle);
	contexts = handle ? contexts_make(call->process) : NULL;
	if (!contexts)
		return NULL;
	*ret_number = find_context(contexts, handle);
	if (*ret_number)
		return &contexts->items[*ret_number - 1];
	*ret_number = add_context(contexts, handle);
	if (!*ret_number)
		return NULL;
	context = &contexts->items[*ret_number - 1];
	if (handle <= VT_CONTEXT_ORDINALS) {
		context->place = place_of_ordinal(call, (int)handle - 1);
		context->ordinal_known = true;
	}
	return context;
}

uint16_t context_number(const struct call *call, uint64_t context)
{
	uint16_t number;
	struct context *found = context_of(call, context, &number);
	const struct contexts *contexts = own_of(call->process)->contexts;

	if (found)
		found->used = true;
	else if (context_named(call, context))
		ledger_lose(call->ledger, call->process, call->event,
			    contexts && contexts->count >= CONTEXTS_MAX ? LOST_LIMIT : LOST_MEMORY, 1);
	return number;
}

uint16_t place_of_context(const struct call *call, uint64_t context)
{
	uint16_t number;
	struct context *found = context_of(call, context, &number);

	if (!found)
		return 0;
	if (!found->place && !found->ordinal_known)
		found->place = add_place(call->process, -1);
	return found->place;
}

void place_of_location(const struct call *call, uint64_t location, struct block *block)
{
	switch ((uint32_t)location) {
	case VT_LOCATION_DEVICE:
		block->placement = PLACEMENT_VRAM;
		block->place = place_of_ordinal(call, (int)(location >> 32));
		break;
	case VT_LOCATION_HOST:
	case VT_LOCATION_HOST_NUMA:
	case VT_LOCATION_HOST_NUMA_CURRENT:
		block->placement = PLACEMENT_HOST;
		block->place = 0;
		break;
	default:
		block->placement = PLACEMENT_UNKNOWN;
		break;
	}
}

/* Blocks that were made before we knew stand at a place of the context's own: it turns out to be the device's. */
static void learn_ordinal(const struct call *call, uint64_t handle, int ordinal)
{
	uint16_t number, place = place_of_ordinal(call, ordinal);
	struct context *context = context_of(call, handle, &number);

	if (!context || !place)
		return;
	if (!context->ordinal_known && context->place)
		call->process->places[context->place].same = place;
	context->place = place;
	context->ordinal_known = true;
}

/* As a free: what had been made before the call that ends it was entered. */
struct ending {
	uint64_t before_ns;
	uint16_t number;
	bool left; /* something else was made in it, that is still there, or whose free is still to be told */
};

static bool goes(void *ctx, enum key key, const struct block *block)
{
	struct ending *ending = ctx;

	(void)key;
	if (block->context != ending->number)
		return false;
	if (goes_with_context[block->kind] && block->alloc_ns <= ending->before_ns)
		return true;
	ending->left = true;
	return false;
}

static int free_blocks(const struct call *call, struct ending *ending)
{
	struct settlings *settlings = books_settlings(call->process);
	struct picked *picked = NULL;
	size_t count = 0;
	struct block block;
	int err;

	/* Their addresses were handed out again before this end was told. */
	while (settlings && settlings_take_context(settlings, ending->number, ending->before_ns, &block))
		call_freed(call, &block, FREE_CONTEXT);
	ending->left = settlings && settlings_have_context(settlings, ending->number);
	err = books_pick(call->process, goes, ending, &picked, &count);
	for (size_t i = 0; i < count; i++) {
		if (books_take(call->process, picked[i].key, picked[i].block.addr, &block))
			call_freed(call, &block, FREE_CONTEXT);
	}
	/* Only now, for what goes as well must not take over, nor anything be counted beside what goes. */
	for (size_t i = 0; i < count; i++)
		share_freed(call->ledger, call->process, call->event, &picked[i].block);
	free(picked);
	return err;
}

/* keeps: the handle goes on to stand for a context. */
static void end_context(const struct call *call, uint64_t handle, uint64_t before_ns, bool keeps)
{
	struct contexts *contexts = own_of(call->process)->contexts;
	struct ending ending = { .before_ns = before_ns, .number = find_context(contexts, handle) };
	struct context *context;

	if (!ending.number) { /* nothing was made in it but streams */
		stream_context_ended(call->process, handle);
		return;
	}
	context = &contexts->items[ending.number - 1];
	if (context->used && free_blocks(call, &ending)) {
		ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
		return;
	}
	context->used = ending.left;
	if (context->made_ns > before_ns)
		return; /* it is another one by now */
	stream_context_ended(call->process, handle);
	if (keeps || ending.left || handle <= VT_CONTEXT_ORDINALS)
		return;
	map_del(&contexts->numbers, handle);
	give_number(contexts, ending.number);
	contexts->last_handle = 0;
	contexts->last_number = 0;
}

/* The device of a call that names none. -1: not known. */
static int current_ordinal(const struct call *call)
{
	uint16_t place = place_of_context(call, call->event->context);

	return call->process->places[call->process->places[place].same].ordinal;
}

static uint64_t primary_of(const struct call *call, const struct device *device)
{
	if (!call->ledger->settings.driver_probed)
		return (uint64_t)device->ordinal + 1;
	return device->primary;
}

/* From now on the handle of this call is this context's: an end of it that was entered before was of another one. */
static void note_made(const struct call *call)
{
	uint16_t number;
	struct context *context = context_of(call, call->event->addr, &number);

	if (context)
		context->made_ns = call->event->time_ns;
}

static void apply_new(const struct call *call)
{
	if (!call->event->addr)
		return;
	learn_ordinal(call, call->event->addr, (int)call->event->a);
	note_made(call);
}

static void apply_retain(const struct call *call, struct contexts *contexts)
{
	struct device *device = device_of(contexts, (int)call->event->a);
	uint64_t handle = call->event->addr;
	bool is_new = device && device->primary != handle;

	if (!device || !handle)
		return;
	device->primary = handle;
	device->retains++;
	learn_ordinal(call, handle, device->ordinal);
	device = device_of(contexts, (int)call->event->a); /* the array may have moved */
	if (!device)
		return;
	if (device->reset_ns)
		end_context(call, handle, device->reset_ns, true);
	device->reset_ns = 0;
	if (is_new)
		note_made(call);
}

/* Retains that we have not seen, for we came late or events were lost, still hold it: it stays. */
static void apply_release(const struct call *call, struct contexts *contexts)
{
	struct device *device = device_of(contexts, (int)call->event->addr);
	bool all_seen = !call->process->attached_late && !call->process->lost && !call->ledger->lost_global;

	if (!device || !device->retains)
		return;
	device->retains--;
	if (device->retains || !device->primary || !all_seen)
		return;
	end_context(call, device->primary, call->event->enter_ns, false);
	device->primary = 0;
}

static void apply_reset(const struct call *call, struct contexts *contexts)
{
	int ordinal = call->row->layer == VT_LAYER_DRIVER ? (int)call->event->addr : current_ordinal(call);
	struct device *device = device_of(contexts, ordinal);

	if (!device)
		return;
	device->retains = 0;
	if (primary_of(call, device))
		end_context(call, primary_of(call, device), call->event->enter_ns, true);
	else
		device->reset_ns = call->event->enter_ns;
}

/* After an exec: the same GPU's place is there, and no device of this image has it yet. */
static uint16_t place_of_gpu(const struct process *process, const struct contexts *contexts, int gpu)
{
	for (size_t i = 1; i < process->place_count; i++) {
		size_t j = 0;

		while (j < contexts->device_count && contexts->devices[j].place != i)
			j++;
		if (process->places[i].gpu == gpu && j == contexts->device_count)
			return (uint16_t)i;
	}
	return 0;
}

static bool is_listed(const struct ledger *ledger, int gpu)
{
	const struct ledger_gpu *found = gpu < 0 ? NULL : ledger_gpu(ledger, (size_t)gpu);

	return found && found->index >= 0;
}

static void apply_uuid(const struct call *call, struct contexts *contexts)
{
	struct process *process = call->process;
	struct device *device = device_of(contexts, (int)call->event->addr);
	int gpu = device_gpu(call->ledger, call->event);
	uint16_t place;

	if (!device)
		return;
	if (!device->place && gpu >= 0)
		device->place = place_of_gpu(process, contexts, gpu);
	place = place_of_device(process, device);
	if (!place)
		return;
	process->places[place].ordinal = device->ordinal;
	/* That of an instance (MIG), which cuDeviceGetUuid_v2 tells, is no GPU's: the GPU stays that which cuDeviceGetUuid told. */
	if (is_listed(call->ledger, gpu) || !is_listed(call->ledger, process->places[place].gpu))
		process->places[place].gpu = gpu;
}

void context_apply(const struct call *call)
{
	struct contexts *contexts = contexts_make(call->process);

	if (!contexts) {
		ledger_lose(call->ledger, call->process, call->event, LOST_MEMORY, 1);
		return;
	}
	switch (call->row->op) {
	case VT_OP_CTX_NEW:
		apply_new(call);
		break;
	case VT_OP_CTX_END:
		end_context(call, call->event->addr, call->event->enter_ns, false);
		break;
	case VT_OP_PRIMARY_RETAIN:
		apply_retain(call, contexts);
		break;
	case VT_OP_PRIMARY_RELEASE:
		apply_release(call, contexts);
		break;
	case VT_OP_PRIMARY_RESET:
		apply_reset(call, contexts);
		break;
	default:
		apply_uuid(call, contexts);
		break;
	}
}
