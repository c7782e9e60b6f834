/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/libraries.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/size.h"
#include "probe/table.h"

void libraries_init(struct libraries *ret_libraries, struct attach *attach, struct reader *reader, bool driver, bool runtime)
{
	*ret_libraries = (struct libraries){ .attach = attach, .reader = reader };
	ret_libraries->wanted[VT_LAYER_DRIVER] = driver;
	ret_libraries->wanted[VT_LAYER_RUNTIME] = runtime;
}

static void say_probed(const struct library *library, uint64_t took_ns)
{
	struct buf path = BUF_INIT;
	char took[DURATION_TEXT_BYTES];

	escape_text(&path, library->path, strlen(library->path));
	duration_format(took_ns, took);
	log_dbg("probing %s: %u calls of %s in %s%s", path.data ? path.data : "?", library->exports.count,
		layer_library(library->layer), took, library->exports.simulated ? " (simulated card)" : "");
	buf_fini(&path);
}

static int attach_opened(struct libraries *libraries, struct library *library, struct diag *diag)
{
	uint64_t begin_ns = clock_mono_ns();
	int err;

	err = attach_library(libraries->attach, library, diag);
	if (err == -EALREADY)
		return 0;
	if (err)
		return err;
	libraries->probed[library->layer]++;
	if (library->exports.simulated)
		libraries->simulated = true;
	say_probed(library, clock_mono_ns() - begin_ns);
	return 1;
}

static int open_and_attach(struct libraries *libraries, const struct candidate *candidate, struct diag *diag)
{
	struct library *library;
	int err;

	err = library_open(libraries->reader, candidate->open_path, candidate->shown_path, candidate->layer, &library, diag);
	if (err)
		return err;
	err = attach_opened(libraries, library, diag);
	library_free(library);
	return err;
}

int libraries_add(struct libraries *libraries, const struct candidate *candidate)
{
	struct diag diag;
	struct buf path = BUF_INIT;
	int err;

	if (!libraries->wanted[candidate->layer])
		return 0;
	err = open_and_attach(libraries, candidate, &diag);
	if (err < 0 && err != -ENOENT && err != -ESRCH) {
		escape_text(&path, candidate->shown_path, strlen(candidate->shown_path));
		log_warn("%s is not probed: %s", path.data ? path.data : "?", diag.text);
		buf_fini(&path);
	}
	return err;
}

void libraries_add_all(struct libraries *libraries, const struct candidates *candidates)
{
	for (size_t i = 0; i < candidates->count; i++)
		libraries_add(libraries, &candidates->items[i]);
}

int libraries_add_named(struct libraries *libraries, const char *path, struct diag *diag)
{
	struct candidate candidate = { .open_path = (char *)path, .shown_path = (char *)path };
	int err = -ENOEXEC;

	/* By its name if that is a CUDA library's, else by what it exports. */
	for (int layer = VT_LAYER_DRIVER; layer <= VT_LAYER_RUNTIME; layer++) {
		enum vt_layer by_name;

		if (library_name_matches(path, &by_name) && (int)by_name != layer)
			continue;
		candidate.layer = (enum vt_layer)layer;
		err = open_and_attach(libraries, &candidate, diag);
		if (err != -ENOEXEC)
			break;
	}
	return err < 0 ? err : 0;
}
