/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* Whose calls count, and the life of those processes. The map `processes` holds each counted process from its first record to its end. */

static __always_inline __u32 ns_tgid_of(struct task_struct *leader)
{
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid upid = {};

	bpf_core_read(&upid, sizeof(upid), &pid->numbers[level]);
	return upid.nr;
}

#define SIGNAL_GROUP_EXIT 0x00000004 /* include/linux/sched/signal.h */

/* As wait(2) will tell it: of the call or signal that ended all threads, where there was one; the leader may have ended before. */
static __always_inline __s32 exit_code_of(struct task_struct *leader)
{
	if (BPF_CORE_READ(leader, signal, flags) & SIGNAL_GROUP_EXIT)
		return BPF_CORE_READ(leader, signal, group_exit_code);
	return BPF_CORE_READ(leader, exit_code);
}

/* Of the process that task belongs to. */
static __always_inline int emit_process(__u16 kind, struct task_struct *task, struct vt_process_state *state)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct vt_process record = {};
	struct tally quiet = {}; /* never refused */
	int err;

	record.header.kind = kind;
	record.header.tgid = BPF_CORE_READ(task, tgid);
	record.header.tid = BPF_CORE_READ(task, pid);
	record.header.time_ns = bpf_ktime_get_ns();
	record.start_ns = BPF_CORE_READ(leader, start_boottime);
	record.parent_tgid = BPF_CORE_READ(leader, real_parent, tgid);
	record.ns_tgid = ns_tgid_of(leader);
	record.uid = BPF_CORE_READ(leader, real_cred, uid.val);
	if (kind == VT_RECORD_EXIT) {
		record.exit_code = exit_code_of(leader);
		record.produced = state->produced;
		record.lost = state->lost[VT_LOST_RING];
	}
	bpf_core_read_str(record.comm, sizeof(record.comm), &leader->comm);
	state->start_ns = record.start_ns;
	__sync_fetch_and_add(&state->produced, 1);
	err = emit(&record.header, sizeof(record), &quiet);
	if (!err)
		state->announced = 1;
	return err;
}

static __always_inline struct vt_process_state *process_known(__u32 tgid)
{
	struct vt_process_state *state = bpf_map_lookup_elem(&processes, &tgid);

	return state && !state->ended ? state : NULL;
}

/* The state of a counted process, NULL if tgid is not one. Whole machine: the first probed call makes it one. counts: this
 * call is a loss where there is no room. */
static __always_inline struct vt_process_state *process_counted(__u32 tgid, bool counts)
{
	struct vt_process_state fresh = {}, *state;
	bool is_taken;

	state = bpf_map_lookup_elem(&processes, &tgid);
	if (state && !state->ended)
		return state;
	if (settings.listed_only || tgid == settings.own_tgid)
		return NULL;
	/* One thread replaces what an earlier owner of the tgid has left: a second one would wipe out what the first has counted. */
	is_taken = state && __sync_val_compare_and_swap(&state->ended, 1, 2) != 1;
	if (is_taken || bpf_map_update_elem(&processes, &tgid, &fresh, state ? BPF_ANY : BPF_NOEXIST)) {
		state = process_known(tgid); /* another thread was quicker */
		if (!state && counts)
			COUNT(lost_process);
		return state;
	}
	return bpf_map_lookup_elem(&processes, &tgid);
}

/* Tells of a process once, before its first call. False: not delivered, to be tried again. */
static __always_inline bool process_announce(struct vt_process_state *state, struct task_struct *task)
{
	if (__sync_val_compare_and_swap(&state->announced, 0, 1))
		return true;
	if (!emit_process(VT_RECORD_PROCESS, task, state))
		return true;
	state->announced = 0;
	return false;
}

static __always_inline void process_forked(__u32 parent_tgid, struct task_struct *child)
{
	struct vt_process_state fresh = {}, *state;
	__u32 tgid = child->tgid;

	if (!process_known(parent_tgid))
		return;
	if (settings.listed_only && !settings.follow)
		return;
	if (bpf_map_update_elem(&processes, &tgid, &fresh, BPF_ANY)) {
		if (settings.listed_only) /* else its calls will try again, and count */
			COUNT(lost_process);
		return;
	}
	state = bpf_map_lookup_elem(&processes, &tgid);
	if (state)
		emit_process(VT_RECORD_FORK, child, state);
}

static __always_inline void process_executed(struct task_struct *task)
{
	__u32 tgid = task->tgid;
	struct vt_process_state *state = process_known(tgid);

	if (state)
		emit_process(VT_RECORD_EXEC, task, state);
}

static __always_inline bool has_lost(const struct vt_process_state *state)
{
	__u64 lost = 0;

	for (int i = 0; i < VT_LOST_COUNT; i++)
		lost |= state->lost[i];
	return lost;
}

/*
 * Called for each thread, after thread_ended(). The one that finds no living thread left, and none that has still to hand in what it
 * counted, tells of the end.
 */
static __always_inline void process_exited(struct task_struct *task)
{
	__u32 tgid = task->tgid;
	struct vt_process_state *state = process_known(tgid);

	if (!state || BPF_CORE_READ(task, signal, live.counter) > 0 || (__s32)state->threads > 0)
		return;
	if (__sync_val_compare_and_swap(&state->ending, 0, 1))
		return;
	emit_process(VT_RECORD_EXIT, task, state);
	if (!has_lost(state)) {
		bpf_map_delete_elem(&processes, &tgid);
		return;
	}
	state->ended = 1;
	COUNT(kept_ended);
}
