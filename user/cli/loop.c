/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/session.h"

/* Records taken before the loop looks at anything else. */
#define DRAIN_LIMIT 65536
/* The producer wakes us at most once per window; when we found something there may be more after it. */
#define SETTLE_MS ((int)(ATTACH_WAKE_WINDOW_NS / 1000000) + 5)
#define IDLE_MS 1000

struct loop {
	struct session *session;
	int epoll_fd;
	int signal_fd;
	int interval_fd;
	int duration_fd;
	uint64_t tables;
	uint64_t last_check_ns;
	unsigned int stop_signals;
	bool told_waiting;
};

static int watch(struct loop *loop, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int watch_signals(struct loop *loop)
{
	struct sigaction hangup;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	/* nohup(1) means it. A SIGINT that a shell made us ignore in the background still is how scripts stop us. */
	if (!sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	loop->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return loop->signal_fd < 0 ? -errno : watch(loop, loop->signal_fd);
}

static int watch_timer(struct loop *loop, uint64_t first_ns, uint64_t period_ns, int *ret_fd)
{
	struct itimerspec spec = {
		.it_value = { (time_t)(first_ns / 1000000000), (long)(first_ns % 1000000000) },
		.it_interval = { (time_t)(period_ns / 1000000000), (long)(period_ns % 1000000000) },
	};

	if (!first_ns)
		return 0;
	*ret_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (*ret_fd < 0 || timerfd_settime(*ret_fd, 0, &spec, NULL))
		return -errno;
	return watch(loop, *ret_fd);
}

static int output_fd(const struct session *session)
{
	return session->output_fd >= 0 ? session->output_fd : STDOUT_FILENO;
}

/* A reader that goes away (head -1) is an event of the pipe; without it an idle trace would never know. A regular file has none. */
static int watch_output(struct loop *loop)
{
	struct epoll_event event = { .events = 0, .data.fd = output_fd(loop->session) };

	if (!epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event) || errno == EPERM || errno == EBADF)
		return 0;
	return -errno;
}

static int watch_all(struct loop *loop)
{
	struct session *session = loop->session;
	const struct options *options = session->options;
	int err;

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	err = loop->epoll_fd < 0 ? -errno : watch_signals(loop);
	if (!err)
		err = watch_output(loop);
	if (!err)
		err = watch(loop, source_fd(session->source));
	if (!err)
		err = watch(loop, mappings_fd(session->mappings));
	if (!err && session->child.pid)
		err = watch(loop, session->child.pidfd);
	for (size_t i = 0; !err && i < session->target_count; i++)
		err = watch(loop, session->target_fds[i]);
	if (!err)
		err = watch_timer(loop, options->interval_ns, options->interval_ns, &loop->interval_fd);
	if (!err)
		err = watch_timer(loop, options->duration_ns, 0, &loop->duration_fd);
	return err;
}

static void on_signal(struct loop *loop)
{
	struct session *session = loop->session;
	struct signalfd_siginfo info;

	while (read(loop->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		loop->stop_signals++;
		if (!session->child.pid || session->child.reaped || loop->stop_signals > 1) {
			session->exit_reason = "interrupted";
			if (session->child.pid && !session->child.reaped)
				log_info("the command goes on, untraced");
			continue;
		}
		/* The command ends first, and its end ends us. The terminal's Ctrl-C has reached it already. */
		if (info.ssi_code != SI_KERNEL)
			kill(session->child.pid, (int)info.ssi_signo);
		log_info("waiting for the command to end; once more to stop tracing at once");
	}
}

static void on_target(struct session *session, int fd)
{
	for (size_t i = 0; i < session->target_count; i++) {
		if (session->target_fds[i] != fd)
			continue;
		close(fd);
		session->target_fds[i] = -1;
		session->targets_alive--;
	}
}

static void on_interval(struct loop *loop)
{
	struct session *session = loop->session;
	uint64_t expirations;

	if (read(loop->interval_fd, &expirations, sizeof(expirations)) != sizeof(expirations))
		return;
	session_losses(session, false);
	pipe_take(&session->pipe, &(struct item) { .kind = ITEM_TABLE, .time_ns = clock_mono_ns() });
	loop->tables++;
	if (session->options->count && loop->tables >= session->options->count)
		session->exit_reason = "count";
}

/* Nobody will read another line. A command goes on to its end, for its status is ours. */
static void on_output_gone(struct session *session)
{
	if (!session->child.pid || session->child.reaped)
		session->exit_reason = "output gone";
}

static void on_ready(struct loop *loop, int fd)
{
	struct session *session = loop->session;

	if (fd == loop->signal_fd)
		on_signal(loop);
	else if (fd == loop->interval_fd)
		on_interval(loop);
	else if (fd == loop->duration_fd)
		session->exit_reason = "duration";
	else if (fd == output_fd(session)) {
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		on_output_gone(session);
	} else if (session->child.pid && fd == session->child.pidfd) {
		child_reap(&session->child);
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	} else {
		on_target(session, fd);
	}
}

/* News of mappings first: a library must be probed, and a caller known, before the records that follow are read. */
static int take_news(struct session *session)
{
	callers_drain(session->callers);
	session_late_libraries(session);
	return source_drain(session->source, DRAIN_LIMIT);
}

/* The kernel side tells of an end before the process can be gone: its record, and its last calls, may still wait in the ring. */
static void end_gone(struct session *session)
{
	struct session_gone gone;
	int taken;

	session_find_gone(session, &gone);
	if (!gone.count)
		return;
	taken = take_news(session);
	if (taken >= 0 && taken < DRAIN_LIMIT)
		session_end_gone(session, &gone);
}

static void check_now_and_then(struct loop *loop)
{
	uint64_t now_ns = clock_mono_ns();

	if (now_ns - loop->last_check_ns < UINT64_C(1000000) * IDLE_MS)
		return;
	loop->last_check_ns = now_ns;
	session_losses(loop->session, false);
	session_missed_libraries(loop->session);
	session_look_at_descriptors(loop->session);
	session_keep_record(loop->session);
	end_gone(loop->session);
}

static size_t count_alive(const struct ledger *ledger)
{
	size_t alive = 0;

	for (size_t i = 0; i < ledger_process_count(ledger); i++)
		alive += !ledger_process(ledger, i)->ended;
	return alive;
}

/* The command, or the processes of -p, are over, and so is whatever they started: any of it may use CUDA yet. */
static const char *ended(struct loop *loop)
{
	const struct session *session = loop->session;
	bool command_over = session->child.pid && session->child.reaped;
	bool targets_over = session->target_count && !session->targets_alive;
	size_t alive;

	if (!command_over && !targets_over)
		return NULL;
	alive = count_alive(session->pipe.ledger);
	if (!alive)
		return command_over ? "command ended" : "targets ended";
	if (!loop->told_waiting)
		log_info("%s ended; still traced to their end: %zu started from there (Ctrl-C ends the trace)",
			 command_over ? "the command" : "the targets", alive);
	loop->told_waiting = true;
	return NULL;
}

static int turn(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[64];
	int count, taken;

	count = epoll_wait(loop->epoll_fd, events, (int)ARRAY_SIZE(events), timeout_ms);
	if (count < 0 && errno != EINTR)
		return -errno;
	taken = take_news(loop->session);
	for (int i = 0; i < count; i++)
		on_ready(loop, events[i].data.fd);
	check_now_and_then(loop);
	if (sink_error(loop->session->pipe.sink))
		on_output_gone(loop->session);
	if (taken < 0)
		return taken;
	if (taken >= DRAIN_LIMIT)
		return 0;
	if (!loop->session->exit_reason && !taken)
		loop->session->exit_reason = ended(loop);
	return taken || count > 0 ? SETTLE_MS : IDLE_MS;
}

int session_loop(struct session *session, struct diag *diag)
{
	struct loop loop = { session, -1, -1, -1, -1, 0, clock_mono_ns(), 0, false };
	int timeout_ms = SETTLE_MS, err;

	err = watch_all(&loop);
	while (!err && !session->exit_reason) {
		timeout_ms = turn(&loop, timeout_ms);
		if (timeout_ms < 0)
			err = timeout_ms;
	}
	cleanup_close(&loop.duration_fd);
	cleanup_close(&loop.interval_fd);
	cleanup_close(&loop.signal_fd);
	cleanup_close(&loop.epoll_fd);
	if (!err)
		return 0;
	session->exit_reason = "failed";
	return diag_err(diag, err, "the event loop failed: %s", strerror(-err));
}
