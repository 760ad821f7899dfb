"""Forests in LightGBM's text format, trained or drawn at random, and rows that are hard on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lightgbm
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ZERO = np.float32(1e-35)
SPECIAL = np.array(
    [
        np.nan,
        np.inf,
        -np.inf,
        0.0,
        -0.0,
        ZERO,
        -ZERO,
        2 * ZERO,
        -2 * ZERO,
        1e-45,
        -1e-45,
        1e-38,
        3.4e38,
        -3.4e38,
        1,
        -1,
    ],
    np.float32,
)
DECISION_TYPES = (0, 2, 4, 6, 8, 10)


def write_booster(trees: list[dict[str, list[float]]], n_features: int) -> str:
    head = {
        "version": "v4",
        "num_class": 1,
        "num_tree_per_iteration": 1,
        "label_index": 0,
        "max_feature_idx": n_features - 1,
        "objective": "binary sigmoid:1",
        "feature_names": " ".join(f"f{at}" for at in range(n_features)),
        "feature_infos": " ".join(["[-1:1]"] * n_features),
    }
    lines = ["tree", *(f"{key}={value}" for key, value in head.items()), ""]
    for number, tree in enumerate(trees):
        lines += [f"Tree={number}", f"num_leaves={len(tree['leaf_value'])}", "num_cat=0"]
        lines += [f"{key}={' '.join(repr(value) for value in values)}" for key, values in tree.items()]
        lines += ["is_linear=0", "shrinkage=1", "", ""]
    return "\n".join([*lines, "end of trees", "", "pandas_categorical:null", ""])


def make_stump(threshold: float, decision_type: int, left: float = -1.0, right: float = 1.0) -> str:
    return write_booster(
        [
            {
                "split_feature": [0],
                "split_gain": [1],
                "threshold": [threshold],
                "decision_type": [decision_type],
                "left_child": [-1],
                "right_child": [-2],
                "leaf_value": [left, right],
                "leaf_weight": [30, 70],
                "leaf_count": [30, 70],
                "internal_value": [0],
                "internal_weight": [100],
                "internal_count": [100],
            }
        ],
        1,
    )


def draw_tree(rng: np.random.Generator, n_features: int, n_leaves: int, thresholds: NDArray[np.float64]) -> dict:
    """Split leaves at random, as LightGBM numbers them, none deeper than 6."""
    left, right, leaf_depth, leaf_parent = [], [], [0], [None]
    while len(leaf_depth) < n_leaves:
        open_leaves = [leaf for leaf, depth in enumerate(leaf_depth) if depth < 6]
        leaf, node, new = int(rng.choice(open_leaves)), len(left), len(leaf_depth)
        if (parent := leaf_parent[leaf]) is not None:
            side = left if left[parent] == ~leaf else right
            side[parent] = node
        left.append(~leaf)
        right.append(~new)
        leaf_depth[leaf] += 1
        leaf_depth.append(leaf_depth[leaf])
        leaf_parent[leaf] = node
        leaf_parent.append(node)
    n_nodes = n_leaves - 1
    leaf_count = rng.integers(1, 1_000, n_leaves).tolist()
    node_count = [0] * n_nodes
    for node in reversed(range(n_nodes)):
        node_count[node] = sum(
            leaf_count[~child] if child < 0 else node_count[child] for child in (left[node], right[node])
        )
    return {
        "split_feature": rng.integers(0, n_features, n_nodes).tolist(),
        "split_gain": [1] * n_nodes,
        "threshold": rng.choice(thresholds, n_nodes).tolist(),
        "decision_type": rng.choice(DECISION_TYPES, n_nodes).tolist(),
        "left_child": left,
        "right_child": right,
        "leaf_value": (rng.normal(size=n_leaves) * 10.0 ** rng.integers(-6, 6)).tolist(),
        "leaf_weight": leaf_count,
        "leaf_count": leaf_count,
        "internal_value": [0] * n_nodes,
        "internal_weight": node_count,
        "internal_count": node_count,
    }


def draw_booster(seed: int, *, n_trees: int = 12, n_features: int = 5, max_leaves: int = 64) -> str:
    """Draw a booster with thresholds at and around zero, at float32's ends, and between float32 numbers."""
    rng = np.random.default_rng(seed)
    at_zero = np.array([0.0, -0.0, float(ZERO), -float(ZERO), 1.0000000180025095e-35, 1e-40, -1e-40, 1e-300])
    extreme = np.array([1e300, -1e300, 3.4028234663852886e38, -3.4028234663852886e38, np.inf])
    thresholds = np.concatenate([at_zero, extreme, rng.normal(size=30), rng.normal(size=10).astype(np.float32)])
    trees = [draw_tree(rng, n_features, int(rng.integers(1, max_leaves + 1)), thresholds) for _ in range(n_trees)]
    return write_booster(trees, n_features)


def draw_rows(booster_text: str, n_rows: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw values at the thresholds rounded to float32, one and two steps beside them, and special values."""
    rng = np.random.default_rng(seed)
    n_features = lightgbm.Booster(model_str=booster_text).num_feature()
    lines = [line[len("threshold=") :].split() for line in booster_text.splitlines() if line.startswith("threshold=")]
    cuts = np.array([float(word) for words in lines for word in words] or [0.0]).clip(-3e38, 3e38).astype(np.float32)
    up, down = (np.nextafter(cuts, np.float32(end)) for end in (np.inf, -np.inf))
    near = [cuts, up, down, np.nextafter(up, np.float32(np.inf)), np.nextafter(down, np.float32(-np.inf))]
    values = np.concatenate(
        [*near, np.repeat(SPECIAL, max(1, len(cuts) // 16)), rng.normal(size=50).astype(np.float32)]
    )
    return rng.choice(values, (n_rows, n_features)).astype(np.float32)


def train_booster(
    *,
    n_trees: int = 20,
    n_leaves: int = 31,
    depth: int = 6,
    n_features: int = 8,
    n_rows: int = 3_000,
    seed: int = 0,
    categories: tuple[int, ...] = (),
    **more: object,
) -> str:
    """Train on random data with missing values, counts, a constant and a repeated feature."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    features[:, 1] = rng.poisson(2, n_rows)
    features[:, 2] = 7
    features[:, 3] = features[:, 0]
    features[rng.random(features.shape) < 0.1] = np.nan
    risk = np.nan_to_num(features[:, 0]) * 2 + np.nan_to_num(features[:, 1]) - 3 + rng.normal(size=n_rows)
    parameters: dict[str, object] = {"objective": "binary", "num_leaves": n_leaves, "max_depth": depth, "verbosity": -1}
    parameters |= {"num_threads": 1, "min_data_in_leaf": 5, "seed": seed, "deterministic": True, "force_row_wise": True}
    data = lightgbm.Dataset(features, (risk > 0).astype(np.float32), categorical_feature=list(categories))
    return lightgbm.train(parameters | more, data, n_trees).model_to_string()


def predict_lightgbm(booster_text: str, features: NDArray[np.float32]) -> NDArray[np.float64]:
    return lightgbm.Booster(model_str=booster_text).predict(features, raw_score=True, num_threads=1)


def explain_lightgbm(booster_text: str, features: NDArray[np.float32]) -> NDArray[np.float64]:
    return lightgbm.Booster(model_str=booster_text).predict(features, pred_contrib=True, num_threads=1)
