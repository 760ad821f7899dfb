"""Exact explanations laid out for the kernel: tables of shares over what a row answers in a part of a tree.

A leaf's share in a row's score (path-dependent TreeSHAP) depends on the row only through which of the leaf's features
the row satisfies: every condition on the path that is on this feature. So all shares of a leaf are a table over
subsets, made once per model. Leaves of one subtree are put together into a *group*: its table is over the bits of the
features that lead to the subtree, and of the questions inside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ordervet.model.forest import UnsupportedForestError
from ordervet.model.forest_tables import align

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from ordervet.model.forest import Forest

#: Bits of a group; more make fewer lookups and larger tables. SPEED: benchmarks/bench_forest.py.
GROUP_BITS = 7

#: Numbers of one entry of a table, one per feature of the group, which has at most as many as bits.
ENTRY_BITS = 3
ENTRY_SIZE = 1 << ENTRY_BITS


@dataclass(frozen=True, slots=True)
class ShareTables:
    """Groups of leaves as the kernels read them. All arrays are flat.

    A bit of a group is set when all its conditions hold; the first bit is the highest of the entry's number.

    Parameters
    ----------
    group_start : shape (n_trees + 1,), int64, the groups of each tree
    bit_start : shape (n_groups + 1,), int64, the bits of each group
    condition_start : shape (n_bits + 1,), int64, the conditions of each bit
    condition_plane : shape (n_conditions,), int64
    condition_bits : shape (n_conditions,), uint64, what the plane must say: all ones, or none
    table_start : shape (n_groups + 1,), int64, in `shares`
    shares : float64; per group ``2 ** n_bits`` entries of ENTRY_SIZE log-odds, one per feature of the group
    feature_start : shape (n_groups + 1,), int64, the features of each group
    group_feature : shape (n_lookups,), int64, in the order of an entry's numbers
    lookup_start : shape (n_trees + 1,), int64, the lookups of each tree
    lookup_feature, lookup_group, lookup_place : shape (n_lookups,), int64; the same features, sorted by tree, feature
        and group, with the place of the feature in the group's entries
    expected : the mean raw score of the training rows
    """

    group_start: NDArray[np.int64]
    bit_start: NDArray[np.int64]
    condition_start: NDArray[np.int64]
    condition_plane: NDArray[np.int64]
    condition_bits: NDArray[np.uint64]
    table_start: NDArray[np.int64]
    shares: NDArray[np.float64]
    feature_start: NDArray[np.int64]
    group_feature: NDArray[np.int64]
    lookup_start: NDArray[np.int64]
    lookup_feature: NDArray[np.int64]
    lookup_group: NDArray[np.int64]
    lookup_place: NDArray[np.int64]
    expected: float


@dataclass(slots=True)
class _Step:
    """A condition on a path: where the path goes at a node, and what share of the node's rows came with it."""

    node: int
    is_right: bool
    feature: int
    ratio: float


@dataclass(slots=True)
class _Group:
    bits: list[list[_Step]] = field(default_factory=list)
    features: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Leaves:
    """Leaves of groups, for `fill_shares`: each leaf's distinct features, and which bits say that one is satisfied."""

    value: list[float] = field(default_factory=list)
    group: list[int] = field(default_factory=list)
    n_features: list[int] = field(default_factory=list)
    place: list[int] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)


def validate_counts(forest: Forest) -> None:
    """Check that every node says how many training rows came by, as path-dependent shares need.

    Raises
    ------
    UnsupportedForestError
        The text has no counts, or a node without any row.
    """
    if not (np.concatenate([forest.node_count, forest.leaf_count]) > 0).all():
        raise UnsupportedForestError("unsupported because nodes lack counts of training rows")


def compute_expected(forest: Forest) -> float:
    """Compute the mean raw score of the training rows: each tree's leaves, weighted by their counts."""
    total = 0.0
    for start, stop in pairwise(forest.leaf_start.tolist()):
        weight = forest.leaf_count[start:stop] / forest.leaf_count[start:stop].sum() if stop - start > 1 else 1.0
        total += float((forest.leaf_value[start:stop] * weight).sum())
    return total


def build_share_tables(forest: Forest, plane_of_node: NDArray[np.int64]) -> ShareTables:
    """Make the tables of a forest.

    Parameters
    ----------
    forest : trees of depth at most 6, with counts
    plane_of_node : shape (n_nodes,), see `ForestTables`
    """
    groups: list[_Group] = []
    leaves = _Leaves()
    group_start = [0]
    for tree in range(forest.n_trees):
        _TreeParts(forest, tree, groups, leaves).add_groups()
        group_start.append(len(groups))
    bits = [bit for group in groups for bit in group.bits]
    steps = [step for bit in bits for step in bit]
    table_start = _add_up(ENTRY_SIZE << len(group.bits) for group in groups)
    lookups = _sort_lookups(groups, np.repeat(np.arange(forest.n_trees), np.diff(group_start)))
    return ShareTables(
        group_start=np.array(group_start, np.int64),
        bit_start=_add_up(len(group.bits) for group in groups),
        condition_start=_add_up(len(bit) for bit in bits),
        condition_plane=plane_of_node[np.array([step.node for step in steps], np.int64)],
        condition_bits=np.where(np.array([step.is_right for step in steps], bool), ~np.uint64(0), np.uint64(0)),
        table_start=table_start,
        shares=_build_shares(leaves, table_start),
        feature_start=_add_up(len(group.features) for group in groups),
        group_feature=np.array([feature for group in groups for feature in group.features], np.int64),
        lookup_start=np.searchsorted(lookups[0], np.arange(forest.n_trees + 1)),
        lookup_feature=lookups[1],
        lookup_group=lookups[2],
        lookup_place=lookups[3],
        expected=compute_expected(forest),
    )


def pick_features(tables: ShareTables, features: NDArray[np.int64]) -> ShareTables:
    """Leave of a forest's tables what the shares of some features need, for the kernel of blocks.

    Parameters
    ----------
    tables : of all features
    features : shape (k,), distinct

    Returns
    -------
    tables whose `lookup_feature` counts the features as given; the lookups of a feature are in the order they had, so
    that its shares are the same bits
    """
    number = np.full(max(tables.lookup_feature.max(initial=0), features.max(initial=0)) + 1, -1, np.int64)
    number[features] = np.arange(len(features))
    is_kept = number[tables.lookup_feature] >= 0
    kept = np.unique(tables.lookup_group[is_kept])
    bits = _list_ranges(tables.bit_start, kept)
    conditions = _list_ranges(tables.condition_start, bits)
    # NOTE: the tables of shares stay as they are; only `explain_singly` reads where a group's own table ends.
    return replace(
        tables,
        group_start=np.searchsorted(kept, tables.group_start),
        bit_start=_add_up(np.diff(tables.bit_start)[kept]),
        condition_start=_add_up(np.diff(tables.condition_start)[bits]),
        condition_plane=tables.condition_plane[conditions],
        condition_bits=tables.condition_bits[conditions],
        table_start=tables.table_start[kept],
        lookup_start=np.append(0, np.cumsum(is_kept))[tables.lookup_start],
        lookup_feature=number[tables.lookup_feature[is_kept]],
        lookup_group=np.searchsorted(kept, tables.lookup_group[is_kept]),
        lookup_place=tables.lookup_place[is_kept],
    )


def _list_ranges(start: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the members of some of the ranges that `start` parts, one range after the other."""
    sizes = np.diff(start)[chosen]
    return np.repeat(start[chosen] - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())


def _build_shares(leaves: _Leaves, table_start: NDArray[np.int64]) -> NDArray[np.float64]:
    from ordervet.model.treeshap_single_kernel import fill_shares  # noqa: PLC0415 - numba is loaded when used

    shares = align(np.zeros(table_start[-1], np.float64))
    places = (leaves.group, leaves.n_features, leaves.place, leaves.mask, leaves.wanted)
    fill: Callable[..., None] = fill_shares
    fill(
        np.array(leaves.value, np.float64),
        np.array(leaves.weight, np.float64),
        *(np.array(part, np.int64) for part in places),
        table_start,
        shares,
    )
    return shares


def _sort_lookups(groups: list[_Group], tree_of_group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give rows tree, feature, group and place, sorted in this order of rows."""
    number = np.repeat(np.arange(len(groups)), [len(group.features) for group in groups])
    feature = np.array([feature for group in groups for feature in group.features], np.int64)
    place = np.array([place for group in groups for place in range(len(group.features))], np.int64)
    lookups = np.stack([tree_of_group[number], feature, number, place]).astype(np.int64)
    return np.ascontiguousarray(lookups[:, np.lexsort(lookups[::-1])])


def _add_up(sizes: Iterable[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn sizes into starts, with the end of the last."""
    return np.cumsum([0, *sizes], dtype=np.int64)


class _TreeParts:
    """Parts one tree into groups: the largest subtrees whose bits are at most GROUP_BITS."""

    def __init__(self, forest: Forest, tree: int, groups: list[_Group], leaves: _Leaves) -> None:
        nodes = slice(*forest.node_start[tree : tree + 2])
        ends = slice(*forest.leaf_start[tree : tree + 2])
        self._first = nodes.start
        self._feature = forest.feature[nodes].tolist()
        self._children = list(zip(forest.left[nodes].tolist(), forest.right[nodes].tolist(), strict=True))
        self._node_count, self._leaf_count = forest.node_count[nodes].tolist(), forest.leaf_count[ends].tolist()
        self._value = forest.leaf_value[ends].tolist()
        self._n_inner = self._count_inner()
        self._groups, self._leaves = groups, leaves

    def add_groups(self) -> None:
        """Append the tree's groups and their leaves."""
        if self._children:
            self._visit(0, [])

    def _count_inner(self) -> list[int]:
        n_inner = [1] * len(self._children)
        for node in reversed(range(len(self._children))):
            n_inner[node] += sum(n_inner[child] for child in self._children[node] if child >= 0)
        return n_inner

    def _visit(self, at: int, path: list[_Step]) -> None:
        n_bits = len({step.feature for step in path}) + (self._n_inner[at] if at >= 0 else 0)
        if n_bits <= GROUP_BITS:
            self._add_group(at, path)
            return
        for child, step in self._go_on(at):
            self._visit(child, [*path, step])

    def _go_on(self, node: int) -> Iterator[tuple[int, _Step]]:
        for is_right, child in enumerate(self._children[node]):
            count = self._node_count[child] if child >= 0 else self._leaf_count[~child]
            ratio = count / self._node_count[node]
            yield child, _Step(self._first + node, bool(is_right), self._feature[node], ratio)

    def _add_group(self, root: int, path: list[_Step]) -> None:
        group = _Group()
        for feature in dict.fromkeys(step.feature for step in path):
            group.bits.append([step for step in path if step.feature == feature])
            group.features.append(feature)
        n_path_bits = len(group.bits)
        bit_of_node: dict[int, int] = {}
        leaves: list[tuple[int, list[_Step]]] = []
        waiting = [(root, path)]
        while waiting:
            at, steps = waiting.pop()
            if at < 0:
                leaves.append((~at, steps))
                continue
            onward = list(self._go_on(at))
            question = onward[-1][1]
            bit_of_node[question.node] = len(group.bits)
            group.bits.append([question])
            if question.feature not in group.features:
                group.features.append(question.feature)
            waiting += [(child, [*steps, step]) for child, step in onward]
        place_of = {feature: place for place, feature in enumerate(group.features)}
        for leaf, steps in leaves:
            self._add_leaf(leaf, _sum_up(steps, place_of, n_path_bits, bit_of_node, len(group.bits)))
        self._groups.append(group)

    def _add_leaf(self, leaf: int, features: dict[int, tuple[float, int, int]]) -> None:
        out = self._leaves
        out.value.append(self._value[leaf])
        out.group.append(len(self._groups))
        out.n_features.append(len(features))
        for place, (weight, mask, wanted) in features.items():
            out.place.append(place)
            out.weight.append(weight)
            out.mask.append(mask)
            out.wanted.append(wanted)


def _sum_up(
    steps: list[_Step], place_of: dict[int, int], n_path_bits: int, bit_of_node: dict[int, int], n_bits: int
) -> dict[int, tuple[float, int, int]]:
    """Sum up a path by its features: place in the group to share of rows, the feature's bits, and those to be set."""
    highest = 1 << (n_bits - 1)
    features: dict[int, tuple[float, int, int]] = {}
    for step in steps:
        place = place_of[step.feature]
        of_path = highest >> place if place < n_path_bits else 0
        weight, mask, wanted = features.get(place, (1.0, of_path, of_path))
        bit = highest >> bit_of_node[step.node] if step.node in bit_of_node else 0
        features[place] = weight * step.ratio, mask + bit, wanted + (bit if step.is_right else 0)
    return features
