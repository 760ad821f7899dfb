"""Scores by the compiled forest, which takes any model as data and checks itself before it serves."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ordervet.errors import ModelError
from ordervet.model.forest import ZERO_SIZE, UnsupportedForestError, parse_forest
from ordervet.model.forest_reference import walk_forest
from ordervet.model.forest_tables import build_tables, round_thresholds
from ordervet.model.predict import Predictor
from ordervet.model.treeshap_tables import build_share_tables, pick_features, validate_counts

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ordervet.model.forest import Forest
    from ordervet.model.forest_tables import ForestTables
    from ordervet.model.treeshap_tables import ShareTables

    #: Reads rows start to stop of a flat matrix, and writes what it finds to a flat array.
    Kernel = Callable[[NDArray[np.float32], int, int, NDArray[np.float64]], None]

#: Up to so many rows the single walk is quicker than a block. SPEED: benchmarks/bench_forest.py.
SCORED_SINGLY, EXPLAINED_SINGLY = 16, 6
#: Fewer rows than this are not worth a thread of their own.
SCORED_PER_THREAD, EXPLAINED_PER_THREAD = 4_096, 512

_CHECK_ROWS = 320
_EDGE_SHARE = 0.8
_SHARE_TOLERANCE = 1e-9
_CACHE_HINT = "empty numba's cache (NUMBA_CACHE_DIR, or __pycache__ beside the package), then open the model again"


class ForestPredictor:
    """A booster that scores without LightGBM, to the last bit as LightGBM does.

    A model that the compiled forest does not hold is scored by LightGBM, and `engine` and `why` say so.

    Parameters
    ----------
    booster_text : LightGBM's text format

    Attributes
    ----------
    engine : "compiled" or "lightgbm"
    why : what the compiled forest does not hold; empty when it serves

    Raises
    ------
    ModelError
        The text is damaged, or the compiled forest differs from its reference on this machine.
    """

    engine: Literal["compiled", "lightgbm"]

    def __init__(self, booster_text: str) -> None:
        self._lightgbm = Predictor(booster_text)
        self._of_columns: dict[tuple[int, ...], Kernel] = {}
        self.engine, self.why = "compiled", ""
        try:
            self._forest = parse_forest(booster_text)
            self._tables = build_tables(self._forest)
            validate_counts(self._forest)
        except UnsupportedForestError as error:
            self.engine, self.why = "lightgbm", error.message
            return
        self._score_few = _bind_single_kernel(self._tables, self._forest.n_features)
        check_scores(self._forest, self._score_few)

    def predict_raw(self, features: NDArray[np.float32], *, n_threads: int = 1) -> NDArray[np.float64]:
        """Score rows, in log-odds.

        Parameters
        ----------
        features : shape (n, n_features), float32, C order; NaN is not known
        n_threads : threads, each over rows of its own

        Returns
        -------
        shape (n,), float64; a row alone scores the same bits as among others, on any number of threads

        Raises
        ------
        ModelError
            The matrix does not fit the model.
        """
        if self.engine == "lightgbm":
            return self._lightgbm.predict_raw(features, n_threads=n_threads)
        rows = self._check(features)
        raw = np.empty(len(features), np.float64)
        score = self._score_few if len(features) <= SCORED_SINGLY else self._score_many
        run_rows(lambda start, stop: score(rows, start, stop, raw), len(features), n_threads, SCORED_PER_THREAD)
        return raw

    def predict_one(self, features: NDArray[np.float32]) -> float:
        """Score one row in log-odds: `predict_raw` without what only many rows need.

        Parameters
        ----------
        features : shape (1, n_features), float32, C order, of the model's own features: not checked
        """
        if self.engine == "lightgbm":
            return self._lightgbm.predict_raw(features).item(0)
        raw = np.empty(1, np.float64)
        self._score_few(features.reshape(-1), 0, 1, raw)
        return raw.item(0)

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
            return self._lightgbm.explain(features, n_threads=n_threads)
        rows = self._check(features)
        shares = np.empty((len(features), self._forest.n_features + 1), np.float64)
        flat = shares.reshape(-1)
        explainer = self._explain_few if len(features) <= EXPLAINED_SINGLY else self._explain_many
        run_rows(lambda start, stop: explainer(rows, start, stop, flat), len(features), n_threads, EXPLAINED_PER_THREAD)
        return shares

    def explain_some(
        self, features: NDArray[np.float32], columns: tuple[int, ...], *, n_threads: int = 1
    ) -> NDArray[np.float64]:
        """Give the exact shares of some features alone, which costs as much less.

        Parameters
        ----------
        features : shape (n, n_features), float32, C order; NaN is not known
        columns : the features that are asked about, each once
        n_threads : threads, each over rows of its own

        Returns
        -------
        shape (n, len(columns)), log-odds: columns of what `explain` gives, the same bits
        """
        if self.engine == "lightgbm" or len(features) <= EXPLAINED_SINGLY:
            return self.explain(features, n_threads=n_threads)[:, list(columns)]
        rows = self._check(features)
        shares = np.empty((len(features), len(columns) + 1), np.float64)
        flat = shares.reshape(-1)
        explain = self._explain_blocks(columns)
        run_rows(lambda start, stop: explain(rows, start, stop, flat), len(features), n_threads, EXPLAINED_PER_THREAD)
        return shares[:, :-1]

    # NOTE: kernels for many rows are compiled and checked when many rows come; a live order does not wait for them.
    @cached_property
    def _score_many(self) -> Kernel:
        score = _bind_block_kernel(self._tables, self._forest.n_features)
        check_scores(self._forest, score)
        return score

    @cached_property
    def _shares(self) -> ShareTables:
        return build_share_tables(self._forest, self._tables.plane_of_node)

    @cached_property
    def _explain_few(self) -> Kernel:
        explain = _bind_single_explainer(self._tables, self._shares, self._forest.n_features)
        check_shares(self._forest, explain, explain)
        return explain

    @cached_property
    def _explain_many(self) -> Kernel:
        n_features = self._forest.n_features
        explain = _bind_block_explainer(self._tables, self._shares, n_features, n_features)
        check_shares(self._forest, explain, self._explain_few)
        return explain

    def _explain_blocks(self, columns: tuple[int, ...]) -> Kernel:
        """Give the kernel that explains by some features, and keep it."""
        if columns not in self._of_columns:
            _ = self._explain_many  # checks the kernels of this machine
            groups = pick_features(self._shares, np.array(columns, np.int64))
            explain = _bind_block_explainer(self._tables, groups, self._forest.n_features, len(columns))
            self._of_columns[columns] = explain
        return self._of_columns[columns]

    def _check(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the matrix as the kernels read it: flat."""
        expected = self._forest.n_features
        if features.shape != (len(features), expected) or features.dtype != np.float32:
            raise ModelError(
                f"got features of shape {features.shape}, {features.dtype}; expected (n, {expected}), float32",
                hint="build the features with the model's own spec",
            )
        if not (features.flags.c_contiguous and features.flags.aligned):
            features = np.require(features, requirements=["C", "A"])
        return features.reshape(-1)


def run_rows(kernel: Callable[[int, int], Any], n_rows: int, n_threads: int, rows_per_thread: int) -> None:
    """Run a kernel over all rows, in as many threads as are worth it; an error in one of them is raised."""
    n_parts = min(n_threads, -(-n_rows // rows_per_thread))
    if n_parts <= 1:
        kernel(0, n_rows)
        return
    from joblib import Parallel, delayed  # noqa: PLC0415 - single orders and small batches do not need it

    edges = [n_rows * part // n_parts for part in range(n_parts + 1)]
    parts = pairwise(edges)
    Parallel(n_jobs=n_parts, prefer="threads")(delayed(kernel)(start, stop) for start, stop in parts)


def check_scores(forest: Forest, score: Kernel) -> None:
    """Compare a kernel with its reference on rows at and beside the forest's thresholds.

    Raises
    ------
    ModelError
        They differ in any bit.
    """
    rows = draw_edge_rows(forest, _CHECK_ROWS)
    expected = walk_forest(forest, rows)
    raw = np.full(len(rows), np.nan)
    score(rows.reshape(-1), 0, SCORED_SINGLY, raw)
    score(rows.reshape(-1), SCORED_SINGLY, len(rows), raw)
    if not np.array_equal(raw, expected):
        n_wrong = int((raw != expected).sum())
        raise ModelError(
            f"the compiled forest differs from its reference on {n_wrong} of {len(rows)} rows",
            hint=_CACHE_HINT,
        )


def check_shares(forest: Forest, explain: Kernel, explain_few: Kernel) -> None:
    """Check on rows at the forest's thresholds that shares add up to the raw score, and that both kernels agree.

    Raises
    ------
    ModelError
        They do not.
    """
    rows = draw_edge_rows(forest, _CHECK_ROWS)
    shares = np.full((len(rows), forest.n_features + 1), np.nan)
    explain(rows.reshape(-1), 0, len(rows), shares.reshape(-1))
    singly = np.full_like(shares[:EXPLAINED_SINGLY], np.nan)
    explain_few(rows.reshape(-1), 0, len(singly), singly.reshape(-1))
    scale = max(1.0, float(np.abs(forest.leaf_value).max()) * forest.n_trees)
    is_sum_right = np.allclose(shares.sum(axis=1), walk_forest(forest, rows), rtol=0, atol=_SHARE_TOLERANCE * scale)
    if not (is_sum_right and np.array_equal(singly, shares[: len(singly)])):
        raise ModelError("the compiled explanations do not add up to the raw scores", hint=_CACHE_HINT)


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
    cuts = round_thresholds(forest.threshold)
    for feature in np.unique(forest.feature):
        at = cuts[forest.feature == feature]
        with np.errstate(over="ignore", under="ignore"):
            beside = [np.nextafter(at, np.float32(end)) for end in (-np.inf, np.inf)]
        drawn = rng.choice(np.concatenate([at, *beside]), n_rows)
        rows[:, feature] = np.where(rng.random(n_rows) < _EDGE_SHARE, drawn, rows[:, feature])
    return rows


def _list_tables(tables: ForestTables) -> tuple[NDArray[Any], ...]:
    """Give what every kernel reads of a forest."""
    columns = (tables.column_feature, tables.column_zero_is_missing, tables.thresholds, tables.bases)
    return *columns, tables.plane_start, tables.plane_shift, tables.plane_limit


def _bind_single_kernel(tables: ForestTables, n_features: int) -> Kernel:
    """Give the function that scores few rows."""
    from ordervet.model import forest_single_kernel as single  # noqa: PLC0415 - numba is loaded when used

    kernel: Callable[..., None] = single.score_singly
    book = np.zeros(single.BOOK_SIZE, np.int64)
    book[single.N_COLUMNS], book[single.N_THRESHOLDS] = len(tables.column_feature), len(tables.thresholds)
    book[single.N_BASES], book[single.N_PLANES] = len(tables.bases), len(tables.plane_limit)
    book[single.N_NODES] = len(tables.node_plane)
    # NOTE: the function below holds the tables; the book has their addresses alone.
    found: dict[int, NDArray[Any]] = {
        single.COLUMN_FEATURE: tables.column_feature, single.COLUMN_ZERO_IS_MISSING: tables.column_zero_is_missing,
        single.THRESHOLDS: tables.thresholds, single.BASES: tables.bases, single.PLANE_START: tables.plane_start,
        single.PLANE_SHIFT: tables.plane_shift, single.PLANE_LIMIT: tables.plane_limit,
        single.NODE_PLANE: tables.node_plane, single.LEAF_VALUE: tables.leaf_value,
    }  # fmt: skip
    for column, array in found.items():
        book[column] = array.ctypes.data

    def score(rows: NDArray[np.float32], start: int, stop: int, raw: NDArray[np.float64], _held: Any = found) -> None:  # noqa: ANN401 - whatever it holds
        kernel(rows, n_features, start, stop, book, raw)

    return score


def _bind_block_kernel(tables: ForestTables, n_features: int) -> Kernel:
    """Give the function that scores many rows."""
    from ordervet.model.forest_kernel import score_blocks  # noqa: PLC0415 - likewise

    kernel: Callable[..., None] = score_blocks
    found = (*_list_tables(tables), tables.node_plane, tables.leaf_value)
    return lambda rows, start, stop, raw: kernel(rows, n_features, start, stop, *found, raw)


def _list_groups(tables: ForestTables, groups: ShareTables) -> tuple[NDArray[Any], ...]:
    """Give what both kernels of explanations read."""
    conditions = (groups.condition_start, groups.condition_plane, groups.condition_bits)
    return *_list_tables(tables), groups.bit_start, *conditions, groups.table_start, groups.shares


def _bind_single_explainer(tables: ForestTables, groups: ShareTables, n_features: int) -> Kernel:
    """Give the function that explains few rows."""
    from ordervet.model.treeshap_single_kernel import explain_singly  # noqa: PLC0415 - likewise

    kernel: Callable[..., None] = explain_singly
    found = (*_list_groups(tables, groups), groups.feature_start, groups.group_feature, groups.expected)
    return lambda rows, start, stop, shares: kernel(rows, n_features, start, stop, *found, shares)


def _bind_block_explainer(tables: ForestTables, groups: ShareTables, n_features: int, n_shares: int) -> Kernel:
    """Give the function that explains many rows by so many of the features."""
    from ordervet.model.treeshap_kernel import explain_blocks  # noqa: PLC0415 - likewise

    kernel: Callable[..., None] = explain_blocks
    lookups = (
        groups.group_start, groups.lookup_start, groups.lookup_feature, groups.lookup_group, groups.lookup_place,
    )  # fmt: skip
    found = (*_list_groups(tables, groups), *lookups, n_shares, groups.expected)
    return lambda rows, start, stop, shares: kernel(rows, n_features, start, stop, *found, shares)
