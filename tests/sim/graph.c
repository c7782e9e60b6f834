// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "arena.h"
#include "card.h"
#include "graph.h"

#define CHUNK (32ULL << 20)
#define PAGE (2ULL << 20)
#define GRAPH_BASE 0x2a9a000000ULL /* where an H100's driver puts the first */

/* An allocation node. It lives as long as its graph, an instance, or memory that a launch has made. */
struct place {
	struct graph_block is;
	struct extent *extent;
	int refs;
	bool freed_inside; /* by a node */
	bool live;	   /* launched, and to be freed from outside */
	bool left;	   /* live, and the instance has gone */
	struct place *next;
};

struct CUgraphNode_st {
	struct place *place;
	bool frees;
	struct CUgraphNode_st *next;
};

struct CUgraph_st {
	struct CUgraphNode_st *first, *last;
};

struct CUgraphExec_st {
	struct place **places;
	size_t count;
	uint64_t peak[CARD_GPUS];
	bool auto_free;
	bool mapped;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct arena arena;
static struct place *places;
static int place_count; /* read without the lock: most programs have none */
static struct graph_memory memory[CARD_GPUS];

static uint64_t round_up(uint64_t bytes, uint64_t step)
{
	return (bytes + step - 1) / step * step;
}

static int make_arena(void)
{
	uint64_t total, unused;
	int err;

	if (arena.base)
		return 0;
	err = card_info(0, &total, &unused);
	return err ? err : arena_init(&arena, GRAPH_BASE, 2 * total, CHUNK, PAGE);
}

static void place_put(struct place *place)
{
	struct place **link = &places;

	if (--place->refs)
		return;
	while (*link != place)
		link = &(*link)->next;
	*link = place->next;
	__atomic_sub_fetch(&place_count, 1, __ATOMIC_RELAXED);
	arena_free(&arena, place->extent);
	free(place);
}

static struct place *find_base(uint64_t addr)
{
	struct place *place = places;

	while (place && place->is.addr != addr)
		place = place->next;
	return place;
}

CUgraph graph_new(void)
{
	return calloc(1, sizeof(struct CUgraph_st));
}

void graph_end(CUgraph graph)
{
	struct CUgraphNode_st *node, *next;

	pthread_mutex_lock(&lock);
	for (node = graph->first; node; node = next) {
		next = node->next;
		if (node->place)
			place_put(node->place);
		free(node);
	}
	pthread_mutex_unlock(&lock);
	free(graph);
}

static int add_node(CUgraph graph, struct place *place, bool frees)
{
	struct CUgraphNode_st *node = calloc(1, sizeof(*node));

	if (!node)
		return -ENOMEM;
	node->place = place;
	node->frees = frees;
	if (place)
		place->refs++;
	if (graph->last)
		graph->last->next = node;
	else
		graph->first = node;
	graph->last = node;
	return 0;
}

static int add_alloc_locked(CUgraph graph, struct place *place)
{
	uint64_t unused;
	int err = make_arena();

	if (err)
		return err;
	place->extent = arena_alloc(&arena, place->is.bytes, &place->is.addr, &unused);
	if (!place->extent)
		return -ENOMEM;
	err = add_node(graph, place, false);
	if (err) {
		arena_free(&arena, place->extent);
		return err;
	}
	place->next = places;
	places = place;
	__atomic_add_fetch(&place_count, 1, __ATOMIC_RELAXED);
	return 0;
}

int graph_add_alloc(CUgraph graph, int gpu, uint64_t bytes, uint64_t *ret_addr)
{
	struct place *place = calloc(1, sizeof(*place));
	int err;

	if (!place)
		return -ENOMEM;
	place->is = (struct graph_block) { .bytes = bytes, .gpu = gpu };
	pthread_mutex_lock(&lock);
	err = add_alloc_locked(graph, place);
	if (!err)
		*ret_addr = place->is.addr;
	pthread_mutex_unlock(&lock);
	if (err)
		free(place);
	return err;
}

int graph_add_free(CUgraph graph, uint64_t addr)
{
	struct place *place;
	int err = -EINVAL;

	pthread_mutex_lock(&lock);
	place = find_base(addr);
	if (place && !place->freed_inside)
		err = add_node(graph, place, true);
	if (!err)
		place->freed_inside = true;
	pthread_mutex_unlock(&lock);
	return err;
}

int graph_add_other(CUgraph graph)
{
	int err;

	pthread_mutex_lock(&lock);
	err = add_node(graph, NULL, false);
	pthread_mutex_unlock(&lock);
	return err;
}

CUgraphNode graph_last_node(CUgraph graph)
{
	return graph->last;
}

int graph_find(uint64_t addr, struct graph_block *ret_block)
{
	struct place *place;

	pthread_mutex_lock(&lock);
	for (place = places; place && addr - place->is.addr >= place->is.bytes;)
		place = place->next;
	if (place)
		*ret_block = place->is;
	pthread_mutex_unlock(&lock);
	return place ? 0 : -ENOENT;
}

/* Memory that an instance maps is its own until it ends; what it then leaves counts by itself. */
static void end_live(struct place *place)
{
	if (place->left)
		memory[place->is.gpu].used -= round_up(place->is.bytes, CHUNK);
	place->live = place->left = false;
	place_put(place);
}

int graph_free(uint64_t addr, struct graph_block *ret_block)
{
	struct place *place;
	int err = 0;

	if (!__atomic_load_n(&place_count, __ATOMIC_RELAXED))
		return -ENOENT;
	pthread_mutex_lock(&lock);
	place = find_base(addr);
	if (!place)
		err = -ENOENT;
	else if (!place->live)
		err = -EINVAL;
	if (!err) {
		*ret_block = place->is;
		end_live(place);
	}
	pthread_mutex_unlock(&lock);
	return err;
}

/* How much is needed at once, when the nodes run in the order of their making. */
static void find_peak(CUgraph graph, CUgraphExec exec)
{
	uint64_t now[CARD_GPUS] = { 0 };

	for (struct CUgraphNode_st *node = graph->first; node; node = node->next) {
		int gpu = node->place ? node->place->is.gpu : 0;

		if (!node->place)
			continue;
		if (!node->frees)
			now[gpu] += round_up(node->place->is.bytes, PAGE);
		else if (now[gpu] >= round_up(node->place->is.bytes, PAGE))
			now[gpu] -= round_up(node->place->is.bytes, PAGE);
		if (now[gpu] > exec->peak[gpu])
			exec->peak[gpu] = now[gpu];
	}
	for (int gpu = 0; gpu < CARD_GPUS; gpu++)
		exec->peak[gpu] = round_up(exec->peak[gpu], CHUNK);
}

static int take_places(CUgraph graph, CUgraphExec exec)
{
	size_t count = 0;

	for (struct CUgraphNode_st *node = graph->first; node; node = node->next)
		count += node->place && !node->frees;
	exec->places = calloc(count + 1, sizeof(*exec->places));
	if (!exec->places)
		return -ENOMEM;
	for (struct CUgraphNode_st *node = graph->first; node; node = node->next) {
		if (!node->place || node->frees)
			continue;
		node->place->refs++;
		exec->places[exec->count++] = node->place;
	}
	return 0;
}

CUgraphExec exec_new(CUgraph graph, bool auto_free)
{
	CUgraphExec exec = calloc(1, sizeof(*exec));
	int err;

	if (!exec)
		return NULL;
	exec->auto_free = auto_free;
	pthread_mutex_lock(&lock);
	find_peak(graph, exec);
	err = take_places(graph, exec);
	pthread_mutex_unlock(&lock);
	if (err) {
		free(exec);
		return NULL;
	}
	return exec;
}

static void leave_live(struct place *place)
{
	struct graph_memory *of = &memory[place->is.gpu];

	if (!place->live || place->left)
		return;
	place->left = true;
	of->used += round_up(place->is.bytes, CHUNK);
}

void exec_end(CUgraphExec exec)
{
	pthread_mutex_lock(&lock);
	for (int gpu = 0; exec->mapped && gpu < CARD_GPUS; gpu++)
		memory[gpu].used -= exec->peak[gpu];
	for (size_t i = 0; i < exec->count; i++) {
		if (exec->mapped)
			leave_live(exec->places[i]);
		place_put(exec->places[i]);
	}
	pthread_mutex_unlock(&lock);
	free(exec->places);
	free(exec);
}

static void note_high(struct graph_memory *of)
{
	if (of->used > of->used_high)
		of->used_high = of->used;
	if (of->reserved > of->reserved_high)
		of->reserved_high = of->reserved;
}

static int map_gpu(int gpu, uint64_t bytes)
{
	struct graph_memory *of = &memory[gpu];
	uint64_t need = of->used + bytes;
	int err = 0;

	if (need > of->reserved)
		err = card_charge(gpu, need - of->reserved);
	if (err)
		return err;
	of->used = need;
	if (need > of->reserved)
		of->reserved = need;
	note_high(of);
	return 0;
}

static int map(CUgraphExec exec)
{
	if (exec->mapped)
		return 0;
	for (int gpu = 0; gpu < CARD_GPUS; gpu++) {
		int err = map_gpu(gpu, exec->peak[gpu]);

		while (err && gpu-- > 0)
			memory[gpu].used -= exec->peak[gpu];
		if (err)
			return err;
	}
	exec->mapped = true;
	return 0;
}

static int launch_locked(CUgraphExec exec)
{
	int err;

	for (size_t i = 0; i < exec->count; i++) {
		if (exec->places[i]->live && !exec->auto_free)
			return -EINVAL;
	}
	err = map(exec);
	if (err)
		return err;
	for (size_t i = 0; i < exec->count; i++) {
		struct place *place = exec->places[i];

		if (place->freed_inside || place->live)
			continue;
		place->live = true;
		place->refs++;
	}
	return 0;
}

int exec_launch(CUgraphExec exec)
{
	int err;

	pthread_mutex_lock(&lock);
	err = launch_locked(exec);
	pthread_mutex_unlock(&lock);
	return err;
}

void graph_memory_get(int gpu, struct graph_memory *ret_memory)
{
	pthread_mutex_lock(&lock);
	*ret_memory = memory[gpu];
	pthread_mutex_unlock(&lock);
}

void graph_memory_reset_high(int gpu, bool reserved, bool used)
{
	pthread_mutex_lock(&lock);
	if (reserved)
		memory[gpu].reserved_high = memory[gpu].reserved;
	if (used)
		memory[gpu].used_high = memory[gpu].used;
	pthread_mutex_unlock(&lock);
}

void graph_memory_trim(int gpu)
{
	struct graph_memory *of = &memory[gpu];

	pthread_mutex_lock(&lock);
	if (of->reserved > of->used) {
		card_refund(gpu, of->reserved - of->used);
		of->reserved = of->used;
	}
	pthread_mutex_unlock(&lock);
}
