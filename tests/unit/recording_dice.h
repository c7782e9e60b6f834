/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECORDING_DICE_H
#define RECORDING_DICE_H

/* Records drawn at random. */
#include <linux/types.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "source/frame.h"
#include "source/recording.h"
#include "vramtrace/probe.h"
#include "vramtrace/wire.h"

#define DICE_CALLERS 40
#define DICE_WORDS 64 /* of a record: more than any has */

struct dice_item {
	struct item item;
	uint64_t words[DICE_WORDS]; /* of a record */
};

static struct item_caller dice_callers[DICE_CALLERS];
static char *dice_strings[DICE_CALLERS];
static uint64_t dice_state = 1;

static inline uint64_t dice(uint64_t sides)
{
	dice_state ^= dice_state << 13;
	dice_state ^= dice_state >> 7;
	dice_state ^= dice_state << 17;
	return (dice_state * 0x2545f4914f6cdd1d >> 32) % sides;
}

/* Of any number of bits: small ones and large ones alike. */
static inline uint64_t dice_number(void)
{
	uint64_t value = dice(1ull << 32) << 32 | dice(1ull << 32);

	return value >> dice(64);
}

/* Any bytes but NUL; short, and now and then long. */
static inline char *dice_string(size_t max)
{
	size_t length = dice(20) ? dice(40) : dice(max + 1);
	char *string = calloc(1, length + 1);

	for (size_t i = 0; string && i < length; i++)
		string[i] = (char)(1 + dice(255));
	return string;
}

static inline void dice_begin(uint64_t seed, size_t longest)
{
	dice_state = seed;
	for (size_t i = 0; i < DICE_CALLERS; i++)
		dice_strings[i] = dice_string(longest);
	for (size_t i = 0; i < DICE_CALLERS; i++) {
		struct item_caller *caller = &dice_callers[i];

		*caller = (struct item_caller) { 0 };
		if (!i)
			continue; /* asked for, and not found */
		caller->key = caller;
		caller->offset = dice_number();
		caller->module = dice(8) ? dice_strings[dice(5)] : NULL;
		caller->symbol = dice(4) ? dice_strings[dice(DICE_CALLERS)] : NULL;
		caller->demangled = dice(2) ? dice_strings[dice(DICE_CALLERS)] : NULL;
		caller->name = dice_strings[i];
	}
}

static inline void dice_end(void)
{
	for (size_t i = 0; i < DICE_CALLERS; i++)
		free(dice_strings[i]);
}

static inline void dice_call(struct dice_item *made, uint64_t index)
{
	struct vt_call *call = (struct vt_call *)made->words;
	unsigned int frames = (unsigned int)dice(VT_FRAMES_MAX + 1);
	unsigned int site = (unsigned int)dice(16);

	call->header = (struct vt_header) {
		.kind = VT_RECORD_CALL,
		.length = (uint16_t)(sizeof(*call) + 8 * frames),
		.cpu = (uint16_t)dice(dice(10) ? 4 : 65536),
		.version = VT_WIRE_VERSION,
		.flags = (uint8_t)(dice(50) ? 0 : dice(256)),
		.tgid = 1000 + (uint32_t)dice(3),
		.tid = 1000 + (uint32_t)dice(5),
		.time_ns = dice(50) ? 1000000000 + index * 10000 + dice(30000) : dice_number(),
		.lost = dice(50) ? 0 : (uint32_t)dice_number(),
	};
	call->row = (uint16_t)dice(VT_PROBE_COUNT);
	call->outer_row = dice(4) ? call->row : (uint16_t)dice(VT_PROBE_COUNT);
	call->result = dice(10) ? 0 : (int32_t)dice_number();
	call->enter_ns = call->header.time_ns - (dice(20) ? dice(5000) : dice_number());
	call->addr = dice(4) ? 0x7f0000000000 + (dice(1 << 20) << 21) : dice_number();
	call->size = dice(4) ? dice(4096) << 12 : dice_number();
	call->context = dice(10) ? 0x5555000000 + dice(3) : dice_number();
	call->a = dice(3) ? 0 : dice_number();
	call->b = dice(5) ? 0 : dice_number();
	for (unsigned int i = 0; i < frames; i++)
		call->frames[i] = dice(20) ? 0x7fff00000000ull + site * 4096 + i : dice_number();
	made->item.record.length = call->header.length;
}

static inline void dice_process(struct dice_item *made)
{
	struct vt_process *process = (struct vt_process *)made->words;

	process->header = (struct vt_header) { .kind = (uint16_t)(VT_RECORD_PROCESS + dice(4)),
					       .length = sizeof(*process),
					       .version = VT_WIRE_VERSION,
					       .tgid = (uint32_t)dice_number(),
					       .time_ns = dice_number() };
	process->start_ns = dice_number();
	made->item.record.length = sizeof(*process);
}

/* A record, most of them calls, some of which are not quite right: of an odd length, with a byte or two that make no sense. */
static inline void dice_record(struct dice_item *made, uint64_t index)
{
	struct vt_header *header = (struct vt_header *)made->words;
	unsigned int damage = (unsigned int)dice(30);

	memset(made->words, 0, sizeof(made->words));
	if (dice(20))
		dice_call(made, index);
	else
		dice_process(made);
	if (!damage)
		made->item.record.length = dice(sizeof(made->words) + 1);
	if (damage < 2)
		((uint8_t *)made->words)[dice(sizeof(made->words))] ^= (uint8_t)(1 + dice(255));
	made->item.time_ns = header->time_ns;
	made->item.record.data = made->words;
	made->item.record.caller = dice(10) ? &dice_callers[dice(DICE_CALLERS)] : NULL;
}

#endif
