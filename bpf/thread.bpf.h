/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* State of the calls a thread is in: a small stack, for a runtime call runs driver calls. Task-local: no contention, no leak. */

/* Powers of two: indices are masked for the verifier. */
#define CALL_DEPTH 8
#define STACK_WORDS 64

/* What a call came to. */
struct outcome {
	__u64 enter_ns;
	__u64 addr;
	__u64 size;
	__s32 result;
	__u16 row;
	__u8 flags; /* enum vt_record_flag */
	__u8 pad;
};

struct call {
	__u64 enter_ns;
	__u64 sp;     /* at entry: a call below has a smaller one */
	__u64 out;    /* where the result will be written, user address */
	__u64 arg[3]; /* by shape, see shapes.bpf.h */
	__u16 row;
	__u16 told_below;	/* records made for calls under this one that do the same */
	__u32 file;		/* whose probe was hit, see call_begin() */
	struct outcome failure; /* of the last call under a runtime call that failed; result 0: none did */
};

struct thread {
	__u32 depth;
	__u32 overflow;	 /* calls entered beyond CALL_DEPTH and not yet returned */
	__u32 announced; /* its process is known to the reader */
	__u32 frame_count;
	__u64 frames[VT_FRAMES_MAX]; /* of calls[0] */
	struct call calls[CALL_DEPTH];
	__u64 stack[STACK_WORDS]; /* a copy of the top of the user stack, while frames are walked */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

/* State of the current thread, if it was in a counted call before. */
static __always_inline struct thread *thread_known(void)
{
	return bpf_task_storage_get(&threads, bpf_get_current_task_btf(), NULL, 0);
}

/* The same, made at the first call of a thread of a counted process. NULL: not counted. A thread with state is counted for good. */
static __always_inline struct thread *thread_counted(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = bpf_task_storage_get(&threads, task, NULL, 0);
	struct vt_process_state *state;

	if (thread && thread->announced)
		return thread;
	state = process_counted(bpf_get_current_pid_tgid() >> 32);
	if (!state)
		return NULL;
	if (!thread)
		thread = bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!thread) {
		COUNT(lost_state);
		return NULL;
	}
	thread->announced = process_announce(state, task);
	return thread;
}

static __always_inline void thread_ended(struct task_struct *task)
{
	struct thread *thread = bpf_task_storage_get(&threads, task, NULL, 0);
	struct vt_stats *here = stats_here();

	if (thread && here && thread->depth) {
		__sync_fetch_and_add(&here->killed_in_call, thread->depth);
		thread->depth = 0;
	}
}

/* exec: the calls the thread was in are gone with the old image. */
static __always_inline void thread_reset(void)
{
	struct thread *thread = thread_known();

	if (!thread)
		return;
	thread_ended(bpf_get_current_task_btf());
	thread->overflow = 0;
}
