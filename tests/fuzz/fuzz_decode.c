/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a stream of records: decode must not crash, and what it tells must be fit for the ledger. */
#include <stdlib.h>
#include <string.h>

#include "decode/decode.h"
#include "ledger/ledger.h"
#include "probe/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(void *ctx, const struct event *event)
{
	if (event->frame_count > VT_FRAMES_MAX || event->comm[16])
		abort();
	if (event->kind <= EVENT_FREE_FAILED && (!probe_row(event->row) || !probe_row(event->outer_row)))
		abort();
	if (event->kind == EVENT_LOST && (event->lost_cause >= LOST_CAUSE_COUNT || !event->lost_count))
		abort();
	ledger_apply(ctx, event, NULL);
}

/* Each record stands behind one byte that says how long it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ledger_settings settings = { .driver_probed = true };
	struct ledger *ledger;
	struct decoder decoder;
	uint64_t records = 0;

	if (ledger_new(&settings, &ledger) < 0)
		return 0;
	decoder_init(&decoder, check, ledger);
	while (size > 0) {
		size_t length = data[0] < size - 1 ? data[0] : size - 1;
		void *copy = malloc(length ? length : 1); /* so that a sanitizer sees a read past the end */

		if (!copy)
			abort();
		memcpy(copy, data + 1, length);
		decode_record(&decoder, copy, length);
		free(copy);
		records++;
		data += 1 + length;
		size -= 1 + length;
	}
	if (decoder.delivered + decoder.bad != records)
		abort();
	decoder_fini(&decoder);
	ledger_free(ledger);
	return 0;
}
