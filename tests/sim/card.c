// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "card_file.h"

static int card_error;
static struct slot *mine;
static pthread_once_t opened = PTHREAD_ONCE_INIT;

static void open_once(void)
{
	card_error = file_open();
}

int card_open(void)
{
	pthread_once(&opened, open_once);
	return card_error;
}

int card_gpus(void)
{
	return card_open() ? 0 : (int)card->gpus;
}

void card_uuid(int gpu, unsigned char *ret_bytes)
{
	memcpy(ret_bytes, "vramsim\0\0\0\0\0\0\0\0", CARD_UUID_BYTES);
	ret_bytes[CARD_UUID_BYTES - 1] = gpu + 1;
}

void card_uuid_text(int gpu, char ret_text[48])
{
	unsigned char bytes[CARD_UUID_BYTES];
	int len = snprintf(ret_text, 48, "GPU-");

	card_uuid(gpu, bytes);
	for (int i = 0; i < CARD_UUID_BYTES; i++) {
		const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";

		len += snprintf(ret_text + len, 48 - len, "%s%02x", dash, bytes[i]);
	}
}

uint64_t card_sequence(void)
{
	if (card_open())
		return 0;
	return __atomic_add_fetch(&card->sequence, 1, __ATOMIC_RELAXED);
}

int slot_index(const struct slot *slot)
{
	return slot - card->slots;
}

static struct flock slot_lock(const struct slot *slot, short type)
{
	return (struct flock) {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = sizeof(struct card) + slot_index(slot),
		.l_len = 1,
	};
}

/* A lock of one's own process is never reported by F_GETLK, hence the look at the pid. */
static bool slot_alive(const struct slot *slot)
{
	struct flock lock = slot_lock(slot, F_WRLCK);

	if (slot->pid == (uint32_t)getpid())
		return true;
	return fcntl(card_fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static void slot_drop(struct slot *slot)
{
	objects_leave(slot_index(slot));
	for (int gpu = 0; gpu < CARD_GPUS; gpu++) {
		card->used[gpu] -= slot->bytes[gpu];
		slot->bytes[gpu] = 0;
		slot->saved[gpu] = 0;
		slot->contexts[gpu] = 0;
	}
	slot->next_step = CARD_LOCK;
	slot->pid = 0;
}

int card_sweep(void)
{
	int alive = 0;

	for (struct slot *slot = card->slots; slot < card->slots + CARD_SLOTS; slot++) {
		if (!slot->pid)
			continue;
		if (slot_alive(slot))
			alive++;
		else
			slot_drop(slot);
	}
	objects_sweep();
	return alive;
}

/*
 * A slot with this pid is from before an exec, or of a process that died and whose pid came round.
 */
static struct slot *find_slot(void)
{
	struct slot *found = NULL;

	card_sweep();
	for (struct slot *slot = card->slots; slot < card->slots + CARD_SLOTS; slot++) {
		if (slot->pid == (uint32_t)getpid())
			slot_drop(slot);
		if (!slot->pid && !found)
			found = slot;
	}
	return found;
}

struct slot *slot_mine(bool take)
{
	struct slot *slot;
	struct flock lock;

	if (mine || !take)
		return mine;
	slot = find_slot();
	if (!slot)
		return NULL;
	lock = slot_lock(slot, F_WRLCK);
	if (fcntl(card_fd, F_SETLK, &lock))
		return NULL;
	memset(slot->bytes, 0, sizeof(slot->bytes));
	memset(slot->contexts, 0, sizeof(slot->contexts));
	slot->pid = getpid();
	mine = slot;
	return slot;
}

static bool slot_empty(const struct slot *slot)
{
	for (int gpu = 0; gpu < CARD_GPUS; gpu++) {
		if (slot->bytes[gpu] || slot->saved[gpu] || slot->contexts[gpu])
			return false;
	}
	return !objects_any(slot_index(slot));
}

static void let_go(void)
{
	struct flock lock = slot_lock(mine, F_UNLCK);

	slot_drop(mine);
	fcntl(card_fd, F_SETLK, &lock);
	mine = NULL;
}

void slot_release(void)
{
	if (mine && slot_empty(mine))
		let_go();
}

void card_leave(void)
{
	if (!mine)
		return;
	card_lock();
	let_go();
	card_unlock();
}

/* What objects took on may be more than there is: a block whose owner has gone is rounded up to whole pages. */
static uint64_t gpu_room(int gpu)
{
	return card->used[gpu] < card->total ? card->total - card->used[gpu] : 0;
}

static int charge_locked(int gpu, uint64_t bytes, int contexts)
{
	struct slot *slot = slot_mine(true);

	if (!slot)
		return -EBUSY;
	if (bytes > gpu_room(gpu))
		card_sweep();
	if (bytes > gpu_room(gpu)) {
		slot_release();
		return -ENOMEM;
	}
	slot->contexts[gpu] += contexts;
	slot->bytes[gpu] += bytes;
	card->used[gpu] += bytes;
	return 0;
}

static void refund_locked(int gpu, uint64_t bytes, int contexts)
{
	if (!mine)
		return;
	mine->contexts[gpu] -= contexts;
	mine->bytes[gpu] -= bytes;
	card->used[gpu] -= bytes;
	slot_release();
}

int card_begin_context(int gpu, uint64_t bytes)
{
	int err = card_open();

	if (err)
		return err;
	card_lock();
	err = charge_locked(gpu, bytes, 1);
	card_unlock();
	return err;
}

void card_end_context(int gpu, uint64_t bytes)
{
	card_lock();
	refund_locked(gpu, bytes, 1);
	card_unlock();
}

int card_charge(int gpu, uint64_t bytes)
{
	int err;

	if (!bytes || gpu == CARD_HOST)
		return 0;
	card_lock();
	err = charge_locked(gpu, bytes, 0);
	card_unlock();
	return err;
}

void card_refund(int gpu, uint64_t bytes)
{
	if (!bytes || gpu == CARD_HOST)
		return;
	card_lock();
	refund_locked(gpu, bytes, 0);
	card_unlock();
}

static void save(struct slot *slot)
{
	for (int gpu = 0; gpu < CARD_GPUS; gpu++) {
		slot->saved[gpu] = slot->bytes[gpu];
		card->used[gpu] -= slot->bytes[gpu];
		slot->bytes[gpu] = 0;
	}
}

static int restore(struct slot *slot)
{
	for (int gpu = 0; gpu < CARD_GPUS; gpu++) {
		if (slot->saved[gpu] > gpu_room(gpu))
			return -ENOMEM;
	}
	for (int gpu = 0; gpu < CARD_GPUS; gpu++) {
		slot->bytes[gpu] = slot->saved[gpu];
		card->used[gpu] += slot->saved[gpu];
		slot->saved[gpu] = 0;
	}
	return 0;
}

static int step_locked(int pid, enum card_step step)
{
	struct slot *slot = card->slots;
	int err = 0;

	card_sweep();
	while (slot < card->slots + CARD_SLOTS && slot->pid != (uint32_t)pid)
		slot++;
	if (slot == card->slots + CARD_SLOTS)
		return -ENOENT;
	if (slot->next_step != step)
		return -EBUSY;
	if (step == CARD_CHECKPOINT)
		save(slot);
	else if (step == CARD_RESTORE)
		err = restore(slot);
	if (!err)
		slot->next_step = (step + 1) % (CARD_UNLOCK + 1);
	return err;
}

int card_step(int pid, enum card_step step)
{
	int err = card_open();

	if (err)
		return err;
	card_lock();
	err = step_locked(pid, step);
	card_unlock();
	return err;
}

int card_info(int gpu, uint64_t *ret_total, uint64_t *ret_free)
{
	int err = card_open();

	if (err)
		return err;
	card_lock();
	card_sweep();
	*ret_total = card->total;
	*ret_free = gpu_room(gpu);
	card_unlock();
	return 0;
}

int card_processes(int gpu, struct card_process *entries, int max)
{
	int count = 0, err = card_open();

	if (err)
		return err;
	card_lock();
	card_sweep();
	for (int i = 0; i < CARD_SLOTS; i++) {
		const struct slot *slot = &card->slots[i];
		uint64_t bytes = slot->pid ? slot->bytes[gpu] + objects_owned(i, gpu) : 0;

		if (!slot->pid || (!bytes && !slot->contexts[gpu]))
			continue;
		if (count < max)
			entries[count] = (struct card_process) { .pid = slot->pid, .bytes = bytes };
		count++;
	}
	card_unlock();
	return count;
}
