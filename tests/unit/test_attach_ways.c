/* SPDX-License-Identifier: Apache-2.0 */
/* What is used instead of what a kernel lacks, and whose losses are whose. */
#include "attach_fixture.h"

static uint64_t tell_some(struct fixture *fixture, const struct user *user)
{
	uint64_t addr;

	assert_int_equal(attach_add_process(fixture->attach, (uint32_t)user->pid), 0);
	addr = user_call(user, 'a', 12344, 0);
	user_call(user, 'a', TOO_MUCH, 2);
	user_call(user, 'f', addr, 0);
	assert_int_equal(source_drain(fixture->source, 0), 4);
	assert_int_equal(fixture->events[0].kind, EVENT_PROCESS);
	return addr;
}

static void the_same_calls(unsigned int without)
{
	struct user user = user_start(library_path);
	struct fixture *fixture = start_with(true, without, 0);
	const struct event *events = fixture->events;
	uint64_t addr = tell_some(fixture, &user);

	assert_false(attach_entry_only(fixture->attach));
	assert_int_equal(events[1].kind, EVENT_ALLOC);
	assert_int_equal(events[1].addr, addr);
	assert_int_equal(events[2].kind, EVENT_ALLOC_FAILED);
	assert_int_equal(events[2].size, TOO_MUCH);
	assert_int_equal(events[3].kind, EVENT_FREE);
	assert_int_equal(events[3].addr, addr);
	assert_int_equal(stats_of(fixture).returned, 3);
	user_end(&user);
	end(fixture);
}

static void links_one_by_one(void **state)
{
	(void)state;
	the_same_calls(ATTACH_WITHOUT_MULTI);
}

static void threads_in_a_hash_table(void **state)
{
	(void)state;
	the_same_calls(ATTACH_WITHOUT_TASK_STORAGE);
}

static void neither(void **state)
{
	(void)state;
	the_same_calls(ATTACH_WITHOUT_MULTI | ATTACH_WITHOUT_TASK_STORAGE);
}

static void only_entries(void **state)
{
	struct user user = user_start(library_path);
	struct fixture *fixture = start_with(true, ATTACH_WITHOUT_RETURN_PROBES, 0);
	const struct event *events = fixture->events;
	uint64_t addr = tell_some(fixture, &user);

	(void)state;
	assert_true(attach_entry_only(fixture->attach));
	for (int i = 1; i < 4; i++) {
		assert_int_equal(events[i].kind, EVENT_ENTERED);
		assert_int_equal(events[i].flags, VT_FLAG_ENTRY);
		assert_int_equal(events[i].result, 0);
		assert_true(events[i].frame_count >= 1);
	}
	assert_int_equal(events[1].size, 12344);
	assert_int_equal(events[1].addr, 0);
	assert_int_equal(events[2].size, TOO_MUCH);
	assert_int_equal(events[3].size, 0);
	assert_int_equal(events[3].addr, addr);
	assert_int_equal(stats_of(fixture).entered, 3);
	assert_int_equal(stats_of(fixture).returned, 0);
	user_end(&user);
	end(fixture);
}

static void single_links_go_in_a_child(void **state)
{
	struct fixture *fixture = start_with(true, ATTACH_WITHOUT_MULTI, 0);
	const struct library *library = fixture->library;
	size_t left;

	(void)state;
	assert_true(attach_detach_is_slow(fixture->attach));
	attach_disable(fixture->attach);
	attach_detach_begin(fixture->attach);
	assert_int_equal(attach_library_since(fixture->attach, library->dev, library->ino), 0);
	assert_false(attach_detach_is_slow(fixture->attach));
	left = attach_detach_wait(fixture->attach, 0);
	assert_in_range(left, 1, 5); /* two calls, entry and return, and the self-test's */
	assert_int_equal(attach_detach_wait(fixture->attach, -1), 0);
	assert_int_equal(attach_detach_wait(fixture->attach, 0), 0);
	end(fixture);
}

static void one_link_is_not_slow(void **state)
{
	struct fixture *fixture = start(true);

	(void)state;
	assert_false(attach_detach_is_slow(fixture->attach));
	attach_detach(fixture->attach);
	end(fixture);
}

/* After the end nothing is told: neither calls nor the ends of processes. */
static void nothing_follows_the_last_drain(void **state)
{
	struct user user = user_start(library_path);
	struct fixture *fixture = start(true);

	(void)state;
	tell_some(fixture, &user);
	attach_disable(fixture->attach);
	user_call(&user, 'a', 64, 0);
	user_end(&user);
	assert_int_equal(source_drain(fixture->source, 0), 0);
	assert_int_equal(stats_of(fixture).produced, 4);
	end(fixture);
}

struct found {
	uint32_t tgid;
	int times;
	struct vt_process_state state;
};

static void keep_state(void *ctx, uint32_t tgid, const struct vt_process_state *state)
{
	struct found *found = ctx;

	if (tgid != found->tgid)
		return;
	found->times++;
	found->state = *state;
}

static struct found find_state(const struct fixture *fixture, const struct user *user)
{
	struct found found = { .tgid = (uint32_t)user->pid };

	assert_int_equal(attach_each_process(fixture->attach, keep_state, &found), 0);
	return found;
}

static void fill_ring_of(struct fixture *fixture, const struct user *user, size_t bytes)
{
	assert_int_equal(attach_add_process(fixture->attach, (uint32_t)user->pid), 0);
	for (size_t i = 0; i < bytes / 20; i++)
		user_call(user, 'a', 64, 0);
	assert_true(stats_of(fixture).lost_ring > bytes / 40);
}

static void a_loss_has_its_process(void **state)
{
	struct user noisy = user_start(library_path), quiet = user_start(library_path);
	struct fixture *fixture;
	struct found found;

	(void)state;
	ring_bytes = 16 * RING_BYTES; /* what passes before a thread is known to be noisy must fit */
	fixture = start(true);
	ring_bytes = RING_BYTES;
	fill_ring_of(fixture, &noisy, 16 * RING_BYTES);
	/* The last part of the ring is for others. */
	assert_int_equal(attach_add_process(fixture->attach, (uint32_t)quiet.pid), 0);
	for (int i = 0; i < 3; i++)
		user_call(&quiet, 'a', 64, 0);
	found = find_state(fixture, &quiet);
	assert_int_equal(found.times, 1);
	assert_int_equal(found.state.lost[VT_LOST_RING], 0);
	found = find_state(fixture, &noisy);
	assert_int_equal(found.times, 1);
	assert_int_equal(found.state.lost[VT_LOST_RING], stats_of(fixture).lost_ring);
	assert_int_equal(found.state.ended, 0);
	user_end(&noisy);
	user_end(&quiet);
	end(fixture);
}

/* Until somebody has read what it lost, or its tgid has a new owner. */
static void an_ended_process_keeps_its_losses(void **state)
{
	struct user user = user_start(library_path);
	struct fixture *fixture = start(true);
	struct event *exited;
	struct found found;

	(void)state;
	fill_ring_of(fixture, &user, RING_BYTES);
	source_drain(fixture->source, 0);
	user_end(&user);
	assert_false(attach_has_process(fixture->attach, (uint32_t)user.pid));
	found = find_state(fixture, &user);
	assert_int_equal(found.times, 1);
	assert_int_equal(found.state.ended, 1);
	assert_int_equal(stats_of(fixture).kept_ended, 1);
	/* The record says the same; and the reader's own count fits. */
	source_drain(fixture->source, 0);
	exited = &fixture->events[fixture->count - 1];
	assert_int_equal(exited->kind, EVENT_EXIT);
	assert_int_equal(exited->lost, found.state.lost[VT_LOST_RING]);
	assert_int_equal(exited->produced + 1, found.state.produced); /* the EXIT itself */
	assert_int_equal(fixture->decoder.arrivals.ended_count, 1);
	assert_true(arrivals_is_even(fixture->decoder.arrivals.ended[0]));
	assert_int_equal(attach_add_process(fixture->attach, (uint32_t)user.pid), 0);
	found = find_state(fixture, &user);
	assert_int_equal(found.state.lost[VT_LOST_RING] + found.state.produced, 0);
	assert_true(attach_has_process(fixture->attach, (uint32_t)user.pid));
	end(fixture);
}

static void a_process_without_losses_leaves_nothing(void **state)
{
	struct user user = user_start(library_path);
	struct fixture *fixture = start(true);

	(void)state;
	tell_some(fixture, &user);
	user_end(&user);
	assert_int_equal(find_state(fixture, &user).times, 0);
	assert_int_equal(stats_of(fixture).kept_ended, 0);
	end(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_one_by_one),
		cmocka_unit_test(threads_in_a_hash_table),
		cmocka_unit_test(neither),
		cmocka_unit_test(only_entries),
		cmocka_unit_test(single_links_go_in_a_child),
		cmocka_unit_test(one_link_is_not_slow),
		cmocka_unit_test(nothing_follows_the_last_drain),
		cmocka_unit_test(a_loss_has_its_process),
		cmocka_unit_test(an_ended_process_keeps_its_losses),
		cmocka_unit_test(a_process_without_losses_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
