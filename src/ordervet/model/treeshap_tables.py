"""Exact explanations laid out for the kernel: tables of shares over what a row answers in a part of a tree.

A leaf's share in a row's score (path-dependent TreeSHAP) depends on the row only through which of the leaf's features
the row satisfies: every condition on the path that is on this feature. So all shares of a leaf are a table over
subsets, made once per model. Leaves of one subtree are put together into a *group*: its table is over the bits of the
features that lead to the subtree, and of the questions inside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ordervet.model.forest import UnsupportedForestError
from ordervet.model.forest_tables import align
from ordervet.model.treeshap_groups import add_up, find_groups

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ordervet.model.forest import Forest
    from ordervet.model.treeshap_groups import Groups

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
    groups = find_groups(forest)
    table_start = add_up(ENTRY_SIZE << np.diff(groups.bit_start))
    lookups = _sort_lookups(groups)
    is_right = groups.condition_step & 1 == 1
    return ShareTables(
        group_start=np.searchsorted(groups.tree, np.arange(forest.n_trees + 1)),
        bit_start=groups.bit_start,
        condition_start=groups.condition_start,
        condition_plane=plane_of_node[groups.condition_step >> 1],
        condition_bits=np.where(is_right, ~np.uint64(0), np.uint64(0)),
        table_start=table_start,
        shares=_build_shares(forest, groups, table_start),
        feature_start=groups.feature_start,
        group_feature=groups.group_feature,
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
        bit_start=add_up(np.diff(tables.bit_start)[kept]),
        condition_start=add_up(np.diff(tables.condition_start)[bits]),
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


def _build_shares(forest: Forest, groups: Groups, table_start: NDArray[np.int64]) -> NDArray[np.float64]:
    from ordervet.model.treeshap_single_kernel import fill_shares  # noqa: PLC0415 - numba is loaded when used

    shares = align(np.zeros(table_start[-1], np.float64))
    places = (groups.leaf_group, groups.n_features, groups.place, groups.mask, groups.wanted)
    fill: Callable[..., None] = fill_shares
    fill(forest.leaf_value[groups.leaf], groups.weight, *places, table_start, shares)
    return shares


def _sort_lookups(groups: Groups) -> NDArray[np.int64]:
    """Give rows tree, feature, group and place, sorted in this order of rows."""
    sizes = np.diff(groups.feature_start)
    number = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(number)) - groups.feature_start[number]
    lookups = np.stack([groups.tree[number], groups.group_feature, number, place])
    return np.ascontiguousarray(lookups[:, np.lexsort(lookups[::-1])])
