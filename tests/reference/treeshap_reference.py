"""The slow twin of the explanations: Shapley values of every tree by their definition, subset by subset."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np
from forest_reference import goes_left

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from ordervet.model.forest import Forest


def explain_by_definition(forest: Forest, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Give each feature's share in each row's raw score; the work doubles with every feature of a tree.

    A tree's game: for a set of known features, follow the row where the split's feature is known, and go both ways,
    weighted by the training rows that went there, where it is not.

    Returns
    -------
    shape (n, n_features + 1), log-odds; the last column is the value of knowing nothing

    References
    ----------
    Lundberg et al., "From local explanations to global understanding with explainable AI for trees", 2020, algorithm 1.
    """
    shares = np.zeros((len(features), forest.n_features + 1), np.float64)
    for row, values in enumerate(features.astype(np.float64)):
        for tree in range(forest.n_trees):
            nodes = slice(*forest.node_start[tree : tree + 2])
            used = sorted(set(forest.feature[nodes].tolist()))
            for feature in used:
                others = [other for other in used if other != feature]
                for size in range(len(used)):
                    weight = 1 / (len(used) * comb(len(others), size))
                    for known in combinations(others, size):
                        gain = _value(forest, tree, values, {*known, feature}) - _value(forest, tree, values, {*known})
                        shares[row, feature] += weight * gain
            shares[row, -1] += _value(forest, tree, values, set())
    return shares


def _value(forest: Forest, tree: int, values: NDArray[np.float64], known: AbstractSet[int]) -> float:
    first_node, first_leaf = int(forest.node_start[tree]), int(forest.leaf_start[tree])

    def count(at: int) -> float:
        return float(forest.leaf_count[first_leaf + ~at] if at < 0 else forest.node_count[first_node + at])

    def visit(at: int) -> float:
        if at < 0:
            return float(forest.leaf_value[first_leaf + ~at])
        node = first_node + at
        left, right = int(forest.left[node]), int(forest.right[node])
        feature = int(forest.feature[node])
        if feature in known:
            return visit(left if goes_left(forest, np.array([node]), values[feature : feature + 1])[0] else right)
        return (count(left) * visit(left) + count(right) * visit(right)) / count(at)

    return visit(0 if forest.node_start[tree + 1] > first_node else ~0)
