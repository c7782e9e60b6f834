/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "elf_maker.h"
#include "probe/library.h"

static char folder[] = "/tmp/library-XXXXXX";
static struct reader *reader;

static int set_up(void **state)
{
	struct diag diag;

	(void)state;
	return mkdtemp(folder) && !reader_new(&reader, &diag) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	reader_free(reader);
	return rmdir(folder);
}

static void names(void **state)
{
	static const struct {
		const char *path;
		enum vt_layer layer; /* 0: no match */
	} cases[] = {
		{ "/usr/lib/libcuda.so.1", VT_LAYER_DRIVER },
		{ "libcuda.so", VT_LAYER_DRIVER },
		{ "/x/libcuda.so.580.159.04 (deleted)", VT_LAYER_DRIVER },
		{ "/x/libcuda-0123abcd.so.1", VT_LAYER_DRIVER },
		{ "/x/nvidia/libcudart.so.13", VT_LAYER_RUNTIME },
		{ "/x/libcudart-d0da41ae.so.11.0", VT_LAYER_RUNTIME },
		{ "/x/libcudart-d0da41ae.so.11.0 (deleted)", VT_LAYER_RUNTIME },
		{ "/x/libcudart.so (deleted)", VT_LAYER_RUNTIME },
		{ "/libcuda.so.1/other", 0 },
		{ "/x/libcudadebugger.so.1", 0 },
		{ "/x/libcudart_static.a", 0 },
		{ "/x/xlibcuda.so.1", 0 },
		{ "/x/libcudnn.so.9", 0 },
		{ " (deleted)", 0 },
		{ "", 0 },
		{ "/", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum vt_layer layer = 0;

		if (library_name_matches(cases[i].path, &layer) != !!cases[i].layer || layer != cases[i].layer)
			fail_msg("%s", cases[i].path);
	}
}

static void opens_a_library(void **state)
{
	struct library *library = NULL;
	struct made_elf made;
	struct diag diag;
	struct stat st;
	char path[64];
	int fd;

	(void)state;
	made_init(&made);
	made_symbol(&made, 1, "cudaFree", STT_FUNC, 0x40, 16);
	fd = made_fd(made.bytes, sizeof(made.bytes));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(library_open(reader, path, "/shown/libcudart.so", VT_LAYER_RUNTIME, &library, &diag), 0);
	assert_string_equal(library->path, "/shown/libcudart.so");
	assert_int_equal(library->ino, st.st_ino);
	assert_int_equal(library->dev, st.st_dev);
	assert_int_equal(library->exports.count, 1);
	assert_int_equal(fcntl(library->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(library->fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	library_free(library);
	library = NULL;
	assert_int_equal(library_open(reader, path, "/a\033b", VT_LAYER_DRIVER, &library, &diag), -ENOEXEC);
	assert_null(library);
	assert_null(strchr(diag.text, '\033'));
	assert_non_null(strstr(diag.text, "libcuda"));
	close(fd);
	library_free(NULL);
}

static void refuses(const char *path, int expected)
{
	struct library *library = NULL;
	struct diag diag = { "" };

	assert_int_equal(library_open(reader, path, path, VT_LAYER_RUNTIME, &library, &diag), expected);
	assert_null(library);
	assert_non_null(strstr(diag.text, path));
}

static void refuses_what_is_no_library(void **state)
{
	char path[128];
	int fd;

	(void)state;
	refuses("/nowhere/libcudart.so", -ENOENT);
	refuses("/dev/zero", -ENOTSUP);
	refuses(folder, -ENOTSUP);
	snprintf(path, sizeof(path), "%s/pipe", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	refuses(path, -ENOTSUP); /* and does not wait for a writer */
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	refuses(path, -ENOEXEC);
	assert_int_equal(ftruncate(fd, (5ll << 30)), 0);
	refuses(path, -EFBIG);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(opens_a_library),
		cmocka_unit_test(refuses_what_is_no_library),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
