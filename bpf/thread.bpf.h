/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * State of the calls a thread is in: a small stack, for a runtime call runs driver calls. Task-local where the kernel can: no
 * contention, no leak.
 */

/* Powers of two: indices are masked for the verifier. */
#define CALL_DEPTH 8
#define STACK_WORDS 64
#define CONTEXT_DEPTH 8

/* What a call came to. */
struct outcome {
	__u64 enter_ns;
	__u64 addr;
	__u64 size;
	__u64 a;
	__u64 b;
	__s32 result;
	__u16 row;
	__u8 flags; /* enum vt_record_flag */
	__u8 pad;
};

struct call {
	__u64 enter_ns;
	__u64 sp;     /* at entry: a call below has a smaller one */
	__u64 arg[6]; /* as passed, or by shape, see shapes.bpf.h */
	__u16 row;
	__u16 told_below;	/* records made for calls under this one that do the same */
	__u32 file;		/* whose probe was hit, see call_begin() */
	struct outcome failure; /* of the last call under a runtime call that failed; result 0: none did */
};

struct thread {
	__u32 depth;
	__u32 overflow;		/* calls entered beyond CALL_DEPTH and not yet returned */
	__u32 overflow_runtime; /* the runtime's among them */
	__u32 announced;	/* its process is known to the reader */
	__u32 frame_count;
	__u32 contexts_held; /* on the thread's stack of contexts; more than we keep: the upper ones are not known */
	__u64 context;	     /* the current one, 0: not known */
	struct tally tally;
	__u64 frames[VT_FRAMES_MAX];   /* of calls[0] */
	__u64 contexts[CONTEXT_DEPTH]; /* see context.bpf.h */
	struct call calls[CALL_DEPTH];
	__u64 stack[STACK_WORDS]; /* a copy of the top of the user stack, while frames are walked */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

/* Where uprobes have no task-local storage: by tid. Only one of both maps is made (settings.thread_hash). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192); /* the user side may ask for another number */
	__type(key, __u32);
	__type(value, struct thread);
} threads_by_tid SEC(".maps");

static struct thread thread_fresh; /* too large for the stack; never written */

/* State of a thread, NULL: it has none. For the hash the tid, for task-local storage the task. */
static __always_inline struct thread *thread_of(struct task_struct *task, __u32 tid)
{
	if (settings.thread_hash)
		return bpf_map_lookup_elem(&threads_by_tid, &tid);
	return bpf_task_storage_get(&threads, task, NULL, 0);
}

static __always_inline struct thread *thread_new(struct task_struct *task, __u32 tid)
{
	if (!settings.thread_hash)
		return bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	bpf_map_update_elem(&threads_by_tid, &tid, &thread_fresh, BPF_ANY);
	return bpf_map_lookup_elem(&threads_by_tid, &tid);
}

/* State of the current thread, if it was in a counted call before. */
static __always_inline struct thread *thread_known(void)
{
	return thread_of(bpf_get_current_task_btf(), bpf_get_current_pid_tgid());
}

/*
 * The same, made at the first call of a thread of a counted process. NULL: not counted; counts: this call is a loss if that is for want
 * of room. A thread with state is counted for good.
 */
static __always_inline struct thread *thread_counted(bool counts)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	struct thread *thread = thread_of(task, pid_tgid);
	struct vt_process_state *state;

	if (thread && thread->announced)
		return thread;
	state = process_counted(pid_tgid >> 32, counts);
	if (!state)
		return NULL;
	if (!thread) {
		thread = thread_new(task, pid_tgid);
		if (!thread) {
			if (counts)
				LOSE(VT_LOST_STATE, lost_state);
			return NULL;
		}
		__sync_fetch_and_add(&state->threads, 1);
	}
	thread->announced = process_announce(state, task);
	return thread;
}

/* Before Linux 5.17 */
struct signal_struct___old {
	struct task_struct *group_exit_task;
} __attribute__((preserve_access_index));

/* Whether the process goes on without this thread, whose end is not that of all and not an exec's. */
static __always_inline bool process_goes_on(struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct signal_struct___old *old = (void *)signal;

	if (BPF_CORE_READ(signal, live.counter) <= 0 || (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT))
		return false;
	if (bpf_core_field_exists(signal->group_exec_task))
		return !BPF_CORE_READ(signal, group_exec_task);
	if (bpf_core_field_exists(old->group_exit_task))
		return !BPF_CORE_READ(old, group_exit_task);
	return true;
}

/* Its calls will not return any more. */
static __always_inline void thread_leave_calls(struct thread *thread)
{
	struct vt_stats *here = stats_here();

	if (here)
		__sync_fetch_and_add(&here->killed_in_call, thread->depth);
	thread->depth = thread->overflow = thread->overflow_runtime = 0;
}

/* What the thread has counted goes to its process. */
static __always_inline void thread_hand_in(struct thread *thread, __u32 tgid)
{
	struct vt_process_state *state = bpf_map_lookup_elem(&processes, &tgid);

	if (!state)
		return;
	__sync_fetch_and_add(&state->produced, thread->tally.produced);
	thread->tally.produced = 0;
	if ((__s32)state->threads > 0)
		__sync_fetch_and_add(&state->threads, -1);
}

/* Of a call that will not return. */
static __always_inline bool is_nothing_lost(const struct call *call)
{
	return call->told_below || !is_ever_told(row_of(call->row));
}

/* One loss for all calls it was in, for nested calls are one to the program. */
static __always_inline void thread_ended(struct task_struct *task)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	struct thread *thread = thread_of(task, pid_tgid);
	__u32 tid = pid_tgid;

	if (!thread)
		return;
	if (thread->depth) {
		if (process_goes_on(task) && !(thread->depth == 1 && is_nothing_lost(&thread->calls[0])))
			LOSE(VT_LOST_KILLED, lost_killed);
		thread_leave_calls(thread);
	}
	thread_hand_in(thread, pid_tgid >> 32);
	if (settings.thread_hash)
		bpf_map_delete_elem(&threads_by_tid, &tid);
}

/* exec: the calls the thread was in are gone with the old image, and it has the leader's tid now. */
static __always_inline void thread_reset(__u32 old_tid)
{
	struct thread *thread = thread_of(bpf_get_current_task_btf(), old_tid);

	if (!thread)
		return;
	thread_leave_calls(thread);
	if (!settings.thread_hash)
		return;
	thread_hand_in(thread, bpf_get_current_pid_tgid() >> 32);
	bpf_map_delete_elem(&threads_by_tid, &old_tid);
}
