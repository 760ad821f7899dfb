"""Fit, calibrate and scale a model on a time split: fitted on the oldest orders, calibrated on newer ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.errors import TrainingError
from ordervet.model.artefact import Model
from ordervet.model.calibration import fit_calibration, fit_risk_scale
from ordervet.model.predictor import Predictor
from ordervet.model.protections import build_weights
from ordervet.model.settings import count_fit_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.features import FeatureSpec
    from ordervet.model.settings import FitSettings

#: Fewer malicious orders than this teach nothing but their own accidents.
MIN_MALICIOUS = 20
CALIBRATION_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Labelled orders.

    Parameters
    ----------
    features : shape (n, n_features), float32
    is_malicious : shape (n,)
    seen_at : shape (n,), UTC microseconds; decides which orders are newer
    weight : shape (n,), how many orders a row stands for; None is one each
    """

    features: NDArray[np.float32]
    is_malicious: NDArray[np.bool_]
    seen_at: NDArray[np.int64]
    weight: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.is_malicious)

    def take(self, rows: NDArray[np.int64]) -> TrainingSet:
        """Pick rows."""
        weight = None if self.weight is None else self.weight[rows]
        return TrainingSet(self.features[rows], self.is_malicious[rows], self.seen_at[rows], weight)

    def sort(self) -> TrainingSet:
        """Put the oldest orders first, so that a fit does not depend on the order of rows."""
        return self.take(np.argsort(self.seen_at, kind="stable"))


def fit_model(
    training: TrainingSet,
    spec: FeatureSpec,
    settings: FitSettings,
    *,
    origin: dict[str, Any],
    mature_until: int | None = None,
    n_threads: int = 1,
) -> Model:
    """Fit LightGBM on the older orders, and calibration and risk scale on the newest fifth.

    Parameters
    ----------
    training : labelled orders, any order
    spec : the features, in column order
    settings : LightGBM parameters and seed
    origin : what to write into the manifest about the data; counts, seed and settings are added
    mature_until : UTC microseconds; of orders seen from then on only the judged ones are labelled, and those are mostly
        bad: they are fitted on, never calibrated on. None calibrates on the newest of all
    n_threads : threads; the trees do not depend on it

    Raises
    ------
    TrainingError
        Too few malicious or innocent orders in either part.
    """
    older, newer = _split_off_calibration(training.sort(), mature_until)
    for part, orders in (("fitting", older), ("calibration", newer)):
        _check_classes(orders, part)
    booster_text = fit_booster(older, spec.names, settings, n_threads=n_threads)
    raw = Predictor(booster_text).predict_raw(newer.features, n_threads=n_threads)
    counts = {"n_fitted": len(older), "n_calibrated": len(newer), "n_malicious": int(training.is_malicious.sum())}
    return Model(
        booster_text=booster_text,
        spec=spec,
        calibration=fit_calibration(raw, newer.is_malicious, newer.weight),
        risk_scale=fit_risk_scale(raw),
        origin=origin | counts | {"settings": settings.model_dump(mode="json")},
        metrics={},
    )


def split_by_time(training: TrainingSet, share: float) -> tuple[TrainingSet, TrainingSet]:
    """Split at an instant, so that about `share` of the orders are older; orders of one instant stay together."""
    if len(training) == 0:
        return training, training
    instants = np.sort(training.seen_at)
    cut = instants[min(int(len(instants) * share), len(instants) - 1)]
    is_older = training.seen_at < cut
    return training.take(np.flatnonzero(is_older)), training.take(np.flatnonzero(~is_older))


def _split_off_calibration(training: TrainingSet, mature_until: int | None) -> tuple[TrainingSet, TrainingSet]:
    """Part the newest fifth of the mature orders from all others; of all orders, where too few are mature."""
    is_mature = training.seen_at < (np.iinfo(np.int64).max if mature_until is None else mature_until)
    _, newer = split_by_time(training.take(np.flatnonzero(is_mature)), 1 - CALIBRATION_SHARE)
    n_malicious = int(newer.is_malicious.sum())
    if mature_until is None or min(n_malicious, len(newer) - n_malicious) < MIN_MALICIOUS:
        return split_by_time(training, 1 - CALIBRATION_SHARE)
    is_newer = is_mature & (training.seen_at >= newer.seen_at.min(initial=mature_until))
    return training.take(np.flatnonzero(~is_newer)), newer


def fit_booster(training: TrainingSet, names: tuple[str, ...], settings: FitSettings, *, n_threads: int) -> str:
    """Fit the trees and give them as LightGBM's text, the same bytes on any number of threads."""
    import lightgbm

    by_time = training.sort()
    label = by_time.is_malicious.astype(np.float32)
    weight = build_weights(settings.protected, by_time.features, names, by_time.is_malicious)
    if by_time.weight is not None:
        weight *= by_time.weight
    data = lightgbm.Dataset(by_time.features, label, weight=weight, feature_name=list(names))
    n_threads = count_fit_threads(len(by_time), n_threads)
    parameters = settings.build_parameters(names, n_threads=n_threads)
    booster = lightgbm.train(parameters, data, settings.num_rounds)
    text = booster.model_to_string()
    # NOTE: the thread count is the only line that depends on the machine; 0 means "as many as there are".
    return re.sub(r"^\[num_threads: \d+\]$", "[num_threads: 0]", text, flags=re.MULTILINE)


def _check_classes(orders: TrainingSet, part: str) -> None:
    n_malicious = int(orders.is_malicious.sum())
    n_innocent = len(orders) - n_malicious
    if min(n_malicious, n_innocent) < MIN_MALICIOUS:
        raise TrainingError(
            f"the {part} part has {n_malicious} malicious and {n_innocent} innocent orders, "
            f"expected at least {MIN_MALICIOUS} of each",
            hint="train on a longer period, or add verdicts: ordervet train ORDERS VERDICTS --models DIR",
        )
