/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/vmm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct object *vmm_object(const struct process *process, uint64_t handle, uint64_t enter_ns)
{
	const struct vmm *vmm = vmm_get(process);
	struct object *object = vmm ? index_get(&vmm->handles, handle) : NULL;

	while (object && object->made_ns > enter_ns)
		object = object->older;
	return object;
}

uint64_t vmm_addr(const struct object *object)
{
	return object->displaced ? ADDRESSES_END | object->id : object->handle;
}

struct block vmm_block(const struct process *process, const struct object *object)
{
	const struct vmm *vmm = vmm_get(process);
	struct block block = { .id = object->id };

	if (object->booked)
		books_get(process, KEY_VMM, vmm_addr(object), &block);
	for (size_t i = 0; !object->booked && i < vmm->settling_count; i++) {
		if (vmm->settling[i].object == object)
			block = vmm->settling[i].block;
	}
	block.addr = object->handle;
	return block;
}

static void unsettle(struct vmm *vmm, const struct object *object)
{
	size_t i = 0;

	while (i < vmm->settling_count && vmm->settling[i].object != object)
		i++;
	if (i == vmm->settling_count)
		return;
	vmm->settling_count--;
	memmove(&vmm->settling[i], &vmm->settling[i + 1], (vmm->settling_count - i) * sizeof(vmm->settling[0]));
}

/* The handle names what it named before, or nothing. */
static void unname(struct vmm *vmm, const struct object *object, uint64_t handle)
{
	struct object *named = index_get(&vmm->handles, handle);

	if (named == object) {
		/* Never larger than before: it cannot fail. */
		if (!object->older || index_put(&vmm->handles, handle, object->older) < 0)
			index_del(&vmm->handles, handle);
		return;
	}
	while (named && named->older != object)
		named = named->older;
	if (named)
		named->older = object->older;
}

void object_forget(struct vmm *vmm, struct object *object)
{
	struct alias *alias, *next;

	unname(vmm, object, object->handle);
	for (alias = object->aliased ? index_del(&vmm->aliases, object->id) : NULL; alias; alias = next) {
		next = alias->next;
		if (index_get(&vmm->handles, alias->handle) == object)
			index_del(&vmm->handles, alias->handle);
		free(alias);
	}
	unsettle(vmm, object);
}

void object_drop(struct vmm *vmm, struct object *object)
{
	if (!object->orphaned)
		object_forget(vmm, object);
	if (object->next)
		object->next->prev = object->prev;
	*(object->prev ? &object->prev->next : &vmm->objects) = object->next;
	slabs_give(&vmm->object_slabs, object);
}

void vmm_refer(struct object *object)
{
	object->references += object->references < REFERENCES_MAX;
}

int object_name(struct vmm *vmm, struct object *object, uint64_t handle)
{
	struct alias *alias;

	if (index_get(&vmm->handles, handle))
		return 0;
	alias = malloc(sizeof(*alias));
	if (alias && index_put(&vmm->handles, handle, object) == 0) {
		*alias = (struct alias) { index_get(&vmm->aliases, object->id), handle };
		if (index_put(&vmm->aliases, object->id, alias) == 0) {
			object->aliased = true;
			return 0;
		}
		index_del(&vmm->handles, handle);
	}
	free(alias);
	return -ENOMEM;
}
