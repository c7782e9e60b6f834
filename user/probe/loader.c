/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/child.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "probe/ldcache.h"
#include "probe/loader.h"
#include "probe/program.h"

#define LIST_NS 5000000000ull
#define LIST_SECONDS 5
#define LIST_BYTES (1u << 20)

/* Runtimes ask dlopen() for this name. */
static const char driver_name[] = "libcuda.so.1";

static bool become(uid_t uid, gid_t gid)
{
	struct passwd *user;

	if (geteuid() != 0)
		return geteuid() == uid;
	user = getpwuid(uid);
	if (user ? initgroups(user->pw_name, gid) : setgroups(1, &gid))
		return false;
	return !setresgid(gid, gid, gid) && !setresuid(uid, uid, uid);
}

static void reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * The command's environment with the driver as one more preloaded library, so that the loader itself answers where a dlopen() by the
 * program would find it: RUNPATH, LD_LIBRARY_PATH, cache. --list runs no code of what it lists; a name that is nowhere is ignored.
 */
static char **with_driver(char *const *environment)
{
	const char *preloaded = program_getenv(environment, "LD_PRELOAD");
	size_t count = 0, used = 0;
	char **copy;

	while (environment[count])
		count++;
	copy = calloc(count + 2, sizeof(*copy));
	if (!copy || asprintf(&copy[used++], "LD_PRELOAD=%s:%s", preloaded ? preloaded : "", driver_name) < 0)
		_exit(127);
	for (size_t i = 0; i < count; i++)
		if (strncmp(environment[i], "LD_PRELOAD=", 11))
			copy[used++] = environment[i];
	return copy;
}

/* Everything of the command, the looking for it too, happens with its user's rights and none of our descriptors. */
__attribute__((noreturn)) static void list_and_exit(const struct search_command *command, int output, pid_t parent)
{
	static struct program program; /* 8 KiB, in a child of its own */
	struct rlimit cpu = { LIST_SECONDS, LIST_SECONDS };
	struct rlimit core = { 0, 0 };
	char *arguments[] = { program.loader, (char[]) { "--list" }, program.path, NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	reset_signals();
	setpgid(0, 0);
	if (null < 0 || dup2(output, 1) < 0 || dup2(null, 0) < 0 || dup2(null, 2) < 0)
		_exit(127);
	closefrom(3);
	setrlimit(RLIMIT_CPU, &cpu);
	setrlimit(RLIMIT_CORE, &core);
	if (!become(command->uid, command->gid) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(127);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(127);
	if (program_find(command->argv[0], command->environment, &program) || !program.loader[0])
		_exit(0);
	execve(program.loader, arguments, with_driver(command->environment));
	_exit(127);
}

/* Until its end, the limit or the time. Bytes read; what came in time counts. */
static size_t read_list(int fd, char *text, size_t size)
{
	uint64_t deadline = clock_mono_ns() + LIST_NS;
	size_t length = 0;

	while (length < size) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_mono_ns();
		ssize_t n;

		if (now >= deadline)
			break;
		if (poll(&poll_fd, 1, (int)((deadline - now) / 1000000) + 1) <= 0)
			continue;
		n = read(fd, text + length, size - length);
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		if (n > 0)
			length += (size_t)n;
	}
	return length;
}

/* "name => /path (0x...)" or, for preloaded ones, "/path (0x...)". */
static int add_line(char *line, struct candidates *candidates)
{
	char *name = line + strspn(line, " \t");
	char *arrow = strstr(name, " => ");
	char *path = arrow ? arrow + 4 : name;
	enum vt_layer layer;
	char *address = NULL;

	for (char *at = path; (at = strstr(at, " (0x")); at++)
		address = at;
	if (!address || path[0] != '/')
		return 0;
	*address = '\0';
	if (arrow)
		*arrow = '\0';
	if (!library_name_matches(path, &layer) && !library_name_matches(name, &layer))
		return 0;
	return candidates_add(candidates, path, path, layer);
}

int loader_parse_list(char *text, struct candidates *candidates)
{
	char *save = NULL;
	int err = 0;

	for (char *line = strtok_r(text, "\n", &save); !err && line; line = strtok_r(NULL, "\n", &save))
		err = add_line(line, candidates);
	return err;
}

int loader_list(const struct search_command *command, struct candidates *candidates)
{
	CLEANUP_FREE char *text = malloc(LIST_BYTES + 1);
	pid_t parent = getpid();
	pid_t child;
	int ends[2];

	if (!text)
		return -ENOMEM;
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	child = fork();
	if (child == 0)
		list_and_exit(command, ends[1], parent);
	close(ends[1]);
	if (child < 0) {
		close(ends[0]);
		return -errno;
	}
	setpgid(child, child);
	text[read_list(ends[0], text, LIST_BYTES)] = '\0';
	close(ends[0]);
	kill(-child, SIGKILL); /* a loader is whatever the program names: it may have children */
	child_end(child);
	return loader_parse_list(text, candidates);
}

/* 1: found and added, 0: not there, -ENOMEM. */
static int try_folder(const char *folder, size_t length, struct candidates *candidates)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%.*s/%s", length ? (int)length : 1, length ? folder : ".", driver_name);
	int err;

	if (n < 0 || (size_t)n >= sizeof(path) || access(path, R_OK))
		return 0;
	err = candidates_add(candidates, path, path, VT_LAYER_DRIVER);
	return err ? err : 1;
}

static int try_library_path(const char *list, struct candidates *candidates)
{
	int found = 0;

	while (list && *list && !found) {
		size_t length = strcspn(list, ":;");

		found = try_folder(list, length, candidates);
		list += length + (list[length] != '\0');
	}
	return found;
}

static int add_cached(void *ctx, const char *name, const char *path)
{
	int err;

	if (strcmp(name, driver_name) || access(path, R_OK))
		return 0;
	err = candidates_add(ctx, path, path, VT_LAYER_DRIVER);
	return err ? err : 1;
}

int loader_find_driver(const struct search_command *command, struct candidates *candidates)
{
	static const char *const folders[] = { "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64",
					       "/usr/lib/wsl/lib" };
	int found;

	for (size_t i = 0; i < candidates->count; i++) {
		if (candidates->items[i].layer == VT_LAYER_DRIVER)
			return 0;
	}
	found = try_library_path(program_getenv(command->environment, "LD_LIBRARY_PATH"), candidates);
	if (!found)
		found = ldcache_walk(LDCACHE_PATH, add_cached, candidates);
	if (found == -ENOMEM)
		return found;
	for (size_t i = 0; found <= 0 && i < ARRAY_SIZE(folders); i++)
		found = try_folder(folders[i], strlen(folders[i]), candidates);
	return found == -ENOMEM ? found : 0;
}
