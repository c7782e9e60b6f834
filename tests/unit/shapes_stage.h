/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_SHAPES_STAGE_H
#define UNIT_SHAPES_STAGE_H

#include "attach_fixture.h"
#include "base/cleanup.h"
#include "probe/table.h"

/*
 * The programs in the kernel, and two libraries with every function of probes.def, which do nothing: what they give is laid out by
 * the caller. A child calls them, by a function of the test, once it is traced.
 */

/* hook: called inside of the next call, once, and says what it comes to. */
static const char shapes_head[] = "int (*hook)(void);\n"
				  "static int call(void)\n"
				  "{\n"
				  "	int (*now)(void) = hook;\n"
				  "	hook = 0;\n"
				  "	return now ? now() : 0;\n"
				  "}\n";

static char shapes_paths[2][64]; /* by layer, from 0 */
static void *shapes_handles[2];	 /* in the child */

static inline bool shapes_make_one(enum vt_layer layer)
{
	char *path = shapes_paths[layer - 1];
	char source[sizeof(shapes_paths) + 2];
	const struct probe_row *row;
	int status = -1;
	FILE *file;
	pid_t pid;

	snprintf(path, sizeof(shapes_paths[0]), "%s/%s.so", folder, layer_library(layer));
	snprintf(source, sizeof(source), "%s.c", path);
	file = fopen(source, "we");
	if (!file)
		return false;
	fputs(shapes_head, file);
	for (unsigned int i = 0; (row = probe_row(i)); i++)
		if (row->layer == layer)
			fprintf(file, "int %s(void) { return call(); }\n", row->symbol);
	fclose(file);
	pid = fork();
	if (pid == 0) {
		execlp("cc", "cc", "-O0", "-fno-omit-frame-pointer", "-fcf-protection=none", "-shared", "-fPIC", "-o",
		       path, source, (char *)NULL);
		_exit(127);
	}
	status = waitpid(pid, &status, 0) == pid ? status : -1;
	unlink(source);
	return status == 0;
}

static inline int shapes_set_up(void **state)
{
	int err = set_up(state);

	ring_bytes = 1 << 16;
	if (!err && !unable && (!shapes_make_one(VT_LAYER_DRIVER) || !shapes_make_one(VT_LAYER_RUNTIME)))
		unable = "a C compiler is needed (cc)";
	return err;
}

static inline int shapes_tear_down(void **state)
{
	unlink(shapes_paths[0]);
	unlink(shapes_paths[1]);
	return tear_down(state);
}

static inline void shapes_attach(struct fixture *fixture, enum vt_layer layer)
{
	const char *path = shapes_paths[layer - 1];
	struct library *library = NULL;
	struct diag diag = { "" };

	if (library_open(reader, path, path, layer, &library, &diag) || attach_library(fixture->attach, library, &diag))
		fail_msg("%s", diag.text);
	library_free(library);
}

static inline struct fixture *shapes_start(unsigned int without)
{
	struct fixture *fixture = start_with(true, without, 0);

	shapes_attach(fixture, VT_LAYER_DRIVER);
	shapes_attach(fixture, VT_LAYER_RUNTIME);
	return fixture;
}

/* The child calls a function by its row. Rows of by-value structs are cast by the caller. */
typedef int shapes_call_fn(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

static inline shapes_call_fn *shapes_symbol(enum vt_probe row)
{
	return (shapes_call_fn *)dlsym(shapes_handles[probe_row(row)->layer - 1], probe_row(row)->symbol);
}

static inline int shapes_call(enum vt_probe row, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return shapes_symbol(row)(a, b, c, d, 0, 0);
}

/* The next call of that layer runs it, and comes to what it says. */
static inline void shapes_hook(enum vt_layer layer, int (*hook)(void))
{
	int (**to)(void) = (int (**)(void))dlsym(shapes_handles[layer - 1], "hook");

	*to = hook;
}

/* What the child's calls came to is in fixture->events, but for the process' own. */
static inline void shapes_run(struct fixture *fixture, void (*script)(void))
{
	int go[2], status = -1;
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (int i = 0; i < 2; i++)
			shapes_handles[i] = dlopen(shapes_paths[i], RTLD_NOW);
		if (read(go[0], &byte, 1) == 1)
			script();
		_exit(0);
	}
	assert_int_equal(attach_add_process(fixture->attach, (uint32_t)pid), 0);
	assert_int_equal(write(go[1], &byte, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(go[0]);
	close(go[1]);
	fixture->count = 0;
	while (source_drain(fixture->source, 0) > 0)
		;
	for (size_t i = 0; i < fixture->count;)
		if (fixture->events[i].kind == EVENT_PROCESS || fixture->events[i].kind == EVENT_EXIT)
			memmove(&fixture->events[i], &fixture->events[i + 1],
				(--fixture->count - i) * sizeof(fixture->events[0]));
		else
			i++;
}

#endif
