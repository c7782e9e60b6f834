/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "ledger/books.h"
#include "probe/table.h"

/*
 * A checkpoint moves all that a process has in VRAM into host memory, and a restore moves it back (cuda.h). The process itself makes no
 * call: another one does. That a restore can choose other GPUs is not followed.
 */

/* As its caller knows it: a pid of its PID namespace, in which the processes that we know are by that number too. NULL: none, or several. */
static struct process *process_meant(const struct call *call)
{
	uint64_t pid = call->event->addr;
	bool in_namespace = call->process->ns_tgid && call->process->ns_tgid != call->process->tgid;
	struct process *found = NULL;

	if (pid > UINT32_MAX)
		return NULL;
	if (!in_namespace)
		return processes_find(&call->ledger->processes, (uint32_t)pid);
	for (size_t i = 0; i < call->ledger->processes.count; i++) {
		struct process *process = call->ledger->processes.items[i];

		if (process->ended || process->ns_tgid != pid || process->ns_tgid == process->tgid)
			continue;
		if (found)
			return NULL;
		found = process;
	}
	return found;
}

static bool is_in_vram(void *ctx, enum key key, const struct block *block)
{
	(void)ctx;
	(void)key;
	return block->placement == PLACEMENT_VRAM;
}

static bool is_checkpointed(void *ctx, enum key key, const struct block *block)
{
	(void)ctx;
	(void)key;
	return block->flags & BLOCK_CHECKPOINTED;
}

/* Bytes moved. */
static uint64_t move(const struct call *call, struct process *process, bool back)
{
	struct picked *picked = NULL;
	uint64_t moved = 0;
	size_t count = 0;
	int err = books_pick(process, back ? is_checkpointed : is_in_vram, NULL, &picked, &count);

	for (size_t i = 0; !err && i < count; i++) {
		struct block block = picked[i].block;

		block.placement = back ? PLACEMENT_VRAM : PLACEMENT_HOST;
		block.flags ^= BLOCK_CHECKPOINTED;
		err = books_change(process, picked[i].key, &block);
		if (!err && !(block.flags & BLOCK_BORROWED))
			moved += block_bytes(&block);
	}
	free(picked);
	if (err)
		ledger_lose(call->ledger, process, call->event, LOST_MEMORY, 1);
	return moved;
}

void checkpoint_apply(const struct call *call)
{
	bool back = call->row->op == VT_OP_RESTORE;
	struct process *process = process_meant(call);
	struct notice notice = call_notice(call, back ? NOTICE_RESTORE : NOTICE_CHECKPOINT);

	if (!process || !process->has_cuda)
		return; /* nothing of it is traced */
	notice.process = process;
	notice.tid = process->tgid;
	notice.addr = 0;
	notice.size = notice.requested = move(call, process, back);
	notice.placement = back ? PLACEMENT_VRAM : PLACEMENT_HOST;
	notice.peer_tgid = call->process->tgid;
	ledger_tell(call->ledger, &notice);
}
