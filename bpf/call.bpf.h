/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * From entry and return to one record per settled call. The driver's call is the truth; a runtime call above it gives name and
 * caller, and speaks for itself only when it reached no driver call, or failed although the driver's call had succeeded.
 */

#define FRAME_BYTES_MAX (1 << 20) /* a saved frame pointer further away than this is no frame pointer */

/* A CALL record with room for all frames. */
union call_record {
	struct vt_call call;
	__u64 words[VT_RECORD_BYTES_MAX / 8];
};

#define FRAMES_AT (sizeof(struct vt_call) / 8)

/* A saved frame pointer and the return address above it: from the copy of the stack where it reaches so far, else from the stack. */
static __always_inline int read_frame(const struct thread *thread, __u64 base, __u64 at, __u64 frame[2])
{
	__u64 word = (at - base) / 8;

	if (base != (__u64)-1 && !((at - base) & 7) && word < STACK_WORDS - 1) {
		frame[0] = thread->stack[word & (STACK_WORDS - 1)];
		frame[1] = thread->stack[(word + 1) & (STACK_WORDS - 1)];
		return 0;
	}
	return bpf_probe_read_user(frame, 16, (const void *)at);
}

/* By frame pointer, which both libraries keep, and as far as others do. base: where the copy of the stack begins, -1: there is none. */
static __always_inline void walk_frames(struct pt_regs *ctx, struct thread *thread, __u64 base)
{
	__u64 sp = PT_REGS_SP(ctx), at = PT_REGS_FP(ctx);
	__u64 frame[2];

	for (int i = 1; i < VT_FRAMES_MAX; i++) {
		if (at < sp || read_frame(thread, base, at, frame))
			return;
		if (!frame[1] || frame[0] <= at || frame[0] - at > FRAME_BYTES_MAX)
			return;
		thread->frames[i] = frame[1];
		thread->frame_count = i + 1;
		at = frame[0];
	}
}

static __always_inline int keep_return_address(struct pt_regs *ctx, struct thread *thread, __u64 base)
{
#if defined(__TARGET_ARCH_x86)
	__u64 sp = PT_REGS_SP(ctx);

	if (base != sp)
		return bpf_probe_read_user(&thread->frames[0], 8, (const void *)sp);
	thread->frames[0] = thread->stack[0];
#else
	thread->frames[0] = PT_REGS_RET(ctx);
#endif
	return 0;
}

/*
 * Return addresses of the outermost call. At a runtime call's entry the first one is the caller, exactly. A driver call may come from a
 * runtime that is linked statically or not probed: its frames are walked, so that the user side can choose the first one outside. One
 * copy of the stack's top spares a read per frame.
 */
static __always_inline void keep_frames(struct pt_regs *ctx, struct thread *thread, __u8 layer)
{
	__u64 base = -1;

	if (layer == VT_LAYER_DRIVER &&
	    !bpf_probe_read_user(thread->stack, sizeof(thread->stack), (const void *)PT_REGS_SP(ctx)))
		base = PT_REGS_SP(ctx);
	thread->frame_count = 0;
	if (keep_return_address(ctx, thread, base))
		return;
	thread->frame_count = 1;
	if (layer == VT_LAYER_DRIVER)
		walk_frames(ctx, thread, base);
}

static __always_inline bool is_same_op(const struct call *call, struct row row)
{
	return call && row_of(call->row).op == row.op;
}

static __always_inline bool is_layer(const struct call *call, __u8 layer)
{
	return call && row_of(call->row).layer == layer;
}

/* Takes the innermost call off the stack, whose return was not seen. To the program one call is lost, not each layer's. */
static __always_inline void drop_innermost(struct thread *thread)
{
	__u32 depth = thread->depth;
	const struct call *call = &thread->calls[(depth - 1) & (CALL_DEPTH - 1)];
	const struct call *above = &thread->calls[(depth - 2) & (CALL_DEPTH - 1)];

	thread->depth = depth - 1;
	COUNT(missed_return);
	if (call->told_below || !is_ever_told(row_of(call->row)))
		return;
	if (depth > 1 && is_layer(call, VT_LAYER_DRIVER) && is_layer(above, VT_LAYER_RUNTIME) &&
	    is_same_op(above, row_of(call->row)))
		return; /* that one tells, or is lost */
	LOSE(VT_LOST_RETURN, lost_return);
}

/* Calls that were left without a return (longjmp, C++ exception): their stack pointer is not above ours. */
static __always_inline void drop_stale(struct thread *thread, __u64 sp)
{
	for (int i = 0; i < CALL_DEPTH; i++) {
		__u32 depth = thread->depth;

		if (!depth || thread->calls[(depth - 1) & (CALL_DEPTH - 1)].sp > sp)
			return;
		drop_innermost(thread);
	}
}

/*
 * Two containers can have one file at two places that stat(2) tells apart (overlayfs with a shared layer): it is probed twice, and each
 * probe is hit by the same call. The first one counts.
 */
static __always_inline bool is_hit_again(const struct thread *thread, __u64 sp, __u32 id, __u32 file)
{
	__u32 depth = thread->depth;
	const struct call *call = &thread->calls[(depth - 1) & (CALL_DEPTH - 1)];

	return depth && call->sp == sp && call->row == id && call->file != file;
}

/*
 * A call deeper than we follow; beyond 64 the kernel itself has no return probe left. Lost, each once: a driver call for which a runtime
 * call above it speaks, be that told or lost, is none of its own.
 */
static __always_inline void call_overflow(struct thread *thread, __u32 id)
{
	const struct call *last = &thread->calls[CALL_DEPTH - 1];

	thread->overflow++;
	if (row_of(id).layer == VT_LAYER_RUNTIME) {
		thread->overflow_runtime++;
	} else if (thread->overflow_runtime) {
		return;
	} else if (is_layer(last, VT_LAYER_RUNTIME) && is_same_op(last, row_of(id))) {
		return;
	}
	LOSE(VT_LOST_NESTED, lost_nested);
}

/* The return of such a call, where it comes. */
static __always_inline void call_overflow_end(struct thread *thread, __u32 id)
{
	thread->overflow--;
	if (row_of(id).layer == VT_LAYER_RUNTIME && thread->overflow_runtime)
		thread->overflow_runtime--;
}

#define CUDA_OUT_OF_MEMORY 2 /* in both layers */

static __always_inline bool is_told(struct row row, const struct outcome *outcome)
{
	if (row.op == VT_OP_WATCH)
		return outcome->result == CUDA_OUT_OF_MEMORY;
	if (row.op == VT_OP_NODE)
		return outcome->b == VT_NODE_MEM_ALLOC || outcome->b == VT_NODE_MEM_FREE;
	return is_ever_told(row);
}

static __always_inline void tell(struct thread *thread, const struct outcome *outcome)
{
	const struct call *outer = &thread->calls[0];
	union call_record record = {};
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u32 count = thread->frame_count;
	__u32 length;

	record.call.header.kind = VT_RECORD_CALL;
	record.call.header.flags = outcome->flags;
	record.call.header.tgid = pid_tgid >> 32;
	record.call.header.tid = (__u32)pid_tgid;
	record.call.header.time_ns = bpf_ktime_get_ns();
	record.call.row = outcome->row;
	record.call.outer_row = outcome->row;
	if (is_same_op(outer, row_of(outcome->row)))
		record.call.outer_row = outer->row;
	record.call.result = outcome->result;
	record.call.enter_ns = outcome->enter_ns;
	record.call.addr = outcome->addr;
	record.call.size = outcome->size;
	record.call.context = thread->context;
	record.call.a = outcome->a;
	record.call.b = outcome->b;
	if (count > VT_FRAMES_MAX)
		count = VT_FRAMES_MAX;
	for (int i = 0; i < VT_FRAMES_MAX; i++)
		record.words[FRAMES_AT + i] = thread->frames[i]; /* sent are only `count` of them */
	length = sizeof(record.call) + 8 * count;
	if (length > sizeof(record))
		return;
	emit(&record.call.header, length, &thread->tally);
}

#define HIT_AGAIN_NS (20 * 1000) /* between the two probes that one call hits, see is_hit_again() */

static __always_inline bool is_told_at_entry(struct row row)
{
	return (row.op == VT_OP_ALLOC || row.op == VT_OP_FREE) && row.kind != VT_KIND_GRAPH;
}

/* Without return probes: what is asked for, as it is asked. Nothing is known of nesting, and so of what is one allocation. */
static __always_inline void call_enter_only(struct pt_regs *ctx, struct thread *thread, __u32 id, __u32 file)
{
	struct call *call = &thread->calls[0];
	struct outcome outcome = { .enter_ns = bpf_ktime_get_ns(), .row = id, .flags = VT_FLAG_ENTRY };
	struct row row = row_of(id);
	__u64 sp = PT_REGS_SP(ctx);

	if (call->sp == sp && call->row == id && call->file != file && outcome.enter_ns - call->enter_ns < HIT_AGAIN_NS)
		return;
	if (!is_told_at_entry(row))
		return;
	COUNT(entered);
	call->row = id;
	call->file = file;
	call->sp = sp;
	call->enter_ns = outcome.enter_ns;
	shape_enter(ctx, row.shape, call, thread);
	shape_arguments(row, call, &outcome);
	if (is_array(row.shape))
		read_array(row.shape, call, &outcome);
	keep_frames(ctx, thread, row.layer);
	tell(thread, &outcome);
}

/* cookie: the row, and above it the number of the file. */
static __always_inline void call_begin(struct pt_regs *ctx, __u64 cookie)
{
	__u32 id = cookie, file = cookie >> 32;
	struct row row = row_of(id);
	struct thread *thread;
	struct call *call;
	__u32 depth;

	if (!row.layer)
		return;
	thread = thread_counted(row.layer == settings.count_layer);
	if (thread && settings.entry_only) {
		call_enter_only(ctx, thread, id, file);
		return;
	}
	if (!thread || is_hit_again(thread, PT_REGS_SP(ctx), id, file))
		return;
	drop_stale(thread, PT_REGS_SP(ctx));
	depth = thread->depth;
	if (depth >= CALL_DEPTH) {
		call_overflow(thread, id);
		return;
	}
	thread->overflow = thread->overflow_runtime = 0; /* whatever was deeper has ended */
	COUNT(entered);
	barrier_var(depth); /* else the compiler leaves out a mask that 6.1's verifier needs */
	call = &thread->calls[depth & (CALL_DEPTH - 1)];
	call->row = id;
	call->file = file;
	call->sp = PT_REGS_SP(ctx);
	call->told_below = 0;
	call->failure.result = 0;
	shape_enter(ctx, row.shape, call, thread);
	if (!depth && is_ever_told(row))
		keep_frames(ctx, thread, row.layer);
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
 * Takes the returning call off the stack: the one of its row, file and stack pointer. Calls further down are stale. NULL: it was
 * entered before its entry was probed, or not followed; whatever it was called from is still running and stays.
 */
static __always_inline struct call *call_pop(struct thread *thread, __u32 id, __u32 file, __u64 sp)
{
	for (int i = 0; i < CALL_DEPTH; i++) {
		__u32 depth = thread->depth;
		struct call *call;

		if (!depth)
			break;
		call = &thread->calls[(depth - 1) & (CALL_DEPTH - 1)];
		if (call->sp > sp || (call->sp == sp && (call->row != id || call->file != file)))
			break;
		thread->overflow = thread->overflow_runtime = 0;
		if (call->sp == sp) {
			thread->depth = depth - 1;
			COUNT(returned);
			return call;
		}
		drop_innermost(thread);
	}
	if (thread->overflow)
		call_overflow_end(thread, id);
	else
		COUNT(unentered);
	return NULL;
}

/*
 * A driver call that fails under a runtime call is the runtime's business until that returns: it may try again (seen: the first
 * cudaMallocAsync of a thread gets 201, makes a context and repeats the call), and a program hears of nothing then.
 */
static __always_inline void settle(struct thread *thread, struct call *call, int result, struct call *above)
{
	struct row row = row_of(call->row);
	struct outcome outcome = { .enter_ns = call->enter_ns, .result = result, .row = call->row };

	if (!row.layer)
		return;
	if (row.layer == VT_LAYER_RUNTIME && result && call->failure.result) {
		outcome = call->failure;
	} else {
		shape_return(row, call, &outcome, thread);
		if (row.layer == VT_LAYER_RUNTIME && call->told_below)
			outcome.flags |= VT_FLAG_DISAGREES;
	}
	if (outcome.result && is_layer(above, VT_LAYER_RUNTIME) && is_same_op(above, row)) {
		above->failure = outcome;
		return;
	}
	if (!is_told(row, &outcome))
		return;
	tell(thread, &outcome);
	call->told_below++;
	if (!outcome.result && is_same_op(above, row))
		above->failure.result = 0; /* tried again, and well */
}

static __always_inline void call_end(struct pt_regs *ctx, __u64 cookie)
{
	__u32 id = cookie, file = cookie >> 32;
	struct thread *thread = thread_known();
	struct row row;
	struct call *call, *above = NULL;
	int result = (int)PT_REGS_RC(ctx);
	__u32 depth;

	if (!thread || !row_of(id).layer)
		return;
	call = call_pop(thread, id, file, entry_sp(ctx));
	if (!call)
		return;
	row = row_of(call->row);
	if (!result)
		context_follow(thread, row.op, call);
	depth = thread->depth;
	if (depth)
		above = &thread->calls[(depth - 1) & (CALL_DEPTH - 1)];
	if (is_layer(above, VT_LAYER_DRIVER))
		return; /* the driver at work for itself: the outer call tells */
	/* A runtime call that succeeded has been told by the driver call under it, if there was one. */
	if (result || !call->told_below)
		settle(thread, call, result, above);
	if (call->told_below && is_same_op(above, row))
		above->told_below++;
}
