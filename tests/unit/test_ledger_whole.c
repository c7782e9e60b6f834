/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger: everything at once, at random, against a naive reference and a simulated world (model/model.h): all sums and the whole set of
 * blocks after each step, all processes every 10,000.
 *
 * VRAMTRACE_SEED chooses another run, VRAMTRACE_MODEL_STEPS its length; with VRAMTRACE_LONG it is 10^7 steps, but for sanitizers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/compare.h"
#include "model/model.h"
#include "model/reference.h"
#include "model/world.h"

#define STEPS_DEFAULT 1000000
#ifdef __SANITIZE_ADDRESS__
#define STEPS_LONG STEPS_DEFAULT /* ten times slower there */
#else
#define STEPS_LONG 10000000
#endif
#define ROUND_STEPS 20000
#define COMPARE_ALL_STEPS 10000
#define SETTLE_STEPS 300

struct model model;

uint64_t roll(uint64_t sides)
{
	model.dice ^= model.dice << 13;
	model.dice ^= model.dice >> 7;
	model.dice ^= model.dice << 17;
	return (model.dice * 0x2545f4914f6cdd1dULL >> 16) % sides;
}

bool chance(unsigned int percent)
{
	return roll(100) < percent;
}

void model_note(const char *format, ...)
{
	char text[200];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	print_message("%s\n", text);
}

_Noreturn void model_fail(const char *file, int line, const char *what)
{
	print_message("seed %llu, step %llu, losses %d, GPUs %d, driver probed %d\n", (unsigned long long)model.seed,
		      (unsigned long long)model.step, model.losses, model.gpu_count, model.driver_probed);
	compare_show_event();
	print_message("%s\n", what);
	_fail(file, line);
	abort(); /* not reached */
}

uint64_t uuid_of(int gpu)
{
	return 0x1111111111111111ull * (uint64_t)(gpu + 1);
}

static void name_gpus(void)
{
	for (int i = 0; i < GPUS; i++) {
		int digit = i + 1;
		char *uuid = model.gpus[i].uuid;

		model.gpus[i].index = i;
		snprintf(uuid, sizeof(model.gpus[i].uuid), "GPU-00000000-0000-0000-0000-000000000000");
		for (uuid += 4; *uuid; uuid++)
			*uuid = *uuid == '0' ? (char)('0' + digit) : *uuid;
	}
}

/* Two files of one name are one library; one caller lies in no file. */
static void name_callers(void)
{
	static const char *const modules[CALLERS] = { "/a/libone.so", "/b/libone.so", "libtwo.so",
						      NULL,	      "/a/libtwo.so", "/c/three" };

	for (int i = 0; i < CALLERS; i++) {
		model.callers[i].module = modules[i];
		model.callers[i].id = (uint32_t)i * 1000;
	}
}

static void begin_round(void)
{
	static const uint64_t lost_one_of[] = { 15, 60, 300 };
	struct ledger_settings settings = { .gpus = model.gpus, .fn = compare_listen };

	model.losses = roll(LOSSES_COUNT);
	model.lost_one_of = lost_one_of[roll(3)];
	model.gpu_count = 1 + (int)roll(GPUS);
	model.driver_probed = roll(6);
	settings.driver_probed = model.driver_probed;
	settings.gpu_count = (size_t)model.gpu_count;
	assert_int_equal(ledger_new(&settings, &model.ledger), 0);
	world_round_begins();
}

static void end_round(void)
{
	model_compare_all();
	ledger_free(model.ledger);
	refs_clear();
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

static void test_model(void **state)
{
	uint64_t steps = setting("VRAMTRACE_MODEL_STEPS", getenv("VRAMTRACE_LONG") ? STEPS_LONG : STEPS_DEFAULT);

	(void)state;
	model.seed = setting("VRAMTRACE_SEED", 20260101);
	model.dice = model.seed * 0x9e3779b97f4a7c15ull + 1;
	print_message("seed %llu, %llu steps\n", (unsigned long long)model.seed, (unsigned long long)steps);
	name_gpus();
	name_callers();
	begin_round();
	for (model.step = 1; model.step <= steps; model.step++) {
		world_step();
		if (model.losses == LOSES_NOTHING && model.step % SETTLE_STEPS == 0)
			world_compare();
		if (model.step % COMPARE_ALL_STEPS == 0)
			model_compare_all();
		if (model.step % ROUND_STEPS == 0 && model.step < steps) {
			end_round();
			begin_round();
		}
	}
	end_round();
	world_show_counts();
	if (steps >= 100000)
		world_check_counts(steps / 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
