/* SPDX-License-Identifier: Apache-2.0 */
#include "symbol/news.h"

#include <stdlib.h>
#include <string.h>

struct news_item {
	struct news_item *next;
	uint32_t tgid;
	uint64_t start;
	uint64_t end;
	uint64_t time_ns;
	size_t length;
	char path[]; /* with its NUL */
};

void news_fini(struct news *news)
{
	struct library_news ignored;

	while (news_take(news, &ignored))
		;
}

void news_add(struct news *news, const struct mapping *mapping)
{
	size_t length = strlen(mapping->path) + 1;
	struct news_item *item = NULL;

	if (news->count < NEWS_MAX && length <= sizeof(((struct library_news *)0)->path))
		item = malloc(sizeof(*item) + length);
	if (!item) {
		news->lost++;
		return;
	}
	*item = (struct news_item) { .tgid = mapping->tgid, .start = mapping->start, .time_ns = mapping->time_ns };
	item->end = mapping->start + mapping->length;
	item->length = length;
	memcpy(item->path, mapping->path, length);
	if (news->last)
		news->last->next = item;
	else
		news->first = item;
	news->last = item;
	news->count++;
}

bool news_take(struct news *news, struct library_news *ret_news)
{
	struct news_item *item = news->first;

	if (!item)
		return false;
	news->first = item->next;
	if (!news->first)
		news->last = NULL;
	news->count--;
	ret_news->tgid = item->tgid;
	ret_news->start = item->start;
	ret_news->end = item->end;
	ret_news->time_ns = item->time_ns;
	memcpy(ret_news->path, item->path, item->length);
	free(item);
	return true;
}
