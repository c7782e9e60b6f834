/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Which context a thread's calls work in. The driver keeps a stack of contexts per thread; its calls for that are followed here, so that
 * each record says its context and these calls, which some libraries make at every step, need none of their own.
 */

/* The compiler knows that a mask is not needed; the verifier of 6.1 does not. */
static __always_inline __u64 *context_at(struct thread *thread, __u32 i)
{
	barrier_var(i);
	return &thread->contexts[i & (CONTEXT_DEPTH - 1)];
}

/* After each change of the stack: the current one stands where each record finds it at once. */
static __always_inline void context_settle(struct thread *thread)
{
	__u32 held = thread->contexts_held;

	thread->context = !held || held > CONTEXT_DEPTH ? 0 : *context_at(thread, held - 1);
}

static __always_inline void context_push(struct thread *thread, __u64 context)
{
	__u32 held = thread->contexts_held;

	if (held < CONTEXT_DEPTH)
		*context_at(thread, held) = context;
	thread->contexts_held = held + 1;
}

static __always_inline void context_pop(struct thread *thread)
{
	if (thread->contexts_held)
		thread->contexts_held--;
}

/* In place of the current one; NULL takes it away. A stack deeper than we keep is not known any better by it. */
static __always_inline void context_set(struct thread *thread, __u64 context)
{
	context_pop(thread);
	if (context)
		context_push(thread, context);
}

/* After a successful call. made: what a CTX_NEW has written. */
static __always_inline void context_follow(struct thread *thread, __u8 op, const struct call *call)
{
	__u64 made = 0;

	switch (op) {
	case VT_OP_CTX_SET:
		context_set(thread, call->arg[0]);
		break;
	case VT_OP_DEVICE_SET:
		context_set(thread, (__u32)call->arg[0] + 1ull);
		break;
	case VT_OP_CTX_PUSH:
		context_push(thread, call->arg[0]);
		break;
	case VT_OP_CTX_POP:
		context_pop(thread);
		break;
	case VT_OP_CTX_NEW:
		bpf_probe_read_user(&made, sizeof(made), (const void *)call->arg[0]);
		context_push(thread, made);
		break;
	case VT_OP_CTX_END:
		if (thread->context == call->arg[0])
			context_pop(thread);
		break;
	default:
		return;
	}
	context_settle(thread);
}
