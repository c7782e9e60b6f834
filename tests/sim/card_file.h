/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CARD_FILE_H
#define VRAMSIM_CARD_FILE_H

/* The card's file: its layout and its lock. Only for card.c and card_object.c. */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "card.h"

#define CARD_OBJECTS 1024
#define NO_OWNER (-1)

struct slot {
	uint32_t pid; /* 0: free */
	uint32_t contexts[CARD_GPUS];
	uint64_t bytes[CARD_GPUS];
	uint64_t saved[CARD_GPUS]; /* checkpointed */
	uint32_t next_step;	   /* enum card_step */
	uint32_t pad;
};

struct object {
	struct card_object is;		   /* id 0: free. Written last, cleared first */
	uint64_t charged;		   /* to the object itself */
	int32_t owner;			   /* slot, or NO_OWNER */
	uint32_t exported;		   /* there may be descriptors */
	uint64_t holders[CARD_SLOTS / 64]; /* slots */
};

struct card {
	uint64_t magic; /* written last: a card without it is still being made */
	uint64_t total; /* of each GPU */
	uint32_t gpus;
	uint32_t pad;
	uint64_t used[CARD_GPUS]; /* the sum over slots and objects; made anew when a holder of the lock died */
	uint64_t sequence;
	uint64_t last_id;
	pthread_mutex_t lock;
	struct slot slots[CARD_SLOTS];
	struct object objects[CARD_OBJECTS];
};

extern struct card *card; /* after file_open() */
extern int card_fd;
extern char card_path[4096];

/* Opens or makes the file and maps it; a card that nobody uses takes the size and the number of GPUs that the environment names. */
int file_open(void);

void card_lock(void);
void card_unlock(void);

/* The rest is called with the lock held. */

/* Drops the slots and objects that nobody has any more; returns how many processes are left. */
int card_sweep(void);

/* This process's slot, taken if need be; NULL: none is free, or @take is not set. */
struct slot *slot_mine(bool take);
int slot_index(const struct slot *slot);

/* Gives this process's slot back if it holds nothing. */
void slot_release(void);

void gpu_add(int gpu, uint64_t bytes);
void gpu_subtract(int gpu, uint64_t bytes);

/* A slot holds none of the objects any more. */
void objects_leave(int slot);
/* Drops the objects that only a descriptor held, if that is closed. */
void objects_sweep(void);
bool objects_any(int slot);
uint64_t objects_owned(int slot, int gpu);

#endif
