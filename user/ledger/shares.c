/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/shares.h"

#include <errno.h>
#include <stdlib.h>

#include "base/slabs.h"
#include "ledger/index.h"
#include "ledger/vmm.h"

/* Each export by descriptor is a token of its own; a program may make any number of them. */
#define TOKENS_MAX 4096

struct token {
	uint64_t value;
	struct memory *memory;
	struct token *next; /* of the same memory */
	struct token *prev;
};

struct shares {
	struct index tokens;  /* value -> token */
	struct index holders; /* id of block -> holder */
	struct slabs token_slabs;
	struct slabs holder_slabs;
	struct slabs memory_slabs;
};

static struct shares *shares_make(struct ledger *ledger)
{
	struct shares *shares = ledger->shares;

	if (shares)
		return shares;
	shares = calloc(1, sizeof(*shares));
	if (!shares)
		return NULL;
	index_init(&shares->tokens);
	index_init(&shares->holders);
	ledger->shares = shares;
	return shares;
}

struct holder *shares_holder(const struct ledger *ledger, uint64_t id)
{
	return ledger->shares ? index_get(&ledger->shares->holders, id) : NULL;
}

struct memory *shares_find(const struct ledger *ledger, uint64_t value)
{
	struct token *token = ledger->shares && value ? index_get(&ledger->shares->tokens, value) : NULL;

	return token ? token->memory : NULL;
}

static void token_unlink(struct token *token)
{
	struct memory *memory = token->memory;

	*(token->prev ? &token->prev->next : &memory->oldest) = token->next;
	*(token->next ? &token->next->prev : &memory->newest) = token->prev;
	memory->token_count--;
}

static void token_link(struct token *token, struct memory *memory)
{
	token->memory = memory;
	token->next = NULL;
	token->prev = memory->newest;
	*(token->prev ? &token->prev->next : &memory->oldest) = token;
	memory->newest = token;
	memory->token_count++;
}

static void token_drop(struct shares *shares, struct token *token)
{
	token_unlink(token);
	index_del(&shares->tokens, token->value);
	slabs_give(&shares->token_slabs, token);
}

int shares_name(struct ledger *ledger, uint64_t value, struct memory *memory)
{
	struct shares *shares = ledger->shares;
	struct token *token = value ? index_get(&shares->tokens, value) : NULL;

	if (!value || (token && token->memory == memory))
		return 0;
	if (token) {
		token_unlink(token);
	} else {
		token = slabs_take(&shares->token_slabs, sizeof(*token));
		if (!token || index_put(&shares->tokens, value, token) < 0) {
			slabs_give(&shares->token_slabs, token);
			return -ENOMEM;
		}
		*token = (struct token) { .value = value };
	}
	token_link(token, memory);
	if (memory->token_count > TOKENS_MAX)
		token_drop(shares, memory->oldest);
	return 0;
}

static void memory_drop(struct shares *shares, struct memory *memory)
{
	while (memory->oldest)
		token_drop(shares, memory->oldest);
	slabs_give(&shares->memory_slabs, memory);
}

void memory_see(const struct ledger *ledger, struct memory *memory)
{
	const struct holder *holder = memory->first;
	struct block block;
	int gpu;

	if (!books_get(holder->process, holder->key, holder->addr, &block))
		return;
	memory->block = block;
	gpu = ledger_gpu_of(ledger, holder->process, block.place);
	if (gpu >= 0)
		memory->gpu = gpu;
}

/* 0 or -ENOMEM: the holder is still the caller's. */
static int holder_link(struct shares *shares, struct holder *holder, struct memory *memory)
{
	struct vmm *vmm = vmm_make(holder->process);

	if (!vmm || index_put(&shares->holders, holder->id, holder) < 0)
		return -ENOMEM;
	holder->memory = memory;
	holder->prev = memory->last;
	*(holder->prev ? &holder->prev->next : &memory->first) = holder;
	memory->last = holder;
	holder->mine_prev = vmm->last_holder;
	*(holder->mine_prev ? &holder->mine_prev->mine_next : &vmm->holders) = holder;
	vmm->last_holder = holder;
	return 0;
}

static void holder_unlink(struct holder *holder)
{
	struct memory *memory = holder->memory;

	*(holder->prev ? &holder->prev->next : &memory->first) = holder->next;
	*(holder->next ? &holder->next->prev : &memory->last) = holder->prev;
}

static void holder_drop(struct ledger *ledger, struct holder *holder)
{
	struct memory *memory = holder->memory;
	struct vmm *vmm = vmm_get(holder->process);

	holder_unlink(holder);
	*(holder->mine_prev ? &holder->mine_prev->mine_next : &vmm->holders) = holder->mine_next;
	*(holder->mine_next ? &holder->mine_next->mine_prev : &vmm->last_holder) = holder->mine_prev;
	index_del(&ledger->shares->holders, holder->id);
	slabs_give(&ledger->shares->holder_slabs, holder);
	if (!memory->first)
		memory_drop(ledger->shares, memory);
}

void share_moved(struct ledger *ledger, uint64_t id, uint64_t addr)
{
	struct holder *holder = shares_holder(ledger, id);

	if (holder)
		holder->addr = addr;
}

bool share_closed(const struct block *block, const struct call *call)
{
	struct holder *holder = shares_holder(call->ledger, block->id);

	if (!holder || holder->opens < 2)
		return false;
	holder->opens--;
	return true;
}

static const struct ledger_gpu *gpu_of(const struct ledger *ledger, const struct process *process,
				       const struct block *block)
{
	int gpu = block->placement == PLACEMENT_HOST ? -1 : ledger_gpu_of(ledger, process, block->place);

	return gpu < 0 ? NULL : ledger_gpu(ledger, (size_t)gpu);
}

static struct notice notice_of_holder(const struct ledger *ledger, const struct holder *holder,
				      const struct block *block, const struct event *event)
{
	return (struct notice) {
		.time_ns = event->time_ns,
		.tid = holder->process->tgid,
		.process = holder->process,
		.caller = block->caller,
		.id = block->id,
		.addr = holder->told_addr,
		.size = block_bytes(block),
		.requested = block->size,
		.block_flags = block->flags,
		.gpu = gpu_of(ledger, holder->process, block),
		.memory_kind = block->kind,
		.placement = block->placement,
		.purpose = PURPOSE_UNKNOWN,
		.live_bytes = holder->process->total.live.bytes,
	};
}

/* Whoever is the first now has it counted to it. One that is out of the books already is going, too. */
static void take_over(struct ledger *ledger, const struct event *event, struct memory *memory, const struct holder *had)
{
	struct holder *holder = memory->first;
	struct notice notice;
	struct block block;

	if (!books_get(holder->process, holder->key, holder->addr, &block) || !(block.flags & BLOCK_BORROWED))
		return;
	block.flags &= (uint8_t)~BLOCK_BORROWED;
	if (books_change(holder->process, holder->key, &block) < 0) {
		ledger_lose(ledger, holder->process, event, LOST_MEMORY, 1);
		return;
	}
	memory_see(ledger, memory);
	notice = notice_of_holder(ledger, holder, &block, event);
	notice.kind = NOTICE_TAKEN;
	notice.peer_tgid = had->process->tgid;
	notice.peer_id = had->id;
	ledger_tell(ledger, &notice);
}

static void holder_leave(struct ledger *ledger, const struct event *event, struct holder *holder)
{
	struct holder had = *holder;
	bool others = holder->next || holder->prev;

	holder_drop(ledger, holder);
	if (others)
		take_over(ledger, event, had.memory, &had);
}

void share_freed(struct ledger *ledger, struct process *process, const struct event *event, const struct block *block)
{
	struct holder *holder = shares_holder(ledger, block->id);

	if (holder && holder->process == process)
		holder_leave(ledger, event, holder);
}

static void leave_to_others(struct ledger *ledger, const struct event *event, struct holder *holder)
{
	struct notice notice;
	struct block block;

	if (books_take_held(holder->process, holder->key, holder->addr, &block)) {
		stream_left(holder->process, &block);
		notice = notice_of_holder(ledger, holder, &block, event);
		notice.kind = NOTICE_FREE;
		notice.tid = event->tid;
		notice.caller = NULL;
		notice.age_ns = event->time_ns > block.alloc_ns ? event->time_ns - block.alloc_ns : 0;
		notice.reason = FREE_EXPORTER_GONE;
		notice.peer_tgid = holder->next->process->tgid;
		notice.peer_id = holder->next->id;
		ledger_tell(ledger, &notice);
	}
	holder_leave(ledger, event, holder);
}

void share_ended(struct ledger *ledger, struct process *process, const struct event *event, enum free_reason reason)
{
	struct vmm *vmm = vmm_get(process);
	struct holder *holder, *next;

	if (!vmm)
		return;
	/* What it has borrowed goes first: it must not take over from itself. */
	for (holder = vmm->holders; holder; holder = next) {
		next = holder->mine_next;
		if (holder->prev)
			holder_leave(ledger, event, holder);
	}
	while ((holder = vmm->holders)) {
		if (holder->next)
			leave_to_others(ledger, event, holder);
		else
			holder_leave(ledger, event, holder);
	}
	vmm_clear(ledger, process, event, reason);
}

struct memory *shares_join(struct ledger *ledger, const struct holder *as, struct memory *memory)
{
	struct shares *shares = shares_make(ledger);
	struct holder *holder = shares ? slabs_take(&shares->holder_slabs, sizeof(*holder)) : NULL;
	bool is_new = !memory;

	if (!holder)
		return NULL;
	if (is_new) {
		memory = slabs_take(&shares->memory_slabs, sizeof(*memory));
		if (memory)
			*memory = (struct memory) { .gpu = -1 };
	}
	if (memory) {
		*holder = *as;
		if (holder_link(shares, holder, memory) == 0)
			return memory;
	}
	slabs_give(&shares->holder_slabs, holder);
	if (is_new)
		slabs_give(&shares->memory_slabs, memory);
	return NULL;
}

void shares_fini(struct ledger *ledger)
{
	struct shares *shares = ledger->shares;
	struct holder *holder;
	struct map_slot *slot;

	if (!shares)
		return;
	for (size_t i = 0; (slot = index_next(&shares->holders, &i));) {
		holder = slot->value;
		holder_unlink(holder);
		if (!holder->memory->first)
			memory_drop(shares, holder->memory);
		slabs_give(&shares->holder_slabs, holder);
	}
	index_fini(&shares->holders);
	index_fini(&shares->tokens);
	slabs_fini(&shares->token_slabs);
	slabs_fini(&shares->holder_slabs);
	slabs_fini(&shares->memory_slabs);
	free(shares);
	ledger->shares = NULL;
}
