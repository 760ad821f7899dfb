"""A forest laid out for the kernels: columns of bins, planes of decisions, perfect trees.

Every distinct question of the forest ("is this feature above that threshold?") is one *plane*. A *column* is one
feature cut at all of its thresholds: a row's value becomes a bin, the number of thresholds below it, in one byte, and
every plane of the column is a comparison of that byte. Each tree becomes a perfect tree of depth 6 whose nodes name
planes; a leaf that lies higher is repeated under its place.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ordervet.model.forest import MISSING_NAN, MISSING_NONE, MISSING_ZERO, ZERO_SIZE, UnsupportedForestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ordervet.model.forest import Forest

    Number = TypeVar("Number", bound=np.generic)

LINE_BYTES = 64
MAX_DEPTH = 6
TREE_SIZE = 1 << MAX_DEPTH

#: Thresholds of one column: bins 0 to 254, and 255 for what is missing. More thresholds take more columns.
MAX_THRESHOLDS = 254
MISSING_BIN = 255

#: Numbers that one comparison takes. A column's thresholds lie in 16 blocks of 15 with a pivot between neighbours.
BLOCK_SIZE = 16
COLUMN_SIZE = BLOCK_SIZE * (1 + BLOCK_SIZE + 1)
BASES_SIZE = BLOCK_SIZE + 1


#: The single walk answers so many questions at a time, and may run over the last.
PADDING = 64


@dataclass(frozen=True, slots=True)
class Questions:
    """The distinct questions of a forest as the kernels read them. All arrays are flat.

    Parameters
    ----------
    column_feature : shape (n_columns,), int64, the feature that is binned
    column_zero_is_missing : shape (n_columns,), uint8
    thresholds : shape (n_columns * COLUMN_SIZE,), float32; per column 16 pivots, then 17 blocks of 16, filled up with
        +inf; the last block is read for NaN
    bases : shape (n_columns * BASES_SIZE,), uint8; per block the bin of its lowest values; the last is the bin of NaN
    plane_start : shape (n_columns + 1,), int64; the planes of each column
    plane_shift, plane_limit : shape (n_planes + 64,), uint8; a row goes right when ``uint8(bin + shift) > limit``; the
        last 64 belong to no plane
    plane_of_node : shape (n_nodes,), int64; the plane of each of the forest's own nodes
    """

    column_feature: NDArray[np.int64]
    column_zero_is_missing: NDArray[np.uint8]
    thresholds: NDArray[np.float32]
    bases: NDArray[np.uint8]
    plane_start: NDArray[np.int64]
    plane_shift: NDArray[np.uint8]
    plane_limit: NDArray[np.uint8]
    plane_of_node: NDArray[np.int64]

    @property
    def n_planes(self) -> int:
        """Number of distinct questions."""
        return len(self.plane_limit) - PADDING


@dataclass(frozen=True, slots=True)
class ForestTables(Questions):
    """A forest of trees of depth 6 or less, beside its questions.

    Parameters
    ----------
    node_plane : shape (n_trees * 64,), int32; per tree 63 nodes in heap order from position 1 on
    leaf_value : shape (n_trees * 64,), float64; per tree the leaves from left to right
    others : those of `Questions`
    """

    node_plane: NDArray[np.int32]
    leaf_value: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Columns:
    feature: NDArray[np.int64]
    missing: NDArray[np.int8]
    cuts: list[NDArray[np.float32]]
    column_of_node: NDArray[np.int64]
    cut_of_node: NDArray[np.int64]


def round_thresholds(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """Give float32 thresholds that part float32 values exactly as LightGBM's float64 thresholds do.

    A float32 value is at most a float64 threshold when it is at most the threshold rounded down to float32. LightGBM
    reads values up to `ZERO_SIZE` as 0, so no threshold may lie among these: it moves to their end on its own side
    of 0.

    Parameters
    ----------
    threshold : any shape, not NaN
    """
    zero = np.float32(ZERO_SIZE)
    with np.errstate(over="ignore"):
        nearest = threshold.astype(np.float32)
        below = np.where(nearest > threshold, np.nextafter(nearest, np.float32(-np.inf)), nearest)
    return np.where(
        threshold >= 0, np.maximum(below, zero), np.minimum(below, np.nextafter(-zero, np.float32(-np.inf)))
    )


def build_tables(forest: Forest) -> ForestTables:
    """Lay out a forest for the kernels.

    Raises
    ------
    UnsupportedForestError
        A tree is deeper than 6.
    """
    questions = build_questions(forest)
    node_plane, leaf_value = _build_perfect_trees(forest, questions.plane_of_node)
    shared = {each.name: getattr(questions, each.name) for each in fields(questions)}
    return ForestTables(**shared, node_plane=node_plane, leaf_value=align(leaf_value))


def build_questions(forest: Forest) -> Questions:
    """Lay out the questions of a forest of any depth."""
    columns = _build_columns(forest)
    is_shifted = (forest.missing != MISSING_NONE) & forest.default_left
    questions, plane_of_node = np.unique(
        np.stack([columns.column_of_node, is_shifted, columns.cut_of_node]), axis=1, return_inverse=True
    )
    column, shift, cut = questions.astype(np.int64).reshape(3, -1)
    return Questions(
        column_feature=columns.feature,
        column_zero_is_missing=(columns.missing == MISSING_ZERO).astype(np.uint8),
        thresholds=align(np.concatenate([_lay_out_cuts(cuts) for cuts in columns.cuts])),
        bases=np.concatenate(
            [_build_bases(cuts, missing) for cuts, missing in zip(columns.cuts, columns.missing, strict=True)]
        ),
        plane_start=np.searchsorted(column, np.arange(len(columns.feature) + 1)),
        plane_shift=_pad(shift),
        plane_limit=_pad(cut + shift),
        plane_of_node=np.ravel(plane_of_node).astype(np.int64),
    )


def _pad(numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.pad(numbers, (0, PADDING)).astype(np.uint8)


def align(array: NDArray[Number]) -> NDArray[Number]:
    """Copy to the beginning of a cache line.

    SPEED: thresholds across two lines cost a third of the binning's rate (benchmarks/bench_forest.py).
    """
    memory = np.empty(array.nbytes + LINE_BYTES, np.uint8)
    skipped = -memory.ctypes.data % LINE_BYTES
    aligned = memory[skipped : skipped + array.nbytes].view(array.dtype)
    aligned[:] = array
    return aligned


def _build_columns(forest: Forest) -> _Columns:
    """Cut each pair of feature and missing type at its distinct thresholds, at most 254 to a column."""
    threshold = round_thresholds(forest.threshold)
    features: list[int] = []
    missings: list[int] = []
    cuts: list[NDArray[np.float32]] = []
    column_of_node = np.zeros(len(threshold), np.int64)
    cut_of_node = np.zeros(len(threshold), np.int64)
    pair = forest.feature * (MISSING_NAN + 1) + forest.missing
    for which in np.unique(pair):
        nodes = np.flatnonzero(pair == which)
        distinct, position = np.unique(threshold[nodes], return_inverse=True)
        column_of_node[nodes] = len(cuts) + position // MAX_THRESHOLDS
        cut_of_node[nodes] = position % MAX_THRESHOLDS
        for start in range(0, len(distinct), MAX_THRESHOLDS):
            features.append(which // (MISSING_NAN + 1))
            missings.append(which % (MISSING_NAN + 1))
            cuts.append(distinct[start : start + MAX_THRESHOLDS])
    if not cuts:
        features, missings, cuts = [0], [MISSING_NAN], [np.zeros(0, np.float32)]
    return _Columns(np.array(features, np.int64), np.array(missings, np.int8), cuts, column_of_node, cut_of_node)


def _lay_out_cuts(cuts: NDArray[np.float32]) -> NDArray[np.float32]:
    blocks = np.full((BLOCK_SIZE + 1, BLOCK_SIZE), np.inf, np.float32)
    blocks.reshape(-1)[: len(cuts)] = cuts
    pivots = blocks[:BLOCK_SIZE, -1].copy()
    blocks[:, -1] = np.inf
    return np.concatenate([pivots, blocks.reshape(-1)])


def _build_bases(cuts: NDArray[np.float32], missing: int) -> NDArray[np.uint8]:
    missing_bin = np.searchsorted(cuts, 0) if missing == MISSING_NONE else MISSING_BIN
    return np.append(np.arange(BLOCK_SIZE) * BLOCK_SIZE, missing_bin).astype(np.uint8)


def _build_perfect_trees(
    forest: Forest, plane_of_node: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    node_plane = np.zeros((forest.n_trees, TREE_SIZE), np.int32)
    leaf_value = np.zeros((forest.n_trees, TREE_SIZE), np.float64)
    for tree in range(forest.n_trees):
        first_node, first_leaf = forest.node_start[tree], forest.leaf_start[tree]
        for is_leaf, at, place, depth in _walk(forest, tree):
            if is_leaf:
                width = TREE_SIZE >> depth
                left_end = (place << (MAX_DEPTH - depth)) - TREE_SIZE
                leaf_value[tree, left_end : left_end + width] = forest.leaf_value[first_leaf + at]
            else:
                node_plane[tree, place] = plane_of_node[first_node + at]
    return node_plane.reshape(-1), leaf_value.reshape(-1)


def _walk(forest: Forest, tree: int) -> Iterator[tuple[bool, int, int, int]]:
    """Visit a tree's nodes and leaves: whether it is a leaf, its number, its place in heap order, its depth."""
    start, stop = forest.node_start[tree : tree + 2].tolist()
    left, right = forest.left[start:stop].tolist(), forest.right[start:stop].tolist()
    waiting = [(0 if stop > start else ~0, 1, 0)]
    while waiting:
        at, place, depth = waiting.pop()
        if at < 0:
            yield True, ~at, place, depth
            continue
        if depth == MAX_DEPTH:
            raise UnsupportedForestError(f"unsupported because tree {tree} is deeper than {MAX_DEPTH}")
        yield False, at, place, depth
        waiting += [(left[at], 2 * place, depth + 1), (right[at], 2 * place + 1, depth + 1)]
