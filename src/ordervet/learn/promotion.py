"""Decide on a promotion: learn a challenger, try it, and say whether it may serve. Nothing is changed here."""

from __future__ import annotations

import importlib.metadata
import math
import tempfile
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.contract.files.outputs import drop_nan
from ordervet.entities import load_key
from ordervet.errors import ModelError
from ordervet.learn import gates, records
from ordervet.learn.audit import estimate_missed, weigh_audited
from ordervet.learn.challenger import MIN_PARTS, Known, fit_challenger, predict_parts
from ordervet.learn.claim_night import LEARNED, learn_claims_of_night, list_askable
from ordervet.learn.drift import measure_attribution_drift
from ordervet.learn.evaluation import FLAGS_PER_MALICIOUS
from ordervet.learn.groups import PROTECTED_FEW, find_groups, find_innocence, find_offsets, list_groups
from ordervet.learn.labels import DAY_US, INNOCENT, MALICIOUS, label_mature_orders, measure_maturity
from ordervet.learn.ranking import Ranking
from ordervet.learn.train import find_own_columns, format_time
from ordervet.learn.training_data import (
    find_ranges,
    plan_training_data,
    read_training_data,
    replay_training_data,
    weigh_early,
    weigh_kinds,
)
from ordervet.learn.trial import (
    WATCHED,
    Contender,
    find_standing_change,
    flag_orders,
    hold_trial,
    predict_ahead,
    split_parts,
)
from ordervet.model import ForestPredictor, Model, fit_risk_scale, load_serving_model, load_starter
from ordervet.model.binned import BinnedOrders, MatrixView
from ordervet.model.calibration import FLAT_SCALE, Curve
from ordervet.model.fit import MIN_MALICIOUS
from ordervet.model.kinds import fit_kinds, measure_kinds
from ordervet.model.offsets import Offset, write_offset
from ordervet.model.registry import read_live_id
from ordervet.model.starter import find_shift, ranks_as_starter, scale_starter

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ordervet.features import FeatureSpec
    from ordervet.history.slices import HistorySlices, Timeline
    from ordervet.learn.challenger import Blend, Fitted
    from ordervet.learn.claim_night import ClaimNight
    from ordervet.learn.labels import Labels
    from ordervet.learn.night_settings import NightSettings
    from ordervet.learn.training_data import TrainingData
    from ordervet.learn.trial import Parts, Trial
    from ordervet.policy import Policy

    Lookalikes = Callable[[Model, frozenset[str]], dict[str, Any]]

_N_FLOW_DAYS = 60
#: Share of the alert rate's bound from which the champion is rescaled, so that the next day is still within it.
_RESCALE_FROM = 0.25
#: Innocents of these look-alikes are to be alerted at most so many times as often as others, where there are so many of
#: them. NOT: shared doors and devices, newcomers. Malice that nobody judged is among them, so that their innocents look
#: alerted that are none: offsets cost .02 of average precision on worlds of `lab.foreign`, and spared hardly anybody.
OFFSET_GROUPS, OFFSET_TIMES, OFFSET_MIN_ORDERS = ("wholesale", "shared_ip"), 1.0, 10
#: The largest offset, in log-odds. What a few orders ask for beyond it is more than they can tell: malice of the group
#: that nobody has seen yet would pass.
OFFSET_MOST = 1.0
#: Gates whose refusal says that the newest events themselves are contaminated.
_CONTAMINATION_GATES = ("features_constant", "features_drift", "verdicts", "duplicates")


@dataclass(frozen=True, slots=True)
class Task:
    """What a night is to do."""

    models: Path  # the folder of models
    spec: FeatureSpec  # the challenger's features
    as_of_us: int  # the cut-off, UTC microseconds: nothing seen at or after it is known
    settings: NightSettings  # maturity, budgets, bounds
    policy: Policy  # whose id goes into the manifest
    about: dict[str, Any]  # notes about the data for the manifest
    #: from a model and the entities that the merchant lacks to `LookalikeReport.as_dict`; None skips the gate
    measure_lookalikes: Lookalikes | None
    n_threads: int  # threads; the artefact does not depend on it
    report_step: Callable[[str], None]  # called with what is being done
    rows: Path | None = None  # features that were computed elsewhere (`read_training_data`); None replays the history


def decide_promotion(task: Task, slices: HistorySlices, work: Path | None) -> tuple[list[Model], dict[str, Any]]:
    """Learn a challenger and try it.

    The champion is what serves, and before the first promotion the bundled starter, with a risk score of the merchant's
    own quiet days. Where `work` is a folder, what took long is kept there for a run that takes over.

    Returns
    -------
    the models to register: the challenger, its gates in its manifest, and, where the champion's scale is made or made
    again, the champion with it; and everything the report shows: ``passed``; ``starter_id``, what is to serve where
    nothing does; ``serve_id``, the model that is to serve then, or None to change nothing; ``missing``, what there is
    too little of to learn from, and then there is no challenger
    """
    settings = task.settings
    labels = label_mature_orders(slices.timeline, as_of_us=task.as_of_us, maturity=settings.maturity)
    live_id = read_live_id(task.models)
    champion_model, faults = _load_champion(task.models)
    both = unite_specs(task.spec, load_starter(), champion_model)
    share = None if task.policy.audit is None else task.policy.audit.share
    data = weigh_audited(_gather_training_data(task, slices, labels, both, work), share)
    missed = estimate_missed(slices.timeline, labels, data.audited, as_of_us=task.as_of_us)
    parts = split_parts(data, as_of_us=task.as_of_us, settings=settings)
    installed = _scale_starter(task, data, parts, both.names) if live_id is None else None
    champion_model = installed or champion_model
    champion = Contender.of(champion_model, both.names)
    record = {
        "as_of": format_time(task.as_of_us),
        "last_order_at": format_time(int(slices.timeline.order_seen_at.max(initial=0))),
        "champion_id": champion_model.model_id,
        "is_starter": ranks_as_starter(champion_model),
        "live_id": live_id,
        "starter_id": installed.model_id if installed else None,
        "champion_faults": faults,
        "counts": {part: len(getattr(parts, part)) for part in parts.__slots__},
        "label_flow": _measure_flow(slices.timeline, labels, task.as_of_us),
        "maturity_curve": measure_maturity(slices.timeline, labels),
        "order_days": settings.maturity.order_days,
        "audit": missed.as_dict() if missed else None,
        "missing": _find_missing(slices.timeline, labels, data, parts, task),
    }
    if record["missing"]:
        rescaled = None if installed else _rescale_champion(task, champion, data, parts, [])
        made = [each for each in (installed, rescaled) if each]
        return made, drop_nan(record | _describe_wait(task, slices, data, rescaled))
    return _try_challenger(task, slices, data, parts, both.names, champion, installed, record)


def _try_challenger(
    task: Task,
    slices: HistorySlices,
    data: TrainingData,
    parts: Parts,
    names: tuple[str, ...],
    champion: Contender,
    installed: Model | None,
    record: dict[str, Any],
) -> tuple[list[Model], dict[str, Any]]:
    settings, n_threads = task.settings, task.n_threads
    model, order_p = _fit(task, slices, data, parts, names)
    of_claims = _learn_claims(task, slices, data, parts, model, champion.model, order_p)
    model = replace(model, claims=of_claims.model)
    challenger = Contender.of(model, names)
    own_raw = _score_by_own_columns(task, data, parts)
    task.report_step("measuring")
    trial = hold_trial(
        challenger, champion, data, parts, names=names,
        known_names=_list_known_names(task.spec, champion.model), own_raw=own_raw,
        settings=settings, policy=task.policy,
        n_threads=n_threads, is_champion_old=_is_old(champion.model, task.as_of_us, settings),
    )  # fmt: skip
    task.report_step("measuring look-alikes")
    ours, theirs = _measure_lookalikes(task, model, champion.model, find_lacking(names, data.features[parts.reference]))
    verdicts = [*trial.gates, gates.check_lookalikes(ours, theirs, champion_recall=trial.champion_recall)]
    metrics = trial.metrics | _measure_kinds(challenger, data, parts) | _pick_claim_metrics(of_claims)
    model = replace(model, metrics=drop_nan(metrics | {"gates": _describe_gates(verdicts), "lookalikes": ours}))
    passed = all(gate.passed for gate in verdicts)
    rescaled = None if passed or installed else _rescale_champion(task, champion, data, parts, verdicts)
    serves = model if passed else rescaled
    record |= {
        "passed": passed,
        "serve_id": serves.model_id if serves else None,
        "model_id": model.model_id,
        "features_gone": [name for name in champion.model.spec.names if name not in model.spec.names],
        "origin": model.origin,
        "claims": of_claims.record,
        "attribution_drift": measure_attribution_drift(challenger, champion, data, parts.fresh, n_threads),
    }
    made = [model, *(each for each in (installed, rescaled) if each)]
    return made, drop_nan(record | _describe_trial(trial, verdicts, settings.gates.expected))


def _describe_wait(task: Task, slices: HistorySlices, data: TrainingData, rescaled: Model | None) -> dict[str, Any]:
    """Describe a night on which nothing could be learned."""
    return {
        "passed": False,
        "serve_id": rescaled.model_id if rescaled else None,
        "model_id": None,
        "features_gone": [],
        "origin": _describe_history(task, slices) | {"n_labelled": int(data.plan.weight.sum())},
        "attribution_drift": None,
        "claims": None,
        "gates": [],
        "metrics": None,
        "champion_metrics": None,
        "drift": [],
        "score_psi": None,
        "channel_psi": None,
        "us_per_order": None,
        "groups": [],
    }


def _describe_trial(trial: Trial, verdicts: list[gates.Gate], expected: tuple[str, ...]) -> dict[str, Any]:
    return {
        "gates": [gate.as_dict() for gate in verdicts],
        "metrics": trial.metrics,
        "champion_metrics": trial.champion_metrics,
        "drift": [
            {
                "name": d.name,
                "psi": d.psi,
                "before": d.top_share_before,
                "now": d.top_share_now,
                "is_expected": gates.is_expected(d.name, expected),
            }
            for d in trial.drift
        ],
        "score_psi": trial.score_psi,
        "channel_psi": trial.channel_psi,
        "us_per_order": trial.us_per_order,
        "groups": [row.as_dict() for row in trial.groups],
    }


def _load_champion(models: Path) -> tuple[Model, list[str]]:
    """Load what serves, and say what is wrong with models that should; where none can, the starter."""
    if read_live_id(models) is None:
        return load_starter(), []
    try:
        return load_serving_model(models)
    except ModelError as error:
        return load_starter(), [error.message]


def _scale_starter(task: Task, data: TrainingData, parts: Parts, names: tuple[str, ...]) -> Model | None:
    """Give the starter risk score and thresholds of the merchant's own quiet days; None where there are none yet."""
    if len(parts.scale) == 0:
        return None
    starter = load_starter()
    contender, amount = Contender.of(starter, names), data.amount_minor[parts.scale]
    raw = contender.predict(data, parts.scale, task.n_threads)
    shift = find_shift(lambda by: float(flag_orders(task.policy, starter.calibration(raw - by), amount).mean()))
    return scale_starter(_predict_ahead(task, contender, data, parts), as_of=format_time(task.as_of_us), shift=shift)


def _predict_ahead(task: Task, contender: Contender, data: TrainingData, parts: Parts) -> NDArray[np.float64]:
    """Return raw scores that a risk score is made of: those of the newest quiet days, as of as many days ahead."""
    middle = float(np.median(parts.number_days(data.seen_at[parts.scale])))
    ahead = 2 * len(parts.quiet_days) - 1 - middle
    return predict_ahead(contender, data, parts, parts.scale, parts.reference, ahead, task.n_threads)


def _find_missing(
    timeline: Timeline, labels: Labels, data: TrainingData, parts: Parts, task: Task
) -> list[dict[str, Any]]:
    """List what there is too little of to learn from: what, how much there is, what it takes, in how many days.

    The days are None where they cannot be told, such as where no verdict has come yet. Where nothing was ordered on the
    newest days the history has ended, and that alone is listed: no waiting helps.
    """
    if len(parts.reference) == 0:
        return [{"what": "newest_orders", "have": 0, "need": 1, "days": None}]
    maturity, label = task.settings.maturity, data.plan.label
    known_us = task.as_of_us - int(timeline.order_seen_at.min(initial=task.as_of_us))
    n_days = known_us / DAY_US
    needed_days = maturity.order_days + task.settings.learning.holdout_days
    needed = MIN_PARTS * MIN_MALICIOUS
    per_day = int((labels.verdict == MALICIOUS).sum()) / max(n_days, 1.0)
    n_malicious = int((label[parts.train] == MALICIOUS).sum())
    found = [
        ("days", int(n_days), math.ceil(needed_days), max(needed_days - n_days, 0.0)),
        ("malicious", n_malicious, needed, (needed - n_malicious) / per_day if per_day else None),
        ("innocent", int((label[parts.train] == INNOCENT).sum()), needed, None),
        ("later_malicious", int((label[parts.holdout] == MALICIOUS).sum()), 1, 1 / per_day if per_day else None),
    ]
    first = max(needed_days - n_days, 0.0)
    return [
        {"what": what, "have": have, "need": need, "days": None if days is None else math.ceil(max(days, first))}
        for what, have, need, days in found
        if have < need
    ]


def unite_specs(spec: FeatureSpec, *models: Model) -> FeatureSpec:
    """Return the features of a history, of models, and those that gates look at, the history's first.

    What the history does not know of a model's stays empty.
    """
    names, entities, numbers = spec.names, spec.entities, spec.numbers
    for model in models:
        names, entities = _join(names, model.spec.names), _join(entities, model.spec.entities)
        numbers = _join(numbers, model.spec.numbers)
    watched = WATCHED if "buyer" in spec.entities else ()
    return replace(spec, names=_join(names, watched), entities=entities, numbers=numbers)


def _join(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*one, *other]))


def _gather_training_data(
    task: Task, slices: HistorySlices, labels: Labels, both: FeatureSpec, work: Path | None
) -> TrainingData:
    made_of = f"{slices.timeline.digest} {both.hash} {task.as_of_us} {task.settings.hash}"
    found = records.load_training_data(work, made_of=made_of) if work else None
    if found is not None:
        task.report_step("resuming a run that died")
        return found
    plan = plan_training_data(slices.timeline, labels, as_of_us=task.as_of_us, settings=task.settings)
    if task.rows is not None:
        return read_training_data(
            task.rows, slices.timeline, plan, both, settings=task.settings, as_of_us=task.as_of_us,
            report_step=task.report_step,
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="ordervet-night-") if work is None else nullcontext(work) as folder:
        data = replay_training_data(
            slices, both, plan, settings=task.settings, as_of_us=task.as_of_us, scratch=Path(folder) / "sorted",
            n_threads=task.n_threads, report_step=task.report_step, asked=list_askable(slices, plan),
        )  # fmt: skip
    if work:
        records.save_training_data(work, data, made_of=made_of)
    return data


def _fit(
    task: Task, slices: HistorySlices, data: TrainingData, parts: Parts, names: tuple[str, ...]
) -> tuple[Model, NDArray[np.float64]]:
    """Fit the challenger.

    Returns
    -------
    the model, without one of claims; and what it would have given orders that its trees were not fitted on, shape
    (len(data.seen_at),), else NaN
    """
    settings, n_threads, starter = task.settings, task.n_threads, load_starter()
    own_fit = settings.fit.model_copy(update={"protected": (*settings.fit.protected, *PROTECTED_FEW)})
    plan, rows = data.plan, parts.train
    is_malicious, weight = plan.label[rows] == MALICIOUS, _weigh(task, data, rows)
    known = Known(
        view=MatrixView(
            data.features,
            rows,
            np.arange(len(task.spec.names)),  # NOTE: they come first, see unite_specs
            find_ranges(data.features, rows, len(task.spec.names)),
        ),
        names=task.spec.names,
        starter_raw=Contender.of(starter, names).predict(data, rows, n_threads),
        is_malicious=is_malicious,
        weight=weight,
        buyer=data.buyer[rows],
        is_judged=plan.verdict[rows] >= 0,
        is_early=plan.known_share[rows] < 1,
    )
    fitted = fit_challenger(
        known, own_fit, n_folds=settings.learning.n_folds, n_threads=n_threads, report_step=task.report_step
    )
    spec = _choose_spec(task.spec, starter.spec, fitted.blend)
    unscaled = Model(fitted.write(starter.booster_text, spec.names), spec, fitted.calibration, FLAT_SCALE, {}, {})
    unscaled, shift, most_alerts = _hold_alerts(task, unscaled, data, parts, names)
    offsets, later_raw = _find_offsets(task, fitted, unscaled, data, rows, names)
    read_column = MatrixView(data.features, rows, _find_columns(spec.names, names)).read_column
    trees = [
        write_offset(Offset(bounds, by), spec.names, read_column)
        for name, by in offsets.items()
        for bounds in list_groups(spec.names)[name]
    ]
    unscaled = replace(unscaled, booster_text=fitted.write(starter.booster_text, spec.names, trees))
    scale = fit_risk_scale(_predict_ahead(task, Contender.of(unscaled, names), data, parts))
    origin = _describe_history(task, slices) | {
        "n_labelled": int(plan.weight.sum()),
        "n_fitted": int(plan.weight[rows].sum()),
        "n_fitted_rows": len(rows),
        "n_calibrated": int(plan.weight[rows].sum()),
        "n_malicious": int(is_malicious.sum()),
        "first_order_at": format_time(int(data.seen_at[rows].min())),
        "last_order_at": format_time(int(data.seen_at[parts.holdout].max())),
        "seed": settings.fit.seed,
        "settings": own_fit.model_dump(mode="json"),
        "blend": asdict(fitted.blend) | {"starter_id": starter.model_id},
        "judged_share": fitted.judged_share,
        "most_alerts": most_alerts,
        "shift": shift,
        "offsets": offsets,
        "versions": {each: importlib.metadata.version(each) for each in ("ordervet", "lightgbm", "numpy")},
    }
    task.report_step("fitting the model of kinds")
    malicious = rows[is_malicious]
    view = MatrixView(data.features, malicious, _find_columns(spec.names, names))
    kinds = fit_kinds(view.take(slice(None)), data.kind[malicious], spec.names, settings.fit, n_threads=n_threads)
    order_p = np.full(len(data.seen_at), np.nan)
    order_p[rows[fitted.later_rows]] = unscaled.calibration(later_raw)
    order_p[parts.holdout] = unscaled.calibration(Contender.of(unscaled, names).predict(data, parts.holdout, n_threads))
    return replace(unscaled, risk_scale=scale, origin=origin, kinds=kinds), order_p


def _learn_claims(
    task: Task,
    slices: HistorySlices,
    data: TrainingData,
    parts: Parts,
    model: Model,
    champion: Model,
    order_p: NDArray[np.float64],
) -> ClaimNight:
    """Learn the model of claims beside the trees that serve, or the starter's where those ask for other features."""
    serving = (each.claims.move(model.spec) for each in (champion, load_starter()) if each.claims is not None)
    with tempfile.TemporaryDirectory(prefix="ordervet-claims-") as folder:
        return learn_claims_of_night(
            slices, data, parts, model.spec, next((each for each in serving if each is not None), None), order_p,
            settings=task.settings.fit, pay_below=task.policy.claims.pay_below,
            slice_orders=task.settings.learning.slice_orders, scratch=Path(folder) / "sorted",
            n_threads=task.n_threads, report_step=task.report_step,
        )  # fmt: skip


def _pick_claim_metrics(of_claims: ClaimNight) -> dict[str, Any]:
    """Pick what was measured of the model of claims that is to serve, if anything was."""
    which = "metrics" if of_claims.record["outcome"] == LEARNED else "champion_metrics"
    found = of_claims.record.get(which)
    return {} if found is None else {"claims": found}


def _weigh(task: Task, data: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weigh orders to learn from by how many they stand for, and by how fast malice of their kind is found."""
    days = task.settings.maturity.verdict_days.get("malicious", 0.0)
    return weigh_early(data.plan, rows) * weigh_kinds(data, as_of_us=task.as_of_us, verdict_days=days)[rows]


def _hold_alerts(
    task: Task, model: Model, data: TrainingData, parts: Parts, names: tuple[str, ...]
) -> tuple[Model, float, float]:
    """Shift a new model's log-odds until the policy alerts on quiet days what the malice there takes, and no more.

    What malice there is on the newest quiet days, mature or not, the model itself foretells.

    Returns
    -------
    the model; the shift, 0 where it alerts no more; and the share of orders that it may alert
    """
    raw = Contender.of(model, names).predict(data, parts.reference, task.n_threads)
    amount = data.amount_minor[parts.reference]
    most = min(FLAGS_PER_MALICIOUS * float(model.calibration(raw).mean()), 1.0)
    shift = find_shift(lambda by: float(flag_orders(task.policy, model.calibration(raw - by), amount).mean()), most)
    return replace(model, calibration=Curve(model.calibration.x + shift, model.calibration.y)), shift, most


def _find_offsets(
    task: Task, fitted: Fitted, model: Model, data: TrainingData, train: NDArray[np.int64], names: tuple[str, ...]
) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Find the offsets of the merchant's own look-alikes, by the orders of the later parts of the time.

    Of young ones less malice is known, so fewer of those that nobody judged are innocent.

    Returns
    -------
    group to offset; and the log-odds of the later parts with them
    """
    rows, raw = train[fitted.later_rows], fitted.later_raw
    where = {name: ways for name, ways in list_groups(model.spec.names).items() if name in OFFSET_GROUPS}
    wanted = tuple(dict.fromkeys(bound.feature for ways in where.values() for bounds in ways for bound in bounds))
    features = data.features[np.ix_(rows, _find_columns(wanted, names))]
    groups = find_groups(wanted, features, np.full(len(rows), ""))
    is_malicious = data.plan.label[rows] == MALICIOUS
    judged_share, weight = fitted.judged_share * data.plan.known_share[rows], _weigh(task, data, rows)
    offsets = find_offsets(
        groups, raw, data.plan.weight[rows] * find_innocence(model.calibration(raw), is_malicious, judged_share),
        lambda log_odds, some: flag_orders(task.policy, model.calibration(log_odds), data.amount_minor[rows[some]]),
        times=OFFSET_TIMES, most=OFFSET_MOST, min_orders=OFFSET_MIN_ORDERS,
        measure=lambda log_odds: Ranking(log_odds, is_malicious).measure_ap(weight),
    )  # fmt: skip
    return offsets, raw + sum((by * groups[name] for name, by in offsets.items()), np.zeros(len(raw)))


def _describe_history(task: Task, slices: HistorySlices) -> dict[str, Any]:
    return task.about | {
        "as_of": format_time(task.as_of_us),
        "key_id": load_key().key_id,
        "history_version": slices.version,
        "history_digest": slices.timeline.digest,
        "n_orders": len(slices.timeline.order_id),
        "maturity_days": task.settings.maturity.order_days,
        "settings_hash": task.settings.hash,
        "policy_id": task.policy.policy_id,
    }


def _choose_spec(own: FeatureSpec, starter: FeatureSpec, blend: Blend) -> FeatureSpec:
    """Return the features that a sum asks for."""
    if blend.starter == 0:
        return own
    if blend.own == 0:
        return replace(starter, time_zone=own.time_zone, rates=own.rates)
    return replace(
        own,
        names=_join(own.names, starter.names),
        entities=_join(own.entities, starter.entities),
        numbers=_join(own.numbers, starter.numbers),
    )


def _find_columns(wanted: tuple[str, ...], names: tuple[str, ...]) -> NDArray[np.int64]:
    position = {name: at for at, name in enumerate(names)}
    return np.array([position[name] for name in wanted], np.int64)


def _score_by_own_columns(task: Task, data: TrainingData, parts: Parts) -> NDArray[np.float64] | None:
    """Score all that is held out by trees that know no history; None where there is only one sort of columns."""
    own = find_own_columns(task.spec.names)
    if own is None:
        return None
    task.report_step("fitting without the history")
    plan, names = data.plan, tuple(task.spec.names[at] for at in own)
    view = MatrixView(data.features, parts.train, own)
    is_malicious = plan.label[parts.train] == MALICIOUS
    weight = _weigh(task, data, parts.train)
    binned = BinnedOrders(view, names, is_malicious, weight, task.settings.fit, n_threads=task.n_threads)
    held = MatrixView(data.features, parts.held_out, own)
    return predict_parts(ForestPredictor(binned.fit()), held, np.arange(len(held)), task.n_threads)


def _list_known_names(spec: FeatureSpec, champion: Model) -> frozenset[str]:
    """List the features that are nothing new: the champion's, the starter's and, on a first model, all of them."""
    names = (*champion.spec.names, *load_starter().spec.names)
    return frozenset((*names, *spec.names) if ranks_as_starter(champion) else names)


def _is_old(champion: Model, as_of_us: int, settings: NightSettings) -> bool:
    """Return whether the champion was made too long ago; one that does not say when is old, the starter never."""
    if ranks_as_starter(champion):
        return False
    made = champion.origin.get("as_of")
    if not isinstance(made, str):
        return True
    made_us = int(np.datetime64(made.removesuffix("Z"), "us").astype(np.int64))
    return as_of_us - made_us > settings.gates.max_champion_days * DAY_US


def find_lacking(names: tuple[str, ...], features: NDArray[np.float32]) -> frozenset[str]:
    """Find the entities of which no order tells anything: all their features are empty."""
    known = {name.split("__")[0] for at, name in enumerate(names) if not np.isnan(features[:, at]).all()}
    return frozenset(name.split("__")[0] for name in names) - known


def _measure_lookalikes(
    task: Task, model: Model, champion: Model, lacking: frozenset[str]
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Measure the look-alikes of both models on orders that lack what the merchant's own lack."""
    measure = task.measure_lookalikes
    if measure is None:
        return None, None
    told = {"lacking": sorted(lacking)}
    known = champion.metrics.get("lookalikes")
    is_same = isinstance(known, dict) and known.get("lacking") == told["lacking"]
    return measure(model, lacking) | told, known if is_same else measure(champion, lacking) | told


def _measure_kinds(challenger: Contender, data: TrainingData, parts: Parts) -> dict[str, Any]:
    """Measure on the holdout how often the kind that the second model names is right."""
    if challenger.model.kinds is None:
        return {}
    rows = parts.holdout[data.plan.label[parts.holdout] == MALICIOUS]
    features = np.ascontiguousarray(data.features[np.ix_(rows, challenger.columns)])
    return {"kinds": measure_kinds(challenger.model.kinds, features, data.kind[rows])}


def _rescale_champion(
    task: Task, champion: Contender, data: TrainingData, parts: Parts, verdicts: list[gates.Gate]
) -> Model | None:
    """Fit the champion's risk score again where its thresholds no longer alert what they stand for.

    Only the scale changes, never the ranking. Nothing is fitted to contaminated data.
    """
    is_contaminated = any(not gate.passed and gate.name in _CONTAMINATION_GATES for gate in verdicts)
    if is_contaminated or len(parts.scale) == 0:
        return None
    bounds = task.settings.gates
    raw = _predict_ahead(task, champion, data, parts)
    change = find_standing_change(champion.model.risk_scale(raw), bounds.alert_scores, bounds.min_alerts)
    if change <= bounds.alert_rate_change * _RESCALE_FROM:
        return None
    scale = fit_risk_scale(raw)
    origin = champion.model.origin | {"rescaled_as_of": format_time(task.as_of_us)}
    return replace(champion.model, risk_scale=scale, origin=origin)


def _describe_gates(verdicts: list[gates.Gate]) -> list[dict[str, Any]]:
    """Describe the gates for the manifest: without times taken, which no two runs have in common."""
    return [(replace(g, figure=None) if g.name == "scoring_us" else g).as_dict() for g in verdicts]


def _measure_flow(timeline: Timeline, labels: Labels, as_of_us: int) -> list[dict[str, Any]]:
    """Count, for each of the last days, orders placed and verdicts that came."""
    ago = (as_of_us - 1 - timeline.order_seen_at) // DAY_US
    verdict_ago = (as_of_us - 1 - labels.verdict_at) // DAY_US
    flow = []
    for day in range(min(_N_FLOW_DAYS, int(ago.max(initial=0)) + 1) - 1, -1, -1):
        came = verdict_ago == day
        flow.append(
            {
                "days_ago": day,
                "orders": int((ago == day).sum()),
                "mature": int(((ago == day) & (labels.label >= 0)).sum()),
                "malicious": int((came & (labels.verdict == MALICIOUS)).sum()),
                "innocent": int((came & (labels.verdict == INNOCENT)).sum()),
            }
        )
    return flow
