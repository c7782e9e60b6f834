// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"

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
static unsigned long free_delay_us;
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
