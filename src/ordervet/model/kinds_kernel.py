# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""The walk through the small forest that names kinds: few rows, few trees, one sum per kind.

No checks here: the caller is `kinds.py`, which checked the forest and the rows.
"""

from __future__ import annotations

import numba
import numpy as np

from ordervet.model.forest import MISSING_NAN, MISSING_ZERO, ZERO_SIZE


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
