/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/clock.h"
#include "elf_maker.h"
#include "probe/reader.h"
#include "probe/reader_child.h"

#define MUTATIONS 10000

static struct reader *new_reader(void)
{
	struct reader *reader = NULL;
	struct diag diag = { "" };

	if (reader_new(&reader, &diag))
		fail_msg("%s", diag.text);
	return reader;
}

static void make_library(struct made_elf *made)
{
	made_init(made);
	made_symbol(made, 1, "cudaMalloc", STT_FUNC, 0x40, 16);
	made_symbol(made, 1, "cudaFree", STT_FUNC, 0x60, 16);
	made_symbol(made, 0, "inside", STT_FUNC, 0x100, 16);
}

/* Our child whose name is the reader's; -1 if there is none. */
static pid_t find_child(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t found = -1;

	while (found < 0 && (entry = readdir(proc))) {
		char path[300], comm[32], state;
		int pid, parent;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		file = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? fopen(path, "re") : NULL;
		if (!file)
			continue;
		if (fscanf(file, "%d (%31[^)]) %c %d", &pid, comm, &state, &parent) == 4 && parent == getpid() &&
		    !strcmp(comm, "vramtrace-elf"))
			found = pid;
		fclose(file);
	}
	closedir(proc);
	return found;
}

static void expect_library(struct reader *reader, int fd)
{
	struct elf_exports exports;
	struct elf_place place;

	assert_int_equal(reader_exports(reader, fd, VT_LAYER_RUNTIME, &exports), 0);
	assert_int_equal(exports.count, 2);
	assert_int_equal(exports.exports[0].offset, MADE_TEXT + 0x40);
	assert_int_equal(reader_place(reader, fd, MADE_TEXT + 0x104, &place), 0);
	assert_string_equal(place.symbol, "inside");
	assert_int_equal(place.offset, 4);
}

static void answers_like_the_elf_functions(void **state)
{
	struct reader *reader = new_reader();
	struct elf_exports exports = { .count = 9 };
	struct made_elf made;
	int fd, text;

	(void)state;
	make_library(&made);
	fd = made_fd(made.bytes, sizeof(made.bytes));
	text = made_fd("text", 4);
	expect_library(reader, fd);
	assert_int_equal(reader_exports(reader, text, VT_LAYER_RUNTIME, &exports), -ENOEXEC);
	assert_int_equal(exports.count, 9);
	assert_int_equal(reader_exports(reader, -1, VT_LAYER_RUNTIME, &exports), -EBADF);
	expect_library(reader, fd);
	close(fd);
	close(text);
	reader_free(reader);
	reader_free(NULL);
	assert_int_equal(find_child(), -1);
}

static void a_killed_child_costs_at_most_one_answer(void **state)
{
	struct reader *reader = new_reader();
	struct made_elf made;
	pid_t first = find_child();
	int fd;

	(void)state;
	make_library(&made);
	fd = made_fd(made.bytes, sizeof(made.bytes));
	assert_true(first > 0);
	assert_int_equal(kill(first, SIGKILL), 0);
	while (waitid(P_PID, (id_t)first, &(siginfo_t) { 0 }, WEXITED | WNOWAIT))
		;
	expect_library(reader, fd);
	assert_int_not_equal(find_child(), first);
	close(fd);
	reader_free(reader);
}

static void a_silent_child_costs_five_seconds(void **state)
{
	struct reader *reader = new_reader();
	struct elf_exports exports;
	struct made_elf made;
	uint64_t start, took_ms;
	int fd;

	(void)state;
	make_library(&made);
	fd = made_fd(made.bytes, sizeof(made.bytes));
	assert_int_equal(kill(find_child(), SIGSTOP), 0);
	start = clock_mono_ns();
	assert_int_equal(reader_exports(reader, fd, VT_LAYER_RUNTIME, &exports), -ETIMEDOUT);
	took_ms = (clock_mono_ns() - start) / 1000000;
	assert_in_range(took_ms, 4900, 5500);
	expect_library(reader, fd);
	close(fd);
	reader_free(reader);
}

static void signals_of_the_terminal_are_not_for_it(void **state)
{
	struct reader *reader = new_reader();
	pid_t child = find_child();
	struct made_elf made;
	int fd;

	(void)state;
	make_library(&made);
	fd = made_fd(made.bytes, sizeof(made.bytes));
	kill(child, SIGINT);
	kill(child, SIGTERM);
	expect_library(reader, fd);
	assert_int_equal(find_child(), child);
	close(fd);
	reader_free(reader);
}

static void it_ends_with_its_parent(void **state)
{
	int ends[2];
	pid_t middle, child = -1;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	middle = fork();
	if (middle == 0) {
		struct reader *reader = NULL;
		struct diag diag;

		if (reader_new(&reader, &diag))
			_exit(1);
		child = find_child();
		if (write(ends[1], &child, sizeof(child)) != sizeof(child))
			_exit(1);
		pause();
	}
	assert_int_equal(read(ends[0], &child, sizeof(child)), sizeof(child));
	assert_true(child > 0);
	kill(middle, SIGKILL);
	waitpid(middle, NULL, 0);
	for (int i = 0; i < 1000; i++) {
		char path[64], line[256] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/stat", (int)child);
		file = fopen(path, "re");
		if (file && !fgets(line, sizeof(line), file))
			line[0] = '\0';
		if (file)
			fclose(file);
		if (!file || strstr(line, ") Z ")) {
			child = 0;
			break;
		}
		usleep(1000);
	}
	assert_int_equal(child, 0);
	close(ends[0]);
	close(ends[1]);
}

/* Random bytes changed in a good file: whatever happens to the child, we live, and the good file is read afterwards. */
static void mutated_files_do_not_reach_us(void **state)
{
	struct reader *reader = new_reader();
	unsigned int deaths = 0, found = 0, seed = 1;
	struct made_elf good, bad;
	int good_fd;

	(void)state;
	make_library(&good);
	good_fd = made_fd(good.bytes, sizeof(good.bytes));
	for (int i = 0; i < MUTATIONS; i++) {
		struct elf_exports exports;
		struct elf_place place;
		int fd, err;

		bad = good;
		for (int n = rand_r(&seed) % 8 + 1; n > 0; n--) {
			/* Most of what matters is in the headers. */
			size_t at = (size_t)rand_r(&seed) % (n % 2 ? MADE_TEXT : MADE_BYTES);

			bad.bytes[at] = n % 3 ? (unsigned char)rand_r(&seed) : 0xff;
		}
		fd = made_fd(bad.bytes, sizeof(bad.bytes));
		assert_true(fd >= 0);
		err = reader_exports(reader, fd, VT_LAYER_RUNTIME, &exports);
		assert_true(err <= 0);
		assert_true(err || exports.count <= VT_PROBE_COUNT);
		found += !err && exports.count;
		deaths += err == -EPIPE || err == -ETIMEDOUT;
		err = reader_place(reader, fd, MADE_TEXT + (uint64_t)rand_r(&seed) % MADE_TEXT_BYTES, &place);
		assert_true(err <= 0);
		deaths += err == -EPIPE || err == -ETIMEDOUT;
		close(fd);
	}
	print_message("%d mutations: %u still had exports, %u deaths of the child\n", MUTATIONS, found, deaths);
	assert_int_equal(deaths, 0);
	assert_true(found > 0 && found < MUTATIONS);
	expect_library(reader, good_fd);
	close(good_fd);
	reader_free(reader);
}

/* A file that is cut while it is read must not take the child with it: nothing is mapped. */
static void a_file_cut_short_is_only_an_error(void **state)
{
	struct reader *reader = new_reader();
	struct elf_exports exports;
	struct made_elf made;
	pid_t child = find_child();

	(void)state;
	make_library(&made);
	for (int i = 0; i < 200; i++) {
		int fd = made_fd(made.bytes, sizeof(made.bytes));
		pid_t cutter = fork();

		if (cutter == 0) {
			usleep((useconds_t)i);
			_exit(ftruncate(fd, 64 + i));
		}
		for (int n = 0; n < 5; n++) {
			int err = reader_exports(reader, fd, VT_LAYER_RUNTIME, &exports);

			assert_true(err == 0 || err == -ENOEXEC);
		}
		waitpid(cutter, NULL, 0);
		close(fd);
	}
	assert_int_equal(find_child(), child);
	reader_free(reader);
}

static int confined_fd;

static void try_nothing(void)
{
	struct elf_exports exports;

	_exit(elf_read_exports(0, VT_LAYER_RUNTIME, &exports) == -ENOEXEC ? 0 : 1);
}

static void try_open(void)
{
	syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}

static void try_old_open(void)
{
	syscall(SYS_open, "/etc/passwd", O_RDONLY);
}

static void try_socket(void)
{
	syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static void try_fork(void)
{
	syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void try_exec(void)
{
	char *arguments[] = { NULL };

	execve("/bin/true", arguments, arguments);
}

static void try_kill(void)
{
	syscall(SYS_kill, getppid(), 0);
}

static void try_ptrace(void)
{
	syscall(SYS_ptrace, PTRACE_ATTACH, 1, 0, 0);
}

static void try_code(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void try_limit(void)
{
	syscall(SYS_prlimit64, 0, 0, NULL, NULL);
}

/* How a confined process ends that does this: a wait status. */
static int status_of(void (*attempt)(void))
{
	pid_t parent = getpid(), child;
	int pair[2], status;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	child = fork();
	if (child == 0) {
		const char *step;

		if (reader_confine(pair[1], parent, &step))
			_exit(99);
		attempt();
		_exit(98);
	}
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void the_filter_kills_what_reading_does_not_need(void **state)
{
	void (*const attempts[])(void) = {
		try_open, try_old_open, try_socket, try_fork, try_exec, try_kill, try_ptrace, try_code, try_limit,
	};
	int status = status_of(try_nothing);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		status = status_of(attempts[i]);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("attempt %zu ended with wait status %#x", i, (unsigned int)status);
	}
}

static void check_descriptors(void)
{
	char byte;

	/* Only /dev/null three times and the socket are left. */
	_exit(pread(confined_fd, &byte, 1, 0) == -1 && errno == EBADF ? 0 : 1);
}

static void descriptors_are_closed(void **state)
{
	int status;

	(void)state;
	confined_fd = fcntl(made_fd("secret", 6), F_DUPFD_CLOEXEC, 10);
	assert_true(confined_fd >= 10);
	status = status_of(check_descriptors);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(confined_fd);
}

static char *shared_page;

static void write_shared(void)
{
	*(volatile char *)shared_page = 1;
}

static void shared_memory_is_gone(void **state)
{
	int status;

	(void)state;
	shared_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared_page != MAP_FAILED);
	status = status_of(write_shared);
	assert_int_equal(*shared_page, 0);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 98);
	munmap(shared_page, 4096);
}

static void the_status_file_shows_no_rights(void **state)
{
	struct reader *reader = new_reader();
	unsigned int uid = 0, no_new_privs = 0, seccomp = 0;
	unsigned long long effective = 1, permitted = 1, bounding = 1;
	char path[64], line[256];
	FILE *file;

	(void)state;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)find_child());
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		sscanf(line, "Uid: %u", &uid);
		sscanf(line, "CapEff: %llx", &effective);
		sscanf(line, "CapPrm: %llx", &permitted);
		sscanf(line, "CapBnd: %llx", &bounding);
		sscanf(line, "NoNewPrivs: %u", &no_new_privs);
		sscanf(line, "Seccomp: %u", &seccomp);
	}
	fclose(file);
	assert_int_not_equal(uid, 0);
	assert_int_equal(effective, 0);
	assert_int_equal(permitted, 0);
	if (geteuid() == 0)
		assert_int_equal(bounding, 0);
	assert_int_equal(no_new_privs, 1);
	assert_int_equal(seccomp, 2);
	reader_free(reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_like_the_elf_functions),
		cmocka_unit_test(a_killed_child_costs_at_most_one_answer),
		cmocka_unit_test(a_silent_child_costs_five_seconds),
		cmocka_unit_test(signals_of_the_terminal_are_not_for_it),
		cmocka_unit_test(it_ends_with_its_parent),
		cmocka_unit_test(mutated_files_do_not_reach_us),
		cmocka_unit_test(a_file_cut_short_is_only_an_error),
		cmocka_unit_test(the_filter_kills_what_reading_does_not_need),
		cmocka_unit_test(descriptors_are_closed),
		cmocka_unit_test(shared_memory_is_gone),
		cmocka_unit_test(the_status_file_shows_no_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
