"""Fit the challenger: trees on all that is ripe, calibrated on what trees like them had not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ordervet.errors import TrainingError
from ordervet.model import ForestPredictor, fit_calibration
from ordervet.model.fit import MIN_MALICIOUS, fit_booster

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ordervet.model import Curve, FitSettings, TrainingSet


def fit_challenger(
    training: TrainingSet,
    names: tuple[str, ...],
    settings: FitSettings,
    *,
    n_folds: int,
    n_threads: int,
    report_step: Callable[[str], None],
) -> tuple[str, Curve]:
    """Fit trees on all orders, and calibrate by cross-fitting over parts of the time.

    Each part of the time is scored by trees that were fitted on the other parts; the calibration is fitted on all these
    scores together. So the newest orders teach the trees, and no order calibrates trees that know it.

    Parameters
    ----------
    training : ripe orders, with weights
    names : the features, in column order
    settings : LightGBM's
    n_folds : parts of the time, with equally many malicious orders
    n_threads : threads; the result does not depend on it
    report_step : is told what is being fitted

    Returns
    -------
    LightGBM's text, and the calibration

    Raises
    ------
    TrainingError
        Too few malicious or innocent orders.
    """
    ordered = training.sort()
    _check_classes(ordered, n_folds)
    fold = split_folds(ordered, n_folds)
    raw = np.empty(len(ordered), np.float64)
    for at in range(n_folds):
        report_step(f"cross-fitting {at + 1} of {n_folds}")
        inside, outside = np.flatnonzero(fold == at), np.flatnonzero(fold != at)
        text = fit_booster(ordered.take(outside), names, settings, n_threads=n_threads)
        raw[inside] = predict_parts(ForestPredictor(text), ordered.features, inside, n_threads)
    report_step(f"fitting on {len(ordered):,} rows")
    text = fit_booster(ordered, names, settings, n_threads=n_threads)
    return text, fit_calibration(raw, ordered.is_malicious, ordered.weight)


def split_folds(ordered: TrainingSet, n_folds: int) -> NDArray[np.int64]:
    """Give every order its part of the time; the parts hold equally many malicious orders.

    Parameters
    ----------
    ordered : the oldest orders first
    """
    n_before: NDArray[np.int64] = np.cumsum(ordered.is_malicious) - ordered.is_malicious
    fold: NDArray[np.int64] = np.minimum(n_before * n_folds // max(int(ordered.is_malicious.sum()), 1), n_folds - 1)
    return fold


def predict_parts(
    predictor: ForestPredictor,
    features: NDArray[np.float32],
    rows: NDArray[np.int64],
    n_threads: int,
    *,
    columns: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Score some rows of a matrix, without a second matrix in memory.

    Parameters
    ----------
    predictor : the forest
    features : shape (n, n_columns)
    rows : to score
    n_threads : threads
    columns : the forest's features among the matrix's; None takes all

    Returns
    -------
    shape (len(rows),), raw scores
    """
    size = 65_536
    parts = [
        predictor.predict_raw(_pick(features, rows[at : at + size], columns), n_threads=n_threads)
        for at in range(0, len(rows), size)
    ]
    return np.concatenate([*parts, np.zeros(0)])


def _pick(
    features: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64] | None
) -> NDArray[np.float32]:
    picked = features[rows] if columns is None else features[np.ix_(rows, columns)]
    return np.ascontiguousarray(picked)


def find_quiet_days(n_orders_by_day: dict[int, int], loud_factor: float) -> list[int]:
    """Find the days that are no campaign: with at most so many times the median day's orders."""
    if not n_orders_by_day:
        return []
    most = loud_factor * float(np.median(list(n_orders_by_day.values())))
    return sorted(day for day, n in n_orders_by_day.items() if n <= most)


def _check_classes(orders: TrainingSet, n_folds: int) -> None:
    n_malicious, n_innocent = int(orders.is_malicious.sum()), int((~orders.is_malicious).sum())
    wanted = MIN_MALICIOUS * n_folds
    if min(n_malicious, n_innocent) < wanted:
        raise TrainingError(
            f"{n_malicious:,} malicious and {n_innocent:,} innocent orders are ripe, expected {wanted} of each or more",
            hint="bring in verdicts: ordervet ingest VERDICTS --history DIR; or let labels ripen",
        )
