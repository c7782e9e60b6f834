// SPDX-License-Identifier: Apache-2.0
/*
 * checkpoint [gone]
 * A child that holds memory of the device and of the host is locked, checkpointed, restored and unlocked by its parent, and frees it all.
 * (With managed memory it would be refused: H200.) gone: it is killed while it is checkpointed. Prints how much of the card is in use
 * before, meanwhile and after, in MiB.
 */
#include <signal.h>

#include "prog_cuda.h"
#include "prog_share.h"

#define BLOCK (64 * MIB)

static CUdeviceptr take(void)
{
	CUdeviceptr block;

	must_cu(cuMemAlloc(&block, BLOCK), "cuMemAlloc");
	return block;
}

static int child(int fd)
{
	CUdeviceptr blocks[2];
	void *host;

	use_device(0);
	blocks[0] = take();
	blocks[1] = take();
	must_cu(cuMemHostAlloc(&host, BLOCK, 0), "cuMemHostAlloc");
	send_turn(fd);
	await_turn(fd);
	must_cu(cuMemFree(blocks[0]), "cuMemFree");
	blocks[0] = take();
	must_cu(cuMemFree(blocks[0]), "cuMemFree");
	must_cu(cuMemFree(blocks[1]), "cuMemFree");
	must_cu(cuMemFreeHost(host), "cuMemFreeHost");
	return 0;
}

static void say_used(const char *when)
{
	size_t unused, total;

	must_cu(cuMemGetInfo(&unused, &total), "cuMemGetInfo");
	printf("%s %zu\n", when, (total - unused) / MIB);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int gone = argc > 1 && !strcmp(argv[1], "gone"), ends[2], status;
	pid_t pid = fork_with_socket(ends);

	if (!pid)
		return child(ends[1]);
	use_device(0);
	await_turn(ends[0]);
	say_used("before");
	must_cu(cuCheckpointProcessLock(pid, NULL), "cuCheckpointProcessLock");
	must_cu(cuCheckpointProcessCheckpoint(pid, NULL), "cuCheckpointProcessCheckpoint");
	say_used("checkpointed");
	must_be(cuCheckpointProcessCheckpoint(pid, NULL), CUDA_ERROR_ILLEGAL_STATE,
		"cuCheckpointProcessCheckpoint again");
	if (gone) {
		kill(pid, SIGKILL);
	} else {
		must_cu(cuCheckpointProcessRestore(pid, NULL), "cuCheckpointProcessRestore");
		must_cu(cuCheckpointProcessUnlock(pid, NULL), "cuCheckpointProcessUnlock");
		say_used("restored");
		send_turn(ends[0]);
	}
	must_say(waitpid(pid, &status, 0) == pid, "waitpid");
	return gone ? !WIFSIGNALED(status) : !WIFEXITED(status) || WEXITSTATUS(status);
}
