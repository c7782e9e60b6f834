/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHARE_REFERENCE_H
#define SHARE_REFERENCE_H

/*
 * What test_ledger_share_model.c holds the ledger against: who has which memory, on one list that is walked from end to end for each
 * question. A piece of memory counts to the first on the list that still has it.
 */
#include <stdbool.h>
#include <stdint.h>

enum {
	PROCESSES = 4,
	HANDLES = 8,
	SLOTS = 10, /* of an address space, one mapping each */
	DESCRIPTORS = 5,
	HAVES = 4096,
	MEMORIES = 1 << 20,
};

/* One process' part in one piece of memory. */
struct have {
	int process;
	int memory;
	bool is_ipc;	 /* by address: opens counts */
	uint64_t handle; /* or address */
	int references;	 /* or opens */
	int mappings;
	int descriptors;
};

struct memory_ref {
	uint64_t size;
	uint64_t token; /* the latest; 0: none yet */
};

static struct have haves[HAVES];
static int have_count;
static struct memory_ref memories[MEMORIES];
static int memory_count;
static int slot_have[PROCESSES][SLOTS]; /* serial + 1 of what is mapped there */
static int descriptor_have[PROCESSES][DESCRIPTORS];
static int serials[HAVES]; /* of haves: for the two tables above, as the list moves */
static int last_serial;

static int have_of_serial(int serial)
{
	for (int i = 0; i < have_count; i++) {
		if (serials[i] == serial)
			return i;
	}
	return -1;
}

static void ref_have(int process, int memory, bool is_ipc, uint64_t handle)
{
	serials[have_count] = ++last_serial;
	haves[have_count++] = (struct have) { process, memory, is_ipc, handle, 1, 0, 0 };
}

/* The one that the handle names; NULL: nothing. What only a descriptor keeps has no handle. */
static struct have *ref_find(int process, bool is_ipc, uint64_t handle)
{
	for (int i = 0; i < have_count; i++) {
		if (haves[i].process == process && haves[i].is_ipc == is_ipc && haves[i].handle == handle &&
		    (haves[i].references || haves[i].mappings))
			return &haves[i];
	}
	return NULL;
}

static int ref_serial(const struct have *have)
{
	return serials[have - haves];
}

/* Drops what has nothing left. */
static void ref_settle(void)
{
	int kept = 0;

	for (int i = 0; i < have_count; i++) {
		if (!haves[i].references && !haves[i].mappings && !haves[i].descriptors)
			continue;
		serials[kept] = serials[i];
		haves[kept++] = haves[i];
	}
	have_count = kept;
}

static void ref_end(int process)
{
	for (int i = 0; i < have_count; i++) {
		if (haves[i].process == process)
			haves[i].references = haves[i].mappings = haves[i].descriptors = 0;
	}
	for (int i = 0; i < SLOTS; i++)
		slot_have[process][i] = 0;
	for (int i = 0; i < DESCRIPTORS; i++)
		descriptor_have[process][i] = 0;
	ref_settle();
}

static bool ref_counts(int index)
{
	for (int i = 0; i < index; i++) {
		if (haves[i].memory == haves[index].memory)
			return false;
	}
	return true;
}

struct ref_sums {
	uint64_t live, live_count, borrowed, borrowed_count;
};

static struct ref_sums ref_sum(int process)
{
	struct ref_sums sums = { 0, 0, 0, 0 };

	for (int i = 0; i < have_count; i++) {
		if (haves[i].process != process)
			continue;
		if (ref_counts(i)) {
			sums.live += memories[haves[i].memory].size;
			sums.live_count++;
		} else {
			sums.borrowed += memories[haves[i].memory].size;
			sums.borrowed_count++;
		}
	}
	return sums;
}

#endif
