// SPDX-License-Identifier: Apache-2.0
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cuda_visible.h"

/* GPUs by speed, or by place on the bus. What VRAMSIM_FASTEST does not name, or names twice, follows in order of place. */
static void enumerate(int count, int order[CARD_GPUS])
{
	const char *by = getenv("CUDA_DEVICE_ORDER"), *fastest = getenv("VRAMSIM_FASTEST");
	bool taken[CARD_GPUS] = { false };
	int filled = 0;

	if (by && !strcmp(by, "PCI_BUS_ID"))
		fastest = NULL;
	for (; fastest && *fastest; fastest++) {
		int gpu = *fastest - '0';

		if (gpu < 0 || gpu >= count || taken[gpu])
			continue;
		taken[gpu] = true;
		order[filled++] = gpu;
	}
	for (int gpu = 0; gpu < count; gpu++) {
		if (!taken[gpu])
			order[filled++] = gpu;
	}
}

/* A beginning of a UUID that only one GPU has. -1: none, or several. */
static int find_uuid(const char *name, size_t len, int count)
{
	int found = -1;

	for (int gpu = 0; gpu < count; gpu++) {
		char uuid[48];

		card_uuid_text(gpu, uuid);
		if (strncasecmp(uuid, name, len))
			continue;
		if (found >= 0)
			return -1;
		found = gpu;
	}
	return found;
}

static int find_entry(const char *name, size_t len, const int *order, int count)
{
	char *end;
	long index;

	if (len > 4 && !strncmp(name, "GPU-", 4))
		return find_uuid(name, len, count);
	index = strtol(name, &end, 10);
	if (end == name || end != name + len || index < 0 || index >= count)
		return -1;
	return order[index];
}

/* Of what stands behind an entry that names no GPU, nothing is seen. One that is named twice makes the whole list void. */
static int read_list(const char *list, const int *order, int count, int ret_gpus[CARD_GPUS])
{
	int filled = 0;

	while (*list) {
		size_t len = strcspn(list, ",");
		int gpu = find_entry(list, len, order, count);

		if (gpu < 0)
			break;
		for (int i = 0; i < filled; i++) {
			if (ret_gpus[i] == gpu)
				return 0;
		}
		ret_gpus[filled++] = gpu;
		list += len;
		list += *list == ',';
	}
	return filled;
}

int visible_read(int ret_gpus[CARD_GPUS])
{
	const char *list = getenv("CUDA_VISIBLE_DEVICES");
	int count = card_gpus(), order[CARD_GPUS];

	enumerate(count, order);
	if (list)
		return read_list(list, order, count, ret_gpus);
	memcpy(ret_gpus, order, sizeof(order));
	return count;
}
