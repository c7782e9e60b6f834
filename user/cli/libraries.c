/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/libraries.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/size.h"
#include "probe/table.h"

void libraries_init(struct libraries *ret_libraries, struct attach *attach, struct reader *reader, bool driver,
		    bool runtime)
{
	*ret_libraries = (struct libraries) { .attach = attach, .reader = reader };
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

static void keep_told(struct libraries *libraries, const struct library *library)
{
	struct item *grown = reallocarray(libraries->told, libraries->told_count + 1, sizeof(*grown));
	struct item item = {
		.kind = ITEM_LIBRARY,
		.time_ns = clock_mono_ns(),
		.library = {
			.path = strdup(library->path),
			.layer = library->layer,
			.probed = library->exports.count,
			.build_id_length = library->exports.build_id_length,
			.dev = library->dev,
			.ino = library->ino,
		},
	};

	if (grown)
		libraries->told = grown;
	if (!grown || !item.library.path) {
		free((char *)item.library.path);
		return;
	}
	memcpy(item.library.build_id, library->exports.build_id, sizeof(item.library.build_id));
	libraries->told[libraries->told_count++] = item;
	if (libraries->pipe)
		pipe_take(libraries->pipe, &item);
}

void libraries_tell(struct libraries *libraries, struct pipe_line *pipe)
{
	libraries->pipe = pipe;
	for (size_t i = 0; i < libraries->told_count; i++)
		pipe_take(pipe, &libraries->told[i]);
}

static int attach_opened(struct libraries *libraries, const struct library *library, struct diag *diag)
{
	uint64_t begin_ns = clock_mono_ns();
	int err;

	err = attach_library(libraries->attach, library, diag);
	if (err)
		return err == -EALREADY ? 0 : err;
	libraries->probed[library->layer]++;
	if (library->exports.simulated)
		libraries->simulated = true;
	keep_told(libraries, library);
	say_probed(library, clock_mono_ns() - begin_ns);
	return 0;
}

/* A file that is probed already is known by a look, without reading it again: programs that start map it every time. */
static int open_and_attach(struct libraries *libraries, const struct candidate *candidate, uint64_t *ret_since_ns,
			   struct diag *diag)
{
	struct library *library;
	struct stat st;
	int err;

	*ret_since_ns =
		stat(candidate->open_path, &st) ? 0 : attach_library_since(libraries->attach, st.st_dev, st.st_ino);
	if (*ret_since_ns)
		return 0;
	err = library_open(libraries->reader, candidate->open_path, candidate->shown_path, candidate->layer, &library,
			   diag);
	if (err)
		return err;
	err = attach_opened(libraries, library, diag);
	*ret_since_ns = attach_library_since(libraries->attach, library->dev, library->ino);
	library_free(library);
	return err;
}

/* A broken file that many processes map is one complaint, and so many files at all. */
static bool is_first_complaint(struct libraries *libraries, const char *path)
{
	for (size_t i = 0; i < libraries->complaint_count; i++)
		if (!strcmp(libraries->complaints[i], path))
			return false;
	if (libraries->complaint_count == LIBRARIES_COMPLAINTS_MAX)
		return false;
	libraries->complaints[libraries->complaint_count] = strdup(path);
	if (libraries->complaints[libraries->complaint_count])
		libraries->complaint_count++;
	return true;
}

void libraries_fini(struct libraries *libraries)
{
	for (size_t i = 0; i < libraries->complaint_count; i++)
		free(libraries->complaints[i]);
	libraries->complaint_count = 0;
	for (size_t i = 0; i < libraries->told_count; i++)
		free((char *)libraries->told[i].library.path);
	free(libraries->told);
	libraries->told = NULL;
	libraries->told_count = 0;
}

int libraries_add(struct libraries *libraries, const struct candidate *candidate, uint64_t *ret_since_ns)
{
	struct diag diag;
	struct buf path = BUF_INIT;
	int err;

	*ret_since_ns = 0;
	if (!libraries->wanted[candidate->layer])
		return 0;
	err = open_and_attach(libraries, candidate, ret_since_ns, &diag);
	if (err < 0 && err != -ENOENT && err != -ESRCH && is_first_complaint(libraries, candidate->shown_path)) {
		escape_text(&path, candidate->shown_path, strlen(candidate->shown_path));
		log_warn("%s is not probed: %s", path.data ? path.data : "?", diag.text);
		buf_fini(&path);
	}
	return err;
}

void libraries_add_all(struct libraries *libraries, const struct candidates *candidates)
{
	uint64_t since_ns;

	for (size_t i = 0; i < candidates->count; i++)
		libraries_add(libraries, &candidates->items[i], &since_ns);
}

int libraries_add_named(struct libraries *libraries, const char *path, struct diag *diag)
{
	struct candidate candidate = { .open_path = (char *)path, .shown_path = (char *)path };
	uint64_t since_ns;
	int err = -ENOEXEC;

	/* By its name if that is a CUDA library's, else by what it exports. */
	for (int layer = VT_LAYER_DRIVER; layer <= VT_LAYER_RUNTIME; layer++) {
		enum vt_layer by_name;

		if (library_name_matches(path, &by_name) && (int)by_name != layer)
			continue;
		candidate.layer = (enum vt_layer)layer;
		err = open_and_attach(libraries, &candidate, &since_ns, diag);
		if (err != -ENOEXEC)
			break;
	}
	return err;
}
