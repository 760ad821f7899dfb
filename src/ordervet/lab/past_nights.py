"""The nights as they would have been: a history cut off night by night, and what served on the days after each.

Everything is the real night, run in a folder of its own; what serves after it is measured on the next days beside the
starter alone. The truth is what the whole history knows of those days' orders in the end, or what a simulation says.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.history.slices import HistorySlices
from ordervet.learn.gates import find_target_rate
from ordervet.learn.groups import IS_NEW, find_groups
from ordervet.learn.labels import DAY_US, INNOCENT, MALICIOUS, label_mature_orders
from ordervet.learn.night import PROMOTED, run_night
from ordervet.learn.ranking import Ranking
from ordervet.learn.rings import add_rows, measure_rings
from ordervet.learn.train import format_time
from ordervet.learn.training_data import Plan, replay_training_data
from ordervet.learn.trial import WATCHED, Contender, find_quiet_days, find_rings, flag_orders
from ordervet.model import find_serving_model, load_model, load_starter
from ordervet.policy import load_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ordervet.features import FeatureSpec
    from ordervet.history import History
    from ordervet.learn.night import Night
    from ordervet.learn.night_settings import NightSettings
    from ordervet.learn.promotion import Lookalikes
    from ordervet.learn.rings import RingRow
    from ordervet.learn.training_data import TrainingData
    from ordervet.model import Model
    from ordervet.policy import Policy


#: A threshold on the risk score, and the share of a quiet day's orders that it stands for.
STANDING_SCORE = 250.0
STANDING_RATE = find_target_rate(STANDING_SCORE)


@dataclass(frozen=True, slots=True)
class DaysAfter:
    """What one model did on the days after a night; NaN where there was nothing to measure."""

    ap: float  # average precision
    recall: float  # of the malicious orders, the share that the policy would not pass
    precision: float  # of the orders that it would not pass, the share that is malicious
    alert_rate: float  # share of the orders that it would not pass
    #: recall_at_rate, precision_at_rate: with as many of the riskiest orders flagged as the policy flags by what served
    recall_at_rate: float
    precision_at_rate: float
    standing_rate: float  # on quiet days, share of the orders above the risk score that stands for `STANDING_RATE`


@dataclass(frozen=True, slots=True)
class GroupAfter:
    """Innocent orders of one look-alike group on the days after a night, and how many of them would not pass."""

    n_orders: int
    serving: int
    starter: int
    #: how many would not pass by what served if its first orders were alerted as often as plain buyers' first orders,
    #: and its others as often as theirs
    expected: float


#: Innocent orders that are in no look-alike group.
PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class NightMeasured:
    """One night, and the days after it."""

    as_of: str  # the cut-off
    outcome: str  # see `Night`
    refused_by: tuple[str, ...]  # gates
    not_decided: tuple[str, ...]  # those of them that more labels may still let pass
    missing: tuple[str, ...]  # what there was too little of
    model_id: str  # what served afterwards
    own_share: float  # of the merchant's own trees in it, 0 to 1
    #: challenger_share, challenger_ap: the same of what was tried that night, and its average precision on the days
    #: after, whether it serves or not; NaN where nothing was tried
    challenger_share: float
    challenger_ap: float
    #: n_orders, n_malicious: of the days after whose truth is known
    n_orders: int
    n_malicious: int
    n_quiet: int  # of the days after that are no campaign, orders that `standing_rate` is of
    serving: DaysAfter
    starter: DaysAfter  # alone, as it is bundled
    groups: dict[str, GroupAfter]  # the merchant's own look-alikes, and `PLAIN`
    #: new rings of the days after by kind, as the policy flagged them by what served and by the starter
    rings: tuple[RingRow, ...]
    starter_rings: tuple[RingRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        plain = asdict(replace(self, rings=(), starter_rings=()))
        return plain | describe_rings(self.rings, self.starter_rings)


def replay_nights(
    history: History,
    cut_offs_us: Sequence[int],
    spec: FeatureSpec,
    *,
    settings: NightSettings,
    days_after: int = 7,
    known_until_us: int | None = None,
    truth: dict[int, bool] | None = None,
    look_alikes: dict[int, str] | None = None,
    policy: Policy | None = None,
    measure_lookalikes: Lookalikes | None = None,
    n_threads: int = 1,
    report_step: Callable[[str], None] = lambda _: None,
) -> list[NightMeasured]:
    """Run nights one after the other in a temporary folder of models, and measure what served after each.

    Parameters
    ----------
    history : the whole history
    cut_offs_us : cut-offs, ascending, UTC microseconds
    spec : the features of the merchant's own trees
    settings : of every night
    days_after : days that are measured after each night
    known_until_us : what the whole history knew at this time is the truth, UTC microseconds; None is the last measured
        day's end
    truth : keyed order id to whether it is malicious; None takes the labels that the whole history knows in the end
    look_alikes : keyed order id to the look-alike that its buyer truly is; None tells groups by the features
    policy : whose bands flag orders; None takes the default
    measure_lookalikes : as for `run_night`
    n_threads : threads; the result does not depend on it
    report_step : called with what is being done
    """
    rules, span_us = policy or load_policy(), days_after * DAY_US
    whole = HistorySlices.open(history, until_us=known_until_us or max(cut_offs_us) + span_us)
    names = tuple(dict.fromkeys([*spec.names, *load_starter().spec.names, *WATCHED]))
    with tempfile.TemporaryDirectory(prefix="ordervet-nights-") as folder:
        root = Path(folder)
        data = _replay_all(whole, spec, names, settings, root / "sorted", n_threads, report_step)
        label = _find_truth(whole, settings, truth)
        rings = find_rings(data, names, label == MALICIOUS)
        starter = Contender.of(load_starter(), names)
        measured = []
        for number, as_of_us in enumerate(cut_offs_us, 1):
            report_step(f"night {number} of {len(cut_offs_us)}")
            night = run_night(
                HistorySlices.open(history, until_us=as_of_us), root / "models", spec, settings=settings, policy=rules,
                measure_lookalikes=measure_lookalikes, n_threads=n_threads,
            )  # fmt: skip
            rows = np.flatnonzero((data.seen_at >= as_of_us) & (data.seen_at < as_of_us + span_us) & (label >= 0))
            serving = Contender.of(load_model(find_serving_model(root / "models")), names)
            quiet = _find_quiet_rows(data, as_of_us, span_us, settings)
            flags = [_flag(each, data, rows, rules, n_threads) for each in (serving, starter)]
            rate = _divide(int(flags[0].sum()), len(rows))
            pair = [
                _measure(each, data, rows, label[rows], flagged, rate, quiet, n_threads)
                for each, flagged in zip((serving, starter), flags, strict=True)
            ]
            is_innocent = label[rows] == INNOCENT
            alike = _find_look_alikes(whole, data, names, rows[is_innocent], look_alikes)
            is_first = IS_NEW.find(data.features[rows[is_innocent], names.index(IS_NEW.feature)])
            groups = _count_groups(alike, is_first, *(flagged[is_innocent] for flagged in flags))
            found = [
                measure_rings(
                    rings.take(rows), flagged, amount_minor=data.amount_minor[rows], kind=data.kind[rows]
                )
                for flagged in flags
            ]  # fmt: skip
            tried = _measure_challenger(night, root / "models", data, rows, names, label[rows], n_threads)
            measured.append(_describe(night, serving, tried, label[rows], len(quiet), as_of_us, pair, groups, found))
    return measured


def describe_rings(rings: Sequence[RingRow], starter_rings: Sequence[RingRow]) -> dict[str, Any]:
    """Return the rings by what served and by the starter as plain values."""
    pair = {"rings": rings, "starter_rings": starter_rings}
    return {name: [row.as_dict() for row in rows] for name, rows in pair.items()}


def sum_up_rings(nights: Sequence[NightMeasured]) -> dict[str, Any]:
    """Add up the rings of nights by kind, as plain values; where the days after overlap, rings count more than once."""
    return describe_rings(add_rows([each.rings for each in nights]), add_rows([each.starter_rings for each in nights]))


def sum_up_groups(nights: Sequence[NightMeasured]) -> dict[str, GroupAfter]:
    """Add up the look-alike groups of nights, `PLAIN` first."""
    names = dict.fromkeys([PLAIN, *sorted({name for night in nights for name in night.groups})])
    found = {}
    for name in names:
        parts = [night.groups[name] for night in nights if name in night.groups]
        found[name] = GroupAfter(
            sum(each.n_orders for each in parts),
            sum(each.serving for each in parts),
            sum(each.starter for each in parts),
            sum(each.expected for each in parts),
        )
    return found


def sum_up_nights(nights: Sequence[NightMeasured]) -> dict[str, Any]:
    """Sum up nights: how often something was promoted, and how what served compares with the starter alone."""
    measured = [each for each in nights if not np.isnan(each.serving.ap)]
    gains = np.array([each.serving.ap - each.starter.ap for each in measured])
    recalls = np.array([each.serving.recall - each.starter.recall for each in measured])
    first = next((number for number, each in enumerate(nights, 1) if each.outcome == PROMOTED), None)
    return {
        "nights": len(nights),
        "promoted": sum(each.outcome == PROMOTED for each in nights),
        "first_promotion": first,
        "mean_ap": _mean([each.serving.ap for each in measured]),
        "mean_starter_ap": _mean([each.starter.ap for each in measured]),
        "worst_ap_gain": float(gains.min()) if len(gains) else None,
        "last_ap_gain": float(gains[-1]) if len(gains) else None,
        "worst_recall_gain": float(recalls.min()) if len(recalls) else None,
        "mean_recall": _mean([each.serving.recall for each in measured]),
        "mean_starter_recall": _mean([each.starter.recall for each in measured]),
        "mean_alert_rate": _mean([each.serving.alert_rate for each in measured]),
        "mean_starter_alert_rate": _mean([each.starter.alert_rate for each in measured]),
        "mean_standing_rate": _mean([each.serving.standing_rate for each in measured]),
        "mean_precision": _mean([each.serving.precision for each in measured]),
        "mean_starter_precision": _mean([each.starter.precision for each in measured]),
    }


def _replay_all(
    whole: HistorySlices,
    spec: FeatureSpec,
    names: tuple[str, ...],
    settings: NightSettings,
    scratch: Path,
    n_threads: int,
    report_step: Callable[[str], None],
) -> TrainingData:
    """Replay the features of every order, as they would have been served."""
    starter = load_starter().spec
    both = type(spec)(
        names=names,
        entities=tuple(dict.fromkeys([*spec.entities, *starter.entities])),
        numbers=spec.numbers,
        time_zone=spec.time_zone,
    )
    n = len(whole.timeline.order_id)
    nothing = np.zeros(n, np.int8)
    plan = Plan(
        np.arange(n), nothing, nothing, np.zeros(n, np.int64), np.ones(n, np.int64), np.ones(n), np.ones(n, bool)
    )
    return replay_training_data(
        whole, both, plan, settings=settings, as_of_us=whole.until_us, scratch=scratch, n_threads=n_threads,
        report_step=report_step,
    )  # fmt: skip


def _find_truth(whole: HistorySlices, settings: NightSettings, truth: dict[int, bool] | None) -> NDArray[np.int8]:
    """Return each order's label in the end: 1, 0, or -1 where it is not known."""
    if truth is not None:
        return np.array([int(truth[each]) for each in whole.timeline.order_id.tolist()], np.int8)
    return label_mature_orders(whole.timeline, as_of_us=whole.until_us, maturity=settings.maturity).label


def _find_quiet_rows(data: TrainingData, as_of_us: int, span_us: int, settings: NightSettings) -> NDArray[np.int64]:
    """Find the orders of the days after a night that are no campaign, by the days before it and after it."""
    day = (data.seen_at - as_of_us) // DAY_US
    around = (day >= -settings.learning.reference_days) & (day < span_us // DAY_US)
    days, counts = np.unique(day[around], return_counts=True)
    by_day = dict(zip(days.tolist(), counts.tolist(), strict=True))
    quiet = [each for each in find_quiet_days(by_day, settings.learning.loud_factor) if each >= 0]
    return np.flatnonzero(np.isin(day, quiet))


def _measure(
    contender: Contender,
    data: TrainingData,
    rows: NDArray[np.int64],
    label: NDArray[np.int8],
    flags: NDArray[np.bool_],
    rate: float,
    quiet: NDArray[np.int64],
    n_threads: int,
) -> DaysAfter:
    is_malicious = label == MALICIOUS
    ranking = Ranking(contender.predict(data, rows, n_threads), is_malicious)
    standing = contender.model.risk_scale(contender.predict(data, quiet, n_threads)) >= STANDING_SCORE
    recall_at_rate, precision_at_rate = ranking.measure_at(rate, np.ones(len(rows)))
    return DaysAfter(
        ap=ranking.measure_ap(np.ones(len(rows))),
        recall=_divide(int((flags & is_malicious).sum()), int(is_malicious.sum())),
        precision=_divide(int((flags & is_malicious).sum()), int(flags.sum())),
        alert_rate=_divide(int(flags.sum()), len(rows)),
        recall_at_rate=recall_at_rate,
        precision_at_rate=precision_at_rate,
        standing_rate=_divide(int(standing.sum()), len(quiet)),
    )


def _measure_challenger(
    night: Night,
    models: Path,
    data: TrainingData,
    rows: NDArray[np.int64],
    names: tuple[str, ...],
    label: NDArray[np.int8],
    n_threads: int,
) -> tuple[float, float]:
    """Return the own trees' share and the average precision of what was tried; NaN where nothing was."""
    if night.record["model_id"] is None:
        return float("nan"), float("nan")
    tried = Contender.of(load_model(models / night.record["model_id"]), names)
    ranking = Ranking(tried.predict(data, rows, n_threads), label == MALICIOUS)
    return find_own_share(tried.model), ranking.measure_ap(np.ones(len(rows)))


def find_own_share(model: Model) -> float:
    """Return how much the merchant's own trees weigh in a model, 0 to 1."""
    blend: dict[str, float] = model.origin.get("blend") or {"share": 0.0}
    return blend["share"]


def _flag(
    contender: Contender, data: TrainingData, rows: NDArray[np.int64], policy: Policy, n_threads: int
) -> NDArray[np.bool_]:
    raw = contender.predict(data, rows, n_threads)
    return flag_orders(policy, contender.model.calibration(raw), data.amount_minor[rows])


def _find_look_alikes(
    whole: HistorySlices,
    data: TrainingData,
    names: tuple[str, ...],
    rows: NDArray[np.int64],
    look_alikes: dict[int, str] | None,
) -> dict[str, NDArray[np.bool_]]:
    """Find the look-alike groups of orders, as they are told or by their features."""
    if look_alikes is not None:
        told = np.array([look_alikes.get(each, "") for each in whole.timeline.order_id[rows].tolist()], np.str_)
        return {str(name): told == name for name in np.unique(told[told != ""])}
    channel = np.array([data.channel_names.get(int(each), "") for each in data.channel[rows]], np.str_)
    return find_groups(names, data.features[rows], channel)


def _count_groups(
    groups: dict[str, NDArray[np.bool_]],
    is_first: NDArray[np.bool_],
    flags: NDArray[np.bool_],
    starter_flags: NDArray[np.bool_],
) -> dict[str, GroupAfter]:
    is_plain = ~np.any([*groups.values(), np.zeros(len(flags), bool)], axis=0)
    expected = np.zeros(len(flags))
    for some in (is_first, ~is_first):
        alike = is_plain & some
        expected[some] = int(flags[alike].sum()) / max(int(alike.sum()), 1)
    return {
        name: GroupAfter(
            int(is_in.sum()), int(flags[is_in].sum()), int(starter_flags[is_in].sum()), float(expected[is_in].sum())
        )
        for name, is_in in {PLAIN: is_plain, **groups}.items()
    }


def _describe(
    night: Night,
    serving: Contender,
    challenger: tuple[float, float],
    label: NDArray[np.int8],
    n_quiet: int,
    as_of_us: int,
    pair: list[DaysAfter],
    groups: dict[str, GroupAfter],
    rings: list[list[RingRow]],
) -> NightMeasured:
    refusing = [gate for gate in night.record["gates"] if not gate["passed"]]
    return NightMeasured(
        as_of=format_time(as_of_us),
        outcome=night.outcome,
        refused_by=tuple(gate["name"] for gate in refusing),
        not_decided=tuple(gate["name"] for gate in refusing if not gate["is_decided"]),
        missing=tuple(each["what"] for each in night.record["missing"]),
        model_id=serving.model.model_id,
        own_share=find_own_share(serving.model),
        challenger_share=challenger[0],
        challenger_ap=challenger[1],
        n_orders=len(label),
        n_malicious=int((label == MALICIOUS).sum()),
        n_quiet=n_quiet,
        serving=pair[0],
        starter=pair[1],
        groups=groups,
        rings=tuple(rings[0]),
        starter_rings=tuple(rings[1]),
    )


def _divide(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _mean(values: list[float]) -> float | None:
    known = [each for each in values if not np.isnan(each)]
    return float(np.mean(known)) if known else None
