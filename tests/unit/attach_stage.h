/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_ATTACH_STAGE_H
#define UNIT_ATTACH_STAGE_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "attach/attach.h"
#include "base/clock.h"
#include "decode/decode.h"
#include "library_user.h"
#include "probe/library.h"
#include "source/source.h"
#include "vramtrace/probe.h"

/* The programs in the kernel and the ring, with a library of two functions in a child that calls them when it is told to. */

#define RING_BYTES 4096u
#define PAGE_BYTES 4096u
#define EVENTS_MAX 256

static char folder[] = "/tmp/attach-XXXXXX";
static char source_path[64], library_path[64];
static struct reader *reader;
static size_t ring_bytes = RING_BYTES;
static bool runtime_only;
static const char *unable; /* why nothing here can run */

static inline int set_up(void **state)
{
	struct diag diag;

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(source_path, sizeof(source_path), "%s/fake.c", folder);
	snprintf(library_path, sizeof(library_path), "%s/libcuda.so.1", folder);
	if (geteuid())
		unable = "root is needed";
	else if (!library_make(source_path, library_path))
		unable = "a C compiler is needed (cc)";
	return reader_new(&reader, &diag);
}

static inline int tear_down(void **state)
{
	(void)state;
	reader_free(reader);
	unlink(source_path);
	unlink(library_path);
	return rmdir(folder);
}

static inline struct attach *load_with(bool listed_only, unsigned int without, uint32_t map_entries)
{
	struct attach_settings settings = {
		.listed_only = listed_only,
		.follow = true,
		.own_tgid = (uint32_t)getpid(),
		.runtime_only = runtime_only,
		.ring_bytes = ring_bytes,
		.without = without,
		.map_entries = map_entries,
	};
	struct attach *attach = NULL;
	struct diag diag = { "" };
	int err;

	if (unable) {
		print_message("SKIP: %s\n", unable);
		skip();
	}
	err = attach_new(&settings, &attach, &diag);
	if (err == -EPERM || err == -ENOSYS) {
		print_message("SKIP: %s\n", diag.text);
		skip();
	}
	if (err)
		fail_msg("%s", diag.text);
	return attach;
}

static inline struct attach *load(bool listed_only)
{
	return load_with(listed_only, 0, 0);
}

static inline struct library *open_library(void)
{
	struct library *library = NULL;
	struct diag diag = { "" };

	if (library_open(reader, library_path, library_path, VT_LAYER_DRIVER, &library, &diag))
		fail_msg("%s", diag.text);
	assert_int_equal(library->exports.count, 2);
#ifdef __x86_64__
	assert_int_equal(library->exports.exports[0].first_insn, ELF_INSN_EMULATED);
#endif
	return library;
}

#endif
