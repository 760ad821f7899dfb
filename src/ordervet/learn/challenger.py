"""Fit the challenger: trees on all mature orders, calibrated on what trees like them had not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ordervet.errors import TrainingError
from ordervet.model import ForestPredictor, fit_calibration
from ordervet.model.binned import BinnedOrders
from ordervet.model.fit import MIN_MALICIOUS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ordervet.model import Curve, FitSettings
    from ordervet.model.binned import MatrixView

_ROWS_AT_ONCE = 65_536


def fit_challenger(
    view: MatrixView,
    names: tuple[str, ...],
    is_malicious: NDArray[np.bool_],
    weight: NDArray[np.int64],
    settings: FitSettings,
    *,
    n_folds: int,
    n_threads: int,
    report_step: Callable[[str], None],
) -> tuple[str, Curve]:
    """Fit trees on all orders of `view`, the oldest first, and calibrate by cross-fitting over parts of the time.

    Each part of the time is scored by trees that were fitted on the other parts; the calibration is fitted on all these
    scores together. So the newest orders teach the trees, and no order calibrates trees that know it. `weight` is how
    many orders a row stands for.

    Returns
    -------
    LightGBM's text, and the calibration

    Raises
    ------
    TrainingError
        Too few malicious or innocent orders.
    """
    _check_classes(is_malicious, n_folds)
    report_step(f"sorting {len(view):,} rows into bins")
    binned = BinnedOrders(view, names, is_malicious, weight, settings, n_threads=n_threads)
    fold = split_folds(is_malicious, n_folds)
    raw = np.empty(len(view), np.float64)
    for at in range(n_folds):
        report_step(f"cross-fitting {at + 1} of {n_folds}")
        inside, outside = np.flatnonzero(fold == at), np.flatnonzero(fold != at)
        raw[inside] = predict_parts(ForestPredictor(binned.fit(outside)), view, inside, n_threads)
    report_step(f"fitting on {len(view):,} rows")
    return binned.fit(), fit_calibration(raw, is_malicious, weight)


def split_folds(is_malicious: NDArray[np.bool_], n_folds: int) -> NDArray[np.int64]:
    """Assign every order, the oldest first, to its part of the time; the parts hold equally many malicious orders."""
    n_before: NDArray[np.int64] = np.cumsum(is_malicious) - is_malicious
    fold: NDArray[np.int64] = np.minimum(n_before * n_folds // max(int(is_malicious.sum()), 1), n_folds - 1)
    return fold


def predict_parts(
    predictor: ForestPredictor, view: MatrixView, rows: NDArray[np.int64], n_threads: int
) -> NDArray[np.float64]:
    """Return the raw scores of some rows of a view, without a second matrix in memory."""
    parts = [
        predictor.predict_raw(view.take(rows[at : at + _ROWS_AT_ONCE]), n_threads=n_threads)
        for at in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    return np.concatenate([*parts, np.zeros(0)])


def _check_classes(is_malicious: NDArray[np.bool_], n_folds: int) -> None:
    n_malicious, n_innocent = int(is_malicious.sum()), int((~is_malicious).sum())
    wanted = MIN_MALICIOUS * n_folds
    if min(n_malicious, n_innocent) < wanted:
        raise TrainingError(
            f"{n_malicious:,} malicious and {n_innocent:,} innocent orders have mature labels, "
            f"expected {wanted} of each or more",
            hint="add verdicts: ordervet ingest VERDICTS --history DIR; or wait until more labels are mature",
        )
