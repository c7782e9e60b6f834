/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/diag.h"

/*
 * The command of `vramtrace -- CMD`: a child that is held before its exec until the probes are in place. If the tracer dies while
 * it is held the command never starts; if it dies later the command goes on.
 */
struct child_user {
	uid_t uid;
	gid_t gid;
	bool change; /* false: as we are */
	char name[256];
	char home[4096];
	char shell[4096];
};

struct child {
	pid_t pid; /* 0: none */
	int pidfd;
	int go_fd;    /* write end: a byte releases */
	int error_fd; /* read end: errno of a failed exec, or EOF */
	bool reaped;
	int wait_status;
};

/*
 * Who the command runs as: name (-u), or the user that called sudo, or ourselves. as_root: ourselves. -ENOENT with a text for
 * an unknown name.
 */
int child_user_find(const char *name, bool as_root, struct child_user *ret_user, struct diag *diag);

/* stdout_to_stderr: the product has stdout. ret_child is usable by child_fini even on failure. */
int child_hold(char *const *argv, const struct child_user *user, bool stdout_to_stderr, struct child *ret_child,
	       struct diag *diag);

/* The command's environment as child_hold will set it, NULL-terminated; the caller frees with child_environment_free. */
char **child_environment(const struct child_user *user);
void child_environment_free(char **environment);

/* 0, or the negative errno of the exec with a text. */
int child_release(struct child *child, const char *name, struct diag *diag);

/* After pidfd is readable. */
void child_reap(struct child *child);
int child_status(const struct child *child); /* exit status as a shell gives it: its own, 128+N */

/* A held child that was not released ends without running the command. */
void child_fini(struct child *child);

#endif
