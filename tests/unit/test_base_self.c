/* SPDX-License-Identifier: Apache-2.0 */
/* Where our own functions lie in our own file, and that no other file is taken for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/self.h"

#define LOADED "loaded"

static const char *loader;

static int find_loader(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	(void)ctx;
	if (strstr(info->dlpi_name, "/ld-"))
		loader = info->dlpi_name;
	return loader != NULL;
}

static void the_file_holds_the_function(void **state)
{
	char bytes[16];
	uint64_t offset;
	int fd;

	(void)state;
	assert_int_equal(self_open((uintptr_t)the_file_holds_the_function, &fd, &offset), 0);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), (off_t)offset), sizeof(bytes));
	assert_memory_equal(bytes, (const void *)the_file_holds_the_function, sizeof(bytes));
	close(fd);
}

static void what_is_not_ours_has_no_place(void **state)
{
	uint64_t offset;
	int fd;

	(void)state;
	assert_int_equal(self_open((uintptr_t)&state, &fd, &offset), -ENOENT);
}

/* The kernel then names the dynamic linker as our program, which every process has mapped. */
static void the_dynamic_linker_is_not_us(void **state)
{
	char path[4096] = "";
	int status;
	pid_t pid;

	(void)state;
	dl_iterate_phdr(find_loader, NULL);
	if (!loader || readlink("/proc/self/exe", path, sizeof(path) - 1) < 0) {
		print_message("SKIP: no dynamic linker\n");
		skip();
	}
	pid = fork();
	if (pid == 0) {
		execl(loader, loader, path, LOADED, NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), ESTALE);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_holds_the_function),
		cmocka_unit_test(what_is_not_ours_has_no_place),
		cmocka_unit_test(the_dynamic_linker_is_not_us),
	};
	uint64_t offset;
	int fd;

	if (argc > 1 && !strcmp(argv[1], LOADED))
		return -self_open((uintptr_t)main, &fd, &offset);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
