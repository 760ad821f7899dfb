"""One night: from a history to a better model that serves, or to a reason why there is none.

Everything up to the decision can be repeated with the same result; the decision is written before anything is changed;
what follows is carried out in steps that can each be repeated. So a night may die anywhere.
"""

from __future__ import annotations

import importlib.metadata
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ordervet import storage
from ordervet.learn import records
from ordervet.learn.promotion import Task, decide_promotion
from ordervet.model import promote_model, save_model
from ordervet.model.registry import read_live_id
from ordervet.policy import load_policy
from ordervet.reports import build_card
from ordervet.reports.nightly import build_nightly_page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ordervet.features import FeatureSpec
    from ordervet.history.slices import HistorySlices
    from ordervet.learn.night_settings import NightSettings
    from ordervet.learn.promotion import Lookalikes
    from ordervet.policy import Policy

PROMOTED, REFUSED, RESCALED, WAITING = "promoted", "refused", "rescaled", "waiting"
WOULD_PROMOTE, WOULD_REFUSE = "would promote", "would refuse"


@dataclass(frozen=True, slots=True)
class Night:
    """What a night came to."""

    name: str  # of its folder
    #: "promoted", "refused", "rescaled" (refused, and the serving model's risk score fitted again) or "waiting" (too
    #: little to learn from: the record's ``missing``); in a dry run "would promote", "would refuse" or "waiting"
    outcome: str
    was_done: bool  # the same night was done before, and nothing was done now
    record: dict[str, Any]  # everything the report shows, as plain values
    folder: Path | None  # with report.zh.html, report.en.html and result.json; None in a dry run


def run_night(
    slices: HistorySlices,
    models: Path,
    spec: FeatureSpec,
    *,
    settings: NightSettings,
    policy: Policy | None = None,
    about: dict[str, Any] | None = None,
    measure_lookalikes: Lookalikes | None = None,
    dry_run: bool = False,
    n_threads: int = 1,
    report_step: Callable[[str], None] = lambda _: None,
    rows: Path | None = None,
) -> Night:
    """Run one night, or finish one that was begun.

    Parameters
    ----------
    slices : one version of the history, up to the cut-off
    models : the folder of models
    spec : the challenger's features
    settings : maturity, budgets, bounds
    policy : whose id goes into the manifest; None takes the default
    about : notes about the data for the manifest, such as ``{"is_simulated": True}``
    measure_lookalikes : from a model and the entities that the merchant lacks to `LookalikeReport.as_dict`; None skips
        the gate
    dry_run : nothing is written
    n_threads : threads; the artefact does not depend on it
    report_step : called with what is being done
    rows : features that `ordervet.spark.build_training_rows` computed of the same history; None replays it

    Raises
    ------
    HistoryError
        The history cannot be read.
    ModelError
        Another retrain is running.
    TrainingError
        The rows cannot be used.
    """
    task = Task(
        models, spec, slices.until_us, settings, policy or load_policy(), about or {}, measure_lookalikes, n_threads,
        report_step, rows,
    )  # fmt: skip
    name = records.name_night(slices.until_us, _describe_content(task, slices))
    if dry_run:
        _, record = decide_promotion(task, slices, None)
        outcome = WAITING if record["missing"] else WOULD_PROMOTE if record["passed"] else WOULD_REFUSE
        return Night(name, outcome, was_done=False, record=record, folder=None)
    with records.hold_night_lock(models):
        return _run(task, slices, models / records.NIGHTS / name)


def _run(task: Task, slices: HistorySlices, folder: Path) -> Night:
    done = records.read_json(folder / "result.json")
    if done is not None:
        return Night(folder.name, done["outcome"], was_done=True, record=done, folder=folder)
    records.clear_leftovers(task.models, but=folder.name)
    decision = records.read_json(folder / "decision.json")
    if decision is None:
        made, decision = decide_promotion(task, slices, folder / "work")
        task.report_step("registering")
        for model in made:
            save_model(model, task.models, card=build_card(model))
        records.write_json(folder / "decision.json", decision)
    task.report_step("carrying out")
    return _carry_out(task.models, folder, decision)


def _describe_content(task: Task, slices: HistorySlices) -> dict[str, str]:
    return {
        "events": slices.timeline.digest,
        "spec": task.spec.hash,
        "settings": task.settings.hash,
        "policy": task.policy.policy_id,
        "code": importlib.metadata.version("ordervet"),
    }


def _carry_out(models: Path, folder: Path, decision: dict[str, Any]) -> Night:
    """Do what was decided; every step can be repeated."""
    outcome = WAITING if decision["missing"] else REFUSED
    starter_id, serve_id = decision["starter_id"], decision["serve_id"]
    if starter_id is not None and read_live_id(models) is None:
        promote_model(models, starter_id, why=f"night {folder.name}: the starter serves first")
    if serve_id is not None:
        live = read_live_id(models)
        if live in (decision["live_id"], starter_id, serve_id, None):
            promote_model(models, serve_id, why=f"night {folder.name}")
            outcome = PROMOTED if decision["passed"] else RESCALED
        else:
            decision = decision | {"superseded_by": live}
    record = decision | {"outcome": outcome, "finished_at": datetime.now(UTC).isoformat(timespec="seconds")}
    for lang in ("zh", "en"):
        storage.write_text(folder / f"report.{lang}.html", build_nightly_page(record, lang=lang))
    shutil.rmtree(folder / "work", ignore_errors=True)
    records.write_json(folder / "result.json", record)
    return Night(folder.name, outcome, was_done=False, record=record, folder=folder)
