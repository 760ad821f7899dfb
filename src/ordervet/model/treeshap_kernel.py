# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Exact path-dependent TreeSHAP by table: for blocks of rows on the forest's bit planes, for single rows bit by bit.

No checks here: the callers are `treeshap_tables.py` and `forest_predict.py`, which checked the forest and the rows.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types

from ordervet.model.forest_kernel import allocate, answer_row, bin_rows, fill_planes
from ordervet.model.forest_tables import MAX_DEPTH
from ordervet.model.forest_vectors_kernel import (
    BLOCK_ROWS,
    PLANE_WORDS,
    WORD_ROWS,
    add_looked_up,
    join_bits,
    keep_where,
    load_flat,
)
from ordervet.model.treeshap_tables import ENTRY_BITS, ENTRY_SIZE, GROUP_BITS

_ALL_BITS = np.uint64(0xFFFFFFFFFFFFFFFF)
_GROUP = 8

_FLAGS = types.Array(types.uint8, 1, "C", readonly=True)
_PLACES = types.Array(types.int64, 1, "C", readonly=True)
_VALUES = types.Array(types.float32, 1, "C", readonly=True)
_DOUBLES = types.Array(types.float64, 1, "C", readonly=True)
_MASKS = types.Array(types.uint64, 1, "C", readonly=True)
_OUT = types.Array(types.float64, 1, "C")
_ROWS = (_VALUES, types.int64, types.int64, types.int64)
_COLUMNS = (_PLACES, _FLAGS, _VALUES, _FLAGS)
_PLANES = (_PLACES, _FLAGS, _FLAGS)
_GROUPS = (_PLACES, _PLACES, _PLACES, _MASKS, _PLACES, _DOUBLES)
_LOOKUPS = (_PLACES, _PLACES, _PLACES, _PLACES, _PLACES)


@numba.njit(nogil=True, cache=True)
def _weigh(n, satisfied, weights, left_out):
    """Sum, over subsets of a leaf's other features, Shapley's weight times the share of rows that reach the leaf.

    The coefficients of the product of ``weight + is_satisfied * y`` over the other features, by powers of y, gather
    subsets of equal size k, whose weight is ``k! (n - k - 1)! / n!``.
    """
    product = np.zeros(MAX_DEPTH + 1, np.float64)
    product[0] = 1.0
    for feature in range(n):
        if feature == left_out:
            continue
        is_satisfied = satisfied >> feature & 1
        for power in range(n - 1, 0, -1):
            product[power] = product[power] * weights[feature] + product[power - 1] * is_satisfied
        product[0] *= weights[feature]
    total = 0.0
    weight = 1.0 / n
    for size in range(n):
        total += product[size] * weight
        weight *= (size + 1) / max(n - size - 1, 1)
    return total


@numba.njit(
    types.void(_DOUBLES, _DOUBLES, _PLACES, _PLACES, _PLACES, _PLACES, _PLACES, _PLACES, _OUT), nogil=True, cache=True
)
def fill_shares(leaf_value, weight, leaf_group, n_features, place, mask, wanted, table_start, shares):
    """Add every leaf's shares to the table of its group.

    Parameters
    ----------
    leaf_value, leaf_group, n_features : shape (n_leaves,); a leaf's distinct features lie one after the other in the
        arrays that follow
    weight, place, mask, wanted : the share of training rows that satisfy the feature's conditions, its place in the
        group's entries, and the bits of an entry's number that say that a row satisfies it
    """
    first = 0
    of_subset = np.zeros((1 << MAX_DEPTH, MAX_DEPTH), np.float64)
    for leaf in range(len(leaf_value)):
        n = n_features[leaf]
        weights = weight[first : first + n]
        for satisfied in range(1 << n):
            for feature in range(n):
                gain = (satisfied >> feature & 1) - weights[feature]
                of_subset[satisfied, feature] = leaf_value[leaf] * gain * _weigh(n, satisfied, weights, feature)
        start = table_start[leaf_group[leaf]]
        n_entries = (table_start[leaf_group[leaf] + 1] - start) // ENTRY_SIZE
        for entry in range(n_entries):
            satisfied = 0
            for feature in range(n):
                if entry & mask[first + feature] == wanted[first + feature]:
                    satisfied |= 1 << feature
            for feature in range(n):
                shares[start + entry * ENTRY_SIZE + place[first + feature]] += of_subset[satisfied, feature]
        first += n


@numba.njit(
    types.void(*_ROWS, *_COLUMNS, *_PLANES, *_GROUPS, *_LOOKUPS, types.int64, types.float64, _OUT),
    nogil=True,
    cache=True,
)
def explain_blocks(
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
    bit_start,
    condition_start,
    condition_plane,
    condition_bits,
    table_start,
    shares,
    group_start,
    lookup_start,
    lookup_feature,
    lookup_group,
    lookup_place,
    n_shares,
    expected,
    out,
):
    """Write the shares of rows ``start:stop`` to `out`, shape (n_rows * (n_shares + 1),), in blocks of 512 rows.

    n_shares : features whose shares are wanted; `lookup_feature` numbers them
    """
    n_trees = len(group_start) - 1
    bins = allocate(len(column_feature) * BLOCK_ROWS)
    planes = allocate(len(plane_limit) * BLOCK_ROWS // 8).view(np.uint64)
    bits = allocate(GROUP_BITS * BLOCK_ROWS // 8).view(np.uint64)
    entries = allocate(max(np.diff(group_start).max(), 1) * BLOCK_ROWS)
    totals = allocate(n_shares * BLOCK_ROWS * 8).view(np.float64)
    planes[:] = 0
    for first in range(start, stop, BLOCK_ROWS):
        n_rows = min(BLOCK_ROWS, stop - first)
        n_words = (n_rows + WORD_ROWS - 1) // WORD_ROWS
        bin_rows(features, n_features, first, n_rows, column_feature, column_zero_is_missing, thresholds, bases, bins)
        fill_planes(bins, n_words, plane_start, plane_shift, plane_limit, planes)
        totals[:] = 0.0
        for tree in range(n_trees):
            first_group = group_start[tree]
            for group in range(first_group, group_start[tree + 1]):
                n_unused = GROUP_BITS - (bit_start[group + 1] - bit_start[group])
                bits[: n_unused * PLANE_WORDS] = 0
                bits[n_unused * PLANE_WORDS :] = _ALL_BITS
                for bit in range(bit_start[group], bit_start[group + 1]):
                    to = (n_unused + bit - bit_start[group]) * PLANE_WORDS
                    for at in range(condition_start[bit], condition_start[bit + 1]):
                        keep_where(planes, condition_plane[at], condition_bits[at], bits, to)
                for word in range(n_words):
                    join_bits(bits, word, GROUP_BITS, entries, (group - first_group) * BLOCK_ROWS + word * WORD_ROWS)
            for lookup in range(lookup_start[tree], lookup_start[tree + 1]):
                at = (lookup_group[lookup] - first_group) * BLOCK_ROWS
                table = table_start[lookup_group[lookup]] + lookup_place[lookup]
                to = lookup_feature[lookup] * BLOCK_ROWS
                for row in range(0, n_words * WORD_ROWS, _GROUP):
                    add_looked_up(entries, at + row, shares, table, ENTRY_BITS, totals, to + row)
        for row in range(n_rows):
            to = (first + row) * (n_shares + 1)
            for feature in range(n_shares):
                out[to + feature] = totals[feature * BLOCK_ROWS + row]
            out[to + n_shares] = expected


@numba.njit(
    types.void(*_ROWS, *_COLUMNS, *_PLANES, *_GROUPS, _PLACES, _PLACES, types.float64, _OUT), nogil=True, cache=True
)
def explain_singly(
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
    bit_start,
    condition_start,
    condition_plane,
    condition_bits,
    table_start,
    shares,
    feature_start,
    group_feature,
    expected,
    out,
):
    """Write the shares of rows ``start:stop`` to `out`, row by row: what few rows want; the same bits."""
    answers = np.empty(len(plane_limit), np.uint8)
    columns = (column_feature, column_zero_is_missing, thresholds, bases)
    for row in range(start, stop):
        answer_row(features, n_features, row, *columns, plane_start, plane_shift, plane_limit, answers)
        to = row * (n_features + 1)
        out[to : to + n_features] = 0.0
        out[to + n_features] = expected
        for group in range(len(bit_start) - 1):
            entry = 0
            for bit in range(bit_start[group], bit_start[group + 1]):
                differs = 0
                for at in range(condition_start[bit], condition_start[bit + 1]):
                    differs |= load_flat(answers, load_flat(condition_plane, at)) ^ (load_flat(condition_bits, at) & 1)
                entry = 2 * entry + (differs == 0)
            table = table_start[group] + entry * ENTRY_SIZE - feature_start[group]
            for at in range(feature_start[group], feature_start[group + 1]):
                out[to + group_feature[at]] += shares[table + at]
