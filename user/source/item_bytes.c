/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "source/pack.h"

static size_t string_bytes(const char *string)
{
	return string ? strlen(string) : 0;
}

static size_t caller_bytes(const struct item_caller *caller)
{
	if (!caller || !caller->key)
		return 0;
	return string_bytes(caller->module) + string_bytes(caller->symbol) + string_bytes(caller->demangled) +
	       string_bytes(caller->name);
}

size_t pack_item_bytes(const struct item *item)
{
	switch (item->kind) {
	case ITEM_RECORD:
		return item->record.length + caller_bytes(item->record.caller);
	case ITEM_LOST:
		return string_bytes(item->lost.cause_name);
	case ITEM_ATTACHED:
	case ITEM_LATE:
	case ITEM_GONE:
		return string_bytes(item->process.comm);
	case ITEM_LIBRARY:
		return string_bytes(item->library.path);
	case ITEM_END:
		return string_bytes(item->end.exit_reason);
	default:
		return 0;
	}
}
