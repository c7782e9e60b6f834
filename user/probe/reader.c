/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "probe/reader.h"
#include "probe/reader_child.h"
#include "probe/table.h"

#define ANSWER_NS 5000000000ull

struct reader {
	pid_t child; /* 0: none */
	int socket;  /* -1: none */
	struct reader_hello hello;
};

static void stop_child(struct reader *reader)
{
	if (reader->socket >= 0)
		close(reader->socket);
	reader->socket = -1;
	if (reader->child > 0)
		child_end(reader->child);
	reader->child = 0;
}

/* One message of exactly that size, within the time. -ETIMEDOUT, -EPIPE (the other end is gone, or speaks nonsense) or -errno. */
static int receive(int socket, void *message, size_t bytes)
{
	uint64_t deadline = clock_mono_ns() + ANSWER_NS;
	struct pollfd poll_fd = { .fd = socket, .events = POLLIN };
	ssize_t n;

	for (;;) {
		uint64_t now = clock_mono_ns();
		int ready;

		if (now >= deadline)
			return -ETIMEDOUT;
		ready = poll(&poll_fd, 1, (int)((deadline - now) / 1000000) + 1);
		if (ready > 0)
			break;
		if (ready < 0 && errno != EINTR)
			return -errno;
	}
	/* No room for control data: a descriptor that the child might send is dropped by the kernel. MSG_TRUNC: the real length. */
	n = recv(socket, message, bytes, MSG_DONTWAIT | MSG_TRUNC);
	return n >= 0 && (size_t)n == bytes ? 0 : -EPIPE;
}

static int start_child(struct reader *reader, const char **ret_step)
{
	struct reader_hello *hello = &reader->hello;
	pid_t parent = getpid();
	int pair[2];
	int err;

	*ret_step = "start";
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	reader->child = fork();
	if (reader->child == 0)
		reader_child_run(pair[1], parent);
	err = reader->child < 0 ? -errno : 0;
	close(pair[1]);
	reader->socket = pair[0];
	if (!err)
		err = receive(reader->socket, hello, sizeof(*hello));
	if (!err && hello->err < 0) {
		hello->step[sizeof(hello->step) - 1] = '\0';
		*ret_step = hello->step;
		err = hello->err;
	}
	if (err)
		stop_child(reader);
	return err;
}

int reader_new(struct reader **ret_reader, struct diag *diag)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	const char *step;
	int err;

	if (!reader)
		return diag_err(diag, -ENOMEM, "out of memory");
	reader->socket = -1;
	err = start_child(reader, &step);
	if (err) {
		err = diag_err(diag, err, "cannot confine the process that reads ELF files (%s): %s", step,
			       strerror(-err));
		reader_free(reader);
		return err;
	}
	*ret_reader = reader;
	return 0;
}

void reader_free(struct reader *reader)
{
	if (!reader)
		return;
	stop_child(reader);
	free(reader);
}

static int send_request(int socket, const struct reader_request *request, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	struct iovec data = { (void *)(uintptr_t)request, sizeof(*request) };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* A child that died while idle is replaced once. */
static int deliver(struct reader *reader, const struct reader_request *request, int fd)
{
	const char *step;
	int err = -EPIPE;

	if (fd < 0)
		return -EBADF;
	if (reader->child > 0)
		err = send_request(reader->socket, request, fd);
	if (err != -EPIPE && err != -ECONNRESET)
		return err;
	stop_child(reader);
	err = start_child(reader, &step);
	return err ? err : send_request(reader->socket, request, fd);
}

static int ask(struct reader *reader, const struct reader_request *request, int fd, struct reader_answer *ret)
{
	int err = deliver(reader, request, fd);

	if (err)
		return err;
	err = receive(reader->socket, ret, sizeof(*ret));
	if (!err && (ret->op != request->op || ret->err > 0))
		err = -EPIPE;
	if (err) {
		stop_child(reader);
		return err;
	}
	return ret->err;
}

/* The child read a hostile file: its answer is believed no more than the file. */
static bool exports_sound(const struct elf_exports *exports, enum vt_layer layer)
{
	if (exports->count > VT_PROBE_COUNT || exports->build_id_length > ELF_BUILD_ID_BYTES)
		return false;
	for (uint32_t i = 0; i < exports->count; i++) {
		const struct probe_row *row = probe_row(exports->exports[i].row);

		if (!row || row->layer != layer || exports->exports[i].first_insn > ELF_INSN_STEPPED)
			return false;
		if (exports->exports[i].offset > INT64_MAX)
			return false;
	}
	return true;
}

int reader_exports(struct reader *reader, int fd, enum vt_layer layer, struct elf_exports *ret)
{
	struct reader_request request = { .op = READER_EXPORTS, .layer = layer };
	struct reader_answer answer;
	int err = ask(reader, &request, fd, &answer);

	if (err)
		return err;
	if (!exports_sound(&answer.exports, layer)) {
		stop_child(reader);
		return -EPIPE;
	}
	*ret = answer.exports;
	ret->simulated = !!ret->simulated;
	return 0;
}

int reader_place(struct reader *reader, int fd, uint64_t file_offset, struct elf_place *ret)
{
	struct reader_request request = { .op = READER_PLACE, .file_offset = file_offset };
	struct reader_answer answer;
	int err = ask(reader, &request, fd, &answer);

	if (err)
		return err;
	*ret = answer.place;
	ret->symbol[ELF_NAME_BYTES - 1] = '\0';
	ret->demangled[ELF_DEMANGLED_BYTES - 1] = '\0';
	return 0;
}
