// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * The kernel half: two programs on the entry and the return of every row of probes.def (uprobe_multi links, the cookie is the row and
 * the file; on older kernels a link each) and three on the life of processes. One record per settled call goes to the ring buffer.
 * Nothing here writes to the traced program's memory, sends signals or changes what the probed function does.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "vramtrace/config.h"
#include "vramtrace/probe.h"
#include "vramtrace/stats.h"
#include "vramtrace/wire.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile struct vt_config settings = {};

volatile __u32 phase = VT_PHASE_LIFE;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20); /* resized before load */
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct vt_stats);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768); /* the user side may ask for another number */
	__type(key, __u32);
	__type(value, struct vt_process_state);
} processes SEC(".maps");

#include "emit.bpf.h"
#include "process.bpf.h"
#include "rows.bpf.h"
#include "thread.bpf.h"
#include "shapes.bpf.h"
#include "context.bpf.h"
#include "call.bpf.h"

SEC("uprobe")
int call_enter(struct pt_regs *ctx)
{
	if (phase == VT_PHASE_CALLS)
		call_begin(ctx, bpf_get_attach_cookie(ctx));
	return 0;
}

SEC("uprobe")
int call_return(struct pt_regs *ctx)
{
	if (phase != VT_PHASE_OVER)
		call_end(ctx, bpf_get_attach_cookie(ctx));
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	if (phase != VT_PHASE_OVER && child->pid == child->tgid)
		process_forked(parent->tgid, child);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, pid_t old_tid)
{
	if (phase == VT_PHASE_OVER)
		return 0;
	thread_reset(old_tid);
	process_executed(task);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	if (phase == VT_PHASE_OVER)
		return 0;
	thread_ended(task);
	process_exited(task);
	return 0;
}
