// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "sim.h"
#include "truth.h"

#define LINE_BYTES 1024 /* without the list: every number at its longest is 700 */
#define GONE_BYTES 24	/* of one of the list */
#define GONE_STEP 64

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
	struct truth truth = { .call = call, .gpu = TRUTH_NO_GPU };

	pthread_once(&opened, open_log);
	if (log_fd >= 0)
		truth.enter_ns = now_ns();
	return truth;
}

void truth_gone(struct truth *truth, uint64_t addr)
{
	uint64_t *larger;

	if (log_fd < 0)
		return;
	if (truth->gone_count % GONE_STEP == 0) {
		larger = realloc(truth->gone, (truth->gone_count + GONE_STEP) * sizeof(*larger));
		if (!larger) {
			fprintf(stderr, "vramsim: the truth log is incomplete\n");
			return;
		}
		truth->gone = larger;
	}
	truth->gone[truth->gone_count++] = addr;
}

struct line {
	char *text;
	size_t size, len;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line->len += vsnprintf(line->text + line->len, line->size - line->len, format, args);
	va_end(args);
}

static void add_number(struct line *line, const char *name, uint64_t value)
{
	if (value)
		add(line, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void add_address(struct line *line, const char *name, uint64_t value)
{
	if (value)
		add(line, ",\"%s\":\"0x%llx\"", name, (unsigned long long)value);
}

static void add_text(struct line *line, const char *name, const char *value)
{
	if (value)
		add(line, ",\"%s\":\"%s\"", name, value);
}

static void add_rest(struct line *line, const struct truth *truth)
{
	add_number(line, "pitch", truth->pitch);
	if (truth->gpu != TRUTH_NO_GPU)
		add(line, ",\"gpu\":%d", truth->gpu);
	add_address(line, "context", truth->context);
	add_text(line, "kind", truth->kind);
	add_text(line, "placement", truth->placement);
	add_address(line, "handle", truth->handle);
	add_address(line, "pool", truth->pool);
	add_address(line, "stream", truth->stream);
	add_address(line, "graph", truth->graph);
	add_number(line, "object", truth->object);
	add_number(line, "takes", truth->takes);
	add_number(line, "advice", truth->advice);
	add_number(line, "fd", truth->fd);
	add_number(line, "held", truth->held);
	for (size_t i = 0; i < truth->gone_count; i++)
		add(line, "%s\"0x%llx\"", i ? "," : ",\"gone\":[", (unsigned long long)truth->gone[i]);
	add(line, "%s}\n", truth->gone_count ? "]" : "");
}

static void write_line(const struct truth *truth, int result)
{
	const char *layer = strncmp(truth->call, "cuda", 4) ? "driver" : "runtime";
	char text[LINE_BYTES];
	struct line line = { .text = text, .size = sizeof(text) };

	if (truth->gone_count) {
		line.size += truth->gone_count * GONE_BYTES;
		line.text = malloc(line.size);
	}
	if (line.text) {
		add(&line,
		    "{\"seq\":%llu,\"mono_ns\":%llu,\"enter_ns\":%llu,\"pid\":%d,\"tid\":%d,\"call\":\"%s\","
		    "\"layer\":\"%s\",\"addr\":\"0x%llx\",\"size\":%llu,\"result\":%d",
		    (unsigned long long)card_sequence(), (unsigned long long)now_ns(),
		    (unsigned long long)truth->enter_ns, getpid(), gettid(), truth->call, layer,
		    (unsigned long long)truth->addr, (unsigned long long)truth->bytes, result);
		add_rest(&line, truth);
	}
	if (!line.text || write(log_fd, line.text, line.len) != (ssize_t)line.len)
		fprintf(stderr, "vramsim: the truth log is incomplete\n");
	if (line.text != text)
		free(line.text);
}

int truth_leave(const struct truth *truth, int result)
{
	if (log_fd >= 0)
		write_line(truth, result);
	free(truth->gone);
	return result;
}
