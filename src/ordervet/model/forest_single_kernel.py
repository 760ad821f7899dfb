# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Raw scores of single rows: every question of the forest answered, then a plain walk through each tree.

It adds the same leaves in the same order as `forest_kernel.py` does for blocks of rows, so it gives the same bits. It
stands by itself because a live order needs it alone, and whoever waits for the first order waits for its compiler.

No checks here: the callers are `forest_predict.py`, which checked the forest and the rows, and its tests.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import carray, types  # type: ignore[attr-defined]

from ordervet.entities.kernel_pointers import point
from ordervet.model.forest_tables import BASES_SIZE, COLUMN_SIZE, TREE_SIZE
from ordervet.model.forest_vectors_kernel import MAX_DEPTH, WORD_ROWS, answer_planes, find_bin, load_flat

_ZERO_SIZE = np.float32(1e-35)
_NAN = np.float32(np.nan)

FLAGS = types.Array(types.uint8, 1, "C", readonly=True)
PLACES = types.Array(types.int64, 1, "C", readonly=True)
VALUES = types.Array(types.float32, 1, "C", readonly=True)
DOUBLES = types.Array(types.float64, 1, "C", readonly=True)
OUT = types.Array(types.float64, 1, "C")
ROWS = (VALUES, types.int64, types.int64, types.int64)
COLUMNS = (PLACES, FLAGS, VALUES, FLAGS)
PLANES = (PLACES, FLAGS, FLAGS)
NODES = types.Array(types.int32, 1, "C", readonly=True)


@numba.njit(nogil=True, cache=True)
def bin_value(value, column, thresholds, bases):
    """Give a value's bin: the number of the column's thresholds below it; a missing value has a bin of its own."""
    return find_bin(value, thresholds, column * COLUMN_SIZE, bases, column * BASES_SIZE)


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


#: Columns of the book: addresses, each followed by the sizes that go with it.
(
    COLUMN_FEATURE, N_COLUMNS, COLUMN_ZERO_IS_MISSING, THRESHOLDS, N_THRESHOLDS, BASES, N_BASES, PLANE_START,
    PLANE_SHIFT, PLANE_LIMIT, N_PLANES, NODE_PLANE, N_NODES, LEAF_VALUE, BOOK_SIZE,
) = range(15)  # fmt: skip


@numba.njit(types.void(*ROWS, types.Array(types.int64, 1, "C"), OUT), nogil=True, cache=True)
def score_singly(features, n_features, start, stop, book, raw):
    """Write the raw scores of rows ``start:stop`` to `raw`, tree by tree: what few rows want.

    book : addresses and sizes of the arrays of `ForestTables`
    """
    n_columns, n_planes, n_nodes = book[N_COLUMNS], book[N_PLANES], book[N_NODES]
    columns = (
        carray(point(book[COLUMN_FEATURE]), (n_columns,), np.int64),
        carray(point(book[COLUMN_ZERO_IS_MISSING]), (n_columns,), np.uint8),
        carray(point(book[THRESHOLDS]), (book[N_THRESHOLDS],), np.float32),
        carray(point(book[BASES]), (book[N_BASES],), np.uint8),
    )
    plane_start = carray(point(book[PLANE_START]), (n_columns + 1,), np.int64)
    plane_shift = carray(point(book[PLANE_SHIFT]), (n_planes,), np.uint8)
    plane_limit = carray(point(book[PLANE_LIMIT]), (n_planes,), np.uint8)
    node_plane = carray(point(book[NODE_PLANE]), (n_nodes,), np.int32)
    leaf_value = carray(point(book[LEAF_VALUE]), (n_nodes,), np.float64)
    answers = np.zeros(n_planes, np.uint8)  # NOT empty: a forest that asks nothing leaves it as it is, and reads it
    for row in range(start, stop):
        answer_row(features, n_features, row, *columns, plane_start, plane_shift, plane_limit, answers)
        total = 0.0
        for tree in range(n_nodes // TREE_SIZE):
            root = tree * TREE_SIZE
            place = 1
            for _ in range(MAX_DEPTH):
                place = 2 * place + load_flat(answers, load_flat(node_plane, root + place))
            total += load_flat(leaf_value, root + place - TREE_SIZE)
        raw[row] = total
