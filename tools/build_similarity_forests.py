"""Grow the trees of ``similarity.py``: ``similarity_forests.json``.

    python -m build_similarity_forests pairs.csv.gz

The file holds address pairs graded 0 (unrelated), 1 (partly the same) and 2 (the same place), as the CCKS 2021 task on
address matching published them. Pairs are parted by a hash of their first address: the trees are grown on one half
(``is_fitting_half``), and the other half is for measuring (benchmarks/bench_addresses.py). Only the trees are kept.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import numpy as np

from ordervet.entities.address.parser import parse_address
from ordervet.entities.address.similarity import DIRECTIONS, FORESTS_FILE, measure_pair

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.entities.address.similarity import Forest, Tree

__all__ = ["is_fitting_half", "main", "read_pairs"]

_N_TREES: Final = 60
_N_LEAVES: Final = 8
_DEPTH: Final = 3


def read_pairs(path: Path | str) -> list[tuple[str, str, int]]:
    """Read graded address pairs.

    Parameters
    ----------
    path : compressed CSV with columns query, candidate and label

    Returns
    -------
    both addresses and the grade, 0 to 2
    """
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [(row["query"], row["candidate"], int(row["label"])) for row in csv.DictReader(file)]


def is_fitting_half(address: str) -> bool:
    """Say whether the pairs of a first address grow trees, rather than measure them.

    Parameters
    ----------
    address : the pair's first address

    Returns
    -------
    True for about half of all addresses
    """
    return blake2b(address.encode(), digest_size=1).digest()[0] % 2 == 0


def main(path: str) -> None:
    """Grow the trees and write them.

    Parameters
    ----------
    path : of the graded pairs
    """
    pairs = [pair for pair in read_pairs(path) if is_fitting_half(pair[0])]
    rows = [list(measure_pair(parse_address(a), parse_address(b)).values()) for a, b, _ in pairs]
    grades = np.array([grade for _, _, grade in pairs])
    forests = [_grow(np.array(rows), is_alike) for is_alike in (grades > 0, grades > 1)]
    FORESTS_FILE.write_text(json.dumps(forests, separators=(",", ":")) + "\n", encoding="ascii")


def _grow(measures: NDArray[np.float64], is_alike: NDArray[np.bool_]) -> Forest:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=_N_TREES,
        max_depth=_DEPTH,
        max_leaf_nodes=_N_LEAVES,
        learning_rate=0.1,
        l2_regularization=5,
        min_samples_leaf=40,
        max_bins=63,
        monotonic_cst=list(DIRECTIONS.values()),
        early_stopping=False,
    ).fit(measures, is_alike)
    # scikit-learn has no public view of these trees.
    trees = [_write_tree(stage[0].nodes) for stage in model._predictors]  # noqa: SLF001 -- see above
    return {"intercept": round(float(model._baseline_prediction[0, 0]), 4), "trees": trees}  # noqa: SLF001 -- see above


def _write_tree(nodes: NDArray[np.void]) -> Tree:
    is_leaf = nodes["is_leaf"].astype(bool)
    return {
        "measure": np.where(is_leaf, 0, nodes["feature_idx"]).tolist(),
        "threshold": np.where(is_leaf, 0.0, nodes["num_threshold"]).round(4).tolist(),
        "left": np.where(is_leaf, 0, nodes["left"]).tolist(),
        "right": np.where(is_leaf, 0, nodes["right"]).tolist(),
        "value": np.where(is_leaf, nodes["value"], 0.0).round(4).tolist(),
    }


if __name__ == "__main__":
    main(sys.argv[1])
