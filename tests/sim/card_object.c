// SPDX-License-Identifier: Apache-2.0
/*
 * Objects, and descriptors of them. A descriptor is an open file description of a file beside the card's, with a lock on the byte
 * whose number is the object's, and its position there too. Both go wherever the descriptor is passed, inherited or duplicated to,
 * and the lock goes with the last of them, however that ends: so anyone can see whether an object has descriptors. It is another
 * file than the card's because closing any descriptor of a file drops all record locks that the process has on it, and a slot is
 * such a lock. The file is there while there are descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "card_file.h"

static void lock_path(char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%.4000s-fd", card_path);
}

static int open_locks(int flags)
{
	char path[sizeof(card_path)];
	int fd;

	lock_path(path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0666);
	if (fd >= 0 && flags)
		(void)fchmod(fd, 0666);
	return fd;
}

static struct flock object_lock(uint64_t id, short type)
{
	return (struct flock) { .l_type = type, .l_whence = SEEK_SET, .l_start = id, .l_len = 1 };
}

static bool has_descriptor(uint64_t id)
{
	struct flock lock = object_lock(id, F_WRLCK);
	int fd = open_locks(0);
	bool has;

	if (fd < 0)
		return false;
	has = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	close(fd);
	return has;
}

/* The file is made under the card's lock too, so none is taken away from under a descriptor. */
static void remove_locks(void)
{
	char path[sizeof(card_path)];

	for (int i = 0; i < CARD_OBJECTS; i++) {
		if (card->objects[i].is.id && card->objects[i].exported)
			return;
	}
	lock_path(path, sizeof(path));
	unlink(path);
}

static void set_holder(struct object *object, int slot)
{
	object->holders[slot / 64] |= 1ULL << slot % 64;
}

static bool is_holder(const struct object *object, int slot)
{
	return object->holders[slot / 64] >> slot % 64 & 1;
}

static int first_holder(const struct object *object)
{
	for (int word = 0; word < CARD_SLOTS / 64; word++) {
		if (object->holders[word])
			return word * 64 + __builtin_ctzll(object->holders[word]);
	}
	return NO_OWNER;
}

static struct object *find(uint64_t id)
{
	for (struct object *object = card->objects; id && object < card->objects + CARD_OBJECTS; object++) {
		if (object->is.id == id)
			return object;
	}
	return NULL;
}

/* True: nobody has it, and it is gone. */
static bool end_if_free(struct object *object)
{
	bool exported = object->exported;

	if (first_holder(object) != NO_OWNER)
		return false;
	if (exported && has_descriptor(object->is.id))
		return false;
	object->is.id = 0;
	gpu_subtract(object->is.gpu, object->charged);
	object->charged = 0;
	if (exported)
		remove_locks();
	return true;
}

/* A block's memory was in its owner's account, and that is gone: from now on it is in its own. */
static void leave(struct object *object, int slot)
{
	object->holders[slot / 64] &= ~(1ULL << slot % 64);
	if (object->owner != slot)
		return;
	object->owner = first_holder(object);
	if (object->is.kind != CARD_BLOCK || object->owner == NO_OWNER || object->charged)
		return;
	object->charged = object->is.takes;
	gpu_add(object->is.gpu, object->charged);
}

void objects_leave(int slot)
{
	for (struct object *object = card->objects; object < card->objects + CARD_OBJECTS; object++) {
		if (!object->is.id || !is_holder(object, slot))
			continue;
		leave(object, slot);
		end_if_free(object);
	}
}

void objects_sweep(void)
{
	for (struct object *object = card->objects; object < card->objects + CARD_OBJECTS; object++) {
		if (object->is.id)
			end_if_free(object);
	}
}

bool objects_any(int slot)
{
	for (struct object *object = card->objects; object < card->objects + CARD_OBJECTS; object++) {
		if (object->is.id && is_holder(object, slot))
			return true;
	}
	return false;
}

uint64_t objects_owned(int slot, int gpu)
{
	uint64_t bytes = 0;

	for (struct object *object = card->objects; object < card->objects + CARD_OBJECTS; object++) {
		if (object->is.id && object->owner == slot && object->is.gpu == gpu)
			bytes += object->charged;
	}
	return bytes;
}

static struct object *find_unused(void)
{
	for (struct object *object = card->objects; object < card->objects + CARD_OBJECTS; object++) {
		if (!object->is.id)
			return object;
	}
	return NULL;
}

static int share_locked(struct card_object *share)
{
	struct slot *slot = slot_mine(true);
	struct object *object;

	card_sweep();
	object = find_unused();
	if (!slot || !object)
		return slot ? -ENOSPC : -EBUSY;
	if (getrandom(&share->key, sizeof(share->key), 0) != sizeof(share->key))
		return -EIO;
	memset(object, 0, sizeof(*object));
	share->id = ++card->last_id;
	object->owner = slot_index(slot);
	set_holder(object, object->owner);
	if (share->kind == CARD_PHYSICAL && share->gpu != CARD_HOST) {
		slot->bytes[share->gpu] -= share->takes;
		object->charged = share->takes;
	}
	object->is = *share;
	return 0;
}

int card_share(struct card_object *object)
{
	int err = card_open();

	if (err)
		return err;
	card_lock();
	err = share_locked(object);
	card_unlock();
	return err;
}

int card_hold(uint64_t id, struct card_object *ret_object)
{
	struct object *object;
	struct slot *slot;
	int err = card_open();

	if (err)
		return err;
	card_lock();
	slot = slot_mine(true);
	object = find(id);
	if (slot && object) {
		set_holder(object, slot_index(slot));
		if (object->owner == NO_OWNER)
			object->owner = slot_index(slot);
		*ret_object = object->is;
	}
	card_unlock();
	return slot && object ? 0 : -ENOENT;
}

int card_drop(uint64_t id)
{
	struct object *object;
	struct slot *slot;
	int ended = 0;

	if (card_open())
		return 0;
	card_lock();
	card_sweep();
	slot = slot_mine(false);
	object = find(id);
	if (slot && object && is_holder(object, slot_index(slot))) {
		leave(object, slot_index(slot));
		ended = end_if_free(object);
		slot_release();
	}
	card_unlock();
	return ended;
}

int card_find(uint64_t id, struct card_object *ret_object)
{
	struct object *object;
	int err = card_open();

	if (err)
		return err;
	card_lock();
	card_sweep();
	object = find(id);
	if (object)
		*ret_object = object->is;
	card_unlock();
	return object ? 0 : -ENOENT;
}

static int descriptor_locked(uint64_t id)
{
	struct flock lock = object_lock(id, F_RDLCK);
	struct object *object = find(id);
	int fd, err = 0;

	if (!object)
		return -ENOENT;
	object->exported = 1; /* before the file is there: who comes after a kill looks for it */
	fd = open_locks(O_CREAT);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &lock) || lseek(fd, id, SEEK_SET) < 0)
		err = -errno;
	if (err)
		close(fd);
	return err ? err : fd;
}

int card_descriptor(uint64_t id)
{
	int fd = card_open();

	if (fd)
		return fd;
	card_lock();
	fd = descriptor_locked(id);
	card_unlock();
	return fd;
}

/* The file of a card that was removed is not this card's, though its numbers may look it. */
static bool is_ours(int fd)
{
	char path[sizeof(card_path)];
	struct stat file, named;

	lock_path(path, sizeof(path));
	return !fstat(fd, &file) && !stat(path, &named) && file.st_ino == named.st_ino && file.st_dev == named.st_dev;
}

int card_of_descriptor(int fd, struct card_object *ret_object)
{
	off_t id;

	if (card_open() || fd < 0 || !is_ours(fd))
		return -EINVAL;
	id = lseek(fd, 0, SEEK_CUR);
	return id > 0 && !card_find(id, ret_object) ? 0 : -EINVAL;
}
