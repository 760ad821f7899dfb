# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Raw scores of a whole forest: bit-sliced for blocks of rows, a plain walk for single ones.

The model is data: one kernel serves every forest. Both ways add one float64 leaf per tree to 0.0, in the order of
trees, so they give the same bits.

No checks here: the callers are `forest_predict.py`, which checked the forest and the rows, and its tests.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types

from ordervet.model.forest_tables import (
    BASES_SIZE,
    COLUMN_SIZE,
    TREE_SIZE,
)
from ordervet.model.forest_vectors_kernel import (
    BLOCK_ROWS,
    MAX_DEPTH,
    PLANE_WORDS,
    WORD_ROWS,
    add_looked_up,
    answer_planes,
    compare_plane,
    compare_rows,
    find_bin,
    join_bits,
    load_flat,
    walk_planes,
)

_LINE_BYTES = 64
_BINNED_ROWS = 8
_ZERO_SIZE = np.float32(1e-35)
_NAN = np.float32(np.nan)
_GROUP = 8

_FLAGS = types.Array(types.uint8, 1, "C", readonly=True)
_PLACES = types.Array(types.int64, 1, "C", readonly=True)
_VALUES = types.Array(types.float32, 1, "C", readonly=True)
_LEAVES = types.Array(types.float64, 1, "C", readonly=True)
_ROWS = (_VALUES, types.int64, types.int64, types.int64)
_COLUMNS = (_PLACES, _FLAGS, _VALUES, _FLAGS)
_PLANES = (_PLACES, _FLAGS, _FLAGS, types.Array(types.int32, 1, "C", readonly=True))
_RAW = types.Array(types.float64, 1, "C")


@numba.njit(nogil=True, cache=True)
def allocate(n_bytes):
    """Give bytes that begin on a cache line.

    SPEED: a plane is one line; planes across two lines cost a fifth of the rate (benchmarks/bench_forest.py).
    """
    memory = np.empty(n_bytes + _LINE_BYTES, np.uint8)
    skipped = -memory.ctypes.data & (_LINE_BYTES - 1)
    return memory[skipped : skipped + n_bytes]


@numba.njit(nogil=True, cache=True)
def bin_value(value, column, thresholds, bases):
    """Give a value's bin: the number of the column's thresholds below it; a missing value has a bin of its own."""
    return find_bin(value, thresholds, column * COLUMN_SIZE, bases, column * BASES_SIZE)


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


@numba.njit(types.void(*_ROWS, *_COLUMNS, *_PLANES, _LEAVES, _RAW), nogil=True, cache=True)
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


@numba.njit(nogil=True, cache=True)
def answer_row(
    features,
    n_features,
    row,
    column_feature,
    column_zero_is_missing,
    thresholds,
    bases,
    plane_start,
    plane_shift,
    plane_limit,
    answers,
):
    """Answer every question of the forest for one row: fill `answers`, as long as `plane_limit`, with 0 and 1.

    SPEED: 64 questions at a time run over into the next column's, which are answered later; the tables are padded.
    """
    for column in range(len(column_feature)):
        value = load_flat(features, row * n_features + column_feature[column])
        if column_zero_is_missing[column] and abs(value) <= _ZERO_SIZE:
            value = _NAN
        of_row = bin_value(value, column, thresholds, bases)
        for plane in range(plane_start[column], plane_start[column + 1], WORD_ROWS):
            answer_planes(of_row, plane_shift, plane_limit, plane, answers)


@numba.njit(types.void(*_ROWS, *_COLUMNS, *_PLANES, _LEAVES, _RAW), nogil=True, cache=True)
def score_singly(
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
    """Write the raw scores of rows ``start:stop`` to `raw`, tree by tree: what few rows want."""
    n_trees = len(node_plane) // TREE_SIZE
    answers = np.zeros(len(plane_limit), np.uint8)
    columns = (column_feature, column_zero_is_missing, thresholds, bases)
    for row in range(start, stop):
        answer_row(features, n_features, row, *columns, plane_start, plane_shift, plane_limit, answers)
        total = 0.0
        for tree in range(n_trees):
            root = tree * TREE_SIZE
            place = 1
            for _ in range(MAX_DEPTH):
                place = 2 * place + load_flat(answers, load_flat(node_plane, root + place))
            total += load_flat(leaf_value, root + place - TREE_SIZE)
        raw[row] = total
