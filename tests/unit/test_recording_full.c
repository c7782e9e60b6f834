/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings that cannot be written: the caller is never held up, what is missing is counted, and what is there can be read. */
#include "recording_read.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define ITEMS 60000
#define FIRST 20000 /* before the disk is full */
#define LAST 5000   /* when there is room again */
#define ROOM_BYTES (300u << 10)

static struct dice_item *items;

static int make_items(void **state)
{
	(void)state;
	dice_begin(3, 60);
	items = dice_items(ITEMS);
	return 0;
}

static int free_items(void **state)
{
	(void)state;
	free(items);
	dice_end();
	return 0;
}

static void add_items(struct recorder *recorder, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		recorder_add(recorder, &items[i].item);
	recorder_finish(recorder);
}

static void limit_file(rlim_t bytes)
{
	struct rlimit limit = { bytes, RLIM_INFINITY };

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* What a reader finds missing is what the recorder said. */
static void check_lost(int fd, uint64_t lost)
{
	struct result result = read_items(fd, items, ITEMS);

	assert_int_equal(result.err, 0);
	assert_false(result.cut);
	assert_int_equal(result.lost, lost);
	assert_int_equal(result.given, ITEMS - lost);
}

/* No frame is torn: frames follow each other. */
static void check_whole_frames(int fd)
{
	int copy = dup(fd);

	free_file(file_of(copy));
}

static void make_room(const char *filler)
{
	if (filler)
		unlink(filler);
	else
		limit_file(RLIM_INFINITY);
}

/* Full, and then there is room again. */
static void fill_up(int fd, const char *filler, int expected)
{
	struct recorder *recorder = recorder_on(fd);
	uint64_t lost;
	int err;

	add_items(recorder, 0, ITEMS - LAST);
	lost = recorder_lost(recorder, &err);
	assert_int_equal(err, expected);
	assert_true(lost > 0 && lost < ITEMS - LAST);
	check_whole_frames(fd);
	make_room(filler);
	add_items(recorder, ITEMS - LAST, ITEMS);
	assert_int_equal(recorder_lost(recorder, &err), lost);
	assert_int_equal(err, expected);
	assert_int_equal(recorder_bytes(recorder), lseek(fd, 0, SEEK_END));
	recorder_free(recorder);
	check_lost(fd, lost);
}

/* Each in a process of its own: what it limits is for life. 77: cannot be done here. */
static void in_child(void (*work)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		work();
		exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("SKIP: no mount namespace of our own (root)\n");
		skip();
	}
	assert_int_equal(status, 0);
}

static void limit_work(void)
{
	signal(SIGXFSZ, SIG_IGN);
	limit_file(ROOM_BYTES);
	fill_up(memfd_create("recording", MFD_CLOEXEC), NULL, -EFBIG);
}

static void test_file_limit(void **state)
{
	(void)state;
	in_child(limit_work);
}

static void no_room_work(void)
{
	int fd = memfd_create("recording", MFD_CLOEXEC);
	struct recorder *recorder;
	int err;

	signal(SIGXFSZ, SIG_IGN);
	limit_file(100); /* not even for a head */
	recorder = recorder_on(fd);
	add_items(recorder, 0, FIRST);
	assert_int_equal(recorder_lost(recorder, &err), FIRST);
	assert_int_equal(err, -EFBIG);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	limit_file(RLIM_INFINITY);
	add_items(recorder, FIRST, ITEMS);
	recorder_free(recorder);
	check_lost(fd, FIRST);
}

static void test_no_room_for_a_head(void **state)
{
	(void)state;
	in_child(no_room_work);
}

static void disk_work(void)
{
	char filler[1 << 12] = { 1 };
	int fd;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("full", "/mnt", "tmpfs", 0, "size=8m") < 0 || chdir("/mnt") < 0)
		exit(77);
	fd = open("filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	for (unsigned int i = 0; i < ((8u << 20) - ROOM_BYTES) / sizeof(filler); i++)
		assert_int_equal(write(fd, filler, sizeof(filler)), sizeof(filler));
	close(fd);
	fd = open("recording", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	fill_up(fd, "filler", -ENOSPC);
}

static void test_disk_full(void **state)
{
	(void)state;
	in_child(disk_work);
}

static void expect_nothing(int fd, int expected)
{
	struct recorder *recorder = recorder_on(fd);
	int err;

	add_items(recorder, 0, ITEMS);
	assert_int_equal(recorder_lost(recorder, &err), ITEMS);
	assert_int_equal(err, expected);
	assert_int_equal(recorder_bytes(recorder), 0);
	recorder_free(recorder);
	close(fd);
}

static void test_nothing_can_be_written(void **state)
{
	int fds[2];

	(void)state;
	expect_nothing(open("/dev/full", O_WRONLY | O_CLOEXEC), -ENOSPC);
	expect_nothing(open("/dev/zero", O_RDONLY | O_CLOEXEC), -EBADF);
	expect_nothing(open("/proc/self/mem", O_RDWR | O_CLOEXEC), -EIO); /* at 0, where nothing is mapped */
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	signal(SIGPIPE, SIG_DFL); /* one that came through would end this test */
	expect_nothing(fds[1], -EPIPE);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Nobody reads: 100 MB are taken or counted, and the end is not waited for. */
static void test_stuck_pipe(void **state)
{
	char *path = malloc(100001);
	struct item item = { .kind = ITEM_LIBRARY };
	uint64_t begin_ns = now_ns();
	struct recorder *recorder;
	uint64_t lost;
	int fds[2];
	int err;

	(void)state;
	assert_non_null(path);
	memset(path, 'p', 100000);
	path[100000] = '\0';
	item.library.path = path;
	assert_int_equal(pipe(fds), 0);
	recorder = recorder_on(fds[1]);
	for (item.time_ns = 0; item.time_ns < 1000; item.time_ns++)
		recorder_add(recorder, &item);
	lost = recorder_lost(recorder, &err);
	assert_int_equal(err, -ENOBUFS);
	assert_true(lost > 500 && lost < 800);
	recorder_free(recorder);
	assert_true(now_ns() - begin_ns < 20000000000);
	close(fds[0]);
	close(fds[1]);
	free(path);
}

/* The reader goes away in the middle, within a frame: what it has is a recording that was cut. */
static void test_pipe_closed_in_between(void **state)
{
	static uint8_t data[100000];
	struct recorder *recorder;
	struct result result;
	size_t length = 0;
	int fds[2];
	int err;
	int fd;

	(void)state;
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(pipe(fds), 0);
	recorder = recorder_on(fds[1]);
	for (size_t i = 0; i < ITEMS; i++)
		recorder_add(recorder, &items[i].item);
	while (length < sizeof(data)) {
		ssize_t n = read(fds[0], data + length, sizeof(data) - length);

		assert_true(n > 0);
		length += (size_t)n;
	}
	close(fds[0]);
	recorder_finish(recorder);
	assert_true(recorder_lost(recorder, &err) > 0);
	assert_int_equal(err, -EPIPE);
	recorder_free(recorder);
	close(fds[1]);
	fd = fd_of(data, length);
	result = read_items(fd, items, ITEMS);
	assert_true(result.err == 0 && result.cut && result.damaged && result.given > 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_limit), cmocka_unit_test(test_no_room_for_a_head),
		cmocka_unit_test(test_disk_full),  cmocka_unit_test(test_nothing_can_be_written),
		cmocka_unit_test(test_stuck_pipe), cmocka_unit_test(test_pipe_closed_in_between),
	};

	return cmocka_run_group_tests(tests, make_items, free_items);
}
