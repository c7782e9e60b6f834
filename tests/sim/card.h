/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CARD_H
#define VRAMSIM_CARD_H

/*
 * The card: a machine's GPUs and who holds how much of each, in a file that all processes map. A process has a slot while it has
 * a context or memory, and a POSIX record lock on one byte of the file for as long; the kernel drops the lock at exit, kill and
 * exec, so a slot whose lock is gone belongs to nobody and is swept. Sweeping happens before a charge is refused and before a
 * listing.
 *
 * What several processes can hold is an object: by whom it is held stands in the file, so it is known after kill -9 too. A
 * descriptor of an object holds it as well, wherever it is: see card_object.c.
 *
 * All calls are thread-safe. Errors are negative errno.
 */
#include <stdint.h>

#define CARD_GPUS 4
#define CARD_UUID_BYTES 16
#define CARD_NAME "vramtrace simulated card"
#define CARD_CUDA_VERSION 13000
#define CARD_SLOTS 256
#define CARD_HOST (-1) /* in place of a GPU: memory of the host, which no GPU is charged for */

struct card_process {
	uint32_t pid;
	uint64_t bytes;
};

/* Opens or makes the card. Every other call does so by itself and fails as this does. */
int card_open(void);

/* GPUs of the card, 1 to CARD_GPUS; 0 without a card. */
int card_gpus(void);

/* CARD_UUID_BYTES of a GPU, and as nvidia-smi writes them ("GPU-" and 36 characters). */
void card_uuid(int gpu, unsigned char *ret_bytes);
void card_uuid_text(int gpu, char ret_text[48]);

/* The next number of the card's sequence, from 1; 0 without a card. */
uint64_t card_sequence(void);

/* A context of this process begins or ends, and what it takes. -ENOMEM: the GPU is full. -EBUSY: no slot is free. */
int card_begin_context(int gpu, uint64_t bytes);
void card_end_context(int gpu, uint64_t bytes);

/* Gives everything that this process holds back, contexts and objects too. */
void card_leave(void);

/* Charges to or refunds from this process. -ENOMEM, -EBUSY as above: nothing was charged. */
int card_charge(int gpu, uint64_t bytes);
void card_refund(int gpu, uint64_t bytes);

int card_info(int gpu, uint64_t *ret_total, uint64_t *ret_free);

/* Fills at most @max entries; returns how many processes hold something of the GPU, which may be more. */
int card_processes(int gpu, struct card_process *entries, int max);

enum card_step {
	CARD_LOCK,
	CARD_CHECKPOINT, /* what the process has leaves the card */
	CARD_RESTORE,	 /* -ENOMEM: there is no room for it */
	CARD_UNLOCK,
};

/* Another process' next step, in this order. -ENOENT: it has nothing here; -EBUSY: it is not its turn. Objects are left alone. */
int card_step(int pid, enum card_step step);

enum card_kind {
	CARD_PHYSICAL = 1, /* memory by handle: charged to itself from card_share() on */
	CARD_BLOCK,	   /* a block at an address: charged to its owner, and to itself once that has gone */
	CARD_POOL,	   /* a pool: no memory of its own */
};

struct card_object {
	uint64_t id;  /* never used again on this card */
	uint64_t key; /* random: what a handle has to know */
	enum card_kind kind;
	int gpu;
	uint64_t addr;	/* in the process that made it */
	uint64_t bytes; /* as asked for */
	uint64_t takes; /* of the GPU */
};

/*
 * Something of this process can be held by others from now on: kind, gpu, addr, bytes and takes of @object; id and key come
 * back. Of CARD_PHYSICAL `takes` is refunded to the process, for it is charged to the object. -ENOSPC: too many objects.
 */
int card_share(struct card_object *object);

/* This process holds the object (once, however often it says so). -ENOENT: it is no more. */
int card_hold(uint64_t id, struct card_object *ret_object);

/* This process lets go. 1: it was the last, the memory is free; 0: it is held on. */
int card_drop(uint64_t id);

/* The object, if it lives. -ENOENT. */
int card_find(uint64_t id, struct card_object *ret_object);

/* A new descriptor of the object, or negative errno. */
int card_descriptor(uint64_t id);

/* What a descriptor, of whatever process, stands for. -EINVAL: it is none of ours. */
int card_of_descriptor(int fd, struct card_object *ret_object);

#endif
