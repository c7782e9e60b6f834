/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

#define ADVICE_SET_PREFERRED 3 /* CU_MEM_ADVISE_SET_PREFERRED_LOCATION */
#define ADVICE_UNSET_PREFERRED 4

int ref_gpu(const struct ref *ref, int where)
{
	if (model.gpu_count == 1)
		return 0;
	return where < 0 ? -1 : ref->wheres[ref->wheres[where].same].gpu;
}

static int new_where(struct ref *ref, int ordinal)
{
	int where = ref->where_count++;

	CHECK(where < REF_WHERES);
	ref->wheres[where] = (struct ref_where) { ordinal, -1, ref->image, where };
	return where;
}

int rule_where_of_ordinal(struct ref *ref, int ordinal)
{
	for (int i = 0; i < ref->where_count; i++) {
		if (ref->wheres[i].image == ref->image && ref->wheres[i].ordinal == ordinal)
			return i;
	}
	return new_where(ref, ordinal);
}

static struct ref_context *find_context(struct ref *ref, uint64_t handle)
{
	for (int i = 0; i < ref->context_count; i++) {
		if (ref->contexts[i].handle == handle)
			return &ref->contexts[i];
	}
	return NULL;
}

/* Where the driver is not probed a thread that has set no device is on the first. */
static uint64_t named(const struct ref *ref, uint64_t handle)
{
	return !handle && !model.driver_probed && !ref->late ? 1 : handle;
}

static struct ref_context *know_context(struct ref *ref, uint64_t handle)
{
	struct ref_context *context;

	handle = named(ref, handle);
	if (!handle)
		return NULL;
	context = find_context(ref, handle);
	if (context)
		return context;
	CHECK(ref->context_count < REF_CONTEXTS);
	context = &ref->contexts[ref->context_count++];
	*context = (struct ref_context) { .handle = handle, .where = -1 };
	if (handle <= VT_CONTEXT_ORDINALS) {
		context->where = rule_where_of_ordinal(ref, (int)handle - 1);
		context->ordinal_known = true;
	}
	return context;
}

uint64_t rule_context(struct ref *ref, uint64_t handle)
{
	const struct ref_context *context = know_context(ref, handle);

	return context ? context->handle : 0;
}

int rule_where_of_context(struct ref *ref, uint64_t handle)
{
	struct ref_context *context = know_context(ref, handle);

	if (context && context->where < 0)
		context->where = new_where(ref, -1);
	return context ? context->where : -1;
}

void rule_locate(struct ref *ref, uint64_t location, struct ref_block *block)
{
	switch ((uint32_t)location) {
	case VT_LOCATION_DEVICE:
		block->placement = PLACEMENT_VRAM;
		block->where = rule_where_of_ordinal(ref, (int)(location >> 32));
		break;
	case VT_LOCATION_HOST:
	case VT_LOCATION_HOST_NUMA:
	case VT_LOCATION_HOST_NUMA_CURRENT:
		block->placement = PLACEMENT_HOST;
		block->where = -1;
		break;
	default:
		block->placement = PLACEMENT_UNKNOWN;
		break;
	}
}

/* What was made in it before we knew is where it turns out to be. */
static void learn_ordinal(struct ref *ref, uint64_t handle, int ordinal)
{
	struct ref_context *context = know_context(ref, handle);
	int where = rule_where_of_ordinal(ref, ordinal);

	if (!context->ordinal_known && context->where >= 0)
		ref->wheres[context->where].same = where;
	context->where = where;
	context->ordinal_known = true;
}

static struct ref_device *know_device(struct ref *ref, int ordinal)
{
	for (int i = 0; i < ref->device_count; i++) {
		if (ref->devices[i].ordinal == ordinal)
			return &ref->devices[i];
	}
	if (ordinal < 0)
		return NULL;
	CHECK(ref->device_count < GPUS);
	ref->devices[ref->device_count] = (struct ref_device) { .ordinal = ordinal };
	return &ref->devices[ref->device_count++];
}

/* True: something was made in it later, or is borrowed and not meant. */
static bool free_blocks(struct ref *ref, uint64_t context, uint64_t before_ns, bool borrowed)
{
	bool any_left = false;

	for (int i = 0; i < ref->block_count; i++) {
		struct ref_block *block = &ref->blocks[i];

		if (block->state == REF_GONE || block->context != context)
			continue;
		if (block->alloc_ns <= before_ns && (!borrowed || block->flags & BLOCK_BORROWED))
			rule_gone(ref, block, FREE_CONTEXT);
		else
			any_left = true;
	}
	return any_left;
}

/* Memory of pools and physical memory outlive it: they have no context. */
static void end_context(struct ref *ref, uint64_t handle, uint64_t before_ns, bool keeps)
{
	struct ref_context *context = find_context(ref, handle);
	bool any_left = false;

	if (!handle)
		return;
	/* What is borrowed does not take over from what goes with it. */
	free_blocks(ref, handle, before_ns, true);
	any_left = free_blocks(ref, handle, before_ns, false);
	if (context && context->made_ns > before_ns)
		return;
	rule_context_streams(ref, handle);
	if (context && !keeps && !any_left && handle > VT_CONTEXT_ORDINALS)
		*context = ref->contexts[--ref->context_count];
}

static void retain(const struct rule *rule)
{
	struct ref_device *device = know_device(rule->ref, (int)rule->event->a);
	uint64_t handle = rule->event->addr;
	bool is_new = device && device->primary != handle;

	if (!device || !handle)
		return;
	device->primary = handle;
	device->retains++;
	learn_ordinal(rule->ref, handle, device->ordinal);
	if (device->reset_ns)
		end_context(rule->ref, handle, device->reset_ns, true);
	device->reset_ns = 0;
	if (is_new)
		find_context(rule->ref, handle)->made_ns = rule->event->time_ns;
}

static void release(const struct rule *rule)
{
	struct ref_device *device = know_device(rule->ref, (int)rule->event->addr);
	bool all_seen = !rule->ref->late && !rule_is_lossy(rule->ref);

	if (!device || !device->retains)
		return;
	device->retains--;
	if (device->retains || !device->primary || !all_seen)
		return;
	end_context(rule->ref, device->primary, rule->event->enter_ns, false);
	device->primary = 0;
}

static void reset(const struct rule *rule)
{
	struct ref *ref = rule->ref;
	int ordinal = (int)rule->event->addr, where;
	struct ref_device *device;
	uint64_t primary;

	if (rule->row->layer == VT_LAYER_RUNTIME) {
		where = rule_where_of_context(ref, rule->event->context);
		ordinal = where < 0 ? -1 : ref->wheres[ref->wheres[where].same].ordinal;
	}
	device = know_device(ref, ordinal);
	if (!device)
		return;
	device->retains = 0;
	primary = model.driver_probed ? device->primary : (uint64_t)ordinal + 1;
	if (primary)
		end_context(ref, primary, rule->event->enter_ns, true);
	else
		device->reset_ns = rule->event->enter_ns;
}

/* Of the world's GPUs the machine's list has the first ones; the first other one that is told of is behind them. */
static void tell_uuid(const struct rule *rule)
{
	int where = rule_where_of_ordinal(rule->ref, (int)rule->event->addr);
	int gpu = 0;

	while (rule->event->a != uuid_of(gpu))
		gpu++;
	rule->ref->wheres[where].gpu = gpu < model.gpu_count ? gpu : model.gpu_count;
}

static struct ref_block *managed_at(struct ref *ref, uint64_t addr)
{
	for (int i = 0; i < ref->block_count; i++) {
		struct ref_block *block = &ref->blocks[i];

		if (block->state == REF_LIVE && block->kind == VT_KIND_MANAGED && addr >= block->addr &&
		    addr - block->addr < block->size)
			return block;
	}
	return NULL;
}

/* A managed block is where all of it should preferably be. */
static void advise(const struct rule *rule)
{
	struct ref_block *block = managed_at(rule->ref, rule->event->addr);
	bool is_advice = rule->row->op == VT_OP_ADVISE;
	struct ref_block at = { .where = -1 };

	if (is_advice && rule->event->b != ADVICE_SET_PREFERRED && rule->event->b != ADVICE_UNSET_PREFERRED)
		return;
	ref_expect(is_advice ? NOTICE_ADVISE : NOTICE_PREFETCH, block ? block->id : 0, 0);
	if (!block || !is_advice || rule->event->b != ADVICE_SET_PREFERRED ||
	    (uint32_t)rule->event->a != VT_LOCATION_DEVICE)
		return;
	if (rule->event->addr != block->addr || rule->event->size < block->size)
		return;
	rule_locate(rule->ref, rule->event->a, &at);
	block->where = at.where;
}

void rule_device(const struct rule *rule)
{
	switch (rule->row->op) {
	case VT_OP_CTX_NEW:
		learn_ordinal(rule->ref, rule->event->addr, (int)rule->event->a);
		find_context(rule->ref, rule->event->addr)->made_ns = rule->event->time_ns;
		break;
	case VT_OP_CTX_END:
		end_context(rule->ref, rule->event->addr, rule->event->enter_ns, false);
		break;
	case VT_OP_PRIMARY_RETAIN:
		retain(rule);
		break;
	case VT_OP_PRIMARY_RELEASE:
		release(rule);
		break;
	case VT_OP_PRIMARY_RESET:
		reset(rule);
		break;
	case VT_OP_DEVICE_UUID:
		tell_uuid(rule);
		break;
	default:
		advise(rule);
		break;
	}
}
