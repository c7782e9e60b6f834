/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "cli/child.h"
#include "cli/status.h"

static char folder[] = "/tmp/child-XXXXXX";
static char made_path[64], out_path[64], err_path[64];
static const struct child_user ourselves;

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(made_path, sizeof(made_path), "%s/made", folder);
	snprintf(out_path, sizeof(out_path), "%s/out", folder);
	snprintf(err_path, sizeof(err_path), "%s/err", folder);
	/* One folder that cannot be searched would turn ENOENT into EACCES. */
	return setenv("PATH", "/usr/bin:/bin", 1) || unsetenv("SUDO_UID");
}

static int tear_down(void **state)
{
	(void)state;
	unlink(made_path);
	unlink(out_path);
	unlink(err_path);
	return rmdir(folder);
}

static bool was_made(void)
{
	bool made = access(made_path, F_OK) == 0;

	unlink(made_path);
	return made;
}

static struct child hold(char *const *argv, const struct child_user *user)
{
	struct child child;
	struct diag diag = { "" };

	if (child_hold(argv, user, false, &child, &diag))
		fail_msg("%s", diag.text);
	return child;
}

static bool has_ended(const struct child *child, int wait_ms)
{
	struct pollfd poll_fd = { .fd = child->pidfd, .events = POLLIN };

	return poll(&poll_fd, 1, wait_ms) == 1;
}

/* Runs it to its end and returns its status as a shell would give it. */
static int finish(struct child *child)
{
	struct diag diag = { "" };
	int status;

	if (child_release(child, "it", &diag))
		fail_msg("%s", diag.text);
	assert_true(has_ended(child, 10000));
	child_reap(child);
	status = child_status(child);
	child_fini(child);
	assert_int_equal(child->pid, 0);
	return status;
}

static int status_of(const char *script)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
	struct child child = hold(argv, &ourselves);

	return finish(&child);
}

static void gives_the_status_of_a_shell(void **state)
{
	(void)state;
	assert_int_equal(status_of("exit 0"), 0);
	assert_int_equal(status_of("exit 7"), 7);
	assert_int_equal(status_of("kill -TERM $$"), 128 + SIGTERM);
	assert_int_equal(status_of("kill -KILL $$"), 128 + SIGKILL);
	/* SIGPIPE ends it, whatever the tracer does with it. */
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(status_of("kill -PIPE $$"), 128 + SIGPIPE);
	signal(SIGPIPE, SIG_DFL);
}

static void waits_until_it_is_released(void **state)
{
	char *argv[] = { (char *)"touch", made_path, NULL };
	struct child child = hold(argv, &ourselves);

	(void)state;
	assert_true(child.pid > 0);
	assert_false(has_ended(&child, 100));
	assert_false(was_made());
	assert_int_equal(finish(&child), 0);
	assert_true(was_made());
	child_fini(&child); /* a second time is nothing */
}

static void fails_to_start(const char *command, int error, int status)
{
	char *argv[] = { (char *)command, NULL };
	struct child child = hold(argv, &ourselves);
	struct diag diag = { "" };

	assert_int_equal(child_release(&child, command, &diag), error);
	assert_non_null(strstr(diag.text, command));
	assert_non_null(strstr(diag.text, strerror(-error)));
	child_reap(&child);
	assert_int_equal(child_status(&child), status);
	child_fini(&child);
}

static void says_why_it_cannot_start(void **state)
{
	(void)state;
	fails_to_start("/nowhere/command", -ENOENT, STATUS_COMMAND_MISSING);
	fails_to_start("no-such-command-in-path", -ENOENT, STATUS_COMMAND_MISSING);
	fails_to_start(folder, -EACCES, STATUS_COMMAND_UNUSABLE);
}

static void never_runs_when_it_is_dropped(void **state)
{
	char *argv[] = { (char *)"touch", made_path, NULL };
	struct child child = hold(argv, &ourselves);
	pid_t pid = child.pid;

	(void)state;
	child_fini(&child);
	assert_int_equal(child.pid, 0);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), -1); /* reaped */
	assert_int_equal(errno, ECHILD);
	assert_false(was_made());
}

/* The tracer is killed while it holds the command, which comes to us. */
static void never_runs_when_the_tracer_dies(void **state)
{
	char *argv[] = { (char *)"touch", made_path, NULL };
	int status = 0;
	pid_t tracer, pid;

	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	tracer = fork();
	if (tracer == 0) {
		hold(argv, &ourselves);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(tracer, &status, 0), tracer);
	assert_true(WIFSIGNALED(status));
	pid = wait(&status);
	assert_true(pid > 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), STATUS_FAILED);
	assert_false(was_made());
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* Starts the command with files as stdout and stderr; ours are as before when it returns. */
static struct child hold_into_files(const char *script, const struct child_user *user, bool stdout_to_stderr)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
	int saved[2] = { dup(STDOUT_FILENO), dup(STDERR_FILENO) };
	int out = open(out_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int err = open(err_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct child child;
	struct diag diag = { "" };
	int result;

	assert_true(out >= 0 && err >= 0);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	result = child_hold(argv, user, stdout_to_stderr, &child, &diag);
	dup2(saved[0], STDOUT_FILENO);
	dup2(saved[1], STDERR_FILENO);
	close(saved[0]);
	close(saved[1]);
	close(out);
	close(err);
	assert_int_equal(result, 0);
	return child;
}

static void expect_file(const char *path, const char *expected)
{
	char text[512] = "";
	CLEANUP_FCLOSE FILE *file = fopen(path, "re");

	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	assert_string_equal(text, expected);
}

static void moves_stdout_out_of_the_way(void **state)
{
	struct child child = hold_into_files("echo out; echo err >&2", &ourselves, true);

	(void)state;
	assert_int_equal(finish(&child), 0);
	expect_file(out_path, "");
	expect_file(err_path, "out\nerr\n");
	child = hold_into_files("echo out; echo err >&2", &ourselves, false);
	assert_int_equal(finish(&child), 0);
	expect_file(out_path, "out\n");
	expect_file(err_path, "err\n");
}

static void need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("SKIP: root is needed\n");
	skip();
}

static void runs_as_another_user(void **state)
{
	struct child_user user;
	struct diag diag = { "" };
	struct child child;
	char expected[sizeof(user.home) + 64];

	(void)state;
	need_root();
	assert_int_equal(child_user_find("nobody", false, &user, &diag), 0);
	snprintf(expected, sizeof(expected), "%u %u nobody %s\n", user.uid, user.gid, user.home);
	child = hold_into_files("echo $(id -u) $(id -G) $USER $HOME", &user, false);
	assert_int_equal(finish(&child), 0);
	expect_file(out_path, expected);
}

static void finds_users_by_name(void **state)
{
	struct child_user user;
	struct diag diag = { "" };

	(void)state;
	assert_int_equal(child_user_find("root", false, &user, &diag), 0);
	assert_true(user.change);
	assert_int_equal(user.uid, 0);
	assert_string_equal(user.name, "root");
	assert_true(user.home[0] == '/');
	assert_int_equal(child_user_find("no-such-user", false, &user, &diag), -ENOENT);
	assert_non_null(strstr(diag.text, "no-such-user"));
	assert_int_equal(child_user_find(NULL, false, &user, &diag), 0);
	assert_false(user.change);
	assert_int_equal(user.uid, geteuid());
	assert_int_equal(user.gid, getegid());
}

static int find_sudo(const char *uid, bool as_root, struct child_user *ret_user, struct diag *diag)
{
	int err;

	setenv("SUDO_UID", uid, 1);
	err = child_user_find(NULL, as_root, ret_user, diag);
	unsetenv("SUDO_UID");
	return err;
}

static void finds_who_called_sudo(void **state)
{
	static const char *const garbage[] = { "",   "abc",  "12x",	   " 1",	 "-1",
					       "+1", "0x10", "4294967295", "4294967296", "99999999999999999999" };
	struct child_user user;
	struct diag diag = { "" };

	(void)state;
	need_root();
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		if (find_sudo(garbage[i], false, &user, &diag) != -EINVAL || user.change)
			fail_msg("SUDO_UID=%s was taken", garbage[i]);
		assert_non_null(strstr(diag.text, "SUDO_UID"));
		assert_int_equal(find_sudo(garbage[i], true, &user, &diag), 0); /* --as-root does not ask */
		assert_false(user.change);
	}
	assert_int_equal(find_sudo("4294967294", false, &user, &diag), -ENOENT);
	assert_non_null(strstr(diag.text, "4294967294"));
	assert_int_equal(find_sudo("0", false, &user, &diag), 0);
	assert_false(user.change);
	assert_int_equal(find_sudo("1", false, &user, &diag), 0);
	assert_true(user.change);
	assert_int_equal(user.uid, 1);
	assert_int_equal(find_sudo("1", true, &user, &diag), 0);
	assert_false(user.change);
	assert_int_equal(user.uid, 0);
}

/* How many of the variables are exactly this one; an `=` at the end means any value. */
static unsigned int count(char *const *environment, const char *wanted)
{
	size_t length = strlen(wanted);
	unsigned int found = 0;

	for (; *environment; environment++)
		found += wanted[length - 1] == '=' ? !strncmp(*environment, wanted, length)
						   : !strcmp(*environment, wanted);
	return found;
}

static void replaces_what_names_the_user(void **state)
{
	static const char *const names[] = { "HOME", "USER", "LOGNAME", "SHELL", "HOMEPAGE", "OTHER" };
	static const char *const expected[] = { "HOME=/home/ada", "USER=ada",	  "LOGNAME=ada",
						"SHELL=/bin/ash", "HOMEPAGE=was", "OTHER=was" };
	struct child_user user = { .change = true, .name = "ada", .home = "/home/ada", .shell = "/bin/ash" };
	char **changed, **same;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		setenv(names[i], "was", 1);
	changed = child_environment(&user);
	same = child_environment(&ourselves);
	assert_true(changed && same);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char any[32], was[32];

		snprintf(any, sizeof(any), "%s=", names[i]);
		snprintf(was, sizeof(was), "%s=was", names[i]);
		assert_int_equal(count(changed, any), 1);
		assert_int_equal(count(changed, expected[i]), 1);
		assert_int_equal(count(same, was), 1);
	}
	child_environment_free(changed);
	for (size_t i = 0; i < 4; i++)
		unsetenv(names[i]);
	changed = child_environment(&user);
	assert_non_null(changed);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(count(changed, expected[i]), 1); /* set all the same */
	child_environment_free(changed);
	child_environment_free(same);
	child_environment_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_the_status_of_a_shell),
		cmocka_unit_test(waits_until_it_is_released),
		cmocka_unit_test(says_why_it_cannot_start),
		cmocka_unit_test(never_runs_when_it_is_dropped),
		cmocka_unit_test(never_runs_when_the_tracer_dies),
		cmocka_unit_test(moves_stdout_out_of_the_way),
		cmocka_unit_test(runs_as_another_user),
		cmocka_unit_test(finds_users_by_name),
		cmocka_unit_test(finds_who_called_sudo),
		cmocka_unit_test(replaces_what_names_the_user),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
