"""The second, small model: which kind of malice it would be, asked only about orders that are flagged."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from math import exp
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.errors import ModelError
from ordervet.model.forest import parse_forest
from ordervet.model.predictor import build_core
from ordervet.model.settings import count_fit_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ordervet import _core
    from ordervet.model.forest import Forest
    from ordervet.model.settings import FitSettings

#: A kind with fewer judged orders than this is not learned, and never named by this model.
MIN_ORDERS_PER_KIND = 20
#: Below this probability no kind is named.
MIN_P_KIND = 0.5
_NUM_ROUNDS, _NUM_LEAVES, _LEARNING_RATE, _MIN_DATA_IN_LEAF = 60, 15, 0.1, 5


@dataclass(frozen=True)
class KindModel:
    """A fitted multiclass LightGBM, scored without LightGBM.

    Parameters
    ----------
    booster_text : LightGBM's text format
    kinds : what its classes stand for, in their order

    Raises
    ------
    ModelError
        The text is damaged, or is of another number of classes.
    """

    booster_text: str = field(repr=False)
    kinds: tuple[str, ...]

    def __post_init__(self) -> None:
        n_kinds = len(self.kinds)
        if not n_kinds or f"num_class={n_kinds}\n" not in self.booster_text or self.forest.n_trees % n_kinds:
            raise ModelError(
                f"the model of kinds is not of {n_kinds} kinds", hint="restore the model folder, or train again"
            )

    @cached_property
    def forest(self) -> Forest:
        """The trees of all kinds, by turns: tree t adds to the score of kind t modulo their number."""
        # NOTE: with one class written in its head, the text is that of one forest.
        as_one = re.sub(r"^(num_class|num_tree_per_iteration)=\d+$", r"\1=1", self.booster_text, flags=re.MULTILINE)
        return parse_forest(as_one)

    @cached_property
    def _built(self) -> _core.Forest:
        return build_core(self.forest, n_outputs=len(self.kinds))

    def predict_raw(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Score rows for each kind, as if the order were malicious; the softmax of a row gives probabilities.

        Parameters
        ----------
        features : shape (n, n_features), float32, C order

        Returns
        -------
        shape (n, n_kinds); a row alone scores the same bits as among others
        """
        raw = np.empty((len(features), len(self.kinds)), np.float64)
        self._built.score(features, 0, len(features), raw)
        return raw

    def name_kinds(self, features: NDArray[np.float32]) -> list[str | None]:
        """Name the likeliest kind of each order; None where none reaches `MIN_P_KIND`."""
        named: list[str | None] = []
        # SPEED: without NumPy, of whose kernels a single order would wait for each (bench_live.py).
        for scores in self.predict_raw(features).tolist():
            most = max(scores)
            is_likely = 1.0 / sum([exp(each - most) for each in scores]) >= MIN_P_KIND
            named.append(self.kinds[scores.index(most)] if is_likely else None)
        return named


def fit_kinds(
    features: NDArray[np.float32],
    kinds: Sequence[str] | NDArray[np.str_],
    names: tuple[str, ...],
    settings: FitSettings,
    *,
    n_threads: int = 1,
) -> KindModel | None:
    """Fit the model of kinds on malicious orders whose kind somebody named.

    Parameters
    ----------
    features : shape (n, n_features), malicious orders, oldest first
    kinds : n kinds; empty where nobody named one
    names : of the features
    settings : whose seed is taken; the trees are small whatever it says
    n_threads : threads; the trees do not depend on it

    Returns
    -------
    the model, or None when fewer than two kinds have `MIN_ORDERS_PER_KIND` orders
    """
    import lightgbm

    given = np.asarray(kinds, dtype=np.str_)
    distinct, counts = np.unique(given[given != ""], return_counts=True)
    learned = distinct[counts >= MIN_ORDERS_PER_KIND]
    if len(learned) < 2:
        return None
    rows = np.flatnonzero(np.isin(given, learned))
    label = np.searchsorted(learned, given[rows]).astype(np.float32)
    parameters: dict[str, Any] = {
        "objective": "multiclass", "num_class": len(learned), "learning_rate": _LEARNING_RATE,
        "num_leaves": _NUM_LEAVES, "min_data_in_leaf": _MIN_DATA_IN_LEAF, "feature_fraction": 0.5, "lambda_l2": 1.0,
        "seed": settings.seed, "deterministic": True, "force_row_wise": True, "verbosity": -1,
        "num_threads": count_fit_threads(len(rows), n_threads),
    }  # fmt: skip
    data = lightgbm.Dataset(features[rows], label, feature_name=list(names))
    text = lightgbm.train(parameters, data, _NUM_ROUNDS).model_to_string()
    text = re.sub(r"^\[num_threads: \d+\]$", "[num_threads: 0]", text, flags=re.MULTILINE)
    return KindModel(text, tuple(str(kind) for kind in learned))


def measure_kinds(
    model: KindModel, features: NDArray[np.float32], kinds: Sequence[str] | NDArray[np.str_]
) -> dict[str, Any]:
    """Measure on malicious orders that were not fitted on how often the named kind is right.

    Returns
    -------
    ``n_orders`` with a learned kind, ``named`` (share of them that got a name) and ``right`` (share of those named
    rightly)
    """
    given = np.asarray(kinds, dtype=np.str_)
    rows = np.flatnonzero(np.isin(given, model.kinds))
    named = np.array([kind or "" for kind in model.name_kinds(features[rows])], dtype=np.str_)
    has_name = named != ""
    n, n_named = len(rows), int(has_name.sum())
    return {
        "n_orders": n,
        "named": n_named / n if n else None,
        "right": float((named == given[rows])[has_name].mean()) if n_named else None,
    }
