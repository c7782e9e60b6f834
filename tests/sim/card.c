// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "card.h"
#include "sim.h"

#define DEFAULT_BYTES (8ULL << 30)

struct slot {
	uint32_t pid; /* 0: free */
	uint32_t pad;
	uint64_t bytes;
};

struct card {
	uint64_t magic; /* written last: a card without it is still being made */
	uint64_t total;
	uint64_t used; /* the sum over the slots; made anew when a holder of the lock died */
	uint64_t sequence;
	pthread_mutex_t lock;
	struct slot slots[CARD_SLOTS];
};

#define CARD_MAGIC (0x7672616d73696d31ULL ^ sizeof(struct card))

static struct card *card;
static int card_fd = -1;
static int card_error;
static struct slot *mine;
static pthread_once_t opened = PTHREAD_ONCE_INIT;

static struct flock slot_lock(const struct slot *slot, short type)
{
	return (struct flock) {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = sizeof(struct card) + (slot - card->slots),
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
	card->used -= slot->bytes;
	slot->bytes = 0;
	slot->pid = 0;
}

static int sweep(void)
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
	return alive;
}

static void card_lock(void)
{
	if (pthread_mutex_lock(&card->lock) != EOWNERDEAD)
		return;
	/*
	 * The holder was killed between a slot and the sum: the slots are right, each by itself.
	 */
	card->used = 0;
	for (int i = 0; i < CARD_SLOTS; i++) {
		if (!card->slots[i].pid)
			card->slots[i].bytes = 0;
		card->used += card->slots[i].bytes;
	}
	pthread_mutex_consistent(&card->lock);
}

static void card_unlock(void)
{
	pthread_mutex_unlock(&card->lock);
}

static void make_card(void)
{
	pthread_mutexattr_t attr;

	memset(card, 0, sizeof(*card));
	card->total = sim_env_bytes("VRAMSIM_BYTES", DEFAULT_BYTES);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&card->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	card->magic = CARD_MAGIC;
}

/*
 * Existing files are opened without O_CREAT: in a sticky directory the kernel refuses that flag
 * even to root when the file belongs to another user, and a tracer started by sudo reads the card
 * of an ordinary user.
 */
static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (fd >= 0)
		(void)fchmod(fd, 0666);
	return fd;
}

static int map_file(int fd)
{
	void *map;

	if (ftruncate(fd, sizeof(struct card)))
		return -errno;
	map = mmap(NULL, sizeof(struct card), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	card_fd = fd;
	card = map;
	return 0;
}

/*
 * 0: @fd is locked and is the file at @path. A file of another layout is put aside, one replaced
 * meanwhile is let go.
 */
static int claim_file(int fd, const char *path)
{
	struct stat file, named;

	if (flock(fd, LOCK_EX) || fstat(fd, &file))
		return -errno;
	if (stat(path, &named) || named.st_ino != file.st_ino)
		return -EAGAIN;
	if (file.st_size == 0 || file.st_size == sizeof(struct card))
		return 0;
	unlink(path);
	return -EAGAIN;
}

static int open_card(const char *path)
{
	int fd, err;

	do {
		fd = open_file(path);
		if (fd < 0)
			return -errno;
		err = claim_file(fd, path);
		if (err)
			close(fd);
	} while (err == -EAGAIN);
	if (err)
		return err;
	err = map_file(fd);
	if (err) {
		close(fd);
		return err;
	}
	if (card->magic != CARD_MAGIC)
		make_card();
	flock(fd, LOCK_UN);
	return 0;
}

static void open_once(void)
{
	const char *path = getenv("VRAMSIM_CARD");
	char by_default[64];

	if (!path) {
		snprintf(by_default, sizeof(by_default), "/dev/shm/vramsim-%u", (unsigned int)getuid());
		path = by_default;
	}
	card_error = open_card(path);
	if (card_error)
		return;
	card_lock();
	if (!sweep())
		card->total = sim_env_bytes("VRAMSIM_BYTES", card->total);
	card_unlock();
}

int card_open(void)
{
	pthread_once(&opened, open_once);
	return card_error;
}

uint64_t card_sequence(void)
{
	if (card_open())
		return 0;
	return __atomic_add_fetch(&card->sequence, 1, __ATOMIC_RELAXED);
}

static int charge_locked(struct slot *slot, uint64_t bytes)
{
	if (bytes > card->total - card->used)
		sweep();
	if (bytes > card->total - card->used)
		return -ENOMEM;
	slot->bytes += bytes;
	card->used += bytes;
	return 0;
}

/*
 * A slot with this pid is from before an exec, or of a process that died and whose pid came round.
 */
static struct slot *find_slot(void)
{
	struct slot *found = NULL;

	sweep();
	for (struct slot *slot = card->slots; slot < card->slots + CARD_SLOTS; slot++) {
		if (slot->pid == (uint32_t)getpid())
			slot_drop(slot);
		if (!slot->pid && !found)
			found = slot;
	}
	return found;
}

static int join_locked(uint64_t context_bytes)
{
	struct slot *slot = find_slot();
	struct flock lock;
	int err;

	if (!slot)
		return -EBUSY;
	lock = slot_lock(slot, F_WRLCK);
	if (fcntl(card_fd, F_SETLK, &lock))
		return -errno;
	slot->bytes = 0;
	slot->pid = getpid();
	err = charge_locked(slot, context_bytes);
	if (err) {
		slot->pid = 0;
		return err;
	}
	mine = slot;
	return 0;
}

int card_join(uint64_t context_bytes)
{
	int err = card_open();

	if (err)
		return err;
	card_lock();
	err = join_locked(context_bytes);
	card_unlock();
	return err;
}

void card_leave(void)
{
	struct flock lock;

	if (!mine)
		return;
	card_lock();
	slot_drop(mine);
	lock = slot_lock(mine, F_UNLCK);
	fcntl(card_fd, F_SETLK, &lock);
	mine = NULL;
	card_unlock();
}

int card_charge(uint64_t bytes)
{
	int err;

	if (!bytes)
		return 0;
	card_lock();
	err = mine ? charge_locked(mine, bytes) : -ENOMEM;
	card_unlock();
	return err;
}

void card_refund(uint64_t bytes)
{
	if (!bytes)
		return;
	card_lock();
	if (mine) {
		mine->bytes -= bytes;
		card->used -= bytes;
	}
	card_unlock();
}

int card_info(uint64_t *ret_total, uint64_t *ret_free)
{
	int err = card_open();

	if (err)
		return err;
	card_lock();
	sweep();
	*ret_total = card->total;
	*ret_free = card->total - card->used;
	card_unlock();
	return 0;
}

int card_processes(struct card_process *entries, int max)
{
	int count = 0, err = card_open();

	if (err)
		return err;
	card_lock();
	sweep();
	for (struct slot *slot = card->slots; slot < card->slots + CARD_SLOTS; slot++) {
		if (!slot->pid)
			continue;
		if (count < max)
			entries[count] = (struct card_process) { .pid = slot->pid, .bytes = slot->bytes };
		count++;
	}
	card_unlock();
	return count;
}
