# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Raw scores of a whole forest for blocks of rows, bit-sliced.

The model is data: one kernel serves every forest. It adds one float64 leaf per tree to 0.0, in the order of trees; so
does the walk for single rows (`forest_single_kernel.py`), and both give the same bits.

No checks here: the callers are `forest_predict.py`, which checked the forest and the rows, and its tests.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types

from ordervet.model.forest_single_kernel import COLUMNS, DOUBLES, NODES, OUT, PLANES, ROWS, bin_value
from ordervet.model.forest_tables import TREE_SIZE
from ordervet.model.forest_vectors_kernel import (
    BLOCK_ROWS,
    MAX_DEPTH,
    PLANE_WORDS,
    WORD_ROWS,
    add_looked_up,
    compare_plane,
    compare_rows,
    join_bits,
    load_flat,
    walk_planes,
)

_LINE_BYTES = 64
_BINNED_ROWS = 8
_ZERO_SIZE = np.float32(1e-35)
_NAN = np.float32(np.nan)
_GROUP = 8


@numba.njit(nogil=True, cache=True)
def allocate(n_bytes):
    """Give bytes that begin on a cache line.

    SPEED: a plane is one line; planes across two lines cost a fifth of the rate (benchmarks/bench_forest.py).
    """
    memory = np.empty(n_bytes + _LINE_BYTES, np.uint8)
    skipped = -memory.ctypes.data & (_LINE_BYTES - 1)
    return memory[skipped : skipped + n_bytes]


@numba.njit(nogil=True, cache=True, inline="always")
def _bin_one(features, at, is_zero_missing, column, thresholds, bases):
    value = load_flat(features, at)
    if is_zero_missing and abs(value) <= _ZERO_SIZE:
        value = _NAN
    return bin_value(value, column, thresholds, bases)


@numba.njit(nogil=True, cache=True)
def bin_rows(features, n_features, start, n_rows, column_feature, column_zero_is_missing, thresholds, bases, bins):
    """Fill `bins`, shape (n_columns * 512,), for rows from `start` on; a few rows at a time, so that they stay near."""
    # SPEED: 64 rows of 203 features overflow the nearest cache; 8 of them, a number the compiler knows, take three
    # fifths of the time (bench_path.py).
    n_whole = n_rows - n_rows % _BINNED_ROWS
    for column in range(len(column_feature)):
        is_zero_missing = column_zero_is_missing[column] != 0
        for row in range(n_whole, n_rows):
            at = (start + row) * n_features + column_feature[column]
            bins[column * BLOCK_ROWS + row] = _bin_one(features, at, is_zero_missing, column, thresholds, bases)
    for first in range(0, n_whole, _BINNED_ROWS):
        for column in range(len(column_feature)):
            is_zero_missing = column_zero_is_missing[column] != 0
            at = (start + first) * n_features + column_feature[column]
            to = column * BLOCK_ROWS + first
            for row in range(_BINNED_ROWS):
                bins[to + row] = _bin_one(features, at + row * n_features, is_zero_missing, column, thresholds, bases)


@numba.njit(nogil=True, cache=True)
def fill_planes(bins, n_words, plane_start, plane_shift, plane_limit, planes):
    """Answer every question of the forest: fill the first words of `planes`, shape (n_planes * 8,)."""
    for column in range(len(plane_start) - 1):
        for plane in range(plane_start[column], plane_start[column + 1]):
            shift, limit = plane_shift[plane], plane_limit[plane]
            if n_words == PLANE_WORDS:
                compare_plane(bins, column * BLOCK_ROWS, shift, limit, planes, plane * PLANE_WORDS)
                continue
            for word in range(n_words):
                at = column * BLOCK_ROWS + word * WORD_ROWS
                planes[plane * PLANE_WORDS + word] = compare_rows(bins, at, shift, limit)


@numba.njit(types.void(*ROWS, *COLUMNS, *PLANES, NODES, DOUBLES, OUT), nogil=True, cache=True)
def score_blocks(
    features,
    n_features,
    start,
    stop,
    column_feature,
    column_zero_is_missing,
    thresholds,
    bases,
    plane_start,
    plane_shift,
    plane_limit,
    node_plane,
    leaf_value,
    raw,
):
    """Write the raw scores of rows ``start:stop`` to `raw`, in blocks of 512 rows."""
    n_trees = len(node_plane) // TREE_SIZE
    bins = allocate(len(column_feature) * BLOCK_ROWS)
    planes = allocate(len(plane_limit) * BLOCK_ROWS // 8).view(np.uint64)
    path = allocate(MAX_DEPTH * BLOCK_ROWS // 8).view(np.uint64)
    leaves = allocate(BLOCK_ROWS)
    totals = allocate(BLOCK_ROWS * 8).view(np.float64)
    planes[:] = 0
    for first in range(start, stop, BLOCK_ROWS):
        n_rows = min(BLOCK_ROWS, stop - first)
        n_words = (n_rows + WORD_ROWS - 1) // WORD_ROWS
        bin_rows(features, n_features, first, n_rows, column_feature, column_zero_is_missing, thresholds, bases, bins)
        fill_planes(bins, n_words, plane_start, plane_shift, plane_limit, planes)
        totals[:] = 0.0
        for tree in range(n_trees):
            walk_planes(planes, node_plane, tree * TREE_SIZE, path)
            for word in range(n_words):
                join_bits(path, word, MAX_DEPTH, leaves, word * WORD_ROWS)
            for row in range(0, n_words * WORD_ROWS, _GROUP):
                add_looked_up(leaves, row, leaf_value, tree * TREE_SIZE, 0, totals, row)
        raw[first : first + n_rows] = totals[:n_rows]
