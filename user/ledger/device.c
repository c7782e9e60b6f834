/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TOLD_MAX 256 /* GPUs that the machine's list does not have: instances, or inventions of a program */
#define UUID_BYTES 16

int gpus_init(struct ledger *ledger)
{
	size_t count = ledger->settings.gpu_count;

	ledger->gpus = calloc(count + 1, sizeof(*ledger->gpus));
	if (!ledger->gpus)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		ledger->gpus[i] = ledger->settings.gpus[i];
	ledger->gpu_count = count;
	ledger->settings.gpus = NULL; /* the caller's: not to be used any more */
	return 0;
}

void gpus_fini(struct ledger *ledger)
{
	free(ledger->gpus);
	ledger->gpus = NULL;
	ledger->gpu_count = 0;
}

const struct ledger_gpu *ledger_gpu(const struct ledger *ledger, size_t index)
{
	return index < ledger->gpu_count ? &ledger->gpus[index] : NULL;
}

int ledger_gpu_of(const struct ledger *ledger, const struct process *process, uint16_t place)
{
	if (ledger->settings.gpu_count == 1)
		return 0;
	if (place >= process->place_count)
		return -1;
	return process->places[process->places[place].same].gpu;
}

static void format_uuid(const struct event *event, char ret_uuid[static 48])
{
	uint8_t bytes[UUID_BYTES];
	size_t length;

	memcpy(bytes, &event->a, 8);
	memcpy(bytes + 8, &event->b, 8);
	length = (size_t)snprintf(ret_uuid, 48, "GPU-");
	for (size_t i = 0; i < UUID_BYTES; i++) {
		bool dash = i == 4 || i == 6 || i == 8 || i == 10;

		length += (size_t)snprintf(ret_uuid + length, 48 - length, "%s%02x", dash ? "-" : "", bytes[i]);
	}
}

int device_gpu(struct ledger *ledger, const struct event *event)
{
	struct ledger_gpu *grown, told = { .index = -1 };

	format_uuid(event, told.uuid);
	for (size_t i = 0; i < ledger->gpu_count; i++) {
		if (!strcasecmp(ledger->gpus[i].uuid, told.uuid))
			return (int)i;
	}
	if (ledger->gpu_count >= ledger->settings.gpu_count + TOLD_MAX)
		return -1;
	grown = reallocarray(ledger->gpus, ledger->gpu_count + 1, sizeof(*grown));
	if (!grown)
		return -1;
	ledger->gpus = grown;
	grown[ledger->gpu_count] = told;
	return (int)ledger->gpu_count++;
}
