/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/clock.h"
#include "elf_maker.h"
#include "probe/ldcache.h"
#include "probe/loader.h"
#include "probe/maps.h"
#include "probe/program.h"
#include "probe/search.h"

static char folder[] = "/tmp/search-XXXXXX";

static const char *in_folder(const char *name)
{
	static char paths[4][256];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void write_file(const char *path, const void *data, size_t bytes, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, bytes), bytes);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) && !chmod(folder, 0755) ? 0 : -1;
}

static int remove_folder(void **state)
{
	static const char *const names[] = {
		"libcudart.so.99", "libcuda.so.1", "libcudart-0a1b.so.12", "one", "two", "env", "loop", "text", "slow",
		"slowloader",	   "cache"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_folder(names[i]));
	return rmdir(folder);
}

static const struct candidate *find(const struct candidates *candidates, const char *shown_path)
{
	for (size_t i = 0; i < candidates->count; i++) {
		if (!strcmp(candidates->items[i].shown_path, shown_path))
			return &candidates->items[i];
	}
	return NULL;
}

static void maps_lines(void **state)
{
	char good[] = "7f0c12345000-7f0c12346000 r-xp 0000a000 fd:01 1234       /usr/lib/a b.so (deleted)\n";
	char anonymous[] = "00400000-00401000 rw-p 00000000 00:00 0 \n";
	char *bad[] = { (char[]) { "" },
			(char[]) { "\n" },
			(char[]) { "x-y r-xp" },
			(char[]) { "1000-2000" },
			(char[]) { "1000-2000 r-x" },
			(char[]) { "2000-1000 r-xp 0 0:0 0 /a" },
			(char[]) { "1000-2000 r-xp 0 0:0" },
			(char[]) { "-1000-2000 r-xp 0 0:0 0 /a" },
			(char[]) { "fffffffffffffffff-2000 r-xp 0 0:0 0 /a" } };
	struct maps_line line;

	(void)state;
	assert_true(maps_parse(good, &line));
	assert_int_equal(line.start, 0x7f0c12345000);
	assert_int_equal(line.end, 0x7f0c12346000);
	assert_int_equal(line.offset, 0xa000);
	assert_true(line.executable);
	assert_string_equal(line.path, "/usr/lib/a b.so (deleted)");
	assert_true(maps_parse(anonymous, &line));
	assert_false(line.executable);
	assert_string_equal(line.path, "");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(maps_parse(bad[i], &line));
}

static void finds_what_a_process_maps(void **state)
{
	const char *path = in_folder("libcudart-0a1b.so.12");
	struct candidates candidates = { NULL, 0 };
	const struct candidate *found;
	struct stat mapped, opened;
	char shown[300];
	void *memory, *data;
	int fd;

	(void)state;
	write_file(path, "0123456789", 10, 0644);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(fd, &mapped), 0);
	data = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_int_equal(search_process(getpid(), &candidates), 0);
	assert_null(find(&candidates, path)); /* not executable */
	memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	assert_true(memory != MAP_FAILED);
	assert_int_equal(unlink(path), 0);
	snprintf(shown, sizeof(shown), "%s (deleted)", path);
	assert_int_equal(search_process(getpid(), &candidates), 0);
	found = find(&candidates, shown);
	assert_non_null(found);
	assert_int_equal(found->layer, VT_LAYER_RUNTIME);
	if (geteuid() == 0) {
		assert_int_equal(stat(found->open_path, &opened), 0);
		assert_int_equal(opened.st_ino, mapped.st_ino);
		assert_int_equal(opened.st_dev, mapped.st_dev);
		assert_int_equal(search_process(getpid(), &candidates), 0);
		assert_int_equal(candidates.count, 1);
	}
	munmap(memory, 4096);
	munmap(data, 4096);
	close(fd);
	candidates_fini(&candidates);
	assert_int_equal(candidates.count, 0);
}

static void processes_that_are_gone(void **state)
{
	struct candidates candidates = { NULL, 0 };
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	assert_int_equal(search_process(child, &candidates), -ESRCH);
	assert_int_equal(search_machine(&candidates), 0);
	candidates_fini(&candidates);
}

static void same_path_other_file_is_kept(void **state)
{
	struct candidates candidates = { NULL, 0 };

	(void)state;
	write_file(in_folder("one"), "1", 1, 0644);
	write_file(in_folder("two"), "2", 1, 0644);
	assert_int_equal(candidates_add(&candidates, in_folder("one"), "/lib/libcuda.so.1", VT_LAYER_DRIVER), 0);
	assert_int_equal(candidates_add(&candidates, in_folder("one"), "/lib/libcuda.so.1", VT_LAYER_DRIVER), 0);
	assert_int_equal(candidates.count, 1);
	assert_int_equal(candidates_add(&candidates, in_folder("two"), "/lib/libcuda.so.1", VT_LAYER_DRIVER), 0);
	assert_int_equal(candidates.count, 2);
	candidates_fini(&candidates);
}

static int count_entry(void *ctx, const char *name, const char *path)
{
	assert_true(name[0] != '\0');
	assert_int_equal(path[0], '/');
	++*(unsigned int *)ctx;
	return 0;
}

static int stop_at_libc(void *ctx, const char *name, const char *path)
{
	(void)ctx;
	return !strcmp(name, "libc.so.6") && !access(path, R_OK) ? 7 : 0;
}

static void reads_the_loader_s_cache(void **state)
{
	static const char junk[] = "ld.so-1.7.0\0\377\377\377\377glibc-ld.so.cache1.1";
	unsigned int count = 0;

	(void)state;
	assert_int_equal(ldcache_walk(in_folder("nowhere"), count_entry, &count), 0);
	assert_int_equal(ldcache_parse("", 0, count_entry, &count), -EBADMSG);
	assert_int_equal(ldcache_parse(junk, sizeof(junk), count_entry, &count), -EBADMSG);
	assert_int_equal(count, 0);
	if (access(LDCACHE_PATH, R_OK)) {
		print_message("SKIP: no %s\n", LDCACHE_PATH);
		skip();
	}
	assert_int_equal(ldcache_walk(LDCACHE_PATH, count_entry, &count), 0);
	assert_true(count > 0);
	assert_int_equal(ldcache_walk(LDCACHE_PATH, stop_at_libc, NULL), 7);
}

static void parses_what_loaders_print(void **state)
{
	char text[] = "\tlinux-vdso.so.1 (0x00007ffc)\n"
		      "\tlibcudart.so.13 => /opt/a (0x1)/libcudart.so.13 (0x00007f00)\n"
		      "\t/opt/libcuda.so.1 (0x00007f01)\n"
		      "\tlibcudart.so.12 => not found\n"
		      "\tlibc.so.6 => /lib/libc.so.6 (0x00007f02)\n"
		      "\tlibcuda.so.1 => relative/libcuda.so.1 (0x00007f03)\n"
		      "\tlibcuda.so.1 => /cut";
	struct candidates candidates = { NULL, 0 };

	(void)state;
	assert_int_equal(loader_parse_list(text, &candidates), 0);
	assert_int_equal(candidates.count, 2);
	assert_int_equal(find(&candidates, "/opt/a (0x1)/libcudart.so.13")->layer, VT_LAYER_RUNTIME);
	assert_int_equal(find(&candidates, "/opt/libcuda.so.1")->layer, VT_LAYER_DRIVER);
	candidates_fini(&candidates);
}

static void finds_programs_as_execvp_does(void **state)
{
	char path[300] = "PATH=/nowhere:";
	char *environment[] = { path, NULL };
	char script[300];
	struct program program;

	(void)state;
	snprintf(path, sizeof(path), "PATH=/nowhere:%s:/usr/bin:/bin", folder);
	assert_int_equal(program_find("true", environment, &program), 0);
	assert_non_null(strstr(program.path, "/bin/true"));
	assert_int_equal(program.loader[0], '/');
	write_file(in_folder("one"), "#! /bin/true -x\n", 16, 0755);
	assert_int_equal(program_find("one", environment, &program), 0);
	assert_string_equal(program.path, "/bin/true");
	write_file(in_folder("env"), "#!/usr/bin/env -S A=b one\n", 26, 0755);
	assert_int_equal(program_find(in_folder("env"), environment, &program), 0);
	assert_string_equal(program.path, "/bin/true");
	snprintf(script, sizeof(script), "#!%s\n", in_folder("loop"));
	write_file(in_folder("loop"), script, strlen(script), 0755);
	assert_int_equal(program_find("loop", environment, &program), -ELOOP);
	write_file(in_folder("text"), "echo\n", 5, 0755);
	assert_int_equal(program_find("text", environment, &program), -ENOEXEC);
	write_file(in_folder("text"), "echo\n", 5, 0644);
	assert_int_equal(program_find("text", environment, &program), -ENOENT);
	assert_int_equal(program_find("", environment, &program), -ENOENT);
	assert_int_equal(program_find("/tmp", environment, &program), -ENOENT);
}

/* Any library that the loader accepts, under the runtime's name. */
static void copy_library(const char *to)
{
	char command[600];

	snprintf(command, sizeof(command), "cp \"$(awk '/\\/libz\\.so|\\/libelf/ {print $6; exit}' /proc/%d/maps)\" %s",
		 (int)getpid(), to);
	assert_int_equal(system(command), 0);
	chmod(to, 0644);
}

static void asks_the_program_s_loader(void **state)
{
	char preload[300], search[300];
	char *environment[] = { preload, search, (char[]) { "PATH=/usr/bin:/bin" }, NULL };
	char *argv[] = { (char[]) { "true" }, NULL };
	struct search_command command = { argv, environment, getuid(), getgid() };
	struct candidates candidates = { NULL, 0 };

	(void)state;
	copy_library(in_folder("libcudart.so.99"));
	write_file(in_folder("libcuda.so.1"), "x", 1, 0644);
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", in_folder("libcudart.so.99"));
	snprintf(search, sizeof(search), "LD_LIBRARY_PATH=/nowhere:%s", folder);
	if (geteuid() == 0)
		command.uid = command.gid = 65534;
	assert_int_equal(search_command(&command, &candidates), 0);
	assert_int_equal(candidates.count, 2);
	assert_int_equal(find(&candidates, in_folder("libcudart.so.99"))->layer, VT_LAYER_RUNTIME);
	assert_int_equal(find(&candidates, in_folder("libcuda.so.1"))->layer, VT_LAYER_DRIVER);
	candidates_fini(&candidates);
	argv[0] = (char[]) { "no-such-command" };
	search[0] = preload[0] = 'X';
	assert_int_equal(loader_list(&command, &candidates), 0);
	assert_int_equal(candidates.count, 0);
	candidates_fini(&candidates);
}

/* The loader is whatever the program names: one that never ends, and says who it runs as. */
static void a_slow_loader_has_five_seconds(void **state)
{
	char *environment[] = { (char[]) { "PATH=/usr/bin:/bin" }, NULL };
	char *argv[] = { (char *)(uintptr_t)in_folder("slow"), NULL };
	struct search_command command = { argv, environment, getuid(), getgid() };
	struct candidates candidates = { NULL, 0 };
	char loader[256], script[] = "#!/bin/sh\n"
				     "echo \"x => /$(id -u)/libcudart.so (0x1)\"\n"
				     "sleep 100 & sleep 100\n";
	struct made_elf made;
	Elf64_Phdr interp = { .p_type = PT_INTERP, .p_offset = MADE_NAMES };
	uint64_t start, took_ms;
	char expected[64];

	(void)state;
	snprintf(loader, sizeof(loader), "%s", in_folder("slowloader"));
	interp.p_filesz = strlen(loader) + 1;
	made_init(&made);
	made_put(&made, MADE_NAMES, loader, strlen(loader) + 1);
	made_put(&made, MADE_PHDRS + sizeof(Elf64_Phdr), &interp, sizeof(interp));
	write_file(argv[0], made.bytes, sizeof(made.bytes), 0755);
	write_file(loader, script, sizeof(script) - 1, 0755);
	if (geteuid() == 0)
		command.uid = command.gid = 65534;
	snprintf(expected, sizeof(expected), "/%u/libcudart.so", (unsigned int)command.uid);
	start = clock_mono_ns();
	assert_int_equal(loader_list(&command, &candidates), 0);
	took_ms = (clock_mono_ns() - start) / 1000000;
	assert_in_range(took_ms, 4900, 5600);
	assert_non_null(find(&candidates, expected));
	candidates_fini(&candidates);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_lines),
		cmocka_unit_test(finds_what_a_process_maps),
		cmocka_unit_test(processes_that_are_gone),
		cmocka_unit_test(same_path_other_file_is_kept),
		cmocka_unit_test(reads_the_loader_s_cache),
		cmocka_unit_test(parses_what_loaders_print),
		cmocka_unit_test(finds_programs_as_execvp_does),
		cmocka_unit_test(asks_the_program_s_loader),
		cmocka_unit_test(a_slow_loader_has_five_seconds),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
