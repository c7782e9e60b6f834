/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

/*
 * Physical memory: it is there as long as there is a reference, a mapping or a descriptor. Address space is divided into slots, and each
 * mapping is of whole ones.
 */

bool rule_is_used(const struct ref *ref, const struct ref_block *block)
{
	bool used = block->references > 0;

	for (int i = 0; i < SLOTS; i++)
		used |= ref->slots[i].id == block->id;
	return used;
}

/* The latest of that handle that was there by then. */
struct ref_block *rule_handle(struct ref *ref, uint64_t handle, uint64_t by_ns)
{
	for (int i = ref->block_count; i-- > 0;) {
		struct ref_block *block = &ref->blocks[i];

		if (block->state != REF_GONE && block->space == BY_HANDLE && block->addr == handle &&
		    block->alloc_ns <= by_ns)
			return block;
	}
	for (int i = 0; i < ref->alias_count; i++) {
		struct ref_block *block = rule_by_id(ref, ref->aliases[i].value);

		if (ref->aliases[i].key == handle && block && block->state != REF_GONE && block->alloc_ns <= by_ns)
			return block;
	}
	return NULL;
}

/* Something of it was given back. One whose handle names another by now has nothing more than what is still to be told. */
static void check_used(struct ref *ref, struct ref_block *block, enum free_reason reason)
{
	bool used = rule_is_used(ref, block);

	if (block->state == REF_GONE || block->descriptors || (used && !block->displaced))
		return;
	if (!used)
		rule_gone(ref, block, reason);
	else if (block->state == REF_LIVE)
		rule_wait(ref, block, 0);
}

struct ref_block *rule_handle_new(const struct rule *rule, const struct ref_block *block)
{
	struct ref *ref = rule->ref;
	struct ref_block *old = rule_handle(ref, block->addr, UINT64_MAX), *put;

	if (old && old->addr == block->addr && !old->displaced) {
		old->displaced = true;
		if (!old->descriptors)
			rule_wait(ref, old, 0);
	}
	put = rule_alloc(rule, block);
	CHECK(put);
	put->references = 1;
	put->learns = !put->size;
	return put;
}

static void drop_alias(struct ref *ref, uint64_t id)
{
	for (int i = ref->alias_count; i-- > 0;) {
		if (ref->aliases[i].value == id)
			ref->aliases[i] = ref->aliases[--ref->alias_count];
	}
}

static void drop_descriptor(struct ref *ref, uint64_t descriptor)
{
	for (int i = 0; i < ref->descriptor_count; i++) {
		struct ref_block *block;

		if (ref->descriptors[i].key != descriptor)
			continue;
		block = rule_by_id(ref, ref->descriptors[i].value);
		ref->descriptors[i] = ref->descriptors[--ref->descriptor_count];
		block->descriptors--;
		check_used(ref, block, FREE_DESCRIPTOR);
		return;
	}
}

void rule_descriptor_new(const struct rule *rule, struct ref_block *block, uint32_t descriptor)
{
	struct ref *ref = rule->ref;

	if (block)
		block->descriptors++;
	drop_descriptor(ref, descriptor);
	if (!block)
		return;
	CHECK(ref->descriptor_count < REF_PAIRS);
	ref->descriptors[ref->descriptor_count++] = (struct ref_pair) { descriptor, block->id };
}

void ref_close_descriptor(uint32_t tgid, uint32_t descriptor)
{
	struct ref *ref = ref_live(tgid);

	if (!ref)
		return;
	ref->touched = true;
	drop_descriptor(ref, descriptor);
}

static void release(const struct rule *rule)
{
	struct ref_block *block = rule_handle(rule->ref, rule->event->addr, rule->event->enter_ns);

	if (!rule->event->addr)
		return;
	if (!block || !block->references) {
		rule->ref->unmatched++;
		ref_expect(NOTICE_FREE_UNMATCHED, 0, 0);
		return;
	}
	block->references--;
	check_used(rule->ref, block, FREE_CALL);
}

static int slot_of(uint64_t addr)
{
	return addr >= SLOT_BASE && addr < SLOT_BASE + SLOTS * SLOT_BYTES ? (int)((addr - SLOT_BASE) / SLOT_BYTES) : -1;
}

/* Also by a handle that is new to us: it is another name of the same memory. */
static void retain(const struct rule *rule)
{
	struct ref *ref = rule->ref;
	struct ref_block *block = rule_handle(ref, rule->event->addr, rule->event->time_ns);
	int slot = slot_of(rule->event->a);

	if (!block && slot >= 0 && ref->slots[slot].id) {
		block = rule_by_id(ref, ref->slots[slot].id);
		for (int i = ref->alias_count; i-- > 0;) { /* of what is gone */
			struct ref_block *named = rule_by_id(ref, ref->aliases[i].value);

			if (!named || named->state == REF_GONE)
				drop_alias(ref, ref->aliases[i].value);
			if (i > ref->alias_count)
				i = ref->alias_count;
		}
		CHECK(ref->alias_count < REF_PAIRS);
		ref->aliases[ref->alias_count++] = (struct ref_pair) { rule->event->addr, block->id };
	}
	if (block)
		block->references++;
}

/* What stands in those slots, since before_ns at most. How many. */
static int clear_slots(const struct rule *rule, uint64_t before_ns, bool is_told)
{
	struct ref *ref = rule->ref;
	int first = slot_of(rule->event->addr), cleared = 0;
	uint64_t last_told = 0, last_since = 0;

	for (int i = first; i < first + (int)(rule->event->size / SLOT_BYTES); i++) {
		struct ref_mapped was = ref->slots[i];

		if (!was.id || was.since_ns > before_ns) {
			last_told = 0;
			continue;
		}
		ref->slots[i].id = 0;
		cleared++;
		/* Neighbours that were mapped at once are one range. */
		if (is_told && (was.id != last_told || was.since_ns != last_since))
			ref_expect(NOTICE_UNMAP, was.id, 0);
		last_told = was.id;
		last_since = was.since_ns;
		check_used(ref, rule_by_id(ref, was.id), FREE_CALL);
		ref_sum(ref); /* one goes after the other: what takes over from this one counts beside the next */
	}
	return cleared;
}

static void map(const struct rule *rule)
{
	const struct event *event = rule->event;
	struct ref *ref = rule->ref;
	struct ref_block *block = rule_handle(ref, event->a, event->enter_ns);
	int first = slot_of(event->addr);

	if (block)
		block->references++; /* must not go with what stands in its way */
	clear_slots(rule, UINT64_MAX, false);
	ref_expect(NOTICE_MAP, block ? block->id : 0, 0);
	if (!block)
		return;
	for (int i = first; i < first + (int)(event->size / SLOT_BYTES); i++)
		ref->slots[i] = (struct ref_mapped) { block->id, event->time_ns };
	if (block->learns && block->state == REF_LIVE && event->size + event->b > block->size) {
		block->size = event->size + event->b;
		block->flags &= (uint8_t)~BLOCK_UNSIZED;
	}
	block->references--;
	check_used(ref, block, FREE_CALL);
}

void rule_vmm(const struct rule *rule)
{
	switch (rule->row->op) {
	case VT_OP_RELEASE:
		release(rule);
		break;
	case VT_OP_RETAIN:
		retain(rule);
		break;
	case VT_OP_MAP:
		map(rule);
		break;
	default:
		if (!clear_slots(rule, rule->event->enter_ns, true))
			ref_expect(NOTICE_UNMAP, 0, 0);
		break;
	}
}
