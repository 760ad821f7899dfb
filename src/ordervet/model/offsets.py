"""Offsets of the log-odds of groups of orders, written as trees of a forest: one chain of splits for each group.

      wholesale: quantity >= 8,        Tree=200   split_feature=1 9
      account >= 60 days: -0.7    →    ├── quantity below 8, or missing             0
                                       └── account below 60 days, or missing        0
                                           └── both                              -0.7

The compiled forest, LightGBM and the contributions read them as any other tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.model.forest import MISSING_NAN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ordervet.model.protections import Bound

_DEFAULT_LEFT, _MISSING_SHIFT = 2, 2


@dataclass(frozen=True, slots=True)
class Offset:
    """What is added to the log-odds of the orders within all of several bounds, which hold at most six sides."""

    where: tuple[Bound, ...]
    log_odds: float


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a bound: the orders within it go to the next split, the others to a leaf of nothing."""

    feature: str
    threshold: float  # a value goes left when it is at most this
    is_left: bool  # whether those within go left
    or_unknown: bool


def write_offset(offset: Offset, names: tuple[str, ...], read_column: Callable[[int], NDArray[np.float32]]) -> str:
    """Write an offset as a tree of LightGBM's text, without its number.

    Parameters
    ----------
    offset : its features are among `names`
    names : features of the forest, in column order
    read_column : from a column to its values of the orders that the forest is fitted on, which the tree's counts are of
    """
    sides = [side for bound in offset.where for side in _list_sides(bound)]
    leaf_count = _count_leaves(sides, names, read_column)
    n_nodes = len(sides)
    node_count = np.cumsum(leaf_count[::-1])[1:][::-1]
    inner = [offset.log_odds * leaf_count[-1] / count for count in node_count.tolist()]
    next_node = [*range(1, n_nodes), ~n_nodes]
    rows: dict[str, Sequence[object]] = {
        "num_leaves": [n_nodes + 1],
        "num_cat": [0],
        "split_feature": [names.index(side.feature) for side in sides],
        "split_gain": [0] * n_nodes,
        "threshold": [repr(side.threshold) for side in sides],
        "decision_type": [
            MISSING_NAN << _MISSING_SHIFT | (_DEFAULT_LEFT if side.or_unknown is side.is_left else 0) for side in sides
        ],
        "left_child": [on if side.is_left else ~at for at, (side, on) in enumerate(zip(sides, next_node, strict=True))],
        "right_child": [
            ~at if side.is_left else on for at, (side, on) in enumerate(zip(sides, next_node, strict=True))
        ],
        "leaf_value": [*[0] * n_nodes, repr(offset.log_odds)],
        "leaf_weight": leaf_count.tolist(),
        "leaf_count": leaf_count.tolist(),
        "internal_value": [repr(float(each)) for each in inner],
        "internal_weight": node_count.tolist(),
        "internal_count": node_count.tolist(),
        "is_linear": [0],
        "shrinkage": [1],
    }
    return "\n".join(f"{key}={' '.join(map(str, values))}" for key, values in rows.items())


def _list_sides(bound: Bound) -> list[_Side]:
    """List the sides of a bound that it has; features are compared as float32, as `Bound.find` does."""
    sides = []
    if bound.at_least is not None:
        below = float(np.nextafter(np.float64(np.float32(bound.at_least)), -np.inf))
        sides.append(_Side(bound.feature, below, is_left=False, or_unknown=bound.or_unknown))
    if bound.at_most is not None:
        most = float(np.float32(bound.at_most))
        sides.append(_Side(bound.feature, most, is_left=True, or_unknown=bound.or_unknown))
    return sides


def _count_leaves(
    sides: Sequence[_Side], names: tuple[str, ...], read_column: Callable[[int], NDArray[np.float32]]
) -> NDArray[np.int64]:
    """Count the orders that leave at each side, and those within all at last; at least 1, as contributions need."""
    columns = [read_column(names.index(side.feature)).astype(np.float64) for side in sides]
    is_in = np.ones(len(columns[0]), bool)
    n_in = [len(is_in)]
    for side, values in zip(sides, columns, strict=True):
        is_in &= np.where(np.isnan(values), side.or_unknown, (values <= side.threshold) == side.is_left)
        n_in.append(int(is_in.sum()))
    counts = np.array([*n_in, 0], np.int64)
    leaving: NDArray[np.int64] = np.maximum(counts[:-1] - counts[1:], 1)
    return leaving
