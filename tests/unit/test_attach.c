/* SPDX-License-Identifier: Apache-2.0 */
#include "attach_fixture.h"

static void listed_processes(void **state)
{
	struct attach *attach = load(true);

	(void)state;
	assert_false(attach_has_process(attach, 4711));
	assert_int_equal(attach_add_process(attach, 4711), 0);
	assert_int_equal(attach_add_process(attach, 4711), -EEXIST);
	assert_true(attach_has_process(attach, 4711));
	assert_false(attach_has_process(attach, 4712));
	attach_remove_process(attach, 4711);
	assert_false(attach_has_process(attach, 4711));
	assert_int_equal(attach_add_process(attach, 4711), 0);
	attach_free(attach);
	attach_free(NULL);
}

static void a_library_is_probed_once(void **state)
{
	struct attach *attach = load(true);
	struct library *library = open_library(), *again = open_library();
	uint64_t before = clock_mono_ns(), since;
	struct diag diag = { "" };

	(void)state;
	assert_int_equal(attach_library_since(attach, library->dev, library->ino), 0);
	assert_int_equal(attach_library(attach, library, &diag), 0);
	since = attach_library_since(attach, library->dev, library->ino);
	assert_in_range(since, before, clock_mono_ns());
	assert_int_equal(attach_library_since(attach, library->dev, library->ino + 1), 0);
	/* The file counts, not the descriptor; and the first one's time stays. */
	library_free(library);
	assert_int_equal(attach_library(attach, again, &diag), -EALREADY);
	assert_int_equal(attach_library_since(attach, again->dev, again->ino), since);
	library_free(again);
	attach_free(attach);
}

static void a_refused_library_is_not_probed(void **state)
{
	struct attach *attach = load(true);
	struct library *library = open_library();
	uint64_t offset = library->exports.exports[1].offset;
	struct diag diag = { "" };

	(void)state;
	library->exports.exports[1].offset = 1ull << 30; /* far behind the end of the file */
	assert_true(attach_library(attach, library, &diag) < 0);
	assert_non_null(strstr(diag.text, "refuses the probes"));
	assert_int_equal(attach_library_since(attach, library->dev, library->ino), 0);
	library->exports.exports[1].offset = offset;
	assert_int_equal(attach_library(attach, library, &diag), 0);
	library_free(library);
	attach_free(attach);
}

static void a_ring_of_no_size_is_an_error(void **state)
{
	struct attach_settings settings = { .listed_only = true };
	struct attach *attach = NULL;
	struct diag diag = { "" };

	(void)state;
	attach_free(load(true)); /* skips where the sound one cannot be loaded either */
	assert_true(attach_new(&settings, &attach, &diag) < 0);
	assert_null(attach);
	assert_non_null(strstr(diag.text, "BPF programs"));
}

static void no_ring_is_an_error(void **state)
{
	struct source *source = NULL;
	struct diag diag = { "" };
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(source_open_ring(fd, on_record, NULL, &source, &diag) < 0);
	assert_null(source);
	assert_non_null(strstr(diag.text, "ring buffer"));
	close(fd);
	source_free(NULL);
}

#define LOOKED_AT 14

/* By the number of the record, from 1: as it was seen at each distance, and as it came (0). */
static struct {
	char bytes[VT_RECORD_BYTES_MAX];
	size_t length;
} looks[LOOKED_AT + SOURCE_AHEAD + 1][SOURCE_AHEAD + 1];
static size_t taken;

static void look(void *ctx, const void *data, size_t length, int distance)
{
	(void)ctx;
	assert_in_range(distance, 1, SOURCE_AHEAD);
	assert_in_range(length, 1, VT_RECORD_BYTES_MAX);
	memcpy(looks[taken + 1 + (size_t)distance][distance].bytes, data,
	       length); /* the one at hand is number taken + 1 */
	looks[taken + 1 + (size_t)distance][distance].length = length;
}

static void take_looked_at(void *ctx, const void *data, size_t length)
{
	(void)ctx;
	assert_true(taken < LOOKED_AT);
	taken++;
	looks[taken][0].length = length;
	memcpy(looks[taken][0].bytes, data, length);
}

static void what_comes_is_seen_before(void **state)
{
	struct user user = user_start(library_path);
	struct fixture *fixture = start(true);
	struct source *source;
	struct diag diag = { "" };
	size_t seen = 0;

	(void)state;
	assert_int_equal(attach_add_process(fixture->attach, (uint32_t)user.pid), 0);
	assert_int_equal(source_open_ring(attach_ring_fd(fixture->attach), take_looked_at, NULL, &source, &diag), 0);
	source_look_ahead(source, look);
	for (int i = 0; i < LOOKED_AT - 1; i++) /* one more tells of the process */
		user_call(&user, 'a', 64 << i, 0);
	assert_int_equal(source_drain(source, 0), LOOKED_AT);
	for (size_t number = 1; number <= LOOKED_AT; number++) {
		for (size_t distance = 1; distance <= SOURCE_AHEAD; distance++) {
			if (!looks[number][distance].length)
				continue;
			seen++;
			assert_int_equal(looks[number][distance].length, looks[number][0].length);
			assert_memory_equal(looks[number][distance].bytes, looks[number][0].bytes,
					    looks[number][0].length);
		}
	}
	/* At the first one 11, and at each fourth one what is there. */
	assert_int_equal(seen, 11 + 9 + 5 + 1);
	source_free(source);
	user_end(&user);
	end(fixture);
}

static void expect_call(const struct event *event, const struct user *user, enum event_kind kind, enum vt_probe row)
{
	assert_int_equal(event->kind, kind);
	assert_int_equal(event->tgid, user->pid);
	assert_int_equal(event->tid, user->pid);
	assert_int_equal(event->row, row);
	assert_int_equal(event->outer_row, row);
	assert_int_equal(event->flags, 0);
	assert_true(event->frame_count >= 1);
	assert_true(event->enter_ns < event->time_ns);
}

static void calls_come_out_as_events(void **state)
{
	struct user user = user_start(library_path), other = user_start(library_path);
	struct fixture *fixture = start(true);
	const struct event *events = fixture->events;
	uint64_t begin = clock_mono_ns(), addr;
	struct vt_stats stats;

	(void)state;
	assert_int_equal(attach_add_process(fixture->attach, (uint32_t)user.pid), 0);
	user_call(&other, 'a', 64, 0); /* not listed */
	addr = user_call(&user, 'a', 12344, 0);
	user_call(&user, 'a', TOO_MUCH, 2);
	user_call(&user, 'f', addr + 1, 1);
	user_call(&user, 'f', addr, 0);
	assert_int_equal(source_drain(fixture->source, 2), 2);
	assert_int_equal(source_drain(fixture->source, 0), 3);
	assert_int_equal(source_drain(fixture->source, 0), 0);
	assert_int_equal(fixture->count, 5);
	assert_int_equal(events[0].kind, EVENT_PROCESS);
	assert_int_equal(events[0].tgid, user.pid);
	assert_int_equal(events[0].parent_tgid, getpid());
	expect_call(&events[1], &user, EVENT_ALLOC, VT_PROBE_cuMemAlloc_v2);
	assert_int_equal(events[1].size, 12344);
	assert_int_equal(events[1].addr, addr);
	assert_int_equal(events[1].result, 0);
	assert_in_range(events[1].enter_ns, begin, clock_mono_ns());
	expect_call(&events[2], &user, EVENT_ALLOC_FAILED, VT_PROBE_cuMemAlloc_v2);
	assert_int_equal(events[2].size, TOO_MUCH);
	assert_int_equal(events[2].addr, 0);
	assert_int_equal(events[2].result, 2);
	expect_call(&events[3], &user, EVENT_FREE_FAILED, VT_PROBE_cuMemFree_v2);
	assert_int_equal(events[3].addr, addr + 1);
	assert_int_equal(events[3].result, 1);
	expect_call(&events[4], &user, EVENT_FREE, VT_PROBE_cuMemFree_v2);
	assert_int_equal(events[4].addr, addr);
	stats = stats_of(fixture);
	assert_memory_equal(&stats, (&(struct vt_stats) { .entered = 4, .returned = 4, .produced = 5 }), sizeof(stats));
	user_end(&user);
	user_end(&other);
	end(fixture);
}

static void an_unreadable_result_is_counted(void **state)
{
	struct user user = user_start(library_path);
	struct fixture *fixture = start(true);

	(void)state;
	assert_int_equal(attach_add_process(fixture->attach, (uint32_t)user.pid), 0);
	user_call(&user, 'n', 64, 0);
	assert_int_equal(source_drain(fixture->source, 0), 2);
	assert_int_equal(fixture->events[1].kind, EVENT_LOST);
	assert_int_equal(fixture->events[1].lost_cause, LOST_READ);
	assert_int_equal(stats_of(fixture).read_failed, 1);
	user_end(&user);
	end(fixture);
}

/* More than the ring holds: every record is delivered or counted, and the next one says how many were not. */
static void what_does_not_fit_is_counted(void **state)
{
	struct user user = user_start(library_path);
	struct fixture *fixture = start(true);
	struct vt_stats stats;
	cpu_set_t one;
	int delivered;

	(void)state;
	/* A record tells the losses of its own CPU. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(user.pid, sizeof(one), &one), 0);
	assert_int_equal(attach_add_process(fixture->attach, (uint32_t)user.pid), 0);
	for (int i = 0; i < 200; i++)
		user_call(&user, 'a', 64, 0);
	delivered = source_drain(fixture->source, 0);
	stats = stats_of(fixture);
	assert_int_equal(stats.produced, 201);
	assert_true(delivered > 10 && delivered < 100);
	assert_int_equal(stats.lost_ring, 201 - delivered);
	assert_int_equal(fixture->last_lost, 0);
	user_call(&user, 'a', 64, 0);
	assert_int_equal(source_drain(fixture->source, 0), 1);
	assert_int_equal(fixture->last_lost, stats.lost_ring);
	user_end(&user);
	end(fixture);
}

/* Whole machine: no process is named, and the tracer's own calls do not count. */
static void everyone_but_the_tracer(void **state)
{
	struct user user = user_start(library_path);
	struct fixture *fixture = start(false);
	void *library = dlopen(library_path, RTLD_NOW);
	const struct order order = { .value = 64, .what = 'a' };
	uint64_t addr;

	(void)state;
	assert_non_null(library);
	assert_int_equal(serve_one(library, &order, &addr), 0);
	dlclose(library);
	assert_int_equal(stats_of(fixture).entered, 0);
	assert_false(attach_has_process(fixture->attach, (uint32_t)user.pid));
	user_call(&user, 'a', 64, 0);
	assert_true(attach_has_process(fixture->attach, (uint32_t)user.pid));
	source_drain(fixture->source, 0);
	assert_int_equal(fixture->count, 2);
	assert_int_equal(fixture->events[1].tgid, user.pid);
	user_end(&user);
	end(fixture);
}

/* Whether the page of the child's memory that holds the function is the file's. */
static bool is_text_as_in_file(const struct fixture *fixture, const struct user *user)
{
	unsigned char memory[PAGE_BYTES] = { 0 }, file[PAGE_BYTES] = { 0 };
	uint64_t at = user_call(user, 'w', 0, 0) & ~(uint64_t)(PAGE_BYTES - 1);
	uint64_t offset = fixture->library->exports.exports[0].offset & ~(uint64_t)(PAGE_BYTES - 1);
	char path[64];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", user->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, memory, sizeof(memory), (off_t)at), sizeof(memory));
	close(fd);
	got = pread(fixture->library->fd, file, sizeof(file), (off_t)offset);
	assert_true(got > 0);
	return !memcmp(memory, file, (size_t)got);
}

static void nothing_is_left_after_detach(void **state)
{
	struct user user = user_start(library_path);
	struct fixture *fixture = start(true);
	struct vt_stats stats;

	(void)state;
	assert_int_equal(attach_add_process(fixture->attach, (uint32_t)user.pid), 0);
	user_call(&user, 'a', 64, 0);
	assert_int_equal(source_drain(fixture->source, 0), 2);
	assert_false(is_text_as_in_file(fixture, &user));
	attach_disable(fixture->attach);
	user_call(&user, 'a', 64, 0);
	assert_int_equal(source_drain(fixture->source, 0), 0);
	assert_int_equal(stats_of(fixture).entered, 1);
	attach_detach(fixture->attach);
	assert_true(is_text_as_in_file(fixture, &user));
	assert_int_equal(attach_library_since(fixture->attach, fixture->library->dev, fixture->library->ino), 0);
	attach_enable(fixture->attach);
	user_call(&user, 'a', 64, 0);
	stats = stats_of(fixture);
	assert_int_equal(stats.entered, 1);
	assert_int_equal(stats.returned, 1);
	/* Process life is still told. */
	user_end(&user);
	assert_int_equal(source_drain(fixture->source, 0), 1);
	assert_int_equal(fixture->events[2].kind, EVENT_EXIT);
	assert_int_equal(fixture->events[2].exit_code, SIGKILL);
	assert_false(attach_has_process(fixture->attach, (uint32_t)user.pid));
	end(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listed_processes),
		cmocka_unit_test(a_library_is_probed_once),
		cmocka_unit_test(a_refused_library_is_not_probed),
		cmocka_unit_test(a_ring_of_no_size_is_an_error),
		cmocka_unit_test(no_ring_is_an_error),
		cmocka_unit_test(calls_come_out_as_events),
		cmocka_unit_test(what_comes_is_seen_before),
		cmocka_unit_test(an_unreadable_result_is_counted),
		cmocka_unit_test(what_does_not_fit_is_counted),
		cmocka_unit_test(everyone_but_the_tracer),
		cmocka_unit_test(nothing_is_left_after_detach),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
