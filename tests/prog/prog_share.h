/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMTRACE_PROG_SHARE_H
#define VRAMTRACE_PROG_SHARE_H

/* Two processes that hand each other bytes and descriptors over a socket. What goes wrong ends the program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((unused)) static void must_say(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

/* The child's end is 1. Before any use of CUDA: it does not go with a fork. */
__attribute__((unused)) static pid_t fork_with_socket(int ret_ends[2])
{
	pid_t child;

	must_say(!socketpair(AF_UNIX, SOCK_STREAM, 0, ret_ends), "socketpair");
	child = fork();
	must_say(child >= 0, "fork");
	close(ret_ends[child ? 1 : 0]);
	return child;
}

__attribute__((unused)) static void send_bytes(int fd, const void *bytes, size_t len)
{
	must_say(send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len, "send");
}

__attribute__((unused)) static void receive_bytes(int fd, void *bytes, size_t len)
{
	must_say(recv(fd, bytes, len, MSG_WAITALL) == (ssize_t)len, "recv");
}

/* One step of the other is over. */
__attribute__((unused)) static void send_turn(int fd)
{
	send_bytes(fd, "", 1);
}

__attribute__((unused)) static void await_turn(int fd)
{
	char turn;

	receive_bytes(fd, &turn, 1);
}

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

__attribute__((unused)) static void send_descriptor(int fd, int descriptor)
{
	union control control = { .bytes = { 0 } };
	struct iovec byte = { "", 1 };
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
	must_say(sendmsg(fd, &message, MSG_NOSIGNAL) == 1, "sendmsg");
}

__attribute__((unused)) static int receive_descriptor(int fd)
{
	union control control;
	char turn;
	struct iovec byte = { &turn, 1 };
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *header;
	int descriptor;

	must_say(recvmsg(fd, &message, 0) == 1, "recvmsg");
	header = CMSG_FIRSTHDR(&message);
	must_say(header && header->cmsg_type == SCM_RIGHTS, "no descriptor came");
	memcpy(&descriptor, CMSG_DATA(header), sizeof(int));
	return descriptor;
}

/* 0, or what the child ended with. */
__attribute__((unused)) static int child_status(pid_t child)
{
	int status;

	must_say(waitpid(child, &status, 0) == child, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The child exports and does not come back; the parent imports. */
__attribute__((unused)) static void share(void (*export_all)(int peer), void (*import_all)(int peer, pid_t child))
{
	int ends[2];
	pid_t child = fork_with_socket(ends);

	if (!child)
		export_all(ends[1]);
	import_all(ends[0], child);
}

#endif
