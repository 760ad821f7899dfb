"""Decide on a promotion: learn a challenger, try it, and say whether it may serve. Nothing is changed here."""

from __future__ import annotations

import importlib.metadata
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.contract.files.outputs import drop_nan
from ordervet.entities import load_key
from ordervet.errors import ModelError, TrainingError
from ordervet.learn import gates, records
from ordervet.learn.challenger import fit_challenger, predict_parts
from ordervet.learn.drift import measure_attribution_drift
from ordervet.learn.labels import DAY_US, INNOCENT, MALICIOUS, label_mature_orders, measure_maturity
from ordervet.learn.train import find_own_columns, format_time
from ordervet.learn.training_data import plan_training_data, replay_training_data
from ordervet.learn.trial import WATCHED, Contender, fit_scale, hold_trial, measure_standing_change, split_parts
from ordervet.model import ForestPredictor, Model, fit_risk_scale, load_serving_model
from ordervet.model.binned import BinnedOrders, MatrixView
from ordervet.model.kinds import fit_kinds, measure_kinds
from ordervet.model.registry import read_live_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ordervet.features import FeatureSpec
    from ordervet.history.slices import HistorySlices, Timeline
    from ordervet.learn.labels import Labels
    from ordervet.learn.night_settings import NightSettings
    from ordervet.learn.training_data import TrainingData
    from ordervet.learn.trial import Parts, Trial
    from ordervet.policy import Policy

    Lookalikes = Callable[[Model], dict[str, Any]]

_N_FLOW_DAYS = 60
#: Share of the alert rate's bound from which the champion is rescaled, so that the next day is still within it.
_RESCALE_FROM = 0.25
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
    measure_lookalikes: Lookalikes | None  # from a model to `LookalikeReport.as_dict`; None skips the gate
    n_threads: int  # threads; the artefact does not depend on it
    report_step: Callable[[str], None]  # called with what is being done


def decide_promotion(task: Task, slices: HistorySlices, work: Path | None) -> tuple[list[Model], dict[str, Any]]:
    """Learn a challenger and try it.

    Where `work` is a folder, what took long is kept there for a run that takes over.

    Returns
    -------
    the challenger, its gates in its manifest, and, where the champion's score is rescaled, the champion with it; and
    everything the report shows: ``passed``, and ``serve_id``, the model that is to serve, or None to change nothing

    Raises
    ------
    TrainingError
        There is not enough to learn from.
    """
    settings, n_threads = task.settings, task.n_threads
    labels = label_mature_orders(slices.timeline, as_of_us=task.as_of_us, maturity=settings.maturity)
    live_id = read_live_id(task.models)
    champion_model, faults = _load_champion(task.models)
    both = _unite_specs(task.spec, champion_model)
    names = both.names
    data = _gather_training_data(task, slices, labels, both, work)
    parts = split_parts(data, as_of_us=task.as_of_us, settings=settings)
    _check_parts(data, parts, settings)
    champion = Contender.of(champion_model, names) if champion_model else None
    model = _fit(task, slices, data, parts, names)
    challenger = Contender.of(model, names)
    own_raw = _score_by_own_columns(task, data, parts)
    task.report_step("measuring")
    trial = hold_trial(
        challenger, champion, data, parts, names=names, own_raw=own_raw, settings=settings,
        n_threads=n_threads, is_champion_old=_is_old(champion_model, task.as_of_us, settings),
    )  # fmt: skip
    task.report_step("measuring look-alikes")
    ours = task.measure_lookalikes(model) if task.measure_lookalikes else None
    theirs = _find_champions_lookalikes(champion_model, task.measure_lookalikes)
    verdicts = [*trial.gates, gates.check_lookalikes(*((each or {}).get("rows") for each in (ours, theirs)))]
    metrics = trial.metrics | _measure_kinds(model, data, parts)
    model = replace(model, metrics=drop_nan(metrics | {"gates": _describe_gates(verdicts), "lookalikes": ours}))
    passed = all(gate.passed for gate in verdicts)
    rescaled = None if passed else _rescale_champion(task, champion, data, parts, verdicts)
    serves = model if passed else rescaled
    record = {
        "passed": passed,
        "serve_id": serves.model_id if serves else None,
        "as_of": format_time(task.as_of_us),
        "model_id": model.model_id,
        "champion_id": champion_model.model_id if champion_model else None,
        "live_id": live_id,
        "champion_faults": faults,
        "features_gone": _find_dropped(task.spec, champion_model),
        "origin": model.origin,
        "counts": {part: len(getattr(parts, part)) for part in parts.__slots__},
        "label_flow": _measure_flow(slices.timeline, labels, task.as_of_us),
        "maturity_curve": measure_maturity(slices.timeline, labels),
        "order_days": settings.maturity.order_days,
        "attribution_drift": measure_attribution_drift(challenger, champion, data, parts.fresh, n_threads),
    }
    return [model, *([rescaled] if rescaled else [])], drop_nan(
        record | _describe_trial(trial, verdicts, settings.gates.expected)
    )


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
    }


def _load_champion(models: Path) -> tuple[Model | None, list[str]]:
    """Load what serves, and say what is wrong with models that should; one that cannot be loaded is no champion."""
    try:
        return load_serving_model(models)
    except ModelError as error:
        return None, [error.message] if read_live_id(models) else []


def _find_dropped(spec: FeatureSpec, champion: Model | None) -> list[str]:
    """Find the champion's features that the challenger does without."""
    return [name for name in champion.spec.names if name not in spec.names] if champion else []


def _unite_specs(spec: FeatureSpec, champion: Model | None) -> FeatureSpec:
    """Return the features of both models and those that gates look at, the challenger's first.

    What the history does not know of the champion's stays empty.
    """
    other = champion.spec if champion else spec
    return replace(
        spec,
        names=_join(_join(spec.names, other.names), WATCHED if "buyer" in spec.entities else ()),
        entities=_join(spec.entities, other.entities),
        numbers=_join(spec.numbers, other.numbers),
    )


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
    with tempfile.TemporaryDirectory(prefix="ordervet-night-") if work is None else nullcontext(work) as folder:
        data = replay_training_data(
            slices, both, plan, settings=task.settings, as_of_us=task.as_of_us, scratch=Path(folder) / "sorted",
            n_threads=task.n_threads, report_step=task.report_step,
        )  # fmt: skip
    if work:
        records.save_training_data(work, data, made_of=made_of)
    return data


def _check_parts(data: TrainingData, parts: Parts, settings: NightSettings) -> None:
    n_malicious = int((data.plan.label[parts.holdout] == MALICIOUS).sum())
    if n_malicious == 0 or len(parts.reference) == 0:
        raise TrainingError(
            f"the newest {settings.learning.holdout_days} mature days hold {n_malicious} malicious orders and the "
            f"newest {settings.learning.reference_days} days {len(parts.reference):,} orders, expected some of both",
            hint="add the newest orders and verdicts: ordervet ingest FILE... --history DIR",
        )


def _fit(task: Task, slices: HistorySlices, data: TrainingData, parts: Parts, names: tuple[str, ...]) -> Model:
    spec, settings, n_threads = task.spec, task.settings, task.n_threads
    plan, rows = data.plan, parts.train
    columns = np.arange(len(spec.names))  # NOTE: the challenger's features come first, see _unite_specs
    is_malicious = plan.label[rows] == MALICIOUS
    view = MatrixView(data.features, rows, columns)
    text, calibration = fit_challenger(
        view, spec.names, is_malicious, plan.weight[rows], settings.fit, n_folds=settings.learning.n_folds,
        n_threads=n_threads, report_step=task.report_step,
    )  # fmt: skip
    unscaled = Model(text, spec, calibration, fit_risk_scale(np.zeros(1)), {}, {})
    scale = fit_scale(Contender.of(unscaled, names), data, parts.scale, n_threads)
    origin = task.about | {
        "as_of": format_time(task.as_of_us),
        "key_id": load_key().key_id,
        "history_version": slices.version,
        "history_digest": slices.timeline.digest,
        "n_orders": len(slices.timeline.order_id),
        "n_labelled": int(plan.weight.sum()),
        "n_fitted": int(plan.weight[rows].sum()),
        "n_fitted_rows": len(rows),
        "n_calibrated": int(plan.weight[rows].sum()),
        "n_malicious": int(is_malicious.sum()),
        "first_order_at": format_time(int(data.seen_at[rows].min())),
        "last_order_at": format_time(int(data.seen_at[parts.holdout].max())),
        "maturity_days": settings.maturity.order_days,
        "seed": settings.fit.seed,
        "settings": settings.fit.model_dump(mode="json"),
        "settings_hash": settings.hash,
        "policy_id": task.policy.policy_id,
        "versions": {each: importlib.metadata.version(each) for each in ("ordervet", "lightgbm", "numpy")},
    }
    task.report_step("fitting the model of kinds")
    malicious = np.flatnonzero(is_malicious)
    kinds = fit_kinds(view.take(malicious), data.kind[rows[malicious]], spec.names, settings.fit, n_threads=n_threads)
    return replace(unscaled, risk_scale=scale, origin=origin, kinds=kinds)


def _score_by_own_columns(task: Task, data: TrainingData, parts: Parts) -> NDArray[np.float64] | None:
    """Score the holdout by trees that know no history; None where there is only one sort of columns."""
    own = find_own_columns(task.spec.names)
    if own is None:
        return None
    task.report_step("fitting without the history")
    plan, names = data.plan, tuple(task.spec.names[at] for at in own)
    view = MatrixView(data.features, parts.train, own)
    is_malicious = plan.label[parts.train] == MALICIOUS
    binned = BinnedOrders(
        view, names, is_malicious, plan.weight[parts.train], task.settings.fit, n_threads=task.n_threads
    )
    held = MatrixView(data.features, parts.holdout, own)
    return predict_parts(ForestPredictor(binned.fit()), held, np.arange(len(held)), task.n_threads)


def _is_old(champion: Model | None, as_of_us: int, settings: NightSettings) -> bool:
    """Return whether the champion was made too long ago; one that does not say when is old."""
    made = champion.origin.get("as_of") if champion else None
    if not isinstance(made, str):
        return True
    made_us = int(np.datetime64(made.removesuffix("Z"), "us").astype(np.int64))
    return as_of_us - made_us > settings.gates.max_champion_days * DAY_US


def _find_champions_lookalikes(champion: Model | None, measure: Lookalikes | None) -> dict[str, Any] | None:
    """Take them from its manifest, or measure them."""
    if champion is None or measure is None:
        return None
    known = champion.metrics.get("lookalikes")
    return known if isinstance(known, dict) else measure(champion)


def _measure_kinds(model: Model, data: TrainingData, parts: Parts) -> dict[str, Any]:
    """Measure on the holdout how often the kind that the second model names is right."""
    if model.kinds is None:
        return {}
    rows = parts.holdout[data.plan.label[parts.holdout] == MALICIOUS]
    features = np.ascontiguousarray(data.features[rows, : len(model.spec.names)])
    return {"kinds": measure_kinds(model.kinds, features, data.kind[rows])}


def _rescale_champion(
    task: Task, champion: Contender | None, data: TrainingData, parts: Parts, verdicts: list[gates.Gate]
) -> Model | None:
    """Fit the champion's risk score again where its thresholds no longer alert what they stand for.

    Only the scale changes, never the ranking. Nothing is fitted to contaminated data.
    """
    is_contaminated = any(not gate.passed and gate.name in _CONTAMINATION_GATES for gate in verdicts)
    if champion is None or is_contaminated or len(parts.scale) == 0:
        return None
    bounds = task.settings.gates
    change = measure_standing_change(champion, data, parts.scale, bounds, task.n_threads)
    if change <= bounds.alert_rate_change * _RESCALE_FROM:
        return None
    scale = fit_scale(champion, data, parts.scale, task.n_threads)
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
