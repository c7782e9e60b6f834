/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * From entry and return to one record per settled call. The driver's call is the truth; a runtime call above it gives name and
 * caller, and speaks for itself only when no driver call under it was told, or when it failed although that one succeeded.
 */

#define FRAME_BYTES_MAX (1 << 20) /* a saved frame pointer further away than this is no frame pointer */

/* A CALL record with room for all frames. */
union call_record {
	struct vt_call call;
	__u64 words[VT_RECORD_BYTES_MAX / 8];
};

#define FRAMES_AT (sizeof(struct vt_call) / 8)

/*
 * Return addresses of the outermost call. At a runtime call's entry the first one is the caller, exactly. A driver call may come from a
 * runtime that is linked statically or not probed: its frames are walked by frame pointer, which both libraries keep, so that the
 * user side can choose the first one outside of them.
 */
static __always_inline void keep_frames(struct pt_regs *ctx, struct thread *thread, __u8 layer)
{
	__u64 frame[2] = { PT_REGS_FP(ctx), 0 }; /* saved frame pointer, return address */
	__u64 here;

	thread->frame_count = 0;
#if defined(__TARGET_ARCH_x86)
	if (bpf_probe_read_user(&thread->frames[0], 8, (const void *)PT_REGS_SP(ctx)))
		return;
#else
	thread->frames[0] = PT_REGS_RET(ctx);
#endif
	thread->frame_count = 1;
	if (layer != VT_LAYER_DRIVER)
		return;
	for (int i = 1; i < VT_FRAMES_MAX; i++) {
		here = frame[0];
		if (here < PT_REGS_SP(ctx) || bpf_probe_read_user(frame, sizeof(frame), (const void *)here))
			return;
		if (!frame[1] || frame[0] <= here || frame[0] - here > FRAME_BYTES_MAX)
			return;
		thread->frames[i] = frame[1];
		thread->frame_count = i + 1;
	}
}

/* Calls that were left without a return (longjmp, C++ exception): their stack pointer is not above ours. */
static __always_inline void drop_stale(struct thread *thread, __u64 sp)
{
	for (int i = 0; i < CALL_DEPTH; i++) {
		__u32 depth = thread->depth;

		if (!depth || thread->calls[(depth - 1) & (CALL_DEPTH - 1)].sp > sp)
			return;
		thread->depth = depth - 1;
		COUNT(missed_return);
	}
}

static __always_inline void call_begin(struct pt_regs *ctx, __u64 id)
{
	struct thread *thread;
	struct call *call;
	__u32 depth;

	if (id >= VT_PROBE_COUNT)
		return;
	thread = thread_counted();
	if (!thread)
		return;
	drop_stale(thread, PT_REGS_SP(ctx));
	depth = thread->depth;
	if (depth >= CALL_DEPTH) {
		thread->overflow++;
		COUNT(lost_nested);
		return;
	}
	COUNT(entered);
	call = &thread->calls[depth & (CALL_DEPTH - 1)];
	call->row = id;
	call->sp = PT_REGS_SP(ctx);
	call->told_below = 0;
	call->below_result = 0;
	shape_enter(ctx, rows[id].shape, call);
	if (!depth)
		keep_frames(ctx, thread, rows[id].layer);
	thread->depth = depth + 1;
	call->enter_ns = bpf_ktime_get_ns();
}

/* The stack pointer that the function returning here was entered with. */
static __always_inline __u64 entry_sp(struct pt_regs *ctx)
{
#if defined(__TARGET_ARCH_x86)
	return PT_REGS_SP(ctx) - 8; /* the return address has been taken off */
#else
	return PT_REGS_SP(ctx);
#endif
}

/*
 * Takes the returning call off the stack: the one of its row and stack pointer. Calls further down are stale. NULL: it was
 * entered before its entry was probed, or not followed; whatever it was called from is still running and stays.
 */
static __always_inline struct call *call_pop(struct thread *thread, __u64 id, __u64 sp)
{
	for (int i = 0; i < CALL_DEPTH; i++) {
		__u32 depth = thread->depth;
		struct call *call;

		if (!depth)
			break;
		call = &thread->calls[(depth - 1) & (CALL_DEPTH - 1)];
		if (call->sp > sp || (call->sp == sp && call->row != id))
			break;
		thread->depth = depth - 1;
		if (call->sp == sp) {
			COUNT(returned);
			return call;
		}
		COUNT(missed_return);
	}
	if (thread->overflow)
		thread->overflow--;
	else
		COUNT(unentered);
	return NULL;
}

static __always_inline bool is_told(const struct call *call, const struct row *row, int result, const struct call *above)
{
	if (row->layer == VT_LAYER_RUNTIME && call->told_below)
		return result && !call->below_result; /* the two layers disagree */
	if (above && above->row < VT_PROBE_COUNT && rows[above->row].layer == VT_LAYER_DRIVER)
		return false; /* the driver at work for itself: the outer call tells */
	return true;
}

static __always_inline void call_tell(struct thread *thread, const struct call *call, const struct row *row, int result)
{
	const struct call *outer = &thread->calls[0];
	union call_record record = {};
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u32 count = thread->frame_count;
	__u32 length;

	record.call.header.kind = VT_RECORD_CALL;
	record.call.header.tgid = pid_tgid >> 32;
	record.call.header.tid = (__u32)pid_tgid;
	record.call.header.time_ns = bpf_ktime_get_ns();
	if (row->layer == VT_LAYER_RUNTIME && call->told_below)
		record.call.header.flags |= VT_FLAG_DISAGREES;
	record.call.row = call->row;
	record.call.outer_row = call->row;
	if (outer->row < VT_PROBE_COUNT && rows[outer->row].op == row->op)
		record.call.outer_row = outer->row;
	record.call.result = result;
	record.call.enter_ns = call->enter_ns;
	shape_return(row->shape, call, &record.call);
	if (count > VT_FRAMES_MAX)
		count = VT_FRAMES_MAX;
	for (int i = 0; i < VT_FRAMES_MAX; i++)
		record.words[FRAMES_AT + i] = i < count ? thread->frames[i] : 0;
	length = sizeof(record.call) + 8 * count;
	if (length > sizeof(record))
		return;
	emit(&record.call.header, length);
}

static __always_inline void call_end(struct pt_regs *ctx, __u64 id)
{
	struct thread *thread = thread_known();
	struct call *call, *above = NULL;
	int result = (int)PT_REGS_RC(ctx);
	__u32 depth;
	bool told;

	if (!thread || id >= VT_PROBE_COUNT)
		return;
	call = call_pop(thread, id, entry_sp(ctx));
	if (!call)
		return;
	depth = thread->depth;
	if (depth)
		above = &thread->calls[(depth - 1) & (CALL_DEPTH - 1)];
	told = is_told(call, &rows[id], result, above);
	if (told)
		call_tell(thread, call, &rows[id], result);
	if (above && (told || call->told_below)) {
		above->told_below++;
		above->below_result = told ? result : call->below_result;
	}
}
