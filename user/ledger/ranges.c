/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/ranges.h"

#include <errno.h>
#include <string.h>

/* Before an entry goes from a node that has no more than MIN, it gets some of a neighbour: none but the root ever becomes empty. */
#define NODE_BYTES 512
#define LEAF_MAX 15u
#define LEAF_MIN 7u
#define LEAF_MERGED 14u /* no more become one: there is room for the next that come */
#define INNER_MAX 32u
#define INNER_MIN 10u
#define INNER_MERGED 24u

/* What a range has but its address; a search needs only those. */
struct rest {
	uint64_t size;
	uint64_t since_ns;
	void *value;
};

struct leaf {
	size_t count; /* 0 only where it is about to get one */
	struct leaf *prev;
	struct leaf *next;
	uint64_t addrs[LEAF_MAX];
	struct rest rests[LEAF_MAX];
};
_Static_assert(sizeof(struct leaf) <= NODE_BYTES, "nodes are of one size");

/* What is below children[i] begins at keys[i - 1] or above, and below keys[i]. */
struct inner {
	size_t count; /* of children */
	uint64_t keys[INNER_MAX - 1];
	void *children[INNER_MAX];
};
_Static_assert(sizeof(struct inner) <= NODE_BYTES, "nodes are of one size");

uint64_t ranges_last(uint64_t addr, uint64_t size)
{
	uint64_t last;

	return __builtin_add_overflow(addr, size - 1, &last) ? UINT64_MAX : last;
}

/* How many keys are not above addr. */
static size_t place_of(const uint64_t *keys, size_t count, uint64_t addr)
{
	size_t low = 0, high = count, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (keys[middle] <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static size_t child_of(const struct inner *inner, uint64_t addr)
{
	return place_of(inner->keys, inner->count - 1, addr);
}

/* Leaves and inner nodes begin with it. */
static size_t count_of(const void *node)
{
	return *(const size_t *)node;
}

static void free_below(struct ranges *ranges, void *node, unsigned int height)
{
	struct inner *inner = node;

	for (size_t i = 0; height && i < inner->count; i++)
		free_below(ranges, inner->children[i], height - 1);
	slabs_give(&ranges->nodes, node);
}

void ranges_fini(struct ranges *ranges)
{
	if (ranges->root)
		free_below(ranges, ranges->root, ranges->height);
	slabs_fini(&ranges->nodes);
	*ranges = (struct ranges) { 0 };
}

/* The leaf where addr stands or would. NULL: there is none. */
static struct leaf *leaf_of(const struct ranges *ranges, uint64_t addr)
{
	void *node = ranges->root;

	for (unsigned int height = ranges->height; height; height--) {
		struct inner *inner = node;

		node = inner->children[child_of(inner, addr)];
	}
	return node;
}

static bool get(const struct leaf *leaf, size_t i, struct range *ret_range)
{
	const struct rest *rest = &leaf->rests[i];

	*ret_range = (struct range) { leaf->addrs[i], rest->size, rest->since_ns, rest->value };
	return true;
}

bool ranges_next(const struct ranges *ranges, uint64_t addr, struct range *ret_range)
{
	const struct leaf *leaf = leaf_of(ranges, addr), *before = leaf;
	size_t i, at;

	if (!leaf)
		return false;
	at = i = place_of(leaf->addrs, leaf->count, addr);
	if (!at && leaf->prev) {
		before = leaf->prev;
		at = before->count;
	}
	if (at && addr - before->addrs[at - 1] < before->rests[at - 1].size)
		return get(before, at - 1, ret_range);
	if (i < leaf->count)
		return get(leaf, i, ret_range);
	return leaf->next && get(leaf->next, 0, ret_range);
}

bool ranges_find(const struct ranges *ranges, uint64_t addr, struct range *ret_range)
{
	struct range range;

	if (!ranges_next(ranges, addr, &range) || range.addr > addr)
		return false;
	*ret_range = range;
	return true;
}

static void move_ranges(struct leaf *to, size_t at, const struct leaf *from, size_t first, size_t count)
{
	memmove(&to->addrs[at], &from->addrs[first], count * sizeof(to->addrs[0]));
	memmove(&to->rests[at], &from->rests[first], count * sizeof(to->rests[0]));
}

static void move_children(struct inner *to, size_t at, const struct inner *from, size_t first, size_t count)
{
	memmove(&to->children[at], &from->children[first], count * sizeof(to->children[0]));
	if (count)
		memmove(&to->keys[at], &from->keys[first], (count - 1) * sizeof(to->keys[0]));
}

/* The left one of two neighbours has `keep` of what both have; the right one has the others. */
static void share_leaves(struct leaf *left, struct leaf *right, size_t keep)
{
	size_t sum = left->count + right->count, moved;

	if (keep > left->count) {
		moved = keep - left->count;
		move_ranges(left, left->count, right, 0, moved);
		move_ranges(right, 0, right, moved, right->count - moved);
	} else {
		moved = left->count - keep;
		move_ranges(right, moved, right, 0, right->count);
		move_ranges(right, 0, left, keep, moved);
	}
	left->count = keep;
	right->count = sum - keep;
}

/* The same of inner nodes. key: the one between them. */
static void share_inner(struct inner *left, struct inner *right, size_t keep, uint64_t *key)
{
	size_t sum = left->count + right->count, moved;

	if (keep > left->count) {
		moved = keep - left->count;
		move_children(left, left->count, right, 0, moved);
		left->keys[left->count - 1] = *key;
		if (moved < right->count)
			*key = right->keys[moved - 1];
		move_children(right, 0, right, moved, right->count - moved);
	} else if (keep < left->count) {
		moved = left->count - keep;
		move_children(right, moved, right, 0, right->count);
		if (right->count)
			right->keys[moved - 1] = *key;
		move_children(right, 0, left, keep, moved);
		*key = left->keys[keep - 1];
	}
	left->count = keep;
	right->count = sum - keep;
}

/* The right one begins at addr, if that stands at the edge of the left one: in ascending or descending order leaves become full. */
static uint64_t split_leaf(struct leaf *left, struct leaf *right, uint64_t addr)
{
	size_t keep = LEAF_MAX / 2;

	if (addr > left->addrs[LEAF_MAX - 1])
		keep = LEAF_MAX;
	else if (addr < left->addrs[0])
		keep = 0;
	right->count = 0;
	right->prev = left;
	right->next = left->next;
	if (right->next)
		right->next->prev = right;
	left->next = right;
	share_leaves(left, right, keep);
	return right->count ? right->addrs[0] : addr;
}

/* Makes two of a child that is full, for there is to be room for addr. 0 or -ENOMEM. height: of the child. */
static int split_child(struct ranges *ranges, struct inner *parent, size_t i, unsigned int height, uint64_t addr)
{
	void *left = parent->children[i], *right = slabs_take(&ranges->nodes, NODE_BYTES);
	size_t behind = parent->count - i - 1;
	uint64_t key = 0;

	if (!right)
		return -ENOMEM;
	if (height) {
		((struct inner *)right)->count = 0;
		share_inner(left, right, INNER_MAX / 2, &key);
	} else {
		key = split_leaf(left, right, addr);
	}
	memmove(&parent->keys[i + 1], &parent->keys[i], behind * sizeof(parent->keys[0]));
	memmove(&parent->children[i + 2], &parent->children[i + 1], behind * sizeof(parent->children[0]));
	parent->keys[i] = key;
	parent->children[i + 1] = right;
	parent->count++;
	return 0;
}

static bool is_full(const void *node, unsigned int height)
{
	return count_of(node) == (height ? INNER_MAX : LEAF_MAX);
}

/* There is room for one more in the root afterwards. 0 or -ENOMEM: unchanged. */
static int make_root(struct ranges *ranges, uint64_t addr)
{
	struct inner *root;
	struct leaf *leaf;

	if (ranges->root && !is_full(ranges->root, ranges->height))
		return 0;
	root = slabs_take(&ranges->nodes, NODE_BYTES);
	if (!root)
		return -ENOMEM;
	if (!ranges->root) {
		leaf = ranges->root = root;
		leaf->count = 0;
		leaf->prev = leaf->next = NULL;
		return 0;
	}
	root->count = 1;
	root->children[0] = ranges->root;
	if (split_child(ranges, root, 0, ranges->height, addr) < 0) {
		slabs_give(&ranges->nodes, root);
		return -ENOMEM;
	}
	ranges->root = root;
	ranges->height++;
	return 0;
}

/*
 * On the way down no node is left behind without room, so no split goes up again; each is complete in itself, and where the next one
 * finds no memory the tree holds what it held.
 */
static int insert(struct ranges *ranges, const struct range *range)
{
	struct leaf *leaf;
	void *node;
	size_t i;

	if (make_root(ranges, range->addr) < 0)
		return -ENOMEM;
	node = ranges->root;
	for (unsigned int height = ranges->height; height; height--) {
		struct inner *inner = node;

		i = child_of(inner, range->addr);
		if (is_full(inner->children[i], height - 1)) {
			if (split_child(ranges, inner, i, height - 1, range->addr) < 0)
				return -ENOMEM;
			i = child_of(inner, range->addr);
		}
		node = inner->children[i];
	}
	leaf = node;
	i = place_of(leaf->addrs, leaf->count, range->addr);
	move_ranges(leaf, i + 1, leaf, i, leaf->count - i);
	leaf->addrs[i] = range->addr;
	leaf->rests[i] = (struct rest) { range->size, range->since_ns, range->value };
	leaf->count++;
	ranges->count++;
	return 0;
}

/* A child from which something is to go gets some of a neighbour's, or becomes one with it. height: of the child. */
static void fill_child(struct ranges *ranges, struct inner *parent, size_t i, unsigned int height)
{
	size_t left_i = i ? i - 1 : 0, behind = parent->count - left_i - 2;
	void *left = parent->children[left_i], *right = parent->children[left_i + 1];
	size_t sum = count_of(left) + count_of(right);
	bool merged = sum <= (height ? INNER_MERGED : LEAF_MERGED);
	struct leaf *last = right;

	if (height)
		share_inner(left, right, merged ? sum : sum / 2, &parent->keys[left_i]);
	else
		share_leaves(left, right, merged ? sum : sum / 2);
	if (!merged) {
		if (!height)
			parent->keys[left_i] = last->addrs[0];
		return;
	}
	if (!height) {
		last->prev->next = last->next;
		if (last->next)
			last->next->prev = last->prev;
	}
	memmove(&parent->keys[left_i], &parent->keys[left_i + 1], behind * sizeof(parent->keys[0]));
	memmove(&parent->children[left_i + 1], &parent->children[left_i + 2], behind * sizeof(parent->children[0]));
	parent->count--;
	slabs_give(&ranges->nodes, right);
}

/* The range that begins at addr, which is there. On the way down each child is filled so far that none becomes empty. */
static void drop(struct ranges *ranges, uint64_t addr)
{
	void *node = ranges->root;
	struct leaf *leaf;
	size_t i;

	for (unsigned int height = ranges->height; height; height--) {
		struct inner *inner = node;

		i = child_of(inner, addr);
		if (count_of(inner->children[i]) <= (height > 1 ? INNER_MIN : LEAF_MIN)) {
			fill_child(ranges, inner, i, height - 1);
			i = child_of(inner, addr);
		}
		node = inner->children[i];
		if (inner->count == 1) {
			ranges->root = node;
			ranges->height--;
			slabs_give(&ranges->nodes, inner);
		}
	}
	leaf = node;
	i = place_of(leaf->addrs, leaf->count, addr);
	move_ranges(leaf, i - 1, leaf, i, leaf->count - i);
	ranges->count--;
	if (--leaf->count)
		return;
	slabs_give(&ranges->nodes, leaf);
	ranges->root = NULL;
}

/* The range that begins at addr, which is there, becomes a part of itself: the order does not change. */
static void shrink(struct ranges *ranges, uint64_t addr, uint64_t new_addr, uint64_t new_size)
{
	uint64_t *bound = NULL; /* the least key that is above the leaf */
	void *node = ranges->root;
	struct leaf *leaf;
	size_t i;

	for (unsigned int height = ranges->height; height; height--) {
		struct inner *inner = node;

		i = child_of(inner, addr);
		if (i < inner->count - 1)
			bound = &inner->keys[i];
		node = inner->children[i];
	}
	/* It may reach beyond, for a key stays where what was there has gone. What is there now begins behind the range. */
	if (bound && *bound <= new_addr)
		*bound = new_addr + 1;
	leaf = node;
	i = place_of(leaf->addrs, leaf->count, addr) - 1;
	leaf->addrs[i] = new_addr;
	leaf->rests[i].size = new_size;
}

int ranges_add(struct ranges *ranges, const struct range *range)
{
	struct range there;

	if (!range->size || range->addr + (range->size - 1) < range->addr)
		return -EINVAL;
	if (ranges_next(ranges, range->addr, &there) && there.addr <= ranges_last(range->addr, range->size))
		return -EEXIST;
	return insert(ranges, range);
}

/* `last` is the last address that goes. */
static int cut(struct ranges *ranges, const struct range *range, uint64_t addr, uint64_t last)
{
	uint64_t range_last = ranges_last(range->addr, range->size);
	struct range rest = *range;

	rest.addr = last + 1;
	rest.size = range_last - last;
	if (range->addr < addr) {
		/* First what may fail. */
		if (range_last > last && insert(ranges, &rest) < 0)
			return -ENOMEM;
		shrink(ranges, range->addr, range->addr, addr - range->addr);
	} else if (range_last > last) {
		shrink(ranges, range->addr, rest.addr, rest.size);
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
