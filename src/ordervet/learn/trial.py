"""The challenger's trial: every figure a gate or the report needs, on orders that it was not fitted on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.learn import gates
from ordervet.learn.challenger import find_quiet_days, predict_parts
from ordervet.learn.drift import measure_category_psi, measure_feature_drift, measure_psi
from ordervet.learn.evaluation import FLAGS_PER_MALICIOUS
from ordervet.learn.figures import Held, Ranking, measure_gain, measure_model
from ordervet.learn.labels import DAY_US, INNOCENT, MALICIOUS
from ordervet.learn.skill import check_skill
from ordervet.model import ForestPredictor, Predictor, fit_risk_scale
from ordervet.model.binned import MatrixView

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.learn.drift import FeatureDrift
    from ordervet.learn.gates import Gate
    from ordervet.learn.night_settings import GateBounds, NightSettings
    from ordervet.learn.training_data import Material
    from ordervet.model import Curve, Model

_N_SELF_CHECK = 2_000
_N_TIMED = 4_096
_N_KNOWN = "buyer__count__order__90d"

#: Features that gates look at, whether a model uses them or not.
WATCHED = (_N_KNOWN,)


@dataclass(frozen=True, slots=True)
class Parts:
    """Which kept orders are for what; each holds positions in the material.

    Parameters
    ----------
    train : ripe, before the holdout
    holdout : ripe, the newest days
    reference : of quiet days among the newest, ripe or not
    scale : of the newest of these days: the risk score is made of them
    scale_before : of the newest of these days before those of `check`: what the risk score is made of to be checked
    check : of quiet days among the newest few: the alert rate is checked there
    fresh : of the newest few days, quiet or not: drift is measured there
    verdicts : with a verdict of the newest days
    """

    train: NDArray[np.int64]
    holdout: NDArray[np.int64]
    reference: NDArray[np.int64]
    scale: NDArray[np.int64]
    scale_before: NDArray[np.int64]
    check: NDArray[np.int64]
    fresh: NDArray[np.int64]
    verdicts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Contender:
    """A model on trial.

    Parameters
    ----------
    model : challenger or champion
    predictor : its forest
    columns : its features among the material's
    """

    model: Model
    predictor: ForestPredictor
    columns: NDArray[np.int64]

    @classmethod
    def of(cls, model: Model, names: tuple[str, ...]) -> Contender:
        """Make a model ready for a matrix with these columns."""
        position = {name: at for at, name in enumerate(names)}
        columns = np.array([position[name] for name in model.spec.names], np.int64)
        return cls(model, ForestPredictor(model.booster_text), columns)

    def predict(self, material: Material, rows: NDArray[np.int64], n_threads: int) -> NDArray[np.float64]:
        """Give raw scores, shape (len(rows),)."""
        view = MatrixView(material.features, rows, self.columns)
        return predict_parts(self.predictor, view, np.arange(len(rows)), n_threads)


@dataclass(frozen=True, slots=True)
class Trial:
    """What was measured.

    Parameters
    ----------
    metrics : of the challenger on the holdout
    champion_metrics : of the champion there; None without one
    gates : verdicts
    drift : per feature, the most drifted first
    score_psi, channel_psi : of the challenger's raw score and of the channels
    us_per_order : scoring time on this machine
    """

    metrics: dict[str, Any]
    champion_metrics: dict[str, Any] | None
    gates: list[Gate]
    drift: list[FeatureDrift]
    score_psi: float
    channel_psi: float
    us_per_order: float


def part_material(material: Material, *, as_of_us: int, settings: NightSettings) -> Parts:
    """Sort out which orders are for what.

    Parameters
    ----------
    material : the kept orders
    as_of_us : the cut-off
    settings : days of each part
    """
    learning, plan = settings.learning, material.plan
    holdout_us = as_of_us - int((settings.maturity.order_days + learning.holdout_days) * DAY_US)
    fresh_us = as_of_us - settings.gates.check_days * DAY_US
    is_ripe, is_newest = plan.weight > 0, material.seen_at >= fresh_us
    # NOTE: whole days before the cut-off, so that a day is never cut in two.
    day = (material.seen_at - as_of_us) // DAY_US
    days, counts = np.unique(day[plan.is_reference], return_counts=True)
    quiet = find_quiet_days(dict(zip(days.tolist(), counts.tolist(), strict=True)), learning.loud_factor)
    older = [each for each in quiet if each < -settings.gates.check_days]
    is_quiet = plan.is_reference & np.isin(day, quiet)
    is_judged = (plan.verdict >= 0) & (plan.verdict_at >= as_of_us - learning.holdout_days * DAY_US)
    return Parts(
        train=np.flatnonzero(is_ripe & (material.seen_at < holdout_us)),
        holdout=np.flatnonzero(is_ripe & (material.seen_at >= holdout_us)),
        reference=np.flatnonzero(is_quiet),
        scale=np.flatnonzero(is_quiet & np.isin(day, quiet[-learning.scale_days :])),
        scale_before=np.flatnonzero(is_quiet & np.isin(day, older[-learning.scale_days :])),
        check=np.flatnonzero(is_quiet & is_newest),
        fresh=np.flatnonzero(plan.is_reference & is_newest),
        verdicts=np.flatnonzero(is_judged),
    )


def hold_trial(
    challenger: Contender,
    champion: Contender | None,
    material: Material,
    parts: Parts,
    *,
    names: tuple[str, ...],
    own_raw: NDArray[np.float64] | None,
    is_champion_old: bool,
    settings: NightSettings,
    n_threads: int,
) -> Trial:
    """Measure a challenger, beside the champion where there is one.

    Parameters
    ----------
    challenger, champion : the models
    material, parts : what they are measured on
    names : the material's columns
    own_raw : scores of the holdout by trees fitted like the challenger's on the order's own columns alone; None where
        there is only one sort of columns
    is_champion_old : see `gates.check_gain`
    settings : bounds
    n_threads : threads; only `us_per_order` depends on the machine
    """
    bounds = settings.gates
    held = _hold(material, parts.holdout)
    raw = challenger.predict(material, parts.holdout, n_threads)
    p = challenger.model.calibration(raw)
    champion_raw = champion.predict(material, parts.holdout, n_threads) if champion else None
    gains = _measure_gains(raw, champion_raw, held, settings)
    # NOTE: the challenger's features are the first columns.
    drift = _measure_drift(material, parts, challenger.model.spec.names)
    us_per_order = _time_scoring(challenger, material, parts.holdout)
    verdicts = [
        *(
            gates.check_gain(
                name, gains.get(name), margin=margin, is_champion_old=is_champion_old, max_loss=bounds.max_loss
            )
            for name, margin in (("ap_gain", bounds.ap_margin), ("money_gain", bounds.money_margin))
        ),
        *check_skill(raw, own_raw, held, bounds, seed=settings.seed),
        *gates.check_calibration(
            p, held.is_malicious, held.weight, error=bounds.calibration_error, bias=bounds.calibration_bias
        ),
        *_check_false_positives(challenger, raw, material, parts.holdout, names, settings),
        _check_alert_rate(challenger, material, parts, settings, n_threads),
        gates.check_at_most("size_mb", len(challenger.model.booster_text) / 1e6, bounds.max_model_mb),
        gates.check_at_most("scoring_us", us_per_order, bounds.max_us_per_order, "this_machine"),
        gates.check_at_most("self_check", _count_differing(challenger, material, parts.holdout), 0.0),
        *gates.check_features(
            drift,
            [name for name in challenger.model.spec.names if champion and name not in champion.model.spec.names],
            psi=bounds.drift, constant_share=bounds.constant_share,
            varied_share=bounds.varied_share, expected=bounds.expected,
        ),
        _check_verdicts(champion, material, parts.verdicts, settings, n_threads),
        _check_duplicates(material, bounds.duplicates, bounds.check_days),
    ]  # fmt: skip
    rate = _find_money_rate(held, bounds)
    scores = [challenger.predict(material, rows, n_threads) for rows in (_before(parts), parts.fresh)]
    return Trial(
        metrics=measure_model(raw, p, held, money_rate=rate) | {"gains": gains},
        champion_metrics=measure_model(champion_raw, champion.model.calibration(champion_raw), held, money_rate=rate)
        if champion and champion_raw is not None
        else None,
        gates=verdicts,
        drift=sorted(drift, key=lambda each: (-each.psi, each.name)),
        score_psi=measure_psi(*scores),
        channel_psi=measure_category_psi(material.channel[_before(parts)], material.channel[parts.fresh]),
        us_per_order=us_per_order,
    )


def fit_scale(challenger: Contender, material: Material, rows: NDArray[np.int64], n_threads: int) -> Curve:
    """Fit the risk score to the raw scores of reference orders."""
    return fit_risk_scale(challenger.predict(material, rows, n_threads))


def measure_standing_change(
    contender: Contender, material: Material, rows: NDArray[np.int64], bounds: GateBounds, n_threads: int
) -> float:
    """Measure how far the standing thresholds of a model are from what they stand for.

    Parameters
    ----------
    contender : a model whose score was made on earlier days
    material, rows : orders of the newest quiet days
    bounds : thresholds, and the fewest alerts to measure one by
    n_threads : threads

    Returns
    -------
    the largest relative difference of the alert rate at any of them; 0 where there are too few orders
    """
    score = contender.model.risk_scale(contender.predict(material, rows, n_threads))
    targets = {at: gates.find_target_rate(at) for at in bounds.alert_scores}
    changes = [
        abs(float((score >= at).mean()) / target - 1)
        for at, target in targets.items()
        if target * len(score) >= bounds.min_alerts
    ]
    return max(changes, default=0.0)


def _hold(material: Material, rows: NDArray[np.int64]) -> Held:
    plan = material.plan
    return Held(
        is_malicious=plan.label[rows] == MALICIOUS,
        weight=plan.weight[rows],
        amount_minor=material.amount_minor[rows],
        group=np.unique(material.group[rows], return_inverse=True)[1].astype(np.int64),
    )


def _measure_gains(
    raw: NDArray[np.float64], champion_raw: NDArray[np.float64] | None, held: Held, settings: NightSettings
) -> dict[str, dict[str, float]]:
    if champion_raw is None:
        return {}
    bounds = settings.gates
    one, other = Ranking(raw, held), Ranking(champion_raw, held)
    rate = _find_money_rate(held, bounds)
    measures = {
        "ap_gain": (one.measure_ap, other.measure_ap),
        "money_gain": (
            lambda weight: one.measure_money(weight, rate),
            lambda weight: other.measure_money(weight, rate),
        ),
    }
    return {
        name: measure_gain(*pair, held, sureness=bounds.sureness, n_draws=bounds.n_draws, seed=settings.seed)
        for name, pair in measures.items()
    }


def _find_money_rate(held: Held, bounds: GateBounds) -> float:
    """Give the alert rate at which money is measured: as set, and room for all malice, so that none displaces other."""
    share = float(held.weight[held.is_malicious].sum() / held.weight.sum())
    return max(bounds.money_rate, FLAGS_PER_MALICIOUS * share)


def _before(parts: Parts) -> NDArray[np.int64]:
    """Give the quiet reference orders from before the newest days."""
    return np.setdiff1d(parts.reference, parts.fresh)


def _measure_drift(material: Material, parts: Parts, names: tuple[str, ...]) -> list[FeatureDrift]:
    return measure_feature_drift(names, material.features, _before(parts), parts.fresh)


def _check_false_positives(
    challenger: Contender,
    raw: NDArray[np.float64],
    material: Material,
    rows: NDArray[np.int64],
    names: tuple[str, ...],
    settings: NightSettings,
) -> list[Gate]:
    bounds, plan = settings.gates, material.plan
    is_innocent = plan.label[rows] == INNOCENT
    is_alerted = challenger.model.risk_scale(raw) >= bounds.review_score
    weight, channel = plan.weight[rows], material.channel[rows]

    def count(label: str, is_in: NDArray[np.bool_]) -> tuple[str, int, int]:
        inside = is_in & is_innocent
        return label, int(weight[inside].sum()), int(weight[inside & is_alerted].sum())

    channels = [
        count(material.channel_names.get(int(each), "?"), channel == each) for each in np.unique(channel[channel != 0])
    ]
    known = material.features[rows, names.index(_N_KNOWN)] if _N_KNOWN in names else np.zeros(0, np.float32)
    new_buyers = [count("first order on record", known == 0)] if len(known) else []
    return [
        gates.check_false_positives(
            "channel_false_positives", channels, bound=bounds.channel_false_positives, min_group=bounds.min_group
        ),
        gates.check_false_positives(
            "new_buyer_false_positives", new_buyers, bound=bounds.new_buyer_false_positives, min_group=bounds.min_group
        ),
    ]


def _check_alert_rate(
    challenger: Contender, material: Material, parts: Parts, settings: NightSettings, n_threads: int
) -> Gate:
    """Make the score of older quiet days, and count what its thresholds alert on the newest."""
    bounds = settings.gates
    before = parts.scale_before
    if len(before) == 0:
        return gates.check_alert_rate((), (), 0, bound=bounds.alert_rate_change, min_alerts=bounds.min_alerts)
    scale = fit_scale(challenger, material, before, n_threads)
    score = scale(challenger.predict(material, parts.check, n_threads))
    n_alerts = [int((score >= at).sum()) for at in bounds.alert_scores]
    return gates.check_alert_rate(
        bounds.alert_scores, n_alerts, len(score), bound=bounds.alert_rate_change, min_alerts=bounds.min_alerts
    )


def _check_verdicts(
    champion: Contender | None,
    material: Material,
    rows: NDArray[np.int64],
    settings: NightSettings,
    n_threads: int,
) -> Gate:
    bounds = settings.gates
    found = []
    if champion is not None and len(rows):
        raw = champion.predict(material, rows, n_threads)
        is_risky = champion.model.risk_scale(raw) >= bounds.review_score
        is_malicious, channel = material.plan.verdict[rows] == MALICIOUS, material.channel[rows]
        for each in np.unique(channel):
            of = channel == each
            n, n_risky = int(of.sum()), int((of & is_risky).sum())
            held = Held(is_malicious[of], np.ones(n, np.int64), np.zeros(n, np.int64), np.arange(n))
            auc = Ranking(raw[of], held).measure_auc(np.ones(n))
            n_confirmed = int((of & is_risky & is_malicious).sum())
            found.append((material.channel_names.get(int(each), "?"), n_risky, n_confirmed, auc))
    return gates.check_verdicts(found, bound=bounds.label_auc, min_risky=bounds.min_label_risky)


def _check_duplicates(material: Material, bound: float, n_days: int) -> Gate:
    newest = sorted(material.twin_share)[-n_days:]
    worst = max((material.twin_share[day] for day in newest), default=None)
    return gates.check_at_most("duplicates", worst, bound)


def _count_differing(challenger: Contender, material: Material, rows: NDArray[np.int64]) -> float:
    """Count raw scores in which the compiled forest and LightGBM differ in any bit."""
    some = rows[:: max(len(rows) // _N_SELF_CHECK, 1)]
    features = np.ascontiguousarray(material.features[np.ix_(some, challenger.columns)])
    truth = Predictor(challenger.model.booster_text).predict_raw(features)
    return float((challenger.predictor.predict_raw(features) != truth).sum())


def _time_scoring(challenger: Contender, material: Material, rows: NDArray[np.int64]) -> float:
    """Time the forest, microseconds an order; the best of three."""
    some = rows[:_N_TIMED]
    features = np.ascontiguousarray(material.features[np.ix_(some, challenger.columns)])
    took = []
    for _ in range(3):
        started = time.perf_counter()
        challenger.predictor.predict_raw(features)
        took.append(time.perf_counter() - started)
    return min(took) * 1e6 / max(len(some), 1)
