/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/clock.h"
#include "elf_maker.h"
#include "probe/mappings.h"
#include "probe/perf_record.h"

#define MAPS_MANY 400

/* What one process did, in the order it was told. */
struct seen {
	pid_t tgid;
	unsigned int maps, forks, execs, exits;
	uint32_t parent;
	uint64_t start, length, map_ns, exec_ns, exit_ns, last_ns;
	bool ordered;
	char path[256];
	const char *wanted; /* part of a path */
};

static void note(void *ctx, const struct mapping *mapping)
{
	struct seen *seen = ctx;

	if ((pid_t)mapping->tgid != seen->tgid)
		return;
	seen->ordered = seen->ordered && mapping->time_ns >= seen->last_ns;
	seen->last_ns = mapping->time_ns;
	switch (mapping->kind) {
	case MAPPING_MAP:
		if (!strstr(mapping->path, seen->wanted))
			break;
		seen->maps++;
		seen->start = mapping->start;
		seen->length = mapping->length;
		seen->map_ns = mapping->time_ns;
		snprintf(seen->path, sizeof(seen->path), "%s", mapping->path);
		break;
	case MAPPING_FORK:
		seen->forks++;
		seen->parent = mapping->parent;
		break;
	case MAPPING_EXEC:
		seen->execs++;
		seen->exec_ns = mapping->time_ns;
		break;
	case MAPPING_EXIT:
		seen->exits++;
		seen->exit_ns = mapping->time_ns;
		break;
	}
}

static struct mappings *open_mappings(void)
{
	struct mappings *mappings = NULL;
	struct diag diag = { "" };
	int err = mappings_open(&mappings, &diag);

	if (err == -EPERM || err == -EACCES || err == -ENOSYS) {
		print_message("SKIP: %s\n", diag.text);
		skip();
	}
	if (err)
		fail_msg("%s", diag.text);
	return mappings;
}

/* Waits on the descriptor, as a caller would, and drains. */
static void drain_for(struct mappings *mappings, struct seen *seen, int ms)
{
	uint64_t deadline = clock_mono_ns() + (uint64_t)ms * 1000000;

	while (clock_mono_ns() < deadline && !seen->exits) {
		struct pollfd poll_fd = { .fd = mappings_fd(mappings), .events = POLLIN };

		if (poll(&poll_fd, 1, ms) > 0)
			mappings_drain(mappings, note, seen);
	}
}

/* A child that waits for a byte, so that its pid is known before it does anything. */
static pid_t start(void (*action)(void), int *ret_go)
{
	int go[2];
	pid_t child;
	char byte;

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		action();
		_exit(0);
	}
	close(go[0]);
	*ret_go = go[1];
	return child;
}

static struct seen watch(struct mappings *mappings, void (*action)(void), const char *wanted)
{
	struct seen seen = { .wanted = wanted, .ordered = true };
	int go;

	seen.tgid = start(action, &go);
	assert_int_equal(write(go, "x", 1), 1);
	close(go);
	drain_for(mappings, &seen, 5000);
	waitpid(seen.tgid, NULL, 0);
	return seen;
}

static void map_file(void)
{
	int fd = made_fd("code", 4);

	/* Data and anonymous code are not told. */
	mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void tells_of_executable_files_only(void **state)
{
	struct mappings *mappings = open_mappings();
	uint64_t before = clock_mono_ns();
	struct seen seen = watch(mappings, map_file, "");

	(void)state;
	assert_int_equal(seen.maps, 1);
	assert_non_null(strstr(seen.path, "/memfd:made"));
	assert_int_equal(seen.length, 8192);
	assert_in_range(seen.map_ns, before, clock_mono_ns());
	assert_int_equal(seen.forks, 1);
	assert_int_equal(seen.parent, getpid());
	assert_int_equal(seen.exits, 1);
	assert_int_equal(seen.execs, 0);
	assert_true(seen.ordered);
	assert_int_equal(mappings_lost(mappings), 0);
	mappings_free(mappings);
	mappings_free(NULL);
}

static void protect_file(void)
{
	int fd = made_fd("code", 4);
	void *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

	if (mprotect(memory, 4096, PROT_READ | PROT_EXEC))
		_exit(1);
}

static void tells_of_data_that_becomes_code(void **state)
{
	struct mappings *mappings = open_mappings();
	struct seen seen = watch(mappings, protect_file, "/memfd:made");

	(void)state;
	assert_int_equal(seen.maps, 1);
	mappings_free(mappings);
}

static void *nothing(void *arg)
{
	return arg;
}

static void run_true(void)
{
	pthread_t thread;

	/* A thread is no fork, and its end is no exit. */
	if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
		_exit(1);
	execl("/bin/true", "true", (char *)NULL);
}

static void tells_of_exec(void **state)
{
	struct mappings *mappings = open_mappings();
	struct seen seen = watch(mappings, run_true, "/bin/true");

	(void)state;
	assert_int_equal(seen.forks, 1);
	assert_int_equal(seen.execs, 1);
	assert_true(seen.maps >= 1);
	assert_int_equal(seen.exits, 1);
	assert_true(seen.exec_ns <= seen.map_ns && seen.map_ns < seen.exit_ns);
	mappings_free(mappings);
}

static int told[2];

static void load_library(void)
{
	uint64_t times[2] = { clock_mono_ns() };
	void *library = dlopen("libutil.so.1", RTLD_NOW);

	if (!library)
		library = dlopen("libresolv.so.2", RTLD_NOW);
	times[1] = library ? clock_mono_ns() : 0;
	if (write(told[1], times, sizeof(times)) != sizeof(times))
		_exit(1);
	pause();
}

static void arrives_about_when_dlopen_returns(void **state)
{
	struct mappings *mappings = open_mappings();
	struct seen seen = { .wanted = ".so" };
	uint64_t times[2], arrived = 0;
	int go;

	(void)state;
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	seen.tgid = start(load_library, &go);
	mappings_drain(mappings, note, &seen);
	assert_int_equal(write(go, "x", 1), 1);
	for (int i = 0; i < 1000 && !arrived; i++) {
		struct pollfd poll_fd = { .fd = mappings_fd(mappings), .events = POLLIN };

		if (poll(&poll_fd, 1, 1000) > 0)
			mappings_drain(mappings, note, &seen);
		if (seen.maps)
			arrived = clock_mono_ns();
	}
	assert_int_equal(read(told[0], times, sizeof(times)), sizeof(times));
	assert_true(times[1] > 0);
	assert_true(arrived > 0);
	print_message("%s: told %.3f ms after dlopen began; dlopen took %.3f ms\n", seen.path,
		      (double)(int64_t)(arrived - times[0]) / 1e6, (double)(times[1] - times[0]) / 1e6);
	assert_true(seen.map_ns >= times[0] && seen.map_ns <= times[1]);
	assert_in_range(arrived - times[0], 0, 1000000000);
	kill(seen.tgid, SIGKILL);
	waitpid(seen.tgid, NULL, 0);
	close(go);
	close(told[0]);
	close(told[1]);
	mappings_free(mappings);
}

static void map_many(void)
{
	int fd = made_fd("code", 4);

	for (int i = 0; i < MAPS_MANY; i++) {
		void *memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

		munmap(memory, 4096);
	}
}

/* Several times the size of a ring in all: places where a record wraps around are among them. */
static void nothing_is_missing_when_the_ring_wraps(void **state)
{
	struct mappings *mappings = open_mappings();

	(void)state;
	for (int round = 0; round < 20; round++) {
		struct seen seen = watch(mappings, map_many, "/memfd:made");

		assert_int_equal(seen.maps, MAPS_MANY);
		assert_true(seen.ordered);
	}
	assert_int_equal(mappings_lost(mappings), 0);
	mappings_free(mappings);
}

static void what_is_lost_is_counted(void **state)
{
	struct mappings *mappings = open_mappings();
	struct seen seen = { .wanted = "/memfd:made" };
	unsigned int rounds = 10;
	cpu_set_t all, one;

	(void)state;
	/* Each CPU has a ring of its own, and tells of its own loss: all of it on one. */
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	for (unsigned int round = 0; round < rounds; round++) {
		int go;

		seen.tgid = start(map_many, &go);
		assert_int_equal(write(go, "x", 1), 1);
		close(go);
		waitpid(seen.tgid, NULL, 0);
	}
	mappings_drain(mappings, note, &seen);
	/* The kernel says how many it dropped with the next record that fits. */
	seen.exits = 0;
	watch(mappings, map_file, "");
	mappings_drain(mappings, note, &seen);
	assert_true(mappings_lost(mappings) > 0);
	assert_true(mappings_lost(mappings) < 4 * rounds * MAPS_MANY);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	mappings_free(mappings);
}

static void malformed_records_are_nothing(void **state)
{
	uint64_t record[16] = { 0 };
	struct perf_event_header *header = (void *)record;
	struct mapping mapping;
	uint64_t lost = 0;

	(void)state;
	for (uint32_t type = 0; type < 32; type++) {
		for (size_t length = 0; length <= sizeof(record); length += 8) {
			memset(record, 0xff, sizeof(record));
			header->type = type;
			header->size = (uint16_t)length;
			/* tgid is -1, and the path has no end */
			assert_int_not_equal(perf_record_decode(record, length, &mapping, &lost), PERF_NEWS_MAPPING);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_of_executable_files_only),
		cmocka_unit_test(tells_of_data_that_becomes_code),
		cmocka_unit_test(tells_of_exec),
		cmocka_unit_test(arrives_about_when_dlopen_returns),
		cmocka_unit_test(nothing_is_missing_when_the_ring_wraps),
		cmocka_unit_test(what_is_lost_is_counted),
		cmocka_unit_test(malformed_records_are_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
