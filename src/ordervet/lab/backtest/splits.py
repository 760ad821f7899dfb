"""Measure the method on past data by a fixed protocol: train, wait for the labels, test, as it would have happened.

Without a protocol in the mapping, the newest fifth of the labelled orders is the test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.compute as pc

from ordervet.contract import OutcomeKind
from ordervet.errors import MappingError, TrainingError
from ordervet.lab.backtest.baselines import (
    measure_best_count,
    measure_families,
    measure_history_gain,
    score_by_points,
)
from ordervet.lab.backtest.report import build_test_orders, find_rings
from ordervet.learn.claim_training import fit_claims, measure_claims, replay_requests, score_orders_across_time
from ordervet.learn.labels import DAY_US, label_orders
from ordervet.learn.ranking import ALERT_RATES, measure_at_rate, measure_daily_precision, measure_ranking
from ordervet.learn.train import prepare
from ordervet.model import FitSettings, Predictor, fit_model
from ordervet.model.fit import MIN_MALICIOUS, TrainingSet, fit_booster

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    import pyarrow as pa
    from numpy.typing import NDArray

    from ordervet.contract import Events
    from ordervet.entities import KeyedEvents
    from ordervet.features import FeatureSpec
    from ordervet.lab.backtest.protocol import Protocol
    from ordervet.learn.evaluation import TestOrders
    from ordervet.learn.rings import Rings
    from ordervet.learn.train import Prepared

    Rows = NDArray[np.int64]
    Fit = Callable[[TrainingSet, NDArray[np.float32], tuple[str, ...]], NDArray[np.float64]]

TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Split:
    """Which orders one split trains and tests on."""

    name: str  # its start, or what stands for it
    #: train_rows, test_rows: rows of the prepared orders
    train_rows: Rows
    test_rows: Rows
    label: NDArray[np.int8]  # shape (n_orders,), as the train part may know them
    #: shape (n_orders,), local days since the split's start; None without a protocol
    day: NDArray[np.int64] | None = None
    #: UTC microseconds; train orders from then on are labelled only when somebody judged them; None where there are
    #: none
    mature_until: int | None = None


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What one split measured."""

    name: str  # the split's start, or what stands for it
    #: n_train, n_train_malicious: labelled orders in the train period
    n_train: int
    n_train_malicious: int
    #: of the test period: counts, ``auc``, ``ap``, recall and precision at alert rates, and with a protocol that asks
    #: for it ``cp_at_k``; without a protocol, where there are refund requests enough, ``claims`` (`measure_claims`)
    metrics: dict[str, Any]
    tested: TestOrders  # the test orders with their scores
    baseline: TestOrders | None = None  # the same orders by points and rules; None unless asked for
    ablation: list[dict[str, Any]] | None = None  # what each family of features is worth; None unless asked for
    #: best_count, history_gain: of `baselines.py`; None unless the baseline is asked for
    best_count: dict[str, Any] | None = None
    history_gain: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"split": self.name, "n_train": self.n_train, "n_train_malicious": self.n_train_malicious} | self.metrics


def run_backtest(
    events: Events | KeyedEvents,
    spec: FeatureSpec,
    protocol: Protocol | None,
    *,
    settings: FitSettings | None = None,
    maturity_days: float = 30.0,
    test_from: datetime | None = None,
    truth: pa.Table | None = None,
    with_baseline: bool = False,
    with_ablation: bool = False,
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
    maturity_days : see `train.prepare`
    test_from : without a protocol, the first time of the test: the train part knows what was known by then
    truth : of a simulation, to be tested against in place of the labels; never trained on
    with_baseline : score the test orders by points and rules too
    with_ablation : fit every split once more without each family of features
    n_jobs : threads; the results do not depend on it
    report_step : called with what is being done

    Raises
    ------
    TrainingError
        A split has nothing to learn from or nothing to test on.
    """
    report_step("computing features")
    prepared = prepare(events, spec, maturity_days=maturity_days, n_jobs=n_jobs)
    rings = find_rings(prepared, truth, n_jobs=n_jobs)
    results = []
    for split in plan_splits(prepared, spec, protocol, maturity_days=maturity_days, test_from=test_from, truth=truth):
        report_step(f"split from {split.name}")
        fit = settings or (protocol.fit if protocol else FitSettings())
        result = _run_split(prepared, spec, protocol, split, fit, truth, rings, n_jobs)
        if with_baseline:
            report_step(f"split from {split.name}: baselines")
            result = _add_baselines(result, prepared, spec, split, fit, n_jobs)
        if with_ablation:
            report_step(f"split from {split.name}: ablation")
            parts = _gather_parts(prepared, spec, split, result, fit, n_jobs)
            result = replace(result, ablation=list(measure_families(*parts)))
        results.append(result)
    return results


def _add_baselines(
    result: SplitResult, prepared: Prepared, spec: FeatureSpec, split: Split, settings: FitSettings, n_jobs: int
) -> SplitResult:
    points = score_by_points(prepared, n_jobs=n_jobs)[split.test_rows]
    parts = _gather_parts(prepared, spec, split, result, settings, n_jobs)
    return replace(
        result,
        baseline=replace(result.tested, raw=points, p_malicious=None),
        best_count=measure_best_count(*parts[:-1]),
        history_gain=measure_history_gain(*parts),
    )


def _gather_parts(
    prepared: Prepared, spec: FeatureSpec, split: Split, result: SplitResult, settings: FitSettings, n_jobs: int
) -> tuple[TrainingSet, NDArray[np.float32], tuple[str, ...], TestOrders, Fit]:
    def fit(train: TrainingSet, features: NDArray[np.float32], names: tuple[str, ...]) -> NDArray[np.float64]:
        return fit_and_score(train, features, names, settings, n_jobs=n_jobs)

    return pick_training(prepared, split), prepared.features[split.test_rows], spec.names, result.tested, fit


def plan_splits(
    prepared: Prepared,
    spec: FeatureSpec,
    protocol: Protocol | None,
    *,
    maturity_days: float = 30.0,
    test_from: datetime | None = None,
    truth: pa.Table | None = None,
) -> list[Split]:
    """Choose the orders of each split; the parameters are those of `run_backtest`."""
    if protocol is not None:
        return [_plan_fold(prepared, spec, protocol, start) for start in protocol.starts]
    seen_at = prepared.orders.seen_at
    if test_from is not None:
        cut, name = int(test_from.timestamp() * 1_000_000), test_from.isoformat()
        maturity_us = int(maturity_days * DAY_US)
        label = label_orders(prepared.orders, prepared.later, as_of=cut, maturity_us=maturity_us)
        mature_until = cut - maturity_us
    else:
        labelled_at = np.sort(seen_at[prepared.label >= 0])
        cut = int(labelled_at[int(len(labelled_at) * (1 - TEST_SHARE))]) if len(labelled_at) else 0
        label, name, mature_until = prepared.label, "newest 20 %", None
    is_tested = (seen_at >= cut) & ((prepared.label >= 0) | (truth is not None))
    train_rows = np.flatnonzero((seen_at < cut) & (label >= 0))
    return [Split(name, train_rows, np.flatnonzero(is_tested), label, mature_until=mature_until)]


def _plan_fold(prepared: Prepared, spec: FeatureSpec, protocol: Protocol, start: date) -> Split:
    day = _count_days(prepared.orders.seen_at, start, spec.time_zone)
    is_labelled = prepared.label >= 0
    is_malicious = prepared.label == 1
    train_rows = np.flatnonzero((day >= -protocol.more_train_days) & (day < protocol.train_days) & is_labelled)
    test_rows = _choose_test(prepared, protocol, day, is_malicious, is_labelled)
    return Split(str(start), train_rows, test_rows, prepared.label, day)


def _run_split(
    prepared: Prepared,
    spec: FeatureSpec,
    protocol: Protocol | None,
    split: Split,
    settings: FitSettings,
    truth: pa.Table | None,
    rings: Rings,
    n_jobs: int,
) -> SplitResult:
    train = pick_training(prepared, split)
    features = prepared.features[split.test_rows]
    _check_split(train, len(features))
    if protocol is None:
        model = fit_model(train, spec, settings, origin={}, mature_until=split.mature_until, n_threads=n_jobs)
        raw = Predictor(model.booster_text).predict_raw(features, n_threads=n_jobs)
        p_malicious = model.calibration(raw)
    else:
        # NOTE: the protocol trains on all of its train period; nothing is left to calibrate on.
        raw, p_malicious = fit_and_score(train, features, spec.names, settings, n_jobs=n_jobs), None
    tested = build_test_orders(
        prepared, split.test_rows, raw, p_malicious, time_zone=spec.time_zone, truth=truth, rings=rings
    )
    at_rates = [measure_at_rate(raw, tested.is_malicious, rate) for rate in ALERT_RATES]
    metrics: dict[str, Any] = measure_ranking(raw, tested.is_malicious)
    if protocol is not None and split.day is not None and protocol.daily_precision_of:
        entity, day = _find_ids(prepared, protocol.daily_precision_of)[split.test_rows], split.day[split.test_rows]
        metrics["cp_at_k"] = measure_daily_precision(raw, tested.is_malicious, day, entity, protocol.top_k)
    metrics["at_alert_rate"] = at_rates
    if p_malicious is not None:
        claims = _measure_claims(prepared, spec, split, train, tested.is_malicious, p_malicious, settings, n_jobs)
        metrics |= {} if claims is None else {"claims": claims}
    return SplitResult(split.name, len(train), int(train.is_malicious.sum()), metrics, tested)


def _measure_claims(
    prepared: Prepared,
    spec: FeatureSpec,
    split: Split,
    train: TrainingSet,
    is_malicious: NDArray[np.bool_],
    p_malicious: NDArray[np.float64],
    settings: FitSettings,
    n_jobs: int,
) -> dict[str, Any] | None:
    """Fit a model of claims on the train part's requests, and measure it on the test orders'; None where there are few.

    Parameters
    ----------
    train : orders of the train part
    is_malicious, p_malicious : shape (n_test,), of the test orders
    """
    label = np.full(len(prepared.orders), -1, np.int8)
    label[split.train_rows], label[split.test_rows] = split.label[split.train_rows], is_malicious
    if not _has_requests(prepared, label == 1):
        return None
    requests = replay_requests(prepared, spec, label=label, n_jobs=n_jobs)
    order_p = np.full(len(prepared.orders), np.nan)
    order_p[split.train_rows] = score_orders_across_time(train, spec.names, settings, n_threads=n_jobs)
    order_p[split.test_rows] = p_malicious
    claims, is_tested = requests.build_training_set(order_p), np.isin(requests.row, split.test_rows)
    cut = int(prepared.orders.seen_at[split.test_rows].min())
    fitted = fit_claims(
        claims.take(np.flatnonzero(~is_tested & (claims.seen_at < cut))), spec, settings, n_threads=n_jobs
    )
    if fitted is None:
        return None
    return measure_claims(fitted, claims.take(np.flatnonzero(is_tested)), spec, n_threads=n_jobs)


def _has_requests(prepared: Prepared, is_malicious: NDArray[np.bool_]) -> bool:
    """Return whether refunds of enough malicious orders were requested for a model of claims."""
    outcomes = prepared.keyed.outcomes
    asked = outcomes.filter(pc.equal(outcomes["kind"], OutcomeKind.REFUND_REQUESTED))["id__order"]
    has_asked = np.isin(prepared.orders.order_id, asked.to_numpy())
    return int((has_asked & is_malicious).sum()) >= 2 * MIN_MALICIOUS


def pick_training(prepared: Prepared, split: Split) -> TrainingSet:
    """Return the train part of a split."""
    rows = split.train_rows
    return TrainingSet(prepared.features[rows], split.label[rows] == 1, prepared.orders.seen_at[rows])


def fit_and_score(
    train: TrainingSet,
    features: NDArray[np.float32],
    names: tuple[str, ...],
    settings: FitSettings,
    *,
    n_jobs: int,
) -> NDArray[np.float64]:
    """Fit on all of the train part, and return the test orders' raw scores."""
    booster_text = fit_booster(train, names, settings, n_threads=n_jobs)
    return Predictor(booster_text).predict_raw(features, n_threads=n_jobs)


def _choose_test(
    prepared: Prepared,
    protocol: Protocol,
    day: NDArray[np.int64],
    is_malicious: NDArray[np.bool_],
    is_labelled: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Pick the test rows; per test day, skip the ids that are known to be bad by then."""
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


def _check_split(train: TrainingSet, n_test: int) -> None:
    n_malicious = int(train.is_malicious.sum())
    if min(n_malicious, len(train) - n_malicious) < MIN_MALICIOUS or n_test == 0:
        raise TrainingError(
            f"a split has {n_malicious} malicious of {len(train)} labelled train orders and {n_test} test "
            f"orders, expected at least {MIN_MALICIOUS} of each class and some to test on",
            hint="choose other dates, or add labelled orders",
        )


def _find_ids(prepared: Prepared, entity: str) -> NDArray[np.uint64]:
    if entity not in prepared.orders.ids:
        known = ", ".join(prepared.orders.ids)
        raise MappingError(f"[backtest] names the entity '{entity}', expected one of {known}")
    return prepared.orders.ids[entity]


def _count_days(seen_at: NDArray[np.int64], start: date, time_zone: str) -> NDArray[np.int64]:
    """Count days from the local midnight of `start`, negative before it."""
    midnight = datetime(start.year, start.month, start.day, tzinfo=ZoneInfo(time_zone)).astimezone(UTC)
    return (seen_at - int(midnight.timestamp() * 1_000_000)) // DAY_US
