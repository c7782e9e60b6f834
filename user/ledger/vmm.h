/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_VMM_H
#define LEDGER_VMM_H

#include "base/slabs.h"
#include "ledger/books.h"
#include "ledger/index.h"
#include "ledger/ranges.h"

/* Physical memory by handle, as one process has it: what vmm.c, objects.c and share.c have in common. */

/* Another value of the handle of an object, told by a retain. */
struct alias {
	struct alias *next;
	uint64_t handle;
};

/*
 * An object stays while the process has a reference, a mapping or a descriptor of it. Its handle's value is free for another one as soon
 * as there is neither reference nor mapping (H100: never before). So where a new object comes with a handle that we know, the old
 * one is `displaced`: what we still know of references and mappings are calls that have not been told yet, and only descriptors
 * keep it in the books, at an address beyond any handle's. One whose calls are given up as lost is `orphaned`: it stays until nothing of it
 * is left, and is nobody's.
 */
struct object {
	struct object *next; /* of the process, latest first */
	struct object *prev;
	struct object *older; /* that had the handle before */
	uint64_t handle;
	uint64_t made_ns;
	uint64_t mapped_bytes;
	uint64_t id : 59; /* of its block */
	uint64_t displaced : 1;
	uint64_t booked : 1;   /* in the books */
	uint64_t learns : 1;   /* its size was not told */
	uint64_t aliased : 1;  /* it is in `aliases` */
	uint64_t orphaned : 1; /* told as gone, only its mappings are still there: nobody takes them for any */
	uint32_t references;   /* at most REFERENCES_MAX, and one while it must not go */
	uint32_t descriptors;
};
_Static_assert(sizeof(struct object) == 64, "a cache line each");
#define REFERENCES_MAX (UINT32_MAX - 1)
#define ADDRESSES_END (1ULL << 63) /* no handle is as high: it is an address of the program */

/* An object that is out of the books and waits for a call that is still to be told. */
struct settled {
	struct object *object;
	struct block block; /* as it was */
};
#define SETTLED_MAX 64 /* more are calls that were lost */

struct vmm {
	struct index handles;	/* -> the latest object of that handle */
	struct index aliases;	/* id of an object -> the latest of its aliases */
	struct map descriptors; /* number + 1 -> object */
	struct ranges mappings; /* -> object */
	struct object *objects;
	struct slabs object_slabs;
	struct settled settling[SETTLED_MAX]; /* oldest first */
	size_t settling_count;
	struct ranges seen;	/* managed.c: blocks of other kinds that it was asked for; may be gone by now */
	struct holder *holders; /* shares.c: what it shares with others, oldest first */
	struct holder *last_holder;
};

struct vmm *vmm_get(const struct process *process); /* NULL: has none yet */
struct vmm *vmm_make(struct process *process);	    /* made if need be; NULL: out of memory */

/* The object of a handle as a call that was entered then could name it; NULL: not known. */
struct object *vmm_object(const struct process *process, uint64_t handle, uint64_t enter_ns);
/* The block of this call is put and told, with one reference. False: it is in no books. */
bool vmm_hold(const struct call *call, struct block *block);
void vmm_refer(struct object *object);		/* one reference more */
uint64_t vmm_addr(const struct object *object); /* of its block in the books, at KEY_VMM */
struct block vmm_block(const struct process *process, const struct object *object);
/* A descriptor of that number is the object's from now on (NULL: not known): whatever had it before has lost it. */
void vmm_add_descriptor(const struct call *call, struct object *object, uint32_t descriptor);

void object_forget(struct vmm *vmm, struct object *object); /* no call can mean it any more */
void object_drop(struct vmm *vmm, struct object *object);   /* forgotten and freed */
/* The handle that was told is the object's from now on, too, if nothing has it. 0 or -ENOMEM. */
int object_name(struct vmm *vmm, struct object *object, uint64_t handle);

/* At the end of a process or an exec: forgets all objects. What is in the books by its handle stays there. */
void vmm_clear(struct ledger *ledger, struct process *process, const struct event *event, enum free_reason reason);

#endif
