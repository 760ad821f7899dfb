"""Measure the method on past data by a fixed protocol: train, wait for the labels, test, as it would have happened.

Without a protocol in the mapping, the newest fifth of the labelled orders is the test.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from ordervet.errors import MappingError, TrainingError
from ordervet.model import FitSettings, Predictor, measure_at_rate, measure_daily_precision, measure_ranking
from ordervet.model.fit import MIN_MALICIOUS, TrainingSet, fit_booster, split_by_time
from ordervet.retrain import ALERT_RATES, DAY_US, prepare

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from numpy.typing import NDArray

    from ordervet.backtest.protocol import Protocol
    from ordervet.contract import Events
    from ordervet.entities import KeyedEvents
    from ordervet.features import FeatureSpec
    from ordervet.retrain import Prepared

TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What one split measured.

    Parameters
    ----------
    name : the split's start, or what stands for it
    n_train, n_train_malicious : labelled orders in the train period
    metrics : of the test period: counts, ``auc``, ``ap``, recall and precision at alert rates, and with a protocol that
        asks for it ``cp_at_k``
    """

    name: str
    n_train: int
    n_train_malicious: int
    metrics: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {"split": self.name, "n_train": self.n_train, "n_train_malicious": self.n_train_malicious} | self.metrics


def run_backtest(
    events: Events | KeyedEvents,
    spec: FeatureSpec,
    protocol: Protocol | None,
    *,
    settings: FitSettings | None = None,
    maturity_days: float = 30.0,
    n_jobs: int = 1,
    report_step: Callable[[str], None] = lambda _: None,
) -> list[SplitResult]:
    """Run every split of a protocol, or one plain time split.

    Parameters
    ----------
    events : everything known
    spec : the features
    protocol : None splits once, the newest fifth of the labelled orders being the test
    settings : LightGBM settings; by default the protocol's
    maturity_days : see `retrain.prepare`
    n_jobs : threads; the results do not depend on it
    report_step : is told what is being done

    Raises
    ------
    TrainingError
        A split has nothing to learn from or nothing to test on.
    """
    report_step("computing features")
    prepared = prepare(events, spec, maturity_days=maturity_days, n_jobs=n_jobs)
    if protocol is None:
        older, newest = split_by_time(prepared.pick_labelled(), 1 - TEST_SHARE)
        report_step("training on the older 80 %")
        raw = _fit_and_score(older, newest.features, spec, settings or FitSettings(), n_jobs)
        return [_summarise("newest 20 %", older, raw, newest.is_malicious, {})]
    results = []
    for start in protocol.starts:
        report_step(f"split from {start}")
        results.append(_run_split(prepared, spec, protocol, start, settings or protocol.fit, n_jobs))
    return results


def _run_split(
    prepared: Prepared, spec: FeatureSpec, protocol: Protocol, start: date, settings: FitSettings, n_jobs: int
) -> SplitResult:
    day = _count_days(prepared.orders.seen_at, start, spec.time_zone)
    is_labelled = prepared.label >= 0
    is_malicious = prepared.label == 1
    train_rows = np.flatnonzero((day >= -protocol.more_train_days) & (day < protocol.train_days) & is_labelled)
    test_rows = _choose_test(prepared, protocol, day, is_malicious, is_labelled)
    train = TrainingSet(prepared.features[train_rows], is_malicious[train_rows], prepared.orders.seen_at[train_rows])
    raw = _fit_and_score(train, prepared.features[test_rows], spec, settings, n_jobs)
    more = {}
    if protocol.daily_precision_of:
        entity = _find_ids(prepared, protocol.daily_precision_of)[test_rows]
        more["cp_at_k"] = measure_daily_precision(raw, is_malicious[test_rows], day[test_rows], entity, protocol.top_k)
    return _summarise(str(start), train, raw, is_malicious[test_rows], more)


def _choose_test(
    prepared: Prepared,
    protocol: Protocol,
    day: NDArray[np.int64],
    is_malicious: NDArray[np.bool_],
    is_labelled: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Pick the test rows; per test day, leave out the ids that are known to be bad by then."""
    first_test_day = protocol.train_days + protocol.delay_days
    is_test = (day >= first_test_day) & (day < first_test_day + protocol.test_days) & is_labelled
    if protocol.leave_out_known is None:
        return np.flatnonzero(is_test)
    ids = _find_ids(prepared, protocol.leave_out_known)
    rows = []
    for test_day in range(first_test_day, first_test_day + protocol.test_days):
        known_until = test_day - protocol.delay_days
        known = np.unique(ids[(day >= 0) & (day < known_until) & is_malicious])
        rows.append(np.flatnonzero((day == test_day) & is_test & ~np.isin(ids, known)))
    return np.concatenate(rows)


def _fit_and_score(
    train: TrainingSet, features: NDArray[np.float32], spec: FeatureSpec, settings: FitSettings, n_jobs: int
) -> NDArray[np.float64]:
    n_malicious = int(train.is_malicious.sum())
    if min(n_malicious, len(train) - n_malicious) < MIN_MALICIOUS or len(features) == 0:
        raise TrainingError(
            f"a split has {n_malicious} malicious of {len(train)} labelled train orders and {len(features)} test "
            f"orders, expected at least {MIN_MALICIOUS} of each class and some to test on",
            hint="choose other dates, or give more labelled orders",
        )
    booster_text = fit_booster(train, spec.names, settings, n_threads=n_jobs)
    return Predictor(booster_text).predict_raw(features, n_threads=n_jobs)


def _summarise(
    name: str, train: TrainingSet, raw: NDArray[np.float64], is_malicious: NDArray[np.bool_], more: dict[str, Any]
) -> SplitResult:
    at_rates = [measure_at_rate(raw, is_malicious, rate) for rate in ALERT_RATES]
    metrics = measure_ranking(raw, is_malicious) | more | {"at_alert_rate": at_rates}
    return SplitResult(name, len(train), int(train.is_malicious.sum()), metrics)


def _find_ids(prepared: Prepared, entity: str) -> NDArray[np.uint64]:
    if entity not in prepared.orders.ids:
        known = ", ".join(prepared.orders.ids)
        raise MappingError(f"[backtest] names the entity '{entity}', expected one of {known}")
    return prepared.orders.ids[entity]


def _count_days(seen_at: NDArray[np.int64], start: date, time_zone: str) -> NDArray[np.int64]:
    """Count days from the local midnight of `start`, negative before it."""
    midnight = datetime(start.year, start.month, start.day, tzinfo=ZoneInfo(time_zone)).astimezone(UTC)
    return (seen_at - int(midnight.timestamp() * 1_000_000)) // DAY_US
