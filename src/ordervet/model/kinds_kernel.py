# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""The sums of the forest that names kinds, one per kind: a walk for single rows, bit-sliced for blocks of them.

Both ways add one float64 leaf per tree to 0.0, in the order of trees, so they give the same bits.

No checks here: the caller is `kinds.py`, which checked the forest and the rows.
"""

from __future__ import annotations

import numba
import numpy as np

from ordervet.model.forest import MISSING_NAN, MISSING_ZERO, ZERO_SIZE
from ordervet.model.forest_kernel import allocate, bin_rows, fill_planes
from ordervet.model.forest_tables import TREE_SIZE
from ordervet.model.forest_vectors_kernel import (
    BLOCK_ROWS,
    MAX_DEPTH,
    PLANE_WORDS,
    WORD_ROWS,
    add_looked_up,
    join_bits,
)

_ALL_BITS = np.uint64(0xFFFFFFFFFFFFFFFF)
_NO_BITS = np.uint64(0)
_GROUP = 8


@numba.njit(nogil=True, cache=True)
def walk_kinds(
    features, node_start, leaf_start, feature, threshold, missing, default_left, left, right, leaf_value, raw
):
    """Add one leaf per tree to its kind's sum, in the order of trees; tree t belongs to kind t modulo their number.

    raw : shape (n, n_kinds), float64, zeros
    """
    n_kinds = raw.shape[1]
    for row in range(features.shape[0]):
        for tree in range(len(node_start) - 1):
            at = 0 if node_start[tree] < node_start[tree + 1] else -1
            while at >= 0:
                node = node_start[tree] + at
                value = np.float64(features[row, feature[node]])
                if np.abs(value) <= ZERO_SIZE or (np.isnan(value) and missing[node] != MISSING_NAN):
                    value = np.float64(0.0)
                is_missing = (missing[node] == MISSING_ZERO and value == 0.0) or np.isnan(value)
                is_left = default_left[node] if is_missing else value <= threshold[node]
                at = left[node] if is_left else right[node]
            raw[row, tree % n_kinds] += leaf_value[leaf_start[tree] + ~at]


@numba.njit(nogil=True, cache=True)
def _enter(child, own, plane, flip, reached, planes, path):
    """Note which of 512 rows go to a child: at an inner node as they are, at a leaf by the bits of its number.

    flip : all bits where the child is the left one, else 0
    """
    if child >= 0:
        for at in range(PLANE_WORDS):
            reached[child * PLANE_WORDS + at] = reached[own + at] & (planes[plane + at] ^ flip)
        return
    for bit in range(MAX_DEPTH):
        if ~child >> (MAX_DEPTH - 1 - bit) & 1:
            for at in range(PLANE_WORDS):
                path[bit * PLANE_WORDS + at] |= reached[own + at] & (planes[plane + at] ^ flip)


@numba.njit(nogil=True, cache=True)
def score_kinds(
    features,
    n_features,
    column_feature,
    column_zero_is_missing,
    thresholds,
    bases,
    plane_start,
    plane_shift,
    plane_limit,
    plane_of_node,
    node_start,
    left,
    right,
    leaf_value,
    raw,
):
    """Do what `walk_kinds` does, 512 rows at once: from the root on, every node parts the rows that reach it.

    features : flat, shape (n * n_features,)
    left, right : per node; a child comes after its parent
    leaf_value : shape (n_trees * 64,), the leaves of each tree by their numbers
    raw : shape (n, n_kinds), float64, zeros
    """
    n_kinds = raw.shape[1]
    bins = allocate(len(column_feature) * BLOCK_ROWS)
    planes = allocate(len(plane_limit) * BLOCK_ROWS // 8).view(np.uint64)
    path = allocate(MAX_DEPTH * BLOCK_ROWS // 8).view(np.uint64)
    reached = allocate(TREE_SIZE * BLOCK_ROWS // 8).view(np.uint64)
    leaves = allocate(BLOCK_ROWS)
    totals = allocate(n_kinds * BLOCK_ROWS * 8).view(np.float64)
    planes[:] = 0
    for first in range(0, raw.shape[0], BLOCK_ROWS):
        n_rows = min(BLOCK_ROWS, raw.shape[0] - first)
        n_words = (n_rows + WORD_ROWS - 1) // WORD_ROWS
        bin_rows(features, n_features, first, n_rows, column_feature, column_zero_is_missing, thresholds, bases, bins)
        fill_planes(bins, n_words, plane_start, plane_shift, plane_limit, planes)
        totals[:] = 0.0
        for tree in range(len(node_start) - 1):
            path[:] = 0
            reached[:PLANE_WORDS] = _ALL_BITS
            for node in range(node_start[tree], node_start[tree + 1]):
                own = (node - node_start[tree]) * PLANE_WORDS
                plane = plane_of_node[node] * PLANE_WORDS
                _enter(left[node], own, plane, _ALL_BITS, reached, planes, path)
                _enter(right[node], own, plane, _NO_BITS, reached, planes, path)
            to = (tree % n_kinds) * BLOCK_ROWS
            for word in range(n_words):
                join_bits(path, word, MAX_DEPTH, leaves, word * WORD_ROWS)
            for row in range(0, n_words * WORD_ROWS, _GROUP):
                add_looked_up(leaves, row, leaf_value, tree * TREE_SIZE, 0, totals, to + row)
        for row in range(n_rows):
            for kind in range(n_kinds):
                raw[first + row, kind] = totals[kind * BLOCK_ROWS + row]
