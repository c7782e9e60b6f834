/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/status.h"

static int user_from(const struct passwd *entry, struct child_user *ret_user)
{
	ret_user->uid = entry->pw_uid;
	ret_user->gid = entry->pw_gid;
	ret_user->change = true;
	snprintf(ret_user->name, sizeof(ret_user->name), "%s", entry->pw_name);
	snprintf(ret_user->home, sizeof(ret_user->home), "%s", entry->pw_dir ? entry->pw_dir : "/");
	snprintf(ret_user->shell, sizeof(ret_user->shell), "%s", entry->pw_shell ? entry->pw_shell : "/bin/sh");
	return 0;
}

/* Digits only, and not 0xffffffff, which the kernel takes for "unchanged". */
static bool parse_uid(const char *text, uid_t *ret_uid)
{
	unsigned long uid;
	char *end;

	errno = 0;
	uid = strtoul(text, &end, 10);
	*ret_uid = (uid_t)uid;
	return *text >= '0' && *text <= '9' && !*end && !errno && uid < UINT32_MAX;
}

int child_user_find(const char *name, bool as_root, struct child_user *ret_user, struct diag *diag)
{
	const char *sudo_uid = getenv("SUDO_UID");
	struct passwd *entry;
	uid_t uid;

	memset(ret_user, 0, sizeof(*ret_user));
	ret_user->uid = geteuid();
	ret_user->gid = getegid();
	if (name) {
		entry = getpwnam(name);
		if (!entry)
			return diag_err(diag, -ENOENT, "-u %s: there is no such user", name);
		return user_from(entry, ret_user);
	}
	if (as_root || geteuid() != 0 || !sudo_uid)
		return 0;
	if (!parse_uid(sudo_uid, &uid))
		return diag_err(diag, -EINVAL, "SUDO_UID=%s is no user id; say -u USER or --as-root", sudo_uid);
	if (uid == 0)
		return 0;
	entry = getpwuid(uid);
	if (!entry)
		return diag_err(diag, -ENOENT, "SUDO_UID=%s: there is no such user; say -u USER or --as-root",
				sudo_uid);
	return user_from(entry, ret_user);
}

static bool is_replaced(const char *variable)
{
	static const char *const names[] = { "HOME=", "USER=", "LOGNAME=", "SHELL=" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strncmp(variable, names[i], strlen(names[i])))
			return true;
	return false;
}

static char *variable(const char *name, const char *value)
{
	char *text = NULL;

	return asprintf(&text, "%s=%s", name, value) < 0 ? NULL : text;
}

char **child_environment(const struct child_user *user)
{
	size_t count = 0, used = 0;
	char **copy;

	while (environ[count])
		count++;
	copy = calloc(count + 5, sizeof(*copy));
	if (!copy)
		return NULL;
	for (size_t i = 0; i < count; i++)
		if (!user->change || !is_replaced(environ[i]))
			copy[used++] = strdup(environ[i]);
	if (user->change) {
		copy[used++] = variable("HOME", user->home);
		copy[used++] = variable("USER", user->name);
		copy[used++] = variable("LOGNAME", user->name);
		copy[used++] = variable("SHELL", user->shell);
	}
	return copy;
}

void child_environment_free(char **environment)
{
	for (size_t i = 0; environment && environment[i]; i++)
		free(environment[i]);
	free(environment);
}

static int become(const struct child_user *user)
{
	if (!user->change)
		return 0;
	if (initgroups(user->name, user->gid) || setresgid(user->gid, user->gid, user->gid) ||
	    setresuid(user->uid, user->uid, user->uid))
		return -errno;
	return 0;
}

/* In the child: waits for the word, then becomes the command. Whatever fails is told as an errno. */
static void __attribute__((noreturn))
run_command(char *const *argv, const struct child_user *user, int go_fd, int error_fd)
{
	char **environment = child_environment(user);
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;
	ssize_t got;
	char go;
	int err;

	do
		got = read(go_fd, &go, 1);
	while (got < 0 && errno == EINTR);
	if (got != 1)
		_exit(STATUS_FAILED); /* the tracer is gone: the command never starts */
	sigaction(SIGPIPE, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	err = environment ? become(user) : -ENOMEM;
	if (!err) {
		execvpe(argv[0], argv, environment);
		err = -errno;
	}
	if (write(error_fd, &err, sizeof(err)) != sizeof(err))
		_exit(STATUS_COMMAND_UNUSABLE);
	_exit(err == -ENOENT ? STATUS_COMMAND_MISSING : STATUS_COMMAND_UNUSABLE);
}

int child_hold(char *const *argv, const struct child_user *user, bool stdout_to_stderr, struct child *ret_child,
	       struct diag *diag)
{
	int go[2] = { -1, -1 }, error[2] = { -1, -1 }, err = 0;
	pid_t pid;

	*ret_child = (struct child) { .pidfd = -1, .go_fd = -1, .error_fd = -1 };
	if (pipe2(go, O_CLOEXEC) || pipe2(error, O_CLOEXEC)) {
		err = diag_err(diag, -errno, "cannot make a pipe: %s", strerror(errno));
		goto out;
	}
	pid = fork();
	if (pid < 0) {
		err = diag_err(diag, -errno, "cannot start a process: %s", strerror(errno));
		goto out;
	}
	if (pid == 0) {
		close(go[1]);
		close(error[0]);
		if (stdout_to_stderr)
			dup2(STDERR_FILENO, STDOUT_FILENO);
		run_command(argv, user, go[0], error[1]);
	}
	ret_child->pid = pid;
	ret_child->go_fd = go[1];
	ret_child->error_fd = error[0];
	go[1] = error[0] = -1;
	ret_child->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (ret_child->pidfd < 0)
		err = diag_err(diag, -errno, "cannot watch the command: pidfd_open: %s", strerror(errno));
out:
	for (int i = 0; i < 2; i++) {
		cleanup_close(&go[i]);
		cleanup_close(&error[i]);
	}
	return err;
}

int child_release(struct child *child, const char *name, struct diag *diag)
{
	int err = 0;
	ssize_t got;

	if (write(child->go_fd, "g", 1) != 1)
		return diag_err(diag, -errno, "cannot start %s: %s", name, strerror(errno));
	close(child->go_fd);
	child->go_fd = -1;
	do
		got = read(child->error_fd, &err, sizeof(err));
	while (got < 0 && errno == EINTR);
	if (got == sizeof(err) && err < 0)
		return diag_err(diag, err, "cannot start %s: %s", name, strerror(-err));
	return 0;
}

void child_reap(struct child *child)
{
	if (!child->pid || child->reaped)
		return;
	while (waitpid(child->pid, &child->wait_status, 0) < 0 && errno == EINTR)
		;
	child->reaped = true;
}

int child_status(const struct child *child)
{
	if (WIFSIGNALED(child->wait_status))
		return 128 + WTERMSIG(child->wait_status);
	return WEXITSTATUS(child->wait_status);
}

void child_fini(struct child *child)
{
	if (!child->pid)
		return;
	if (child->go_fd >= 0) {
		close(child->go_fd); /* still held: it sees the end of the pipe and exits */
		child_reap(child);
	}
	cleanup_close(&child->error_fd);
	cleanup_close(&child->pidfd);
	child->pid = 0;
}
