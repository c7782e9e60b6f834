/* SPDX-License-Identifier: Apache-2.0 */
/* attach_time LIBRARY driver|runtime: our own attach and detach of one library, in microseconds, and how many functions. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/attach.h"
#include "base/clock.h"
#include "probe/library.h"
#include "probe/reader.h"

static int measure(struct attach *attach, const struct library *library, struct diag *diag)
{
	uint64_t start_ns = clock_mono_ns();
	uint64_t attached_ns, detached_ns;
	int err = attach_library(attach, library, diag);

	if (err)
		return err;
	attach_enable(attach);
	attached_ns = clock_mono_ns();
	attach_disable(attach);
	attach_detach(attach);
	detached_ns = clock_mono_ns();
	printf("functions %u attach_us %llu detach_us %llu\n", library->exports.count,
	       (unsigned long long)(attached_ns - start_ns) / 1000,
	       (unsigned long long)(detached_ns - attached_ns) / 1000);
	return 0;
}

int main(int argc, char **argv)
{
	struct attach_settings settings = { .own_tgid = (uint32_t)getpid(), .ring_bytes = 1 << 20 };
	struct library *library = NULL;
	struct reader *reader = NULL;
	struct attach *attach = NULL;
	struct diag diag = { "" };
	enum vt_layer layer;
	int err;

	if (argc != 3)
		return 2;
	layer = strcmp(argv[2], "driver") == 0 ? VT_LAYER_DRIVER : VT_LAYER_RUNTIME;
	err = reader_new(&reader, &diag);
	if (!err)
		err = library_open(reader, argv[1], argv[1], layer, &library, &diag);
	if (!err)
		err = attach_new(&settings, &attach, &diag);
	if (!err)
		err = measure(attach, library, &diag);
	if (err)
		fprintf(stderr, "attach_time: %s\n", diag.text);
	attach_free(attach);
	library_free(library);
	reader_free(reader);
	return err != 0;
}
