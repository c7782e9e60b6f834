// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault.h"
#include "sim.h"

#define RULES 16

struct rule {
	char call[48];
	unsigned long nth;
	bool onwards;
	int code;
	unsigned long calls;
};

static struct rule rules[RULES];
static int rule_count;
static unsigned long free_delay_us, hide_nth, nest_depth, allocations;
static __thread unsigned long nested;
static pthread_once_t read_env = PTHREAD_ONCE_INIT;

static void add_rule(const char *text)
{
	struct rule *rule = &rules[rule_count];
	char *rest;

	*rule = (struct rule) { .code = 2 };
	if (sscanf(text, "%47[^:]:%lu", rule->call, &rule->nth) != 2) {
		fprintf(stderr, "vramsim: VRAMSIM_FAIL: not understood: %s\n", text);
		return;
	}
	rule->onwards = strchr(text, '+') != NULL;
	rest = strchr(strchr(text, ':') + 1, ':');
	if (rest)
		rule->code = atoi(rest + 1);
	rule_count++;
}

static void read_rules(void)
{
	const char *fail = getenv("VRAMSIM_FAIL"), *delay = getenv("VRAMSIM_FREE_DELAY_US");
	char *copy = strdup(fail ? fail : ""), *next = copy, *text;

	hide_nth = sim_env_bytes("VRAMSIM_HIDE", 0);
	nest_depth = sim_env_bytes("VRAMSIM_NEST", 0);
	free_delay_us = delay ? strtoul(delay, NULL, 10) : 0;
	while ((text = strsep(&next, ",")) && rule_count < RULES) {
		if (text[0])
			add_rule(text);
	}
	free(copy);
}

int fault_code(const char *call)
{
	pthread_once(&read_env, read_rules);
	for (int i = 0; i < rule_count; i++) {
		struct rule *rule = &rules[i];
		unsigned long calls;

		if (strcmp(rule->call, call))
			continue;
		calls = __atomic_add_fetch(&rule->calls, 1, __ATOMIC_RELAXED);
		if (calls == rule->nth || (rule->onwards && calls > rule->nth))
			return rule->code;
	}
	return 0;
}

void fault_delay_free(void)
{
	pthread_once(&read_env, read_rules);
	if (free_delay_us)
		usleep(free_delay_us);
}

void fault_hide(void *out)
{
	uintptr_t page = sysconf(_SC_PAGESIZE);

	pthread_once(&read_env, read_rules);
	if (hide_nth && __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED) == hide_nth)
		mprotect((void *)((uintptr_t)out & ~(page - 1)), page, PROT_NONE);
}

int fault_nest(void)
{
	pthread_once(&read_env, read_rules);
	if (nested >= nest_depth)
		return 0;
	nested++;
	return 1;
}

void fault_nest_end(void)
{
	nested--;
}
