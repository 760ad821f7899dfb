"""The challenger's trial: every figure that a gate or the report needs, on orders that it was not fitted on."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.learn import gates
from ordervet.learn.challenger import predict_parts
from ordervet.learn.drift import find_trend, measure_category_psi, measure_feature_drift, measure_psi
from ordervet.learn.evaluation import FLAGS_PER_MALICIOUS
from ordervet.learn.groups import GROUPS, find_groups, measure_groups
from ordervet.learn.intervals import measure_gain
from ordervet.learn.labels import DAY_US, INNOCENT, MALICIOUS
from ordervet.learn.ranking import ALERT_RATES, Holdout, Ranking
from ordervet.learn.rings import RING_NAMES, Rings, find_catches, find_denied, link_orders, measure_rings
from ordervet.learn.trust_bound import measure_trust
from ordervet.model import ForestPredictor, Predictor, fit_risk_scale
from ordervet.model.binned import MatrixView
from ordervet.model.fit import MIN_MALICIOUS
from ordervet.policy import ACTIONS, Action, decide

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.learn.drift import FeatureDrift
    from ordervet.learn.gates import Gate
    from ordervet.learn.groups import GroupRow
    from ordervet.learn.night_settings import GateBounds, NightSettings
    from ordervet.learn.training_data import TrainingData
    from ordervet.model import Model
    from ordervet.policy import Policy

_PASS = ACTIONS.index(Action.PASS)
#: Early labels are measured on where at least this share of the malice is known.
_MOSTLY_KNOWN = 0.25
_N_SELF_CHECK = 2_000
_N_TIMED = 4_096
#: Orders since a campaign that it takes to make a risk score of them alone.
_MIN_FOR_SCALE = 2_000
#: Fewer expected alerts than this say nothing of a standing threshold.
_LEAST_ALERTS = 20
_N_KNOWN = "buyer__count__order__90d"

#: Features that gates look at, whether a model uses them or not.
WATCHED = (_N_KNOWN, *RING_NAMES)


@dataclass(frozen=True, slots=True)
class Parts:
    """Which kept orders are for what; each holds positions in the training data."""

    train: NDArray[np.int64]  # mature before the holdout, and younger ones with early labels before `early`
    holdout: NDArray[np.int64]  # mature, the newest days
    early: NDArray[np.int64]  # the newest with early labels of which most are known: held out, too
    reference: NDArray[np.int64]  # of quiet days among the newest, mature or not
    scale: NDArray[np.int64]  # of the newest of these days: the risk score is made of them
    #: of the newest of these days before those of `check`, after any campaign: the risk score is made of them there
    scale_before: NDArray[np.int64]
    check: NDArray[np.int64]  # of quiet days among the newest few, after any campaign: the alert rate is checked there
    fresh: NDArray[np.int64]  # of the newest few days, quiet or not: drift is measured there
    verdicts: NDArray[np.int64]  # with a verdict of the newest days
    quiet_days: NDArray[np.int64]  # when the quiet days among the newest begin, UTC microseconds, ascending

    def number_days(self, at_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which quiet day times are on, from 0; the days of a campaign between them do not count."""
        number: NDArray[np.int64] = np.searchsorted(self.quiet_days, at_us, side="right") - 1
        return number

    @property
    def held_out(self) -> NDArray[np.int64]:
        """All that is held out, mature or not."""
        return np.concatenate([self.holdout, self.early])


@dataclass(frozen=True, slots=True)
class Contender:
    """A model on trial."""

    model: Model  # challenger or champion
    predictor: ForestPredictor  # its forest
    columns: NDArray[np.int64]  # its features among the training data's

    @classmethod
    def of(cls, model: Model, names: tuple[str, ...]) -> Contender:
        """Prepare a model for a matrix with these columns."""
        position = {name: at for at, name in enumerate(names)}
        columns = np.array([position[name] for name in model.spec.names], np.int64)
        return cls(model, ForestPredictor(model.booster_text), columns)

    def predict(self, data: TrainingData, rows: NDArray[np.int64], n_threads: int) -> NDArray[np.float64]:
        """Return raw scores, shape (len(rows),)."""
        view = MatrixView(data.features, rows, self.columns)
        return predict_parts(self.predictor, view, np.arange(len(rows)), n_threads)


@dataclass(frozen=True, slots=True)
class Trial:
    """What was measured."""

    metrics: dict[str, Any]  # of the challenger on the holdout
    champion_metrics: dict[str, Any]  # of the champion there
    gates: list[Gate]  # verdicts
    drift: list[FeatureDrift]  # per feature, the most drifted first
    #: score_psi, channel_psi: of the challenger's raw score and of the channels
    score_psi: float
    channel_psi: float
    us_per_order: float  # scoring time on this machine
    groups: list[GroupRow]  # the merchant's own look-alikes in the holdout
    champion_recall: float  # of the malicious orders that are held out, by the policy


def split_parts(data: TrainingData, *, as_of_us: int, settings: NightSettings) -> Parts:
    """Split the kept orders by what they are for."""
    learning, plan = settings.learning, data.plan
    holdout_us = _find_holdout(data, as_of_us=as_of_us, settings=settings)
    fresh_us = as_of_us - settings.gates.check_days * DAY_US
    is_mature, is_newest = (plan.weight > 0) & (plan.known_share == 1), data.seen_at >= fresh_us
    holdout = np.flatnonzero(is_mature & (data.seen_at >= holdout_us))
    is_early, early_us = _find_early(data, int((plan.label[holdout] == MALICIOUS).sum()), settings)
    # NOTE: whole days before the cut-off, so that a day is never cut in two.
    day = (data.seen_at - as_of_us) // DAY_US
    days, counts = np.unique(day[plan.is_reference], return_counts=True)
    quiet = find_quiet_days(dict(zip(days.tolist(), counts.tolist(), strict=True)), learning.loud_factor)
    since = _find_since_campaign(days.tolist(), quiet)
    checked, older = _find_checked(since, settings.gates.check_days)
    n_since = int(counts[np.isin(days, since)].sum())
    scaled = since if n_since >= _MIN_FOR_SCALE else quiet
    is_quiet = plan.is_reference & np.isin(day, quiet)
    is_judged = (plan.verdict >= 0) & (plan.verdict_at >= as_of_us - learning.holdout_days * DAY_US)
    return Parts(
        train=np.flatnonzero((is_mature & (data.seen_at < holdout_us)) | (is_early & (data.seen_at < early_us))),
        holdout=holdout,
        early=np.flatnonzero(is_early & (data.seen_at >= early_us) & (plan.known_share >= _MOSTLY_KNOWN)),
        reference=np.flatnonzero(is_quiet),
        scale=np.flatnonzero(is_quiet & np.isin(day, scaled[-learning.scale_days :])),
        scale_before=np.flatnonzero(is_quiet & np.isin(day, older[-learning.scale_days :])),
        check=np.flatnonzero(is_quiet & np.isin(day, checked)),
        fresh=np.flatnonzero(plan.is_reference & is_newest),
        verdicts=np.flatnonzero(is_judged),
        quiet_days=as_of_us + np.array(quiet, np.int64) * DAY_US,
    )


def _find_since_campaign(days: list[int], quiet: list[int]) -> list[int]:
    """Find the quiet days since the last campaign: orders after it are unlike those before."""
    last_loud = max(set(days) - set(quiet), default=-math.inf)
    return [each for each in quiet if each > last_loud]


def _find_checked(since: list[int], n_days: int) -> tuple[list[int], list[int]]:
    """Find the quiet days that the alert rate is checked on, and those before them that a score may be made of.

    At most the newer half is checked, as what serves has a score of the newest days by then.

    Parameters
    ----------
    since : quiet days since the last campaign, ascending, -1 for the last before the cut-off
    n_days : newest days that may be checked
    """
    newest = [each for each in since[(len(since) + 1) // 2 :] if each >= -n_days]
    return newest, [each for each in since if each not in newest]


def _find_holdout(data: TrainingData, *, as_of_us: int, settings: NightSettings) -> int:
    """Find from when on mature orders are held out, UTC microseconds.

    These are the newest `holdout_days`, and more where they hold fewer than `holdout_malicious` malicious orders: at
    most those with a third of all malicious orders, so that enough is left to learn from.
    """
    learning, plan = settings.learning, data.plan
    latest_us = as_of_us - int((settings.maturity.order_days + learning.holdout_days) * DAY_US)
    malicious = np.sort(data.seen_at[(plan.weight > 0) & (plan.known_share == 1) & (plan.label == MALICIOUS)])
    n_wanted = min(learning.holdout_malicious, len(malicious) // 3)
    return latest_us if n_wanted == 0 else min(latest_us, int(malicious[-n_wanted]))


def _find_early(data: TrainingData, n_mature: int, settings: NightSettings) -> tuple[NDArray[np.bool_], int]:
    """Find the orders with early labels, shape (n,), and from when on those are held out, UTC microseconds.

    Held out are the newest of the days of which most malice is known: a third of its malicious orders, at most
    `holdout_malicious` or as many as the mature ones held out (`n_mature`), so that these do not outvote them: a new
    kind of malice shows in the newest days alone. Where there are too few for that, nothing is learned from early
    labels.
    """
    plan = data.plan
    is_early = (plan.weight > 0) & (plan.known_share < 1)
    is_told = is_early & (plan.known_share >= _MOSTLY_KNOWN)
    malicious = np.sort(data.seen_at[is_told & (plan.label == MALICIOUS)])
    if len(malicious) < MIN_MALICIOUS:
        return np.zeros(len(is_early), bool), 0
    most = max(settings.learning.holdout_malicious, n_mature)
    return is_early, int(malicious[-min(most, len(malicious) // 3)])


def hold_trial(
    challenger: Contender,
    champion: Contender,
    data: TrainingData,
    parts: Parts,
    *,
    names: tuple[str, ...],
    known_names: frozenset[str],
    own_raw: NDArray[np.float64] | None,
    is_champion_old: bool,
    settings: NightSettings,
    policy: Policy,
    n_threads: int,
) -> Trial:
    """Measure a challenger beside the champion.

    `own_raw` are scores of all that is held out by trees fitted like the challenger's on the order's own columns alone,
    None where there is only one sort of columns. `known_names` are features that are nothing new. Only `us_per_order`
    depends on the machine.
    """
    bounds = settings.gates
    all_rings = find_rings(data, names, data.plan.label == MALICIOUS)
    holdout = _take_holdout(data, parts.holdout, all_rings)
    raw = challenger.predict(data, parts.holdout, n_threads)
    p = challenger.model.calibration(raw)
    champion_raw = champion.predict(data, parts.holdout, n_threads)
    champion_p = champion.model.calibration(champion_raw)
    gains = _measure_gains(raw, champion_raw, holdout, settings)
    held_out = _take_holdout(data, parts.held_out, all_rings)
    known_raw, champion_known_raw = (
        np.append(of, each.predict(data, parts.early, n_threads))
        for of, each in ((raw, challenger), (champion_raw, champion))
    )
    known_gains = _measure_gains(known_raw, champion_known_raw, held_out, settings)
    is_surely_better = known_gains["ap_gain"]["low"] > max(bounds.ap_margin, 0.0)
    # NOTE: the challenger's features are the first columns.
    drift = _measure_drift(data, parts, challenger.model.spec.names)
    us_per_order = _time_scoring(challenger, data, parts.holdout)
    score_psi = measure_psi(*(challenger.predict(data, rows, n_threads) for rows in (_before(parts), parts.fresh)))
    pace = _find_pace(data, parts.holdout, holdout, settings)
    judged_share = challenger.model.origin["judged_share"]
    known_flags, champion_known_flags = (
        flag_orders(policy, each.model.calibration(of), held_out.amount_minor)
        for each, of in ((challenger, known_raw), (champion, champion_known_raw))
    )
    flags, champion_flags = (each[: len(parts.holdout)] for each in (known_flags, champion_known_flags))
    groups = _measure_groups(data, parts.holdout, names, holdout, flags, champion_flags, judged_share, pace, settings)
    rings = all_rings.take(parts.holdout)
    caught, champion_caught = (_flag_riskiest(each, holdout) for each in (raw, champion_raw))
    verdicts = [
        gates.check_gain(
            "ap_gain", known_gains["ap_gain"], margin=bounds.ap_margin, is_champion_old=is_champion_old,
            max_loss=bounds.max_loss, pace=pace,
        ),
        *(
            gates.check_no_loss(name, gain, margin, pace, sure_gain=known_gains["ap_gain"]["low"])
            for name, gain, margin in (
                ("mature_gain", gains["ap_gain"], 0.0 - bounds.mature_loss),
                ("money_gain", known_gains["money_gain"], bounds.money_margin),
            )
        ),
        *gates.check_policy(
            known_flags, champion_known_flags, champion_known_raw, held_out,
            max_recall_loss=bounds.policy_recall_loss, alerts_times=bounds.policy_alerts_times,
            judged_share=judged_share, pace=pace,
        ),
        gates.check_first_hits(
            *(find_catches(rings, each)[1] for each in (caught, champion_caught)), max_loss=bounds.first_hit_loss
        ),
        *gates.check_skill(
            known_raw, own_raw, held_out, bounds, seed=settings.seed,
            beats_champion=is_surely_better, pace=pace,
        ),
        *gates.check_calibration(
            p * judged_share, holdout.is_malicious, holdout.weight, champion_p=champion_p * judged_share,
            error=bounds.calibration_error, bias=bounds.calibration_bias,
        ),
        gates.check_groups(groups, bound=bounds.group_times),
        *_check_false_positives(challenger, raw, data, parts.holdout, names, judged_share, settings),
        _check_alert_rate(challenger, champion, data, parts, settings, n_threads),
        gates.check_at_most("size_mb", len(challenger.model.booster_text) / 1e6, bounds.max_model_mb),
        gates.check_at_most("scoring_us", us_per_order, bounds.max_us_per_order, "this_machine"),
        gates.check_at_most("self_check", _count_differing(challenger, data, parts.holdout), 0.0),
        *gates.check_features(
            drift,
            [name for name in challenger.model.spec.names if name not in known_names],
            psi=bounds.drift, constant_share=bounds.constant_share,
            varied_share=bounds.varied_share, expected=bounds.expected,
            score_psi=score_psi, score_drift=bounds.score_drift,
        ),
        _check_verdicts(
            champion, data, parts.verdicts, settings, n_threads,
            auc_before=Ranking(champion_raw, holdout.is_malicious).measure_auc(holdout.weight.astype(np.float64)),
        ),
        _check_duplicates(data, bounds.duplicates, bounds.check_days),
    ]  # fmt: skip
    rate, is_malicious = _find_money_rate(holdout, bounds), held_out.is_malicious
    return Trial(
        metrics=measure_holdout(raw, p, holdout, money_rate=rate)
        | {
            "gains": gains,
            "gains_with_early": known_gains,
            "rings": _describe_rings(rings, caught, data, parts.holdout),
            "trust": measure_trust(
                p,
                holdout.is_malicious,
                holdout.weight,
                holdout.unit,
                names=names,
                features=data.features[parts.holdout],
                trust=policy.trust,
                judged_share=judged_share,
            ),
        },
        champion_metrics=measure_holdout(champion_raw, champion_p, holdout, money_rate=rate)
        | {"rings": _describe_rings(rings, champion_caught, data, parts.holdout)},
        gates=verdicts,
        drift=sorted(drift, key=lambda each: (-each.psi, each.name)),
        score_psi=score_psi,
        channel_psi=measure_category_psi(data.channel[_before(parts)], data.channel[parts.fresh]),
        us_per_order=us_per_order,
        groups=groups,
        champion_recall=float(np.average(champion_known_flags[is_malicious], weights=held_out.weight[is_malicious])),
    )


def predict_ahead(
    contender: Contender,
    data: TrainingData,
    parts: Parts,
    rows: NDArray[np.int64],
    trend: NDArray[np.int64],
    number: float,
    n_threads: int,
) -> NDArray[np.float64]:
    """Return raw scores of orders as they would be of orders of another quiet day, by the trend that others show.

    Time is counted in quiet days. NOT: in days. After a campaign the newest quiet days lie back by all of it, and what
    a shop's scores fall by in so long a time of ordinary trade they do not fall by beside it. Scores that rise, as when
    malice of a new kind came, are not taken to rise further: a history fills up, it does not empty.

    Parameters
    ----------
    contender : a model on trial
    data : of all orders that are kept
    parts : of them
    rows : orders of quiet days, whose scores are wanted
    trend : orders of quiet days that the trend is of, `drift.find_trend`
    number : of the other day, as `Parts.number_days` counts; one ahead of them all is beyond the last
    n_threads : threads; the result does not depend on it
    """
    day = parts.number_days(data.seen_at)
    slope = min(find_trend(contender.predict(data, trend, n_threads), day[trend]), 0.0)
    return contender.predict(data, rows, n_threads) + slope * (number - day[rows])


def find_standing_change(score: NDArray[np.float64], thresholds: tuple[float, ...], min_alerts: int) -> float:
    """Find how far a model's standing thresholds are from what they stand for, by risk scores of quiet orders.

    A threshold that would give fewer than `min_alerts` alerts counts beyond one standard error: a small merchant's
    scores drift as any other's, and would end at half of what they stand for.

    Returns
    -------
    the largest relative difference of the alert rate at any of them; 0 where there are too few orders
    """
    changes = [0.0]
    for at in thresholds:
        target = gates.find_target_rate(at)
        expected = target * len(score)
        if expected >= _LEAST_ALERTS:
            noise = 0.0 if expected >= min_alerts else math.sqrt((1 - target) / expected)
            changes.append(abs(float((score >= at).mean()) / target - 1) - noise)
    return max(changes)


def find_quiet_days(n_orders_by_day: dict[int, int], loud_factor: float) -> list[int]:
    """Find the days that are no campaign: with at most so many times the median day's orders."""
    if not n_orders_by_day:
        return []
    most = loud_factor * float(np.median(list(n_orders_by_day.values())))
    return sorted(day for day, n in n_orders_by_day.items() if n <= most)


def measure_holdout(
    raw: NDArray[np.float64], p: NDArray[np.float64], holdout: Holdout, *, money_rate: float
) -> dict[str, Any]:
    """Measure one model's raw scores and probabilities of held-out orders.

    Returns
    -------
    ``auc``, ``ap``, ``money`` (caught at `money_rate`), counts, ``calibration_error`` (mean predicted minus share
    malicious), and recall and precision at `ALERT_RATES`
    """
    ranking, weight = Ranking(raw, holdout.is_malicious), holdout.weight.astype(np.float64)
    share = float(weight[holdout.is_malicious].sum() / weight.sum())
    at_rates = [(rate, *ranking.measure_at(rate, weight)) for rate in ALERT_RATES]
    return {
        "auc": ranking.measure_auc(weight),
        "ap": ranking.measure_ap(weight),
        "money": _measure_money(ranking, holdout, weight, money_rate),
        "n_orders": int(holdout.weight.sum()),
        "n_malicious": int(holdout.weight[holdout.is_malicious].sum()),
        "calibration_error": float((weight * p).sum() / weight.sum()) - share,
        "at_alert_rate": [
            {"alert_rate": rate, "recall": recall, "precision": precision} for rate, recall, precision in at_rates
        ],
    }


def _measure_money(ranking: Ranking, holdout: Holdout, weight: NDArray[np.float64], alert_rate: float) -> float:
    """Return the share of malicious money in the riskiest share of the orders; NaN where there is no such money."""
    money = weight * holdout.is_malicious * holdout.amount_minor
    total = ranking.accumulate(money)[-1:].sum()
    return ranking.add_up_at(alert_rate, money, weight) / float(total) if total > 0 else float("nan")


def _take_holdout(data: TrainingData, rows: NDArray[np.int64], rings: Rings) -> Holdout:
    """Take held-out orders; the malicious ones of a ring stand or fall together, as other orders of a buyer do."""
    plan, ring = data.plan, rings.number[rows]
    unit = np.where(ring >= 0, data.buyer.max(initial=0) + 1 + ring, data.buyer[rows])
    return Holdout(
        is_malicious=plan.label[rows] == MALICIOUS,
        weight=plan.weight[rows],
        amount_minor=data.amount_minor[rows],
        unit=np.unique(unit, return_inverse=True)[1].astype(np.int64),
    )


def flag_orders(policy: Policy, p: NDArray[np.float64], amount_minor: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which orders a policy would not pass, by their probability alone, however many the desk can look at."""
    bands = policy.model_copy(update={"capacity": None})
    flags: NDArray[np.bool_] = decide(bands, p, amount_minor=amount_minor).actions != _PASS
    return flags


def find_rings(data: TrainingData, names: tuple[str, ...], is_malicious: NDArray[np.bool_]) -> Rings:
    """Find the rings of the malicious orders among all that are kept, shape (n,)."""
    number = link_orders(is_malicious, data.buyer, data.keys)
    return Rings.of(number, data.seen_at, find_denied(names, data.features, data.keys))


def _flag_riskiest(raw: NDArray[np.float64], holdout: Holdout) -> NDArray[np.bool_]:
    """Flag as many of the riskiest orders as rankings are compared at."""
    weight = holdout.weight.astype(np.float64)
    rate = min(1.0, FLAGS_PER_MALICIOUS * float(weight[holdout.is_malicious].sum() / weight.sum()))
    return Ranking(raw, holdout.is_malicious).flag(rate, weight)


def _describe_rings(
    rings: Rings, flags: NDArray[np.bool_], data: TrainingData, rows: NDArray[np.int64]
) -> list[dict[str, Any]]:
    amount, weight = data.amount_minor[rows], data.plan.weight[rows]
    found = measure_rings(rings, flags, amount_minor=amount, kind=data.kind[rows], weight=weight)
    return [row.as_dict() for row in found]


def _measure_gains(
    raw: NDArray[np.float64], champion_raw: NDArray[np.float64], holdout: Holdout, settings: NightSettings
) -> dict[str, dict[str, float]]:
    bounds = settings.gates
    one, other = Ranking(raw, holdout.is_malicious), Ranking(champion_raw, holdout.is_malicious)
    rate = _find_money_rate(holdout, bounds)
    measures = {
        "ap_gain": (one.measure_ap, other.measure_ap),
        "money_gain": (
            lambda weight: _measure_money(one, holdout, weight, rate),
            lambda weight: _measure_money(other, holdout, weight, rate),
        ),
    }
    return {
        name: measure_gain(
            *pair, holdout, confidence_level=bounds.confidence_level, n_draws=bounds.n_draws, seed=settings.seed
        )
        for name, pair in measures.items()
    }


def _find_money_rate(holdout: Holdout, bounds: GateBounds) -> float:
    """Return the alert rate for money: as set, and enough for all malice, so that none displaces other."""
    share = float(holdout.weight[holdout.is_malicious].sum() / holdout.weight.sum())
    return max(bounds.money_rate, FLAGS_PER_MALICIOUS * share)


def _before(parts: Parts) -> NDArray[np.int64]:
    """Return the quiet reference orders from before the newest days."""
    return np.setdiff1d(parts.reference, parts.fresh)


def _find_pace(data: TrainingData, rows: NDArray[np.int64], holdout: Holdout, settings: NightSettings) -> gates.Pace:
    """Find how fast malicious orders with mature labels come, from those of the holdout."""
    first_us, last_us = int(data.seen_at[rows].min()), int(data.seen_at[rows].max())
    as_of_us = last_us + int(settings.maturity.order_days * DAY_US)
    n_malicious = int(holdout.weight[holdout.is_malicious].sum())
    return gates.Pace(as_of_us, n_malicious, max((last_us - first_us) / DAY_US, 1.0))


def _measure_drift(data: TrainingData, parts: Parts, names: tuple[str, ...]) -> list[FeatureDrift]:
    return measure_feature_drift(names, data.features, _before(parts), parts.fresh)


def _check_false_positives(
    challenger: Contender,
    raw: NDArray[np.float64],
    data: TrainingData,
    rows: NDArray[np.int64],
    names: tuple[str, ...],
    judged_share: float,
    settings: NightSettings,
) -> list[Gate]:
    bounds, plan = settings.gates, data.plan
    is_innocent, is_malicious = plan.label[rows] == INNOCENT, plan.label[rows] == MALICIOUS
    is_alerted = challenger.model.risk_scale(raw) >= bounds.review_score
    weight, channel = plan.weight[rows], data.channel[rows]

    def count(label: str, is_in: NDArray[np.bool_]) -> tuple[str, int, int, int]:
        n, n_alerts, n_caught = (
            int(weight[is_in & each].sum())
            for each in (is_innocent, is_innocent & is_alerted, is_malicious & is_alerted)
        )
        return label, n, n_alerts, n_caught

    channels = [
        count(data.channel_names.get(int(each), "?"), channel == each) for each in np.unique(channel[channel != 0])
    ]
    known = data.features[rows, names.index(_N_KNOWN)] if _N_KNOWN in names else np.zeros(0, np.float32)
    new_buyers = [count("first order on record", known == 0)] if len(known) else []
    return [
        gates.check_false_positives(name, found, judged_share=judged_share, bound=bound, min_group=bounds.min_group)
        for name, found, bound in (
            ("channel_false_positives", channels, bounds.channel_false_positives),
            ("new_buyer_false_positives", new_buyers, bounds.new_buyer_false_positives),
        )
    ]


def _measure_groups(
    data: TrainingData,
    rows: NDArray[np.int64],
    names: tuple[str, ...],
    holdout: Holdout,
    flags: NDArray[np.bool_],
    champion_flags: NDArray[np.bool_],
    judged_share: float,
    pace: gates.Pace,
    settings: NightSettings,
) -> list[GroupRow]:
    """Measure the merchant's own look-alikes: those judged innocent, or whom nobody judged until they were mature.

    All of them are named, those with too few orders, too.
    """
    bounds = settings.gates
    channel = np.array([data.channel_names.get(int(each), "") for each in data.channel[rows]], np.str_)
    groups = dict.fromkeys(GROUPS, np.zeros(len(rows), bool)) | find_groups(names, data.features[rows], channel)
    found = measure_groups(
        groups, holdout.is_malicious, flags, champion_flags, holdout.weight, holdout.unit,
        judged_share=judged_share, bound=bounds.group_times, min_orders=bounds.min_group, n_draws=bounds.n_draws,
        seed=settings.seed,
    )  # fmt: skip
    return [
        replace(row, by=pace.find_day(row.more, row.n_orders)) if row.more is not None and row.n_orders else row
        for row in found
    ]


def _check_alert_rate(
    challenger: Contender,
    champion: Contender,
    data: TrainingData,
    parts: Parts,
    settings: NightSettings,
    n_threads: int,
) -> Gate:
    """Make both scores of older quiet days, and count what their thresholds alert on the newest."""
    bounds = settings.gates
    n_orders = len(parts.check) if len(parts.scale_before) else 0
    middle = float(np.median(parts.number_days(data.seen_at[parts.check]))) if n_orders else 0.0

    def count(contender: Contender) -> list[int]:
        if n_orders == 0:
            return [0 for _ in bounds.alert_scores]
        trend = np.setdiff1d(parts.reference, parts.check)
        scale = fit_risk_scale(predict_ahead(contender, data, parts, parts.scale_before, trend, middle, n_threads))
        score = scale(contender.predict(data, parts.check, n_threads))
        return [int((score >= at).sum()) for at in bounds.alert_scores]

    return gates.check_alert_rate(
        bounds.alert_scores, count(challenger), n_orders, bound=bounds.alert_rate_change, min_alerts=bounds.min_alerts,
        champion_alerts=count(champion),
    )  # fmt: skip


def _check_verdicts(
    champion: Contender,
    data: TrainingData,
    rows: NDArray[np.int64],
    settings: NightSettings,
    n_threads: int,
    *,
    auc_before: float,
) -> Gate:
    bounds = settings.gates
    found = []
    if len(rows):
        raw = champion.predict(data, rows, n_threads)
        is_risky = champion.model.risk_scale(raw) >= bounds.review_score
        is_malicious, channel = data.plan.verdict[rows] == MALICIOUS, data.channel[rows]
        for each in np.unique(channel):
            of = channel == each
            n, n_risky = int(of.sum()), int((of & is_risky).sum())
            auc = Ranking(raw[of], is_malicious[of]).measure_auc(np.ones(n))
            n_confirmed = int((of & is_risky & is_malicious).sum())
            found.append((data.channel_names.get(int(each), "?"), n_risky, n_confirmed, auc))
    return gates.check_verdicts(found, bound=bounds.label_auc, min_risky=bounds.min_label_risky, auc_before=auc_before)


def _check_duplicates(data: TrainingData, bound: float, n_days: int) -> Gate:
    newest = sorted(data.duplicate_share)[-n_days:]
    worst = max((data.duplicate_share[day] for day in newest), default=None)
    return gates.check_at_most("duplicates", worst, bound)


def _count_differing(challenger: Contender, data: TrainingData, rows: NDArray[np.int64]) -> float:
    """Count raw scores in which the compiled forest and LightGBM differ in any bit."""
    some = rows[:: max(len(rows) // _N_SELF_CHECK, 1)]
    features = np.ascontiguousarray(data.features[np.ix_(some, challenger.columns)])
    truth = Predictor(challenger.model.booster_text).predict_raw(features)
    return float((challenger.predictor.predict_raw(features) != truth).sum())


def _time_scoring(challenger: Contender, data: TrainingData, rows: NDArray[np.int64]) -> float:
    """Time the forest, microseconds an order; the best of three."""
    some = rows[:_N_TIMED]
    features = np.ascontiguousarray(data.features[np.ix_(some, challenger.columns)])
    took = []
    for _ in range(3):
        started = time.perf_counter()
        challenger.predictor.predict_raw(features)
        took.append(time.perf_counter() - started)
    return min(took) * 1e6 / max(len(some), 1)
