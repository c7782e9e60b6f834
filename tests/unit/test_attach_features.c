/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel is found to have, and the self-test of return probes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/features.h"
#include "base/cleanup.h"

static struct features detect(unsigned int without)
{
	struct features features;
	int err;

	if (geteuid()) {
		print_message("SKIP: root is needed\n");
		skip();
	}
	err = features_detect(without, &features);
	if (err) {
		print_message("SKIP: no BPF here: %s\n", strerror(-err));
		skip();
	}
	return features;
}

static void the_table_names_each_once(void **state)
{
	struct features none = { 0 }, all;

	(void)state;
	memset(&all, true, offsetof(struct features, return_probes_why));
	assert_int_equal(feature_count(), offsetof(struct features, return_probes) + 1);
	for (size_t i = 0; i < feature_count(); i++) {
		assert_false(feature_is_there(&none, i));
		assert_true(feature_is_there(&all, i));
		assert_true(feature_at(i)->text[0] && feature_at(i)->since[0]);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(feature_at(i)->name, feature_at(j)->name);
	}
}

static void what_is_switched_off_is_not_there(void **state)
{
	struct features all = detect(0), features;

	(void)state;
	assert_true(all.btf && all.ring_buffer && all.cookie);
	assert_true(all.uprobe_multi || all.perf_uprobe);
	features = detect(ATTACH_WITHOUT_MULTI);
	assert_false(features.uprobe_multi);
	assert_int_equal(features.task_storage, all.task_storage);
	features = detect(ATTACH_WITHOUT_TASK_STORAGE);
	assert_false(features.task_storage);
	assert_int_equal(features.uprobe_multi, all.uprobe_multi);
	features = detect(ATTACH_WITHOUT_RETURN_PROBES);
	assert_false(features.return_probes);
	assert_string_equal(features.return_probes_why, "switched off");
}

/* Both kinds of link, for the self-test needs the one that will be used. */
static void children_come_through_a_return_probe(void **state)
{
	const unsigned int ways[] = { 0, ATTACH_WITHOUT_MULTI };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct features features = detect(ways[i]);

		assert_string_equal(features.return_probes_why, "");
		assert_true(features.return_probes);
	}
}

/* In a process of its own: no child of it may end by exit(2), as if the probe's system call were forbidden to it. */
static int detect_where_children_die(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { .len = ARRAY_SIZE(filter), .filter = filter };
	struct features features;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 2;
	if (features_detect(0, &features))
		return 3;
	return features.return_probes || !strstr(features.return_probes_why, "kills programs under") ? 4 : 0;
}

static void a_killed_child_means_entries_alone(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	detect(0); /* skips where nothing can be asked */
	pid = fork();
	if (pid == 0)
		_exit(detect_where_children_die());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_names_each_once),
		cmocka_unit_test(what_is_switched_off_is_not_there),
		cmocka_unit_test(children_come_through_a_return_probe),
		cmocka_unit_test(a_killed_child_means_entries_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
