// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "sim.h"
#include "truth.h"

static int log_fd = -1;
static pthread_once_t opened = PTHREAD_ONCE_INIT;

static void open_log(void)
{
	const char *path = getenv("VRAMSIM_LOG");

	if (!path || !path[0])
		return;
	log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (log_fd < 0)
		fprintf(stderr, "vramsim: cannot open VRAMSIM_LOG %s\n", path);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

struct truth truth_enter(const char *call)
{
	struct truth truth = { .call = call };

	pthread_once(&opened, open_log);
	if (log_fd >= 0)
		truth.enter_ns = now_ns();
	return truth;
}

int truth_leave(const struct truth *truth, int result)
{
	const char *layer = strncmp(truth->call, "cuda", 4) ? "driver" : "runtime";
	char line[512], pitch[48] = "";
	int len;

	if (log_fd < 0)
		return result;
	if (truth->pitch)
		snprintf(pitch, sizeof(pitch), ",\"pitch\":%llu", (unsigned long long)truth->pitch);
	len = snprintf(line, sizeof(line),
		       "{\"seq\":%llu,\"mono_ns\":%llu,\"enter_ns\":%llu,\"pid\":%d,\"tid\":%d,\"call\":\"%s\","
		       "\"layer\":\"%s\",\"addr\":\"0x%llx\",\"size\":%llu,\"result\":%d%s}\n",
		       (unsigned long long)card_sequence(), (unsigned long long)now_ns(),
		       (unsigned long long)truth->enter_ns, getpid(), gettid(), truth->call, layer,
		       (unsigned long long)truth->addr, (unsigned long long)truth->bytes, result, pitch);
	if (write(log_fd, line, len) != len)
		fprintf(stderr, "vramsim: the truth log is incomplete\n");
	return result;
}
