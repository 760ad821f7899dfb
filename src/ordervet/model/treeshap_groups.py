"""Part every tree of a forest into groups of leaves: the largest subtrees whose bits are at most GROUP_BITS.

A step is a node and where a path goes from it: twice the node's number, plus one to the right. A path has at most
MAX_DEPTH steps, so the paths of a whole forest are one small matrix, and all trees are parted at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.model.forest_tables import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ordervet.model.forest import Forest

#: Bits of a group; more make fewer lookups and larger tables. SPEED: benchmarks/bench_forest.py.
GROUP_BITS = 7

_NONE = -1


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups as plain arrays. A bit of a group is set when all its conditions hold.

    First come the bits of the features that lead to the subtree, one each, then those of the questions inside it.

    Parameters
    ----------
    tree : shape (n_groups,), int64, ascending
    bit_start : shape (n_groups + 1,), int64, the bits of each group
    condition_start : shape (n_bits + 1,), int64, the conditions of each bit
    condition_step : shape (n_conditions,), int64
    feature_start : shape (n_groups + 1,), int64, the features of each group
    group_feature : shape (n_lookups,), int64, distinct within a group
    leaf : shape (n_leaves,), int64, the leaves group by group
    leaf_group : shape (n_leaves,), int64
    n_features : shape (n_leaves,), int64, distinct features on the way to a leaf; they lie one after the other in the
        arrays that follow
    place : their places among the features of the group
    weight : float64, the share of training rows that satisfy all conditions on the feature
    mask, wanted : int64, which bits of an entry's number are on the feature, and what they must be; the first bit is
        the highest
    """

    tree: NDArray[np.int64]
    bit_start: NDArray[np.int64]
    condition_start: NDArray[np.int64]
    condition_step: NDArray[np.int64]
    feature_start: NDArray[np.int64]
    group_feature: NDArray[np.int64]
    leaf: NDArray[np.int64]
    leaf_group: NDArray[np.int64]
    n_features: NDArray[np.int64]
    place: NDArray[np.int64]
    weight: NDArray[np.float64]
    mask: NDArray[np.int64]
    wanted: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Paths:
    """The ways to some nodes or leaves, shape (n, MAX_DEPTH) each.

    Parameters
    ----------
    step : from the root on; below 0 behind the last
    feature : that the step asks for
    first : the first step that asks for the same
    is_first : whether none before asks for the same
    """

    step: NDArray[np.int64]
    feature: NDArray[np.int64]
    first: NDArray[np.int64]
    is_first: NDArray[np.bool_]

    @classmethod
    def build(cls, step: NDArray[np.int64], forest: Forest) -> _Paths:
        feature = np.append(forest.feature, _NONE)[step >> 1]
        first = (feature[:, :, None] == feature[:, None, :]).argmax(axis=2)
        return cls(step, feature, first, (step >= 0) & (first == np.arange(MAX_DEPTH)))

    def take(self, rows: NDArray[np.int64]) -> _Paths:
        return _Paths(self.step[rows], self.feature[rows], self.first[rows], self.is_first[rows])

    def code(self, *, left_is_first: bool) -> NDArray[np.int64]:
        """Give numbers that sort leaves of one tree by where they lie, shape (n,)."""
        is_later = (self.step >= 0) & (self.step & 1 == left_is_first)
        code: NDArray[np.int64] = is_later @ (1 << np.arange(MAX_DEPTH)[::-1])
        return code


@dataclass(frozen=True, slots=True)
class _Bits:
    """The bits of groups.

    Parameters
    ----------
    n_leads : shape (n_groups,), bits of the features that lead to a group
    size : shape (n_groups,), all bits
    lead : shape (n_groups, MAX_DEPTH), the bit of each step that leads to the group; below 0 behind the last
    node : the questions inside groups, group by group
    group_of_node : shape (n_nodes,), below 0 outside of groups
    of_node : shape (n_nodes,), the bit of a question inside its group
    """

    n_leads: NDArray[np.int64]
    size: NDArray[np.int64]
    lead: NDArray[np.int64]
    node: NDArray[np.int64]
    group_of_node: NDArray[np.int64]
    of_node: NDArray[np.int64]


def find_groups(forest: Forest) -> Groups:
    """Part the trees of a forest.

    Parameters
    ----------
    forest : trees of depth at most MAX_DEPTH, with counts; those without nodes have no groups
    """
    children = _number_children(forest)
    to_nodes, to_leaves = (_Paths.build(step, forest) for step in _find_paths(forest, children))
    n_inner = 1 + np.bincount(to_nodes.step[to_nodes.step >= 0] >> 1, minlength=len(forest.feature))
    # NOTE: from a node to its child this never grows: a feature more at most, and a question less at least.
    is_inside = to_nodes.is_first.sum(axis=1) + n_inner <= GROUP_BITS
    tree = np.repeat(np.arange(forest.n_trees), np.diff(forest.leaf_start))
    leaf = np.flatnonzero(to_leaves.step[:, 0] >= 0)
    leaf = leaf[np.lexsort((to_leaves.code(left_is_first=True)[leaf], tree[leaf]))]
    root = _find_roots(to_leaves.step[leaf], is_inside, leaf)
    group = np.cumsum(np.diff(root, prepend=root[:1]) != 0)
    leaf = leaf[np.lexsort((to_leaves.code(left_is_first=False)[leaf], group))]
    heads = leaf[np.unique(group, return_index=True)[1]]
    bits = _find_bits(to_nodes, to_leaves.take(leaf), to_leaves.take(heads), group, is_inside)
    condition_start, condition_step = _list_conditions(to_leaves.take(heads), bits)
    group_feature, feature_start, find_place = _list_features(forest, to_leaves.take(heads), bits)
    n_features, place, weight, mask, wanted = _list_leaves(
        to_leaves.take(leaf), group, bits, _find_ratios(forest, children), find_place
    )
    return Groups(
        tree=tree[heads],
        bit_start=add_up(bits.size),
        condition_start=condition_start,
        condition_step=condition_step,
        feature_start=feature_start,
        group_feature=group_feature,
        leaf=leaf,
        leaf_group=group,
        n_features=n_features,
        place=place,
        weight=weight,
        mask=mask,
        wanted=wanted,
    )


def add_up(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn sizes into starts, with the end of the last."""
    return np.append(0, np.cumsum(sizes, dtype=np.int64))


def _number_children(forest: Forest) -> NDArray[np.int64]:
    """Give the left and right children of all nodes, shape (2, n_nodes): a node of the forest, or ~leaf of it."""
    tree = np.repeat(np.arange(forest.n_trees), np.diff(forest.node_start))
    children = np.stack([forest.left, forest.right])
    return np.where(children >= 0, forest.node_start[tree] + children, ~(forest.leaf_start[tree] + ~children))


def _find_paths(forest: Forest, children: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the steps to all nodes and to all leaves, shape (n, MAX_DEPTH)."""
    to_nodes = np.full((len(forest.feature), MAX_DEPTH), _NONE, np.int64)
    to_leaves = np.full((len(forest.leaf_value), MAX_DEPTH), _NONE, np.int64)
    level = forest.node_start[:-1][np.diff(forest.node_start) > 0]
    for depth in range(MAX_DEPTH):
        below = children[:, level]
        for is_right, child in enumerate(below):
            path, is_leaf = to_nodes[level], child < 0
            path[:, depth] = 2 * level + is_right
            to_nodes[child[~is_leaf]] = path[~is_leaf]
            to_leaves[~child[is_leaf]] = path[is_leaf]
        level = below[below >= 0]
    return to_nodes, to_leaves


def _find_roots(step: NDArray[np.int64], is_inside: NDArray[np.bool_], leaf: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the roots of the groups that leaves are in: the first node inside, else the leaf itself as ~leaf."""
    inside = (step >= 0) & is_inside[step >> 1]
    node = step[np.arange(len(step)), inside.argmax(axis=1)] >> 1
    return np.where(inside.any(axis=1), node, ~leaf)


def _find_bits(
    to_nodes: _Paths, to_leaves: _Paths, to_heads: _Paths, group: NDArray[np.int64], is_inside: NDArray[np.bool_]
) -> _Bits:
    """Give the bits of groups: what leads there in the order of steps, then the questions, right before left."""
    group_of_node = np.full(len(is_inside), _NONE, np.int64)
    row, depth = np.nonzero((to_leaves.step >= 0) & is_inside[to_leaves.step >> 1])
    group_of_node[to_leaves.step[row, depth] >> 1] = group[row]
    node = np.flatnonzero(is_inside)
    paths = to_nodes.take(node)
    node = node[np.lexsort(((paths.step >= 0).sum(axis=1), paths.code(left_is_first=False), group_of_node[node]))]
    leads = (to_heads.step >= 0) & ~is_inside[to_heads.step >> 1]
    is_new = leads & to_heads.is_first
    lead = np.take_along_axis(np.cumsum(is_new, axis=1) - 1, to_heads.first, axis=1)
    n_leads, n_inside = is_new.sum(axis=1), np.bincount(group_of_node[node], minlength=len(leads))
    of_node = np.full(len(is_inside), _NONE, np.int64)
    within = group_of_node[node]
    of_node[node] = n_leads[within] + np.arange(len(node)) - add_up(n_inside)[within]
    return _Bits(n_leads, n_leads + n_inside, np.where(leads, lead, _NONE), node, group_of_node, of_node)


def _list_conditions(to_heads: _Paths, bits: _Bits) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give where the conditions of each bit begin, and the conditions."""
    group, depth = np.nonzero(bits.lead >= 0)
    first_bit = add_up(bits.size)
    of_leads = first_bit[group] + bits.lead[group, depth]
    of_nodes = first_bit[bits.group_of_node[bits.node]] + bits.of_node[bits.node]
    bit = np.concatenate([of_leads, of_nodes])
    step = np.concatenate([to_heads.step[group, depth], 2 * bits.node + 1])
    n_conditions = np.bincount(bit, minlength=first_bit[-1])
    return add_up(n_conditions), step[np.argsort(bit, kind="stable")]


def _list_features(
    forest: Forest, to_heads: _Paths, bits: _Bits
) -> tuple[NDArray[np.int64], NDArray[np.int64], Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]]:
    """Give the features of groups in the order of their bits, where they begin, and what finds one in its group."""
    group, depth = np.nonzero((bits.lead >= 0) & to_heads.is_first)
    of = np.concatenate([group, bits.group_of_node[bits.node]])
    bit = np.concatenate([bits.lead[group, depth], bits.of_node[bits.node]])
    key = of * forest.n_features + np.concatenate([to_heads.feature[group, depth], forest.feature[bits.node]])
    order = np.lexsort((bit, key))
    order = order[np.diff(key[order], prepend=_NONE) != 0]  # the first bit of each feature of a group
    order = order[np.lexsort((bit[order], of[order]))]
    start = add_up(np.bincount(of[order], minlength=len(bits.size)))
    by_key = np.argsort(key[order])
    known, place = key[order][by_key], (np.arange(len(order)) - start[of[order]])[by_key]

    def find_place(groups: NDArray[np.int64], features: NDArray[np.int64]) -> NDArray[np.int64]:
        found: NDArray[np.int64] = place[np.searchsorted(known, groups * forest.n_features + features)]
        return found

    return key[order] % forest.n_features, start, find_place


def _list_leaves(
    paths: _Paths,
    group: NDArray[np.int64],
    bits: _Bits,
    ratio: NDArray[np.float64],
    find_place: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Give `n_features`, `place`, `weight`, `mask` and `wanted` of leaves."""
    weight = np.ones(paths.step.shape)
    mask, wanted = np.zeros(paths.step.shape, np.int64), np.zeros(paths.step.shape, np.int64)
    last = bits.size - 1
    for depth in range(MAX_DEPTH):
        row = np.flatnonzero(paths.step[:, depth] >= 0)
        step, to = paths.step[row, depth], paths.first[row, depth]
        weight[row, to] *= ratio[step]
        is_question = bits.of_node[step >> 1] >= 0
        bit = np.where(is_question, bits.of_node[step >> 1], bits.lead[group[row], depth])
        flag = np.where(is_question | paths.is_first[row, depth], 1 << (last[group[row]] - bit), 0)
        mask[row, to] += flag
        wanted[row, to] += np.where(is_question & (step & 1 == 0), 0, flag)
    kept = paths.is_first
    place = find_place(np.repeat(group, kept.sum(axis=1)), paths.feature[kept])
    return kept.sum(axis=1), place, weight[kept], mask[kept], wanted[kept]


def _find_ratios(forest: Forest, children: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give, per step, the share of a node's training rows that took it, shape (2 * n_nodes,)."""
    counts = np.concatenate([forest.node_count, forest.leaf_count[::-1]])  # from the end, ~leaf finds its leaf
    ratios: NDArray[np.float64] = counts[children] / forest.node_count
    return ratios.T.reshape(-1)
