# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Exact path-dependent TreeSHAP by table for blocks of rows, on the forest's bit planes.

No checks here: the callers are `treeshap_tables.py` and `forest_predict.py`, which checked the forest and the rows.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types

from ordervet.model.forest_kernel import allocate, bin_rows, fill_planes
from ordervet.model.forest_single_kernel import COLUMNS, OUT, PLACES, PLANES, ROWS
from ordervet.model.forest_vectors_kernel import (
    BLOCK_ROWS,
    PLANE_WORDS,
    WORD_ROWS,
    add_looked_up,
    join_bits,
    keep_where,
)
from ordervet.model.treeshap_groups import GROUP_BITS
from ordervet.model.treeshap_single_kernel import GROUPS
from ordervet.model.treeshap_tables import ENTRY_BITS

_ALL_BITS = np.uint64(0xFFFFFFFFFFFFFFFF)
_GROUP = 8

_LOOKUPS = (PLACES, PLACES, PLACES, PLACES, PLACES)


@numba.njit(
    types.void(*ROWS, *COLUMNS, *PLANES, *GROUPS, *_LOOKUPS, types.int64, types.float64, OUT), nogil=True, cache=True
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
