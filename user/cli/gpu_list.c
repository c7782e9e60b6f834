/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/gpu_list.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void gpu_list_add(struct buf *out, const struct gpus *gpus)
{
	for (uint32_t i = 0; i < gpus->count; i++) {
		buf_str(out, i ? "," : "");
		buf_str(out, gpus->gpu[i].uuid);
	}
}

static bool is_uuid(const char *text, size_t length)
{
	if (!length || length >= sizeof(((struct ledger_gpu *)0)->uuid))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '-')
			return false;
	return true;
}

int gpu_list_parse(const char *text, struct ledger_gpu **ret_gpus, size_t *ret_count)
{
	struct ledger_gpu *gpus = calloc(GPU_MAX, sizeof(*gpus));
	size_t count = 0;

	if (!gpus)
		return -ENOMEM;
	while (text && *text && count < GPU_MAX) {
		size_t length = strcspn(text, ",");

		gpus[count].index = (int)count;
		if (is_uuid(text, length))
			memcpy(gpus[count].uuid, text, length);
		count++;
		text += length;
		text += *text == ',';
	}
	*ret_gpus = gpus;
	*ret_count = count;
	return 0;
}
