# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Exact path-dependent TreeSHAP by table, bit by bit for single rows, and the filling of the tables.

No checks here: the callers are `treeshap_tables.py` and `forest_predict.py`, which checked the forest and the rows.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types

from ordervet.features.memory import prefetch
from ordervet.model.forest_single_kernel import COLUMNS, DOUBLES, OUT, PLACES, PLANES, ROWS, answer_row
from ordervet.model.forest_tables import MAX_DEPTH
from ordervet.model.forest_vectors_kernel import load_flat
from ordervet.model.treeshap_tables import ENTRY_SIZE

MASKS = types.Array(types.uint64, 1, "C", readonly=True)
GROUPS = (PLACES, PLACES, PLACES, MASKS, PLACES, DOUBLES)


@numba.njit(nogil=True, cache=True)
def _weigh(n, satisfied, weights, left_out):
    """Sum, over subsets of a leaf's other features, Shapley's weight times the share of rows that reach the leaf.

    Whether the feature that is left out is satisfied makes no difference.

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


@numba.njit(types.void(DOUBLES, DOUBLES, PLACES, PLACES, PLACES, PLACES, PLACES, PLACES, OUT), nogil=True, cache=True)
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
                if satisfied >> feature & 1 == 0:
                    share = _weigh(n, satisfied, weights, feature)
                    of_subset[satisfied, feature] = leaf_value[leaf] * (0 - weights[feature]) * share
                    of_subset[satisfied | 1 << feature, feature] = leaf_value[leaf] * (1 - weights[feature]) * share
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


@numba.njit(types.void(*ROWS, *COLUMNS, *PLANES, *GROUPS, PLACES, PLACES, types.float64, OUT), nogil=True, cache=True)
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
    n_groups = len(bit_start) - 1
    answers, entries = np.empty(len(plane_limit), np.uint8), np.empty(n_groups, np.int64)
    columns, at_shares = (column_feature, column_zero_is_missing, thresholds, bases), np.int64(shares.ctypes.data)
    for row in range(start, stop):
        answer_row(features, n_features, row, *columns, plane_start, plane_shift, plane_limit, answers)
        for group in range(n_groups):
            entry = 0
            for bit in range(bit_start[group], bit_start[group + 1]):
                differs = 0
                for at in range(condition_start[bit], condition_start[bit + 1]):
                    differs |= load_flat(answers, load_flat(condition_plane, at)) ^ (load_flat(condition_bits, at) & 1)
                entry = 2 * entry + (differs == 0)
            entries[group] = table_start[group] + entry * ENTRY_SIZE
            # SPEED: the tables lie in far memory, an entry on a line of its own; all are asked for at once
            # (benchmarks/bench_forest.py).
            prefetch(at_shares, 8 * entries[group])
        to = row * (n_features + 1)
        out[to : to + n_features] = 0.0
        out[to + n_features] = expected
        for group in range(n_groups):
            table = entries[group] - feature_start[group]
            for at in range(feature_start[group], feature_start[group + 1]):
                out[to + group_feature[at]] += shares[table + at]
