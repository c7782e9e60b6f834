/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYMBOL_NEWS_H
#define SYMBOL_NEWS_H

#include "symbol/caller.h"

/* New mappings of CUDA libraries, queued until somebody asks. Bounded: what does not fit is counted. */
#define NEWS_MAX 4096

struct news {
	struct news_item *first, *last;
	size_t count;
	uint64_t lost;
};

void news_fini(struct news *news);
void news_add(struct news *news, const struct mapping *mapping);
bool news_take(struct news *news, struct library_news *ret_news);

#endif
