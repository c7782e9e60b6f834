/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

#include "base/child.h"

#define TRIES 200
#define PAUSE_MS 1

void child_end(pid_t child)
{
	kill(child, SIGKILL);
	for (int i = 0; i < TRIES; i++) {
		pid_t pid = waitpid(child, NULL, WNOHANG);

		if (pid == child || (pid < 0 && errno != EINTR))
			return;
		poll(NULL, 0, PAUSE_MS);
	}
}
