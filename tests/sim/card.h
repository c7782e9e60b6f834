/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CARD_H
#define VRAMSIM_CARD_H

/*
 * The card: who holds how much of it, in a file that all processes map. A process has a slot while
 * it has a context, and a POSIX record lock on one byte of the file for as long; the kernel drops
 * the lock at exit, kill and exec, so a slot whose lock is gone belongs to nobody and is swept.
 * Sweeping happens before a charge is refused and before a listing.
 *
 * All calls are thread-safe. Errors are negative errno.
 */
#include <stdint.h>

#define CARD_UUID "GPU-7672616d-7369-6d00-0000-000000000001"
#define CARD_UUID_BYTES "\x76\x72\x61\x6d\x73\x69\x6d\x00\x00\x00\x00\x00\x00\x00\x00\x01"
#define CARD_NAME "vramtrace simulated card"
#define CARD_CUDA_VERSION 13000
#define CARD_SLOTS 256

struct card_process {
	uint32_t pid;
	uint64_t bytes;
};

/* Opens or makes the card. Every other call does so by itself and fails as this does. */
int card_open(void);

/* The next number of the card's sequence, from 1; 0 without a card. */
uint64_t card_sequence(void);

/*
 * Takes a slot for this process and charges its context. -ENOMEM: the card is full. -EBUSY: no
 * slot is free.
 */
int card_join(uint64_t context_bytes);

/* Gives the slot and everything charged to it back. */
void card_leave(void);

/*
 * Charges to or refunds from this process's slot. -ENOMEM: the card is full, or there is no slot;
 * nothing was charged.
 */
int card_charge(uint64_t bytes);
void card_refund(uint64_t bytes);

int card_info(uint64_t *ret_total, uint64_t *ret_free);

/* Fills at most @max entries; returns how many processes hold a context, which may be more. */
int card_processes(struct card_process *entries, int max);

#endif
