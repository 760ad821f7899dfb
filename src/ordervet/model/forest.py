"""A forest of decision trees as plain arrays, read from LightGBM's text and checked before any code walks it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
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
    head, *trees = _split_sections(text)
    n_features = _read_head(head)
    if not trees:
        raise ModelError("the booster's text has no trees", hint=RESTORE_HINT)
    n_leaves = [_read_size(number, tree) for number, tree in enumerate(trees)]
    n_nodes = [n - 1 for n in n_leaves]
    # SPEED: one array of all trees' numbers; an array per tree took longer than all the rest (make bench, first_score).
    decision = _read_numbers(trees, "decision_type", n_nodes, np.int64)
    forest = Forest(
        n_features=n_features,
        node_start=np.cumsum([0, *n_nodes], dtype=np.int64),
        leaf_start=np.cumsum([0, *n_leaves], dtype=np.int64),
        feature=_read_numbers(trees, "split_feature", n_nodes, np.int64),
        threshold=_read_numbers(trees, "threshold", n_nodes, np.float64),
        missing=(decision >> 2).astype(np.int8),
        default_left=(decision & 2) != 0,
        left=_read_numbers(trees, "left_child", n_nodes, np.int64),
        right=_read_numbers(trees, "right_child", n_nodes, np.int64),
        leaf_value=_read_numbers(trees, "leaf_value", n_leaves, np.float64),
        node_count=_read_numbers(trees, "internal_count", n_nodes, np.float64, default="nan"),
        leaf_count=_read_numbers(trees, "leaf_count", n_leaves, np.float64, default="nan"),
    )
    _check_trees(forest, decision)
    return forest


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


def _read_size(number: int, tree: dict[str, str]) -> int:
    """Return the number of leaves of a tree of a kind that is read."""
    where = f"tree {number}"
    if tree.get("Tree") != str(number):
        raise ModelError(f"{where} is numbered {tree.get('Tree')}", hint=RESTORE_HINT)
    if tree.get("num_cat", "0") != "0":
        raise UnsupportedForestError("unsupported because it splits on categories")
    if tree.get("is_linear", "0") != "0":
        raise UnsupportedForestError("unsupported because its leaves are linear")
    return _read_count(tree, "num_leaves", where)


def _read_count(section: dict[str, str], key: str, where: str) -> int:
    text = section.get(key, "")
    if not (text.isascii() and text.isdecimal()):
        raise ModelError(f"{where}: {key} is no number", hint=RESTORE_HINT)
    return int(text)


def _read_numbers(
    trees: list[dict[str, str]], key: str, sizes: list[int], dtype: type, *, default: str = ""
) -> NDArray[Any]:
    """Read an array of every tree, one after the other; a tree without the key has only defaults."""
    read = float if dtype is np.float64 else int
    words = [tree.get(key, "").split() for tree in trees]
    if default:
        words = [each or [default] * size for each, size in zip(words, sizes, strict=True)]
    for number, (each, size) in enumerate(zip(words, sizes, strict=True)):
        if len(each) != size:
            raise ModelError(f"tree {number}: got {len(each)} numbers in {key}, expected {size}", hint=RESTORE_HINT)
    try:
        numbers: NDArray[Any] = np.fromiter(map(read, chain.from_iterable(words)), dtype, sum(sizes))
    except (ValueError, OverflowError) as error:
        number = next(number for number, each in enumerate(words) if not _are_numbers(each, dtype))
        message = f"tree {number}: {key} holds something that is no number"
        raise ModelError(message, hint=RESTORE_HINT) from error
    return numbers


def _are_numbers(words: list[str], dtype: type) -> bool:
    try:
        np.array([float(word) if dtype is np.float64 else int(word) for word in words], dtype)
    except (ValueError, OverflowError):
        return False
    return True


def _check_trees(forest: Forest, decision: NDArray[np.int64]) -> None:
    of_node, of_leaf = (
        np.repeat(np.arange(forest.n_trees), np.diff(starts)) for starts in (forest.node_start, forest.leaf_start)
    )
    counts = np.concatenate([forest.node_count, forest.leaf_count])
    problems = {
        "a split is on a feature that there is not": of_node[
            (forest.feature < 0) | (forest.feature >= forest.n_features)
        ],
        "a threshold is NaN or -inf": of_node[~(forest.threshold > -np.inf)],
        "a leaf is not finite": of_leaf[~np.isfinite(forest.leaf_value)],
        "a decision type is unknown": of_node[((decision & ~0b1110) != 0) | (forest.missing > MISSING_NAN)],
        "a count of rows is negative or infinite": np.concatenate([of_node, of_leaf])[(counts < 0) | np.isinf(counts)],
        "its nodes and leaves are not one tree": _find_no_trees(forest, of_node, of_leaf),
        # NOT: thresholds in order from a split to those below it. LightGBM itself trains trees that are not, where
        # rounding makes a bin that no row of a node is in look better than its neighbour.
    }
    first = min((int(trees.min()) for trees in problems.values() if len(trees)), default=None)
    if first is not None:
        found = [problem for problem, trees in problems.items() if first in trees]
        raise ModelError(f"tree {first}: {'; '.join(found)}", hint=RESTORE_HINT)


def _find_no_trees(forest: Forest, of_node: NDArray[np.int64], of_leaf: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the trees where not every child is there once, later than its parent, so that all are reached."""
    n_nodes = len(of_node)
    child, tree = np.concatenate([forest.left, forest.right]), np.concatenate([of_node, of_node])
    parent = np.tile(np.arange(n_nodes), 2)
    node, leaf = forest.node_start[tree] + child, forest.leaf_start[tree] + ~child
    is_node = (child >= 0) & (node > parent) & (node < forest.node_start[tree + 1])
    is_leaf = (child < 0) & (leaf >= 0) & (leaf < forest.leaf_start[tree + 1])
    n_met = np.bincount(node[is_node], minlength=n_nodes), np.bincount(leaf[is_leaf], minlength=len(of_leaf))
    # A root is nobody's child, and neither is the one leaf of a tree without nodes.
    is_root = np.zeros(n_nodes + 1, np.bool_)
    is_root[forest.node_start[:-1]] = True
    is_alone = np.diff(forest.node_start)[of_leaf] == 0
    return np.concatenate(
        [tree[~(is_node | is_leaf)], of_node[n_met[0] != ~is_root[:-1]], of_leaf[n_met[1] != ~is_alone]]
    )
