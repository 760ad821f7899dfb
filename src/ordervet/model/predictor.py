"""Scores and contributions of a fitted model: by the core, to the last bit as LightGBM scores, or by LightGBM."""

from __future__ import annotations

import re
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ordervet import _core
from ordervet.errors import ModelError
from ordervet.model.forest import (
    MAX_DEPTH,
    MAX_LEAVES,
    RESTORE_HINT,
    ZERO_SIZE,
    UnsupportedForestError,
    parse_forest,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ordervet.model.forest import Forest

#: Fewer rows than this are not worth a thread of their own.
SCORED_PER_THREAD, EXPLAINED_PER_THREAD = 4_096, 512

#: Rows that a model is tried on before it serves, and how many of them one by one, too.
_CHECK_ROWS, _SINGLE_ROWS = 320, 16
_EDGE_SHARE = 0.8
_SHARE_TOLERANCE = 1e-9
_MACHINE_HINT = "report the processor of this machine; another machine can serve the model"


class Predictor:
    """A booster read from its text by LightGBM.

    Parameters
    ----------
    booster_text : LightGBM's text format
    """

    def __init__(self, booster_text: str) -> None:
        self._text = booster_text

    @cached_property
    def _booster(self) -> Any:
        import lightgbm

        try:
            return lightgbm.Booster(model_str=self._text)
        except lightgbm.basic.LightGBMError as error:
            raise ModelError("the booster's text cannot be read", hint="restore the model folder") from error

    def predict_raw(self, features: NDArray[np.float32], *, n_threads: int = 1) -> NDArray[np.float64]:
        """Score rows as `ForestPredictor.predict_raw` does."""
        if len(features) == 0:
            return np.zeros(0, np.float64)
        raw: NDArray[np.float64] = self._booster.predict(features, raw_score=True, num_threads=n_threads)
        return raw

    def explain(self, features: NDArray[np.float32], *, n_threads: int = 1) -> NDArray[np.float64]:
        """Explain rows as `ForestPredictor.explain` does, within rounding."""
        if len(features) == 0:
            return np.zeros((0, features.shape[1] + 1), np.float64)
        shares: NDArray[np.float64] = self._booster.predict(features, pred_contrib=True, num_threads=n_threads)
        return shares


class ForestPredictor:
    """A booster that scores without LightGBM, to the last bit as LightGBM does.

    A sound model that the core does not hold is scored by LightGBM, and `engine` and `why` say so.

    Parameters
    ----------
    booster_text : LightGBM's text format
    instructions : what the core's kernels use, one of `_core.list_instructions()`; by default the widest that this
        machine has; all give the same bits

    Attributes
    ----------
    engine : "compiled" or "lightgbm"
    why : what the core does not hold; empty when it serves
    n_features : columns of the feature matrix

    Raises
    ------
    ModelError
        The text is damaged, or the core differs from its own plain walk on this machine.
    """

    engine: Literal["compiled", "lightgbm"]

    def __init__(self, booster_text: str, *, instructions: str = "") -> None:
        # NOTE: LightGBM would trust the sizes that a text says its trees have; without them it reads line by line.
        self._lightgbm = Predictor(re.sub(r"(?m)^tree_sizes=.*\n", "", booster_text))
        self._forest = parse_forest(booster_text)
        self.n_features = self._forest.n_features
        self.engine, self.why = "compiled", ""
        try:
            self._core = build_core(self._forest, instructions=instructions)
            check_explainable(self._forest, self._core)
        except UnsupportedForestError as error:
            self.engine, self.why = "lightgbm", error.message
            return
        check_scores(self._forest, self._core)

    def predict_raw(self, features: NDArray[np.float32], *, n_threads: int = 1) -> NDArray[np.float64]:
        """Score rows, in log-odds.

        Parameters
        ----------
        features : shape (n, n_features), float32; NaN is not known
        n_threads : threads, each over rows of its own

        Returns
        -------
        shape (n,), float64; a row alone scores the same bits as among others, on any number of threads

        Raises
        ------
        ModelError
            The matrix does not fit the model.
        """
        rows = self._check(features)
        if self.engine == "lightgbm":
            return self._lightgbm.predict_raw(rows, n_threads=n_threads)
        raw = np.empty((len(rows), 1), np.float64)
        run_rows(lambda start, stop: self._core.score(rows, start, stop, raw), len(rows), n_threads, SCORED_PER_THREAD)
        return raw[:, 0]

    def predict_one(self, features: NDArray[np.float32]) -> float:
        """Score one row in log-odds: `predict_raw` without what only many rows need.

        Parameters
        ----------
        features : shape (1, n_features), float32, C order, of the model's own features
        """
        if self.engine == "lightgbm":
            return self._lightgbm.predict_raw(features).item(0)
        return self._core.score_one(features)

    def explain(self, features: NDArray[np.float32], *, n_threads: int = 1) -> NDArray[np.float64]:
        """Give each feature's exact share in the raw score (TreeSHAP, path-dependent).

        Returns
        -------
        shape (n, n_features + 1), log-odds; the last column is the expected raw score; a row sums to its raw score; the
        same bits alone, among others, and on any number of threads

        Raises
        ------
        ModelError
            The matrix does not fit the model.

        References
        ----------
        Lundberg et al., "From local explanations to global understanding with explainable AI for trees", 2020.
        """
        if self.engine == "lightgbm":
            return self._lightgbm.explain(self._check(features), n_threads=n_threads)
        shares = self.explain_some(features, tuple(range(self.n_features)), n_threads=n_threads)
        return np.column_stack([shares, np.full(len(shares), self._expected)])

    def explain_some(
        self, features: NDArray[np.float32], columns: tuple[int, ...], *, n_threads: int = 1
    ) -> NDArray[np.float64]:
        """Give the exact shares of some features alone, which costs as much less.

        Parameters
        ----------
        features : shape (n, n_features), float32; NaN is not known
        columns : the features that are asked about, each once
        n_threads : threads, each over rows of its own

        Returns
        -------
        shape (n, len(columns)), log-odds: columns of what `explain` gives, the same bits
        """
        rows = self._check(features)
        if self.engine == "lightgbm":
            return self._lightgbm.explain(rows, n_threads=n_threads)[:, list(columns)]
        shares = np.empty((len(rows), len(columns)), np.float64)
        asked = np.array(columns, np.int32)
        explain = self._contributions.explain
        run_rows(
            lambda start, stop: explain(rows, start, stop, asked, shares), len(rows), n_threads, EXPLAINED_PER_THREAD
        )
        return shares

    def explain_one(self, features: NDArray[np.float32]) -> list[float]:
        """Give each feature's share in the raw score of one row: `explain` without what only many rows need.

        Parameters
        ----------
        features : shape (1, n_features), float32, C order, of the model's own features
        """
        if self.engine == "lightgbm":
            shares = self._lightgbm.explain(features)[:, :-1]
        else:
            shares = np.empty((1, self.n_features), np.float64)
            self._contributions.explain(features, 0, 1, self._every, shares)
        row: list[float] = shares[0].tolist()
        return row

    @cached_property
    def _every(self) -> NDArray[np.int32]:
        return np.arange(self.n_features, dtype=np.int32)

    @cached_property
    def _contributions(self) -> _core.Contributions:
        contributions = _core.Contributions(self._core, self._forest.node_count, self._forest.leaf_count)
        check_shares(self._forest, self._core, contributions)
        return contributions

    @cached_property
    def _expected(self) -> float:
        return compute_expected(self._forest)

    def _check(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the matrix as the core reads it: in C order."""
        if features.shape != (len(features), self.n_features) or features.dtype != np.float32:
            raise ModelError(
                f"got features of shape {features.shape}, {features.dtype}; expected (n, {self.n_features}), float32",
                hint="build the features with the model's own spec",
            )
        return np.require(features, requirements=["C", "A"])


def build_core(forest: Forest, *, n_outputs: int = 1, instructions: str = "") -> _core.Forest:
    """Hand a forest to the core, which checks every number again before it uses it.

    Parameters
    ----------
    forest : what is scored
    n_outputs : sums per row; tree t adds to sum t modulo their number
    instructions : as for `ForestPredictor`

    Raises
    ------
    UnsupportedForestError
        The core does not hold such a forest.
    ModelError
        The core found it damaged.
    """
    if np.diff(forest.leaf_start).max() > MAX_LEAVES:
        raise UnsupportedForestError(f"unsupported because a tree has more than {MAX_LEAVES} leaves")
    try:
        core = _core.Forest(
            forest.n_features, n_outputs, forest.node_start, forest.leaf_start, forest.feature, forest.threshold,
            forest.missing, forest.default_left, forest.left, forest.right, forest.leaf_value, instructions,
        )  # fmt: skip
    except ValueError as error:
        raise ModelError(f"the forest is damaged: {error}", hint=RESTORE_HINT) from error
    return core


def check_explainable(forest: Forest, core: _core.Forest) -> None:
    """Check that the core can explain a forest, too.

    Raises
    ------
    UnsupportedForestError
        A tree is too deep, or a node says of no training row that it came by.
    """
    deep = next((tree for tree, depth in enumerate(core.depths) if depth > MAX_DEPTH), None)
    if deep is not None:
        raise UnsupportedForestError(f"unsupported because tree {deep} is deeper than {MAX_DEPTH}")
    if not (np.concatenate([forest.node_count, forest.leaf_count]) > 0).all():
        raise UnsupportedForestError("unsupported because nodes lack counts of training rows")


def compute_expected(forest: Forest) -> float:
    """Compute the mean raw score of the training rows: each tree's leaves, weighted by their counts."""
    total = 0.0
    for start, stop in pairwise(forest.leaf_start.tolist()):
        weight = forest.leaf_count[start:stop] / forest.leaf_count[start:stop].sum() if stop - start > 1 else 1.0
        total += float((forest.leaf_value[start:stop] * weight).sum())
    return total


def run_rows(kernel: Callable[[int, int], Any], n_rows: int, n_threads: int, rows_per_thread: int) -> None:
    """Run a kernel over all rows, in as many threads as are worth it; an error in one of them is raised."""
    n_parts = min(n_threads, -(-n_rows // rows_per_thread))
    if n_parts <= 1:
        kernel(0, n_rows)
        return
    from joblib import Parallel, delayed

    edges = [n_rows * part // n_parts for part in range(n_parts + 1)]
    parts = pairwise(edges)
    Parallel(n_jobs=n_parts, prefer="threads")(delayed(kernel)(start, stop) for start, stop in parts)


def check_scores(forest: Forest, core: _core.Forest) -> None:
    """Compare the core's kernels on this machine with its own plain walk, on rows at and beside the thresholds.

    Raises
    ------
    ModelError
        They differ in any bit.
    """
    rows = draw_edge_rows(forest, _CHECK_ROWS)
    raw, expected = np.empty((2, len(rows), 1), np.float64)
    core.walk(rows, expected)
    core.score(rows, 0, len(rows), raw)
    is_wrong = (raw != expected).ravel()
    is_wrong[:_SINGLE_ROWS] |= [core.score_one(rows[at : at + 1]) != expected[at, 0] for at in range(_SINGLE_ROWS)]
    if is_wrong.any():
        raise ModelError(
            f"the compiled forest differs from its reference on {is_wrong.sum()} of {len(rows)} rows",
            hint=_MACHINE_HINT,
        )


def check_shares(forest: Forest, core: _core.Forest, contributions: _core.Contributions) -> None:
    """Check on rows at the forest's thresholds that shares add up to the raw score, for one row and for many.

    Raises
    ------
    ModelError
        They do not.
    """
    rows = draw_edge_rows(forest, _CHECK_ROWS)
    columns = np.arange(forest.n_features, dtype=np.int32)
    shares, singly = np.empty((2, len(rows), forest.n_features), np.float64)
    raw = np.empty((len(rows), 1), np.float64)
    core.walk(rows, raw)
    contributions.explain(rows, 0, len(rows), columns, shares)
    for at in range(_SINGLE_ROWS):
        contributions.explain(rows, at, at + 1, columns, singly)
    scale = max(1.0, float(np.abs(forest.leaf_value).max()) * forest.n_trees)
    sums = shares.sum(axis=1) + compute_expected(forest)
    is_sum_right = np.allclose(sums, raw[:, 0], rtol=0, atol=_SHARE_TOLERANCE * scale)
    if not (is_sum_right and np.array_equal(singly[:_SINGLE_ROWS], shares[:_SINGLE_ROWS])):
        raise ModelError("the compiled explanations do not add up to the raw scores", hint=_MACHINE_HINT)


def draw_edge_rows(forest: Forest, n_rows: int) -> NDArray[np.float32]:
    """Draw rows of values at the forest's own thresholds, one float32 step beside them, and at special values.

    Returns
    -------
    shape (n_rows, n_features), the same for the same forest
    """
    rng = np.random.default_rng(0)
    zero = np.float32(ZERO_SIZE)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, zero, -zero, 2 * zero, -2 * zero, 1e-45], np.float32)
    rows = rng.choice(special, (n_rows, forest.n_features))
    with np.errstate(over="ignore", under="ignore"):
        cuts = forest.threshold.astype(np.float32)
    for feature in np.flatnonzero(np.bincount(forest.feature)):  # NOT: np.unique, which imports numpy.ma
        at = cuts[forest.feature == feature]
        with np.errstate(over="ignore", under="ignore"):
            beside = [np.nextafter(at, np.float32(end)) for end in (-np.inf, np.inf)]
        drawn = rng.choice(np.concatenate([at, *beside]), n_rows)
        rows[:, feature] = np.where(rng.random(n_rows) < _EDGE_SHARE, drawn, rows[:, feature])
    return rows
