"""The slow twin of the forest's kernels: every tree walked node by node, as LightGBM words it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ordervet.model.forest import MISSING_NAN, MISSING_ZERO, ZERO_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.model.forest import Forest


def walk_forest(forest: Forest, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Score rows, in log-odds: one leaf per tree, added to 0.0 in the order of trees.

    Parameters
    ----------
    features : shape (n, n_features)

    Returns
    -------
    shape (n,), float64

    References
    ----------
    LightGBM: GBDT::PredictRaw.
    """
    leaves = find_leaves(forest, features.astype(np.float64))
    raw = np.zeros(len(features), np.float64)
    for tree in range(forest.n_trees):
        raw += forest.leaf_value[forest.leaf_start[tree] + leaves[:, tree]]
    return raw


def find_leaves(forest: Forest, values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find each row's leaf in every tree.

    Parameters
    ----------
    values : shape (n, n_features), float64

    Returns
    -------
    shape (n, n_trees), leaves of each tree
    """
    is_leaf_alone = forest.node_start[1:] == forest.node_start[:-1]
    at = np.tile(np.where(is_leaf_alone, ~0, 0), (len(values), 1))
    while (at >= 0).any():
        row, tree = np.nonzero(at >= 0)
        node = forest.node_start[tree] + at[row, tree]
        is_left = goes_left(forest, node, values[row, forest.feature[node]])
        at[row, tree] = np.where(is_left, forest.left[node], forest.right[node])
    return ~at


def goes_left(forest: Forest, node: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Decide at nodes of the forest where values go.

    Parameters
    ----------
    node : shape (n,), positions in the forest's arrays
    values : shape (n,), float64

    References
    ----------
    LightGBM: RowPairFunctionFromDenseMatric (values up to ZERO_SIZE become 0), Tree::NumericalDecision.
    """
    missing = forest.missing[node]
    value = np.where(np.abs(values) <= ZERO_SIZE, 0.0, values)
    value = np.where(np.isnan(value) & (missing != MISSING_NAN), 0.0, value)
    is_missing = ((missing == MISSING_ZERO) & (value == 0.0)) | ((missing == MISSING_NAN) & np.isnan(value))
    return np.where(is_missing, forest.default_left[node], value <= forest.threshold[node])
