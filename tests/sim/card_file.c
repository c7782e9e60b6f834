// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "card_file.h"
#include "sim.h"

#define DEFAULT_BYTES (8ULL << 30)
#define CARD_MAGIC (0x7672616d73696d32ULL ^ sizeof(struct card))

struct card *card;
int card_fd = -1;
char card_path[4096];

void card_lock(void)
{
	if (pthread_mutex_lock(&card->lock) != EOWNERDEAD)
		return;
	/* The holder was killed between a part and the sum: the parts are right, each by itself. */
	memset(card->used, 0, sizeof(card->used));
	for (struct slot *slot = card->slots; slot < card->slots + CARD_SLOTS; slot++) {
		if (!slot->pid)
			memset(slot->bytes, 0, sizeof(slot->bytes));
		for (int gpu = 0; gpu < CARD_GPUS; gpu++)
			card->used[gpu] += slot->bytes[gpu];
	}
	for (struct object *object = card->objects; object < card->objects + CARD_OBJECTS; object++) {
		if (object->is.id)
			gpu_add(object->is.gpu, object->charged);
	}
	pthread_mutex_consistent(&card->lock);
}

void card_unlock(void)
{
	pthread_mutex_unlock(&card->lock);
}

void gpu_add(int gpu, uint64_t bytes)
{
	if (gpu != CARD_HOST)
		card->used[gpu] += bytes;
}

void gpu_subtract(int gpu, uint64_t bytes)
{
	if (gpu != CARD_HOST)
		card->used[gpu] -= bytes;
}

static void configure(uint64_t bytes, uint32_t gpus)
{
	card->total = sim_env_bytes("VRAMSIM_BYTES", bytes);
	gpus = sim_env_bytes("VRAMSIM_GPUS", gpus);
	card->gpus = gpus < 1 ? 1 : gpus > CARD_GPUS ? CARD_GPUS : gpus;
}

static void make_card(void)
{
	pthread_mutexattr_t attr;
	struct timespec now;

	memset(card, 0, sizeof(*card));
	configure(DEFAULT_BYTES, 1);
	/* An object of a card that was removed must not be taken for one of this. Ids are places in a file: 2^44 is too many. */
	clock_gettime(CLOCK_REALTIME, &now);
	card->last_id = (uint64_t)now.tv_sec << 12;
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
static int open_path(const char *path)
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
		fd = open_path(path);
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

int file_open(void)
{
	const char *path = getenv("VRAMSIM_CARD");
	int err;

	if (path)
		snprintf(card_path, sizeof(card_path), "%s", path);
	else
		snprintf(card_path, sizeof(card_path), "/dev/shm/vramsim-%u", (unsigned int)getuid());
	err = open_card(card_path);
	if (err)
		return err;
	card_lock();
	if (!card_sweep())
		configure(card->total, card->gpus);
	card_unlock();
	return 0;
}
