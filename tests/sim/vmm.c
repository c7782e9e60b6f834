// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "card.h"
#include "vmm.h"

#define BUCKETS 4096

/* Its address is the handle's value. */
struct physical {
	uint64_t bytes;
	int gpu;
	CUmemAllocationProp prop;
	unsigned int refs, maps;
	uint64_t object; /* 0: not exported, charged to this process */
	struct physical *next;
};

struct mapping {
	uint64_t addr, bytes;
	struct physical *physical;
	struct mapping *next;
};

struct range {
	uint64_t addr, bytes;
	struct range *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct physical *buckets[BUCKETS];
static struct mapping *mappings;
static struct range *ranges;

static struct physical **bucket_of(uint64_t handle)
{
	return &buckets[(handle >> 4) * 0x9e3779b97f4a7c15ULL >> 52];
}

static struct physical *find_physical(uint64_t handle)
{
	struct physical *physical = *bucket_of(handle);

	while (physical && (uintptr_t)physical != handle)
		physical = physical->next;
	return physical;
}

static void insert(struct physical *physical)
{
	struct physical **bucket = bucket_of((uintptr_t)physical);

	physical->next = *bucket;
	*bucket = physical;
}

static void describe(const struct physical *physical, struct vmm_block *ret_block)
{
	*ret_block = (struct vmm_block) {
		.bytes = physical->bytes,
		.handle = (uintptr_t)physical,
		.gpu = physical->gpu,
		.object = physical->object,
	};
}

/* An object that came back has another handle here. */
static bool has_twin(uint64_t object)
{
	for (unsigned int i = 0; i < BUCKETS; i++) {
		for (struct physical *physical = buckets[i]; physical; physical = physical->next) {
			if (physical->object == object)
				return true;
		}
	}
	return false;
}

static void end_if_free(struct physical *physical, struct truth *truth)
{
	struct physical **link = bucket_of((uintptr_t)physical);

	if (physical->refs || physical->maps)
		return;
	while (*link != physical)
		link = &(*link)->next;
	*link = physical->next;
	truth_gone(truth, (uintptr_t)physical);
	if (!physical->object)
		card_refund(physical->gpu, physical->bytes);
	else if (has_twin(physical->object) || !card_drop(physical->object))
		truth->held = 1;
	free(physical);
}

int vmm_reserve(uint64_t bytes, uint64_t align, uint64_t wish, uint64_t *ret_addr)
{
	struct range *range;
	uint64_t base;
	void *map;

	if (!bytes || bytes % VMM_GRAIN || align & (align - 1))
		return -EINVAL;
	if (align < VMM_GRAIN)
		align = VMM_GRAIN;
	range = calloc(1, sizeof(*range));
	map = mmap((void *)(uintptr_t)wish, bytes + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		   0);
	if (!range || map == MAP_FAILED) {
		free(range);
		return -ENOMEM;
	}
	base = ((uintptr_t)map + align - 1) / align * align;
	if (base > (uintptr_t)map)
		munmap(map, base - (uintptr_t)map);
	if (base < (uintptr_t)map + align)
		munmap((void *)(uintptr_t)(base + bytes), (uintptr_t)map + align - base);
	range->addr = *ret_addr = base;
	range->bytes = bytes;
	pthread_mutex_lock(&lock);
	range->next = ranges;
	ranges = range;
	pthread_mutex_unlock(&lock);
	return 0;
}

static bool overlaps(const struct mapping *mapping, uint64_t addr, uint64_t bytes)
{
	return mapping->addr < addr + bytes && addr < mapping->addr + mapping->bytes;
}

static struct mapping *find_mapping(uint64_t addr, uint64_t bytes)
{
	struct mapping *mapping = mappings;

	while (mapping && !overlaps(mapping, addr, bytes))
		mapping = mapping->next;
	return mapping;
}

int vmm_unreserve(uint64_t addr, uint64_t bytes)
{
	struct range **link = &ranges, *range = NULL;

	pthread_mutex_lock(&lock);
	while (*link && (*link)->addr != addr)
		link = &(*link)->next;
	if (*link && (*link)->bytes == bytes && !find_mapping(addr, bytes)) {
		range = *link;
		*link = range->next;
		munmap((void *)(uintptr_t)addr, bytes);
	}
	pthread_mutex_unlock(&lock);
	free(range);
	return range ? 0 : -EINVAL;
}

int vmm_create(int gpu, const CUmemAllocationProp *prop, uint64_t bytes, uint64_t *ret_handle)
{
	struct physical *physical;
	int err;

	if (!bytes || bytes % VMM_GRAIN)
		return -EINVAL;
	physical = calloc(1, sizeof(*physical));
	if (!physical)
		return -ENOMEM;
	err = card_charge(gpu, bytes);
	if (err) {
		free(physical);
		return -ENOMEM;
	}
	physical->bytes = bytes;
	physical->gpu = gpu;
	physical->prop = *prop;
	physical->refs = 1;
	pthread_mutex_lock(&lock);
	insert(physical);
	pthread_mutex_unlock(&lock);
	*ret_handle = (uintptr_t)physical;
	return 0;
}

int vmm_retain(uint64_t addr, struct vmm_block *ret_block)
{
	struct mapping *mapping;

	pthread_mutex_lock(&lock);
	mapping = find_mapping(addr, 1);
	if (mapping) {
		mapping->physical->refs++;
		describe(mapping->physical, ret_block);
	}
	pthread_mutex_unlock(&lock);
	return mapping ? 0 : -EINVAL;
}

int vmm_release(uint64_t handle, struct truth *truth)
{
	struct physical *physical;
	int err = -EINVAL;

	pthread_mutex_lock(&lock);
	physical = find_physical(handle);
	if (physical && physical->refs) {
		truth->bytes = physical->bytes;
		truth->object = physical->object;
		physical->refs--;
		end_if_free(physical, truth);
		err = 0;
	}
	pthread_mutex_unlock(&lock);
	return err;
}

static bool is_reserved(uint64_t addr, uint64_t bytes)
{
	struct range *range = ranges;

	while (range && !(addr >= range->addr && addr - range->addr < range->bytes))
		range = range->next;
	return range && bytes <= range->bytes - (addr - range->addr);
}

/* Memory of the host can be touched through its mapping. */
static int map_locked(struct mapping *mapping)
{
	if (!is_reserved(mapping->addr, mapping->bytes) || find_mapping(mapping->addr, mapping->bytes))
		return -EINVAL;
	if (mapping->physical->gpu == CARD_HOST &&
	    mprotect((void *)(uintptr_t)mapping->addr, mapping->bytes, PROT_READ | PROT_WRITE))
		return -ENOMEM;
	mapping->physical->maps++;
	mapping->next = mappings;
	mappings = mapping;
	return 0;
}

int vmm_map(uint64_t addr, uint64_t bytes, uint64_t handle)
{
	struct mapping *mapping;
	int err = -EINVAL;

	if (!bytes || addr % VMM_GRAIN || bytes % VMM_GRAIN)
		return -EINVAL;
	mapping = calloc(1, sizeof(*mapping));
	if (!mapping)
		return -ENOMEM;
	mapping->addr = addr;
	mapping->bytes = bytes;
	pthread_mutex_lock(&lock);
	mapping->physical = find_physical(handle);
	if (mapping->physical && bytes <= mapping->physical->bytes)
		err = map_locked(mapping);
	pthread_mutex_unlock(&lock);
	if (err)
		free(mapping);
	return err;
}

static bool cuts_one(uint64_t addr, uint64_t bytes)
{
	for (struct mapping *mapping = mappings; mapping; mapping = mapping->next) {
		bool inside = mapping->addr >= addr && mapping->addr + mapping->bytes <= addr + bytes;

		if (!inside && overlaps(mapping, addr, bytes))
			return true;
	}
	return false;
}

static void unmap_locked(uint64_t addr, uint64_t bytes, struct truth *truth)
{
	struct mapping **link = &mappings, *mapping;

	while ((mapping = *link)) {
		if (!overlaps(mapping, addr, bytes)) {
			link = &mapping->next;
			continue;
		}
		*link = mapping->next;
		if (mapping->physical->gpu == CARD_HOST)
			mmap((void *)(uintptr_t)mapping->addr, mapping->bytes, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
		mapping->physical->maps--;
		end_if_free(mapping->physical, truth);
		free(mapping);
	}
}

/* Of a range in which nothing is mapped: a success (measured). */
int vmm_unmap(uint64_t addr, uint64_t bytes, struct truth *truth)
{
	int err = 0;

	if (!bytes || addr % VMM_GRAIN || bytes % VMM_GRAIN)
		return -EINVAL;
	pthread_mutex_lock(&lock);
	if (!is_reserved(addr, bytes) || cuts_one(addr, bytes))
		err = -EINVAL;
	else
		unmap_locked(addr, bytes, truth);
	pthread_mutex_unlock(&lock);
	return err;
}

int vmm_find_handle(uint64_t handle, struct vmm_block *ret_block, CUmemAllocationProp *ret_prop)
{
	struct physical *physical;

	pthread_mutex_lock(&lock);
	physical = find_physical(handle);
	if (physical) {
		describe(physical, ret_block);
		*ret_prop = physical->prop;
	}
	pthread_mutex_unlock(&lock);
	return physical ? 0 : -ENOENT;
}

int vmm_find(uint64_t addr, struct vmm_block *ret_block)
{
	struct mapping *mapping;

	pthread_mutex_lock(&lock);
	mapping = find_mapping(addr, 1);
	if (mapping) {
		describe(mapping->physical, ret_block);
		ret_block->addr = mapping->addr;
		ret_block->bytes = mapping->bytes;
	}
	pthread_mutex_unlock(&lock);
	return mapping ? 0 : -ENOENT;
}

bool vmm_is_mapped(uint64_t addr, uint64_t bytes)
{
	struct mapping *mapping = NULL;
	uint64_t end = addr + bytes;

	pthread_mutex_lock(&lock);
	while (addr < end && (mapping = find_mapping(addr, 1)))
		addr = mapping->addr + mapping->bytes;
	pthread_mutex_unlock(&lock);
	return bytes && addr >= end;
}

static int share(struct physical *physical)
{
	struct card_object object = {
		.kind = CARD_PHYSICAL,
		.gpu = physical->gpu,
		.addr = (uintptr_t)physical,
		.bytes = physical->bytes,
		.takes = physical->bytes,
	};
	int err;

	if (physical->object)
		return 0;
	if (!(physical->prop.requestedHandleTypes & CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR))
		return -EPERM;
	err = card_share(&object);
	physical->object = err ? 0 : object.id;
	return err;
}

int vmm_export(uint64_t handle, int *ret_fd, uint64_t *ret_object)
{
	struct physical *physical;
	int err = -EINVAL, fd = -1;

	pthread_mutex_lock(&lock);
	physical = find_physical(handle);
	if (physical && physical->refs)
		err = share(physical);
	if (!err) {
		*ret_object = physical->object;
		fd = card_descriptor(physical->object);
	}
	pthread_mutex_unlock(&lock);
	if (fd < 0)
		return err ? err : fd;
	*ret_fd = fd;
	return 0;
}

int vmm_import(int fd, struct vmm_block *ret_block)
{
	struct card_object object;
	struct physical *physical;

	if (card_of_descriptor(fd, &object) || object.kind != CARD_PHYSICAL)
		return -EINVAL;
	physical = calloc(1, sizeof(*physical));
	if (!physical)
		return -ENOMEM;
	if (card_hold(object.id, &object)) {
		free(physical);
		return -EINVAL;
	}
	physical->bytes = object.bytes;
	physical->gpu = object.gpu;
	physical->object = object.id;
	physical->refs = 1;
	physical->prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
	physical->prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	physical->prop.location.type =
		object.gpu == CARD_HOST ? CU_MEM_LOCATION_TYPE_HOST : CU_MEM_LOCATION_TYPE_DEVICE;
	pthread_mutex_lock(&lock);
	insert(physical);
	describe(physical, ret_block);
	pthread_mutex_unlock(&lock);
	return 0;
}
