"""A forest of decision trees as plain arrays, read from LightGBM's text and checked before any code walks it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

#: What LightGBM holds to be zero: values up to this size are read as 0.0, whatever the tree's missing type.
ZERO_SIZE = float(np.float32(1e-35))

#: What a node takes for a missing value. The numbers are LightGBM's.
MISSING_NONE, MISSING_ZERO, MISSING_NAN = range(3)

#: What the core explains, and `FitSettings` trains.
MAX_DEPTH = 6
#: What the core scores.
MAX_LEAVES = 64

_VERSIONS = ("v3", "v4")
RESTORE_HINT = "restore the model folder, or train the model again"


class UnsupportedForestError(ModelError):
    """A model of a form that the core does not hold."""


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees one after the other; a raw score is the float64 sum of one leaf per tree, in the order of trees.

    Nodes and leaves count from 0 in each tree; `left` and `right` hold a node of the same tree, or ~leaf. A value goes
    left when it is at most the threshold. Node 0 is a tree's root; a tree without nodes is its one leaf.

    Parameters
    ----------
    n_features : columns of the feature matrix
    node_start, leaf_start : shape (n_trees + 1,), int64; tree t owns ``node_start[t]:node_start[t + 1]``
    feature : shape (n_nodes,), int64
    threshold : shape (n_nodes,), float64; +inf parts what is missing from all that is not
    missing : shape (n_nodes,), int8, MISSING_NONE (NaN counts as 0), MISSING_ZERO (NaN and 0) or MISSING_NAN
    default_left : shape (n_nodes,), where a missing value goes
    left, right : shape (n_nodes,), int64
    leaf_value : shape (n_leaves,), float64, log-odds
    node_count, leaf_count : shapes (n_nodes,) and (n_leaves,), float64, training rows that came by
    """

    n_features: int
    node_start: NDArray[np.int64]
    leaf_start: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    missing: NDArray[np.int8]
    default_left: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    leaf_value: NDArray[np.float64]
    node_count: NDArray[np.float64]
    leaf_count: NDArray[np.float64]

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.node_start) - 1


@dataclass(frozen=True, slots=True)
class _Tree:
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    missing: NDArray[np.int8]
    default_left: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    leaf_value: NDArray[np.float64]
    node_count: NDArray[np.float64]
    leaf_count: NDArray[np.float64]


# SPEED: a model is checked when it is loaded and handed to the core when it is tried; it is read once.
@lru_cache(maxsize=4)
def parse_forest(text: str) -> Forest:
    """Read a forest from LightGBM's text format.

    Parameters
    ----------
    text : what ``Booster.model_to_string`` gives; versions v3 and v4

    Raises
    ------
    UnsupportedForestError
        The model has categorical splits, linear leaves, several classes or averaged trees; these are not read.
    ModelError
        The text is damaged.

    References
    ----------
    LightGBM: src/io/tree.cpp (Tree::ToString), src/boosting/gbdt_model_text.cpp.
    """
    head, *sections = _split_sections(text)
    n_features = _read_head(head)
    trees = [_read_tree(number, section, n_features) for number, section in enumerate(sections)]
    if not trees:
        raise ModelError("the booster's text has no trees", hint=RESTORE_HINT)
    sizes = np.array([(len(tree.feature), len(tree.leaf_value)) for tree in trees], np.int64)
    starts = np.concatenate([np.zeros((1, 2), np.int64), sizes.cumsum(axis=0)])
    joined: dict[str, Any] = {
        part.name: np.concatenate([getattr(tree, part.name) for tree in trees]) for part in fields(_Tree)
    }
    return Forest(n_features=n_features, node_start=starts[:, 0].copy(), leaf_start=starts[:, 1].copy(), **joined)


def _split_sections(text: str) -> Iterator[dict[str, str]]:
    """Give the head and then each tree as its keys and values; what follows the trees is left out."""
    section: dict[str, str] = {}
    for line in text.splitlines():
        if line == "end of trees":
            yield section
            return
        if line.startswith("Tree="):
            yield section
            section = {}
        key, _, value = line.partition("=")
        section[key] = value
    raise ModelError("the booster's text ends before its trees do", hint=RESTORE_HINT)


def _read_head(head: dict[str, str]) -> int:
    if "tree" not in head or "max_feature_idx" not in head:
        raise ModelError("the booster's text does not begin like one of LightGBM's", hint=RESTORE_HINT)
    if head.get("version") not in _VERSIONS:
        raise UnsupportedForestError(f"unsupported because its text is not of version {' or '.join(_VERSIONS)}")
    if head.get("num_class") != "1" or head.get("num_tree_per_iteration") != "1":
        raise UnsupportedForestError("unsupported because it has several classes")
    if "average_output" in head:
        raise UnsupportedForestError("unsupported because its trees are averaged")
    return _read_count(head, "max_feature_idx", "the head") + 1


def _read_tree(number: int, section: dict[str, str], n_features: int) -> _Tree:
    where = f"tree {number}"
    if section.get("Tree") != str(number):
        raise ModelError(f"{where} is numbered {section.get('Tree')}", hint=RESTORE_HINT)
    if section.get("num_cat", "0") != "0":
        raise UnsupportedForestError("unsupported because it splits on categories")
    if section.get("is_linear", "0") != "0":
        raise UnsupportedForestError("unsupported because its leaves are linear")
    n_leaves = _read_count(section, "num_leaves", where)
    n_nodes = n_leaves - 1
    decision = _read_numbers(section, "decision_type", n_nodes, np.int64, where)
    tree = _Tree(
        feature=_read_numbers(section, "split_feature", n_nodes, np.int64, where),
        threshold=_read_numbers(section, "threshold", n_nodes, np.float64, where),
        missing=(decision >> 2).astype(np.int8),
        default_left=(decision & 2) != 0,
        left=_read_numbers(section, "left_child", n_nodes, np.int64, where),
        right=_read_numbers(section, "right_child", n_nodes, np.int64, where),
        leaf_value=_read_numbers(section, "leaf_value", n_leaves, np.float64, where),
        node_count=_read_numbers(section, "internal_count", n_nodes, np.float64, where, default=np.nan),
        leaf_count=_read_numbers(section, "leaf_count", n_leaves, np.float64, where, default=np.nan),
    )
    _check_tree(tree, decision, n_features, where)
    return tree


def _read_count(section: dict[str, str], key: str, where: str) -> int:
    text = section.get(key, "")
    if not (text.isascii() and text.isdecimal()):
        raise ModelError(f"{where}: {key} is no number", hint=RESTORE_HINT)
    return int(text)


def _read_numbers(
    section: dict[str, str], key: str, n: int, dtype: type, where: str, *, default: float | None = None
) -> NDArray[Any]:
    words = section.get(key, "").split()
    if not words and default is not None:
        return np.full(n, default, dtype)
    try:
        numbers: NDArray[Any] = np.fromiter(map(float if dtype is np.float64 else int, words), dtype, len(words))
    except (ValueError, OverflowError) as error:
        raise ModelError(f"{where}: {key} holds something that is no number", hint=RESTORE_HINT) from error
    if len(numbers) != n:
        raise ModelError(f"{where}: got {len(numbers)} numbers in {key}, expected {n}", hint=RESTORE_HINT)
    return numbers


def _check_tree(tree: _Tree, decision: NDArray[np.int64], n_features: int, where: str) -> None:
    n_nodes = len(tree.feature)
    children = np.concatenate([tree.left, tree.right])
    expected = np.concatenate([np.arange(-len(tree.leaf_value), 0), np.arange(1, n_nodes)])
    parents = np.concatenate([np.arange(n_nodes), np.arange(n_nodes)])
    # NOTE: every child once and later than its parent, so that each node is reached from the root and only once.
    is_tree = n_nodes == 0 or (
        np.array_equal(np.sort(children), expected) and bool((parents < children)[children >= 0].all())
    )
    counts = np.concatenate([tree.node_count, tree.leaf_count])
    problems = {
        "its leaves are none": len(tree.leaf_value) == 0,
        "a split is on a feature that there is not": bool(((tree.feature < 0) | (tree.feature >= n_features)).any()),
        "a threshold is NaN or -inf": not (tree.threshold > -np.inf).all(),
        "a leaf is not finite": not np.isfinite(tree.leaf_value).all(),
        "a decision type is unknown": bool(((decision & ~0b1110) != 0).any() or (tree.missing > MISSING_NAN).any()),
        "a count of rows is negative or infinite": bool(((counts < 0) | np.isinf(counts)).any()),
        "its nodes and leaves are not one tree": not is_tree,
        # NOT: thresholds in order from a split to those below it. LightGBM itself trains trees that are not, where
        # rounding makes a bin that no row of a node is in look better than its neighbour.
    }
    found = [problem for problem, is_there in problems.items() if is_there]
    if found:
        raise ModelError(f"{where}: {'; '.join(found)}", hint=RESTORE_HINT)
