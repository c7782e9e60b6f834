/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/ranges.h"

#include <errno.h>
#include <sys/random.h>

/* By address from left to right, by weight from top to bottom: the weights are random, so the depth is that of a random tree. */
struct range_node {
	struct range range;
	uint64_t weight;
	struct range_node *left;
	struct range_node *right;
};

static uint64_t last_of(const struct range *range)
{
	return range->addr + (range->size - 1);
}

uint64_t ranges_last(uint64_t addr, uint64_t size)
{
	uint64_t last;

	return __builtin_add_overflow(addr, size - 1, &last) ? UINT64_MAX : last;
}

static uint64_t throw_dice(struct ranges *ranges)
{
	if (!ranges->dice) {
		if (getrandom(&ranges->dice, sizeof(ranges->dice), GRND_NONBLOCK) != (ssize_t)sizeof(ranges->dice))
			ranges->dice = (uint64_t)(uintptr_t)ranges;
		ranges->dice |= 1;
	}
	ranges->dice ^= ranges->dice << 13;
	ranges->dice ^= ranges->dice >> 7;
	ranges->dice ^= ranges->dice << 17;
	return ranges->dice * 0x2545f4914f6cdd1dULL;
}

/* Frees without recursion: the left side is turned over to the right until there is none. */
void ranges_fini(struct ranges *ranges)
{
	struct range_node *node = ranges->root, *next;

	while (node) {
		next = node->left;
		if (next) {
			node->left = next->right;
			next->right = node;
		} else {
			next = node->right;
			slabs_give(&ranges->nodes, node);
		}
		node = next;
	}
	slabs_fini(&ranges->nodes);
	ranges->root = NULL;
	ranges->count = 0;
}

bool ranges_next(const struct ranges *ranges, uint64_t addr, struct range *ret_range)
{
	const struct range_node *node = ranges->root, *best = NULL;

	while (node) {
		if (last_of(&node->range) < addr) {
			node = node->right;
		} else {
			best = node;
			node = node->left;
		}
	}
	if (best)
		*ret_range = best->range;
	return best;
}

bool ranges_find(const struct ranges *ranges, uint64_t addr, struct range *ret_range)
{
	struct range range;

	if (!ranges_next(ranges, addr, &range) || range.addr > addr)
		return false;
	*ret_range = range;
	return true;
}

/* The tree of `node` as two: below addr, and from addr on. */
static void split(struct range_node *node, uint64_t addr, struct range_node **ret_left, struct range_node **ret_right)
{
	while (node) {
		if (node->range.addr < addr) {
			*ret_left = node;
			ret_left = &node->right;
			node = node->right;
		} else {
			*ret_right = node;
			ret_right = &node->left;
			node = node->left;
		}
	}
	*ret_left = NULL;
	*ret_right = NULL;
}

static void insert(struct ranges *ranges, struct range_node *new)
{
	struct range_node **at = &ranges->root;

	while (*at && (*at)->weight >= new->weight)
		at = new->range.addr < (*at)->range.addr ? &(*at)->left : &(*at)->right;
	split(*at, new->range.addr, &new->left, &new->right);
	*at = new;
	ranges->count++;
}

/* Both halves of a node that goes, as one tree in its place. */
static struct range_node *join(struct range_node *left, struct range_node *right)
{
	struct range_node *root = NULL, **at = &root;

	while (left && right) {
		if (left->weight >= right->weight) {
			*at = left;
			at = &left->right;
			left = left->right;
		} else {
			*at = right;
			at = &right->left;
			right = right->left;
		}
	}
	*at = left ? left : right;
	return root;
}

/* The node of the range that begins at addr: it is there. */
static struct range_node **node_at(struct ranges *ranges, uint64_t addr)
{
	struct range_node **at = &ranges->root;

	while ((*at)->range.addr != addr)
		at = addr < (*at)->range.addr ? &(*at)->left : &(*at)->right;
	return at;
}

static void drop(struct ranges *ranges, uint64_t addr)
{
	struct range_node **at = node_at(ranges, addr), *node = *at;

	*at = join(node->left, node->right);
	slabs_give(&ranges->nodes, node);
	ranges->count--;
}

int ranges_add(struct ranges *ranges, const struct range *range)
{
	struct range_node *node;
	struct range there;

	if (!range->size || range->addr + (range->size - 1) < range->addr)
		return -EINVAL;
	if (ranges_next(ranges, range->addr, &there) && there.addr <= last_of(range))
		return -EEXIST;
	node = slabs_take(&ranges->nodes, sizeof(*node));
	if (!node)
		return -ENOMEM;
	node->range = *range;
	node->weight = throw_dice(ranges);
	insert(ranges, node);
	return 0;
}

/* `last` is the last address that goes. The order of addresses does not change, so neither does the tree. */
static int cut(struct ranges *ranges, const struct range *range, uint64_t addr, uint64_t last)
{
	struct range rest = *range;
	struct range_node *node;

	if (range->addr < addr && last_of(range) > last) {
		node = slabs_take(&ranges->nodes, sizeof(*node));
		if (!node)
			return -ENOMEM;
		rest.addr = last + 1;
		rest.size = last_of(range) - last;
		node->range = rest;
		node->weight = throw_dice(ranges);
		(*node_at(ranges, range->addr))->range.size = addr - range->addr;
		insert(ranges, node);
	} else if (range->addr < addr) {
		(*node_at(ranges, range->addr))->range.size = addr - range->addr;
	} else if (last_of(range) > last) {
		rest.addr = last + 1;
		rest.size = last_of(range) - last;
		(*node_at(ranges, range->addr))->range = rest;
	} else {
		drop(ranges, range->addr);
	}
	return 0;
}

int ranges_remove(struct ranges *ranges, uint64_t addr, uint64_t size)
{
	struct range range;
	uint64_t last;

	if (!size)
		return 0;
	last = ranges_last(addr, size);
	/* Only a cut in two needs memory, and then it is the only one that is there. */
	while (ranges_next(ranges, addr, &range) && range.addr <= last) {
		if (cut(ranges, &range, addr, last) < 0)
			return -ENOMEM;
	}
	return 0;
}
