/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SINK_CAPTURE_H
#define SINK_CAPTURE_H

/* A sink whose output lands in memory, and the pieces that its tests feed it. Included by test_sink_*.c only. */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "sink/sink.h"
#include "vramtrace/probe.h"

/* A name that a hostile program could choose: escape sequence, newline, bidi override, bytes that are not UTF-8. */
#define EVIL "\033[31m\n\xe2\x80\xae\xff\""

struct capture {
	struct sink *sink;
	int fd;
	char *text;
};

static const struct caller torch_caller = { .module = "/opt/lib/libc10_cuda.so",
					    .symbol = "raw_alloc",
					    .offset = 18,
					    .name = (char *)"libc10_cuda.so!raw_alloc",
					    .id = 0 };
static const struct caller evil_caller = {
	.module = "/tmp/" EVIL, .symbol = EVIL, .offset = 1, .name = (char *)EVIL "!" EVIL, .id = 1
};

static const struct ledger_gpu capture_gpus[2] = { { .index = 0, .uuid = "GPU-1-2" },
						   { .index = 1, .uuid = "GPU-3-4" } };

/* A machine with one GPU. */
static inline struct sink_settings capture_settings(void)
{
	return (struct sink_settings) {
		.events = true, .only_kind = -1, .host = "node1", .gpus = capture_gpus, .gpu_count = 1
	};
}

static inline struct capture capture_new(const char *format, const struct sink_settings *settings)
{
	struct capture capture = { .fd = memfd_create("capture", MFD_CLOEXEC) };
	struct sink_settings with_fd = *settings;
	struct diag diag;

	with_fd.fd = capture.fd;
	assert_int_equal(sink_new(format, &with_fd, &capture.sink, &diag), 0);
	return capture;
}

/* What was written so far. */
static inline const char *capture_text(struct capture *capture)
{
	struct stat st;

	assert_int_equal(sink_flush(capture->sink), 0);
	assert_int_equal(fstat(capture->fd, &st), 0);
	free(capture->text);
	capture->text = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(capture->text);
	assert_int_equal(pread(capture->fd, capture->text, (size_t)st.st_size, 0), st.st_size);
	return capture->text;
}

/* The last line, without its newline; of text output without the time of day. */
static inline const char *capture_last(struct capture *capture, size_t skip)
{
	char *text = (char *)capture_text(capture);
	size_t length = strlen(text);
	char *line;

	assert_true(length > 0 && text[length - 1] == '\n');
	text[length - 1] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	assert_true(strlen(line) >= skip);
	return line + skip;
}

static inline void capture_free(struct capture *capture)
{
	sink_free(capture->sink);
	close(capture->fd);
	free(capture->text);
}

static inline struct process capture_process(void)
{
	return (struct process) {
		.tgid = 4711, .ns_tgid = 11, .parent_tgid = 1, .uid = 1000, .comm = "python3", .has_cuda = true
	};
}

static inline struct notice capture_notice(enum notice_kind kind, const struct process *process)
{
	return (struct notice) {
		.kind = kind,
		.time_ns = clock_mono_ns(),
		.tid = 4712,
		.process = process,
		.api = "cudaMalloc",
		.layer = NOTICE_LAYER_BOTH,
		.duration_ns = 55000,
		.caller = &torch_caller,
		.id = 7,
		.addr = 0x7f12a4000000,
		.size = 64 << 20,
		.requested = 64 << 20,
		.gpu = &capture_gpus[0],
		.memory_kind = VT_KIND_DEVICE,
		.placement = PLACEMENT_VRAM,
		.purpose = PURPOSE_UNKNOWN,
		.age_ns = 2500000000,
		.live_bytes = 128 << 20,
		.error_layer = VT_LAYER_RUNTIME,
	};
}

/* Nothing but printable characters, newlines and, where color is on, our own color codes may leave the sink. */
static inline void assert_clean(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		assert_true(*c == '\n' || (*c >= 0x20 && *c < 0x7f));
}

#endif
